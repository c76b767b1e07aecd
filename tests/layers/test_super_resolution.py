import pytest
import torch
from tests.models.by_hand import count

from gantools.layers.super_resolution import (
    ENLARGERS,
    RESIDUAL,
    RRDB,
    DenseBlock,
    Judge,
    MSRResNet,
    Ranker,
    RankSRResNet,
    RRDBNet,
    SRResNet,
    UNetJudge,
    VGGJudge,
    subpixel_init,
)


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        (lambda: SRResNet(3, 4), 1_547_350),
        (lambda: MSRResNet(3, 4), 1_517_571),
        (lambda: MSRResNet(3, 2), 1_369_859),
        (lambda: MSRResNet(3, 3), 1_554_499),
        (lambda: Judge(3, 96), 23_563_649),
        (lambda: RRDBNet(3, 4), 16_697_987),
        (lambda: RRDBNet(3, 4, blocks=6), 4_467_779),
        (lambda: DenseBlock(64, 32), 239_808),
        (lambda: VGGJudge(3, 128), 14_499_401),
        (lambda: VGGJudge(3, 256, halvings=6), 21_055_049),
        (lambda: VGGJudge(3, 296), 17_827_401),
        (lambda: UNetJudge(3), 4_376_897),
        (lambda: RankSRResNet(3, 4), 1_554_499),
        (lambda: Ranker(3), 13_734_281),
    ],
)
def test_weights_of_the_published_networks(network, weights):
    with torch.device("meta"):
        assert count(network()) == weights


@pytest.mark.parametrize("kind", ENLARGERS)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_sides_grow_by_the_scale(kind, scale):
    network = ENLARGERS[kind](3, scale, 4, 1)
    assert network(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_shuffle_begins_without_a_checkerboard(factor):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 5 * factor**2, 3, 1, 1)

    def spread() -> float:
        y = torch.pixel_shuffle(conv(torch.randn(1, 4, 6, 6)), factor)
        blocks = y.unfold(2, factor, factor).unfold(3, factor, factor).flatten(4)
        return float((blocks.amax(4) - blocks.amin(4)).max().detach())

    assert spread() > 0.1  # torch's own initialisation has one
    subpixel_init(conv, factor)
    assert spread() == 0


def test_msrresnet_begins_near_bilinear_interpolation():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 12, 12) * 2 - 1
    bilinear = torch.nn.functional.interpolate(x, scale_factor=4, mode="bilinear")
    assert (MSRResNet(3, 4, 16, 2)(x) - bilinear).abs().max() < 0.05


def test_the_judge_gives_one_logit_an_image():
    assert Judge(3, 32, 4, 8)(torch.randn(3, 3, 32, 32)).shape == (3,)


def test_a_vgg_judge_takes_sides_that_are_no_multiple_of_its_halvings():
    judge = VGGJudge(3, 37, 2, 5, halvings=3)
    assert judge(torch.randn(2, 3, 37, 37)).shape == (2,)
    assert [layer.bias is None for layer in judge.layers if isinstance(layer, torch.nn.Conv2d)] == [False] + 5 * [True]


def test_a_u_net_judges_every_pixel_by_normalised_layers():
    torch.manual_seed(0)
    judge = UNetJudge(3, 4)
    assert judge(torch.randn(2, 3, 16, 24)).shape == (2, 16, 24)
    convolutions = [layer for layer in judge.modules() if isinstance(layer, torch.nn.Conv2d)]
    normal = [torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() for layer in convolutions[1:-1]]
    assert normal == pytest.approx([1.0] * len(normal), abs=0.1)
    assert all("weight" in dict(layer.named_parameters()) for layer in (judge.head, judge.tail))


def test_dense_blocks_begin_near_the_identity_and_their_weights_are_a_tenth_of_kaimings():
    torch.manual_seed(0)
    block = DenseBlock(16, 32)
    for conv in block.convs:
        fan_in = conv.in_channels * 9
        assert float(conv.weight.detach().std()) == pytest.approx(0.1 * (2 / fan_in) ** 0.5, rel=0.1)
        assert not conv.bias.detach().any()
    x = torch.randn(1, 16, 6, 6)
    assert (block(x) - x).abs().max() < 0.05


@pytest.mark.parametrize("bug", [False, True])
def test_both_residuals_of_a_block_are_scaled(bug):
    """A dense block of last bias 1 adds 0.2, three of them 0.6, and the outer residual is a fifth of what they give."""
    block = RRDB(4, 2)
    for p in block.parameters():
        p.data.zero_()
    for dense in block.blocks:
        dense.convs[-1].bias.data.fill_(1.0)
    x = torch.randn(1, 4, 5, 5)
    # The bug: the outer sum without its factor.
    found = x + block.blocks(x) if bug else block(x)
    assert torch.allclose(found, x + RESIDUAL * (x + 3 * RESIDUAL), atol=1e-6) != bug


def test_the_output_is_linear():
    network = RRDBNet(3, 2, 4, 1, 2)
    network.tail[-1].bias.data.fill_(7.0)
    assert float(network(torch.zeros(1, 3, 4, 4)).detach().mean()) > 5  # a tanh or a clamp would keep it at 1


@pytest.mark.parametrize("bug", [False, True])
def test_a_ranker_judges_each_image_alone_and_writes_nothing(bug):
    torch.manual_seed(0)
    ranker = Ranker(3, 2, 4).train()
    for _ in range(3):
        ranker(torch.randn(4, 3, 40, 40))
    before = {name: value.clone() for name, value in ranker.state_dict().items()}
    x = torch.randn(4, 3, 48, 32)
    # The bug: the ranker in training mode while the generator learns of it.
    judge = ranker.forward if bug else ranker.judge
    together, alone = judge(x), judge(x[:2])
    assert (torch.allclose(together[:2], alone, atol=1e-6)) != bug
    assert all(torch.equal(value, before[name]) for name, value in ranker.state_dict().items()) != bug
    assert together.shape == (4,) and torch.allclose(ranker.eval()(x), ranker.judge(x), atol=1e-6)
