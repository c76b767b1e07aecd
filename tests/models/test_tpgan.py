"""TP-GAN: networks by the authors' table, terms by hand, and that a face's side and neighbours do not matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.models.test_systems import small, synthetic
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers import frontal as layers
from gantools.models import tpgan
from gantools.models.system import Batch
from gantools.models.tpgan import SYSTEM, TPGANConfig, TPGANGame
from gantools.objectives.losses import LossConfig
from gantools.objectives.symmetry import asymmetry, with_edges
from gantools.recipes.recipe import load_recipe


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_of_each_part_are_the_authors():
    with torch.device("meta"):
        networks = SYSTEM.build(TPGANConfig())
    generator = networks["generator"]
    assert isinstance(generator, layers.FrontalGenerator)
    assert count(generator.encoder) == 39_420_672 and count(generator.decoder) == 49_197_818
    parts = {name: count(part) for name, part in generator.parts.items()}
    assert parts == {"left_eye": 17_199_043, "right_eye": 17_200_771, "nose": 17_199_043, "mouth": 17_199_043}
    assert count(generator) == 157_416_390
    assert count(networks["discriminator"]) == 13_357_441 and count(networks["recogniser"]) == 87_380


def test_outputs_of_both_sizes_and_of_the_judge():
    for size, outputs in ((128, 4), (64, 2), (32, 1)):
        networks = SYSTEM.build(TPGANConfig(size=size, width=8, judge_width=4, classes=0))
        points = torch.tensor([[43.0, 40], [84, 40], [70, 64], [47, 88], [82, 88]]) * size / 128
        with torch.no_grad():
            made = networks["generator"](torch.zeros(2, 3, size, size), points.repeat(2, 1, 1), torch.zeros(2, 100))
            judged = networks["discriminator"](made.image)
        assert [x.shape[2] for x in made[:3]] == [size, size // 2, size // 4] and judged.shape == (2, outputs, outputs)
        assert "recogniser" not in networks


def test_places_of_patches_are_the_authors_and_eyes_mirror_each_other():
    found = layers.windows(128)
    assert found == {
        "left_eye": (20, 23, 40, 40),
        "right_eye": (20, 65, 40, 40),
        "nose": (48, 43, 32, 40),
        "mouth": (72, 40, 32, 48),
    }
    for size in (32, 64, 96, 128):
        found = layers.windows(size)
        left, right = found["left_eye"], found["right_eye"]
        assert left.left + right.left + left.width == size
        for top, begin, height, width in found.values():
            assert height % 8 == width % 8 == 0 and min(top, begin) >= 0 and max(top + height, begin + width) <= size


def test_patches_are_cut_round_the_landmarks_and_stay_inside():
    face = [[43.0, 40], [85, 40], [71, 64], [47, 88], [82, 88]]
    marks = torch.tensor([face, [[2.0, 1], [126, 40], [64, 127], [2, 2], [3, 3]]])
    at = layers.corners(marks, 128)
    assert at["left_eye"][0].tolist() == [20, 24] and at["mouth"][0].tolist() == [72, 41]
    # The lower edge is 11 below the nose, the middle half way between it and the middle of the eyes.
    assert at["nose"][0].tolist() == [round(64.5 + 11 - 32), round((71 + 64) / 2 + 0.5 - 20)]
    sizes = layers.windows(128)
    for name, corner in at.items():
        assert bool((corner >= 0).all()) and bool((corner[:, 0] + sizes[name].height <= 128).all())
        assert bool((corner[:, 1] + sizes[name].width <= 128).all())
    image = torch.arange(128 * 128.0).view(1, 1, 128, 128).repeat(2, 1, 1, 1)
    patch = layers.cut(image, at["left_eye"], sizes["left_eye"])
    assert torch.equal(patch[0, 0], image[0, 0, 20:60, 24:64]) and patch.shape == (2, 1, 40, 40)
    assert torch.equal(patch[1, 0], image[1, 0, :40, :40])


def test_patches_are_composed_by_their_masks():
    patches = {name: torch.full((1, 1, w.height, w.width), -0.5) for name, w in layers.windows(128).items()}
    made = layers.composed(patches, 128)
    inside = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    for w in layers.windows(128).values():
        inside[..., w.top : w.top + w.height, w.left : w.left + w.width] = True
    assert torch.equal(made, torch.where(inside, -0.5, 0.0))
    # The authors' maximum with 0 loses all of it.
    places = layers.windows(128)
    around = {n: (w.left, 128 - w.left - w.width, w.top, 128 - w.top - w.height) for n, w in places.items()}
    padded = [F.pad(patch, around[name]) for name, patch in patches.items()]
    assert float(torch.stack(padded).amax(0).abs().max()) == 0
    # Where an eye and the nose overlap it is their mean.
    patches["nose"] = patches["nose"] + 1
    assert float(layers.composed(patches, 128)[0, 0, 50, 50]) == 0.0


def test_the_right_eye_sees_the_left_one_too():
    torch.manual_seed(0)
    generator = layers.FrontalGenerator(3, 32, 8, True).eval()
    marks = torch.tensor([[[4.0, 10], [27, 10], [20, 16], [11, 28], [21, 28]]])
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    other = image.clone()
    at = layers.corners(marks, 32)["left_eye"][0]
    other[0, :, at[0], 0] = 0.9  # in the left eye's patch alone
    with torch.no_grad():
        one, two = (generator(x, marks, torch.zeros(1, 100)).patches for x in (image, other))
    assert not torch.equal(one["left_eye"], two["left_eye"]) and not torch.equal(one["right_eye"], two["right_eye"])
    assert torch.equal(one["mouth"], two["mouth"])


@pytest.mark.parametrize("bug", ["", "no stop", "unmirrored", "stop of the right half"])
def test_symmetry_draws_the_right_half_to_the_left_one(bug):
    def wrong(x: Tensor) -> Tensor:
        left, right = x.chunk(2, 3)
        if bug == "no stop":
            return (right.flip(3) - left).abs().mean()
        if bug == "unmirrored":
            return (right - left.detach()).abs().mean()
        return (right.flip(3).detach() - left).abs().mean()

    def right(term: Any) -> bool:
        x = torch.tensor([[[[1.0, 2.0, 5.0, 1.5]]]], requires_grad=True)
        value = term(x)
        (gradient,) = torch.autograd.grad(value, x)
        return float(value.detach()) == 1.75 and gradient.flatten().tolist() == [0.0, 0.0, 0.5, 0.5]

    assert right(wrong if bug else asymmetry) is (not bug)


def test_edges_are_those_of_the_authors_kernel():
    x = torch.zeros(1, 2, 3, 3)
    x[0, 1, 1, 1] = 1
    found = with_edges(x)
    assert found.shape == (1, 4, 3, 3) and torch.equal(found[:, :2], x) and float(found[0, 2].abs().max()) == 0
    assert found[0, 3].tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]


def mirror(batch: Batch) -> Batch:
    assert batch.inputs is not None
    everywhere = torch.ones(len(batch), dtype=torch.bool)
    inputs, marks = layers.mirrored(batch.inputs, batch.extras["marks"], everywhere)
    return replace(batch, images=batch.images.flip(3), inputs=inputs, extras={"marks": marks})


def test_faces_are_seen_from_one_side():
    """A batch and its mirror image are the same to the networks; without the swap of eyes they are not."""
    recipe = small("tpgan")
    batch = synthetic(recipe)
    for ours, theirs in zip(tpgan.one_sided(batch), tpgan.one_sided(mirror(batch)), strict=True):
        torch.testing.assert_close(ours, theirs)
    _, marks, _ = tpgan.one_sided(batch)
    assert not bool(layers.faces_left(marks).any()) and bool((marks[:, 0, 0] < marks[:, 1, 0]).all())
    where = torch.ones(len(batch), dtype=torch.bool)
    back = layers.mirrored(*layers.mirrored(batch.images, batch.extras["marks"], where), where)
    torch.testing.assert_close(back[0], batch.images)
    torch.testing.assert_close(back[1], batch.extras["marks"])


@pytest.mark.parametrize("running", [True, False])
def test_a_mirrored_face_gives_the_mirrored_result_whoever_is_beside_it(running):
    torch.manual_seed(0)
    recipe = small("tpgan")
    network = replace(recipe.network, running=running)
    # In float64: what rounding does to small images is no neighbour's doing.
    networks = {name: net.eval().double() for name, net in SYSTEM.build(network).items()}
    batch = synthetic(recipe)
    assert batch.inputs is not None
    batch = replace(batch, inputs=batch.inputs.double())

    def rendered(of: Batch) -> Tensor:
        with torch.no_grad():
            return SYSTEM.render(networks, of.inputs, None, {}, marks=of.extras["marks"])

    made = rendered(batch)
    torch.testing.assert_close(rendered(mirror(batch)), made.flip(3), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(rendered(batch.part(3, 4)), made[3:4], atol=1e-9, rtol=1e-7)
    # In training mode, as the authors' code has it at test, it would matter.
    networks["generator"].train()
    assert float((rendered(batch.part(3, 4)) - rendered(batch)[3:4]).abs().max()) > 1e-5


def test_noise_is_drawn_from_the_batch_and_none_when_rendering():
    recipe = small("tpgan")
    (stage,) = recipe.stages()
    networks, batch = SYSTEM.build(recipe.network), synthetic(recipe)
    seen: list[Tensor] = []
    networks["generator"].register_forward_pre_hook(lambda module, args: seen.append(args[2]))
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        stage.phases[0].loss(networks, batch, {})
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])
    assert 0.015 < float(seen[0].std()) < 0.025 and seen[0].shape == (len(batch), layers.NOISE)
    SYSTEM.render(networks, batch.inputs, None, {}, marks=batch.extras["marks"])
    assert float(seen[-1].abs().max()) == 0


def test_terms_are_named_and_weighted():
    recipe = small("tpgan")
    batch = synthetic(recipe)

    def terms(**game: Any) -> dict[str, float]:
        torch.manual_seed(0)
        networks = SYSTEM.build(recipe.network)
        (stage,) = tpgan.stages(recipe.network, replace(recipe.game, **game))
        torch.manual_seed(1)
        out = stage.phases[-1].loss(networks, batch, {})
        found = {name: float(value) for name, value in out.means.items()}
        weighted = {"pixel", "symmetry", "adversarial", "ids", "tv", "local"}
        named = sum(found[name] for name in weighted & found.keys())
        assert float(out.value.detach()) == pytest.approx(named, rel=1e-5) == pytest.approx(found["loss_g"], rel=1e-5)
        return found

    usual, other = terms(), terms(pixel=(2.0, 0.5, 0.1875), tv=0.006, local=6.0, ids=0.00244, adversarial=0.00488)
    for name in ("pixel", "tv", "local", "ids", "adversarial"):
        assert other[name] == pytest.approx(2 * usual[name], rel=1e-4), name
    alone = terms(pixel=(1.0, 0.0, 0.0))
    assert alone["pixel"] == pytest.approx(alone["l1"], rel=1e-5) and usual["pixel"] > alone["pixel"]
    assert "ids" not in terms(ids=0.0) and "adversarial" not in terms(adversarial=0.0)


def test_weights_are_the_codes_sums_as_means():
    game = load_recipe("tpgan-128").game
    area = 128 * 128
    assert list(game.pixel) == [1.0, 64**2 / area, 1.5 * 32**2 / area]
    assert list(game.symmetry) == pytest.approx([0.3 * n / area for n in (64 * 32, 64 * 32, 1.5 * 32 * 16)])
    # Images in [-1, 1] double what is counted in pixels.
    assert [game.adversarial, game.ids] == pytest.approx([2 * 20 / area, 2 * 10 / area], rel=1e-2)
    assert game.tv == pytest.approx(3 * 1e-3) and game.local == 3 and game.repeat == 2
    shares = {name: w.height * w.width / area for name, w in layers.windows(128).items()}
    wanted = {"left_eye": 0.29, "right_eye": 0.29, "nose": 0.23, "mouth": 0.28}
    assert {name: round(3 * share, 2) for name, share in shares.items()} == wanted


def test_both_players_have_the_target_of_real_images():
    loss = LossConfig("non_saturating", {"real_target": 0.9})
    outputs = torch.tensor([-1.0, 0.3, 2.0])
    wanted = F.binary_cross_entropy_with_logits(outputs, torch.full((3,), 0.9))
    assert float(tpgan.deceiving(loss, outputs, None)) == pytest.approx(float(wanted))
    plain = F.binary_cross_entropy_with_logits(outputs, torch.ones(3))
    assert float(tpgan.deceiving(LossConfig(), outputs, None)) == pytest.approx(float(plain))
    assert float(plain) != pytest.approx(float(wanted), rel=0.01)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TPGANConfig(size=72), "multiple of 16"),
        (lambda: TPGANConfig(width=12), "multiple of 8"),
        (lambda: TPGANGame(pixel=(0.0, 0.0, 0.0)), "nothing ties"),
        (lambda: TPGANGame(symmetry=(0.1, -0.1, 0.0)), "not negative"),
        (lambda: TPGANGame().prepare({}), "game.ids"),
        (lambda: tpgan.frozen(TPGANConfig(channels=1), TPGANGame(), False), "by colour"),
    ],
)
def test_what_is_wrong_is_said(make, words):
    with pytest.raises(ConfigError, match=words) as e:
        make()
    assert e.value.hint
