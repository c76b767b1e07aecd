import pytest
import torch
from tests.models.by_hand import count

from gantools.layers.guided import Fuse
from gantools.layers.placing import Foregrounds, PlaceJudge, Placer, Predictor
from gantools.layers.warp import homography_matrix, make_warp


def placer(**changes) -> Placer:
    options = {"width": 4, "halvings": 2, "hidden": 8, "bound": 0.5, "warps": 1, "scale": 1.0, "shift": (0.0, 0.0)}
    torch.manual_seed(0)
    return Placer(3, 16, make_warp("homography"), Fuse(4, 0.01, 2), **{**options, **changes})


def test_weights_are_those_of_st_gan_at_144():
    # ST-GAN's code for CelebA: background, foreground and opacity in, 8 numbers out; a judge of 5x5 outputs.
    assert count(Predictor(7, 144, 8, 32, 5, 256)) == 6_221_288
    judge = PlaceJudge(3, 32, 5)
    assert count(judge) == 2_792_417
    assert judge.layers(torch.zeros(1, 3, 144, 144)).shape == (1, 1, 4, 4)


def test_odd_sides_are_halved_upwards():
    network = Predictor(3, 18, 8, 4, 3, 8)  # 18, 9, 5, 3
    assert network.hidden.in_features == (16 + 3) * 3 * 3
    assert network(torch.zeros(2, 3, 18, 18)).shape == (2, 8)


def test_an_untrained_one_leaves_things_where_they_begin():
    network = placer()
    foreground, background = torch.rand(2, 4, 12, 12), torch.rand(2, 3, 16, 16)
    start = 0.1 * torch.randn(2, 8)
    made = network(foreground, background, start)
    assert torch.equal(made.parameters, start) and made.moved.abs().max() == 0
    # Without a start, an opaque foreground of the frame's size is the result.
    whole = torch.cat((torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16)), 1)
    torch.testing.assert_close(network(whole, background, 0 * start).composed.images, whole[:, :3], atol=2e-5, rtol=0)


def test_a_change_is_bounded_and_its_strength_is_a_share_of_it():
    network = placer(warps=2)
    torch.nn.init.constant_(network.predictor.last.bias, 100.0)
    given = (torch.rand(1, 4, 12, 12), torch.rand(1, 3, 16, 16), torch.zeros(1, 8))
    torch.testing.assert_close(network(*given).moved, torch.full((1, 8), 1.0))
    torch.testing.assert_close(network(*given, 0.25).moved, torch.full((1, 8), 0.25))


def test_scale_and_shift_are_of_the_canvas_on_the_frame():
    network = placer(scale=0.5, shift=(0.25, -0.5))
    foreground = torch.ones(1, 4, 8, 8)
    alpha = network(foreground, torch.zeros(1, 3, 32, 32), torch.zeros(1, 8)).composed.alpha[0, 0]
    rows, columns = ((alpha > 0.5).any(d).nonzero().flatten() for d in (1, 0))
    # Half as large: 16 of 32 pixels, around 0.25 and -0.5.
    assert (columns.min().item(), columns.max().item()) == (12, 27)
    assert (rows.min().item(), rows.max().item()) == (0, 15)


def test_the_background_may_have_any_size_and_the_place_is_the_same():
    network = placer()
    torch.nn.init.normal_(network.predictor.last.weight, std=0.1)
    small = torch.rand(1, 3, 16, 16)
    large = small.repeat_interleave(3, 2).repeat_interleave(3, 3)
    foreground, start = torch.rand(1, 4, 12, 12), torch.zeros(1, 8)
    a, b = network(foreground, small, start), network(foreground, large, start)
    assert b.composed.images.shape == (1, 3, 48, 48)
    assert a.moved.abs().max() > 0.01
    torch.testing.assert_close(a.parameters, b.parameters, atol=0.03, rtol=0)


def test_faults_of_a_place():
    network, foreground = placer(), torch.ones(1, 4, 12, 12)
    fold, out = network.faults(foreground, torch.zeros(1, 8))
    assert fold.item() == 0 and out.item() < 0.15
    away = torch.zeros(1, 8)
    away[0, 2] = -1.0
    assert homography_matrix(away)[0, 0, 2] == -1
    assert network.faults(foreground, away)[1].item() == pytest.approx(0.5, abs=0.1)
    tilted = torch.zeros(1, 8)
    tilted[0, 5] = 2.0
    assert network.faults(foreground, tilted)[0].item() > 0.1


def test_foregrounds_are_in_the_state_and_are_chosen_by_number():
    bank = Foregrounds(3, 8)
    assert set(bank.state_dict()) == {"rgba"} and bank.rgba[:, 3].amax((1, 2)).tolist() == [1, 1, 1]
    levels = torch.randint(0, 256, (3, 8, 8, 4), dtype=torch.uint8)
    bank.take(levels, "sum")
    colour, alpha = bank.choose(torch.tensor([2, 0]))
    torch.testing.assert_close(colour[0], levels[2, ..., :3].permute(2, 0, 1) / 127.5 - 1)
    torch.testing.assert_close(alpha[1, 0], levels[0, ..., 3] / 255)
    assert torch.equal(bank.choose(1)[0], bank.choose(torch.tensor([1]))[0])
