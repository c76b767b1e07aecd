import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import blobs
from tests.models.by_hand import adams, count, gradients, step
from torch import nn

from gantools.data.prepare import prep
from gantools.errors import ConfigError, DataError
from gantools.levels import to_uint8
from gantools.models.pix2pix import SYSTEM, Generator, Pix2PixConfig, Pix2PixGame, build, render, stages, weighted_l1
from gantools.models.system import Batch
from gantools.sampling.generator import Generator as Trained
from gantools.training.run import train

SMALL = Pix2PixConfig(size=64, downs=6, width=2, judge_width=2, judge_halvings=2)


def batch_of(n: int = 2, config: Pix2PixConfig = SMALL, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    h, w, c = config.input_shape
    images = torch.randint(0, 256, (n, config.channels, h, w)) / 127.5 - 1
    return Batch(images=images, inputs=torch.randint(0, 256, (n, c, h, w)) / 127.5 - 1)


def small(config: Pix2PixConfig = SMALL, game: Pix2PixGame | None = None):
    torch.manual_seed(0)
    networks = build(config)
    (stage,) = stages(config, game or Pix2PixGame())
    return networks, {phase.name: phase for phase in stage.phases}


def with_hole(n: int = 2) -> torch.Tensor:
    """Inputs whose middle is missing."""
    x = batch_of(n).inputs.clone()
    x[..., 16:48, 16:48] = 128 / 127.5 - 1
    return x


def test_weights_of_the_published_networks():
    found = {name: count(network) for name, network in build(Pix2PixConfig()).items()}
    assert found == {"generator": 54_413_955, "discriminator": 2_768_705}
    assert count(build(Pix2PixConfig(judge="pixel"))["discriminator"]) == 9024
    networks = build(Pix2PixConfig(size=64, downs=6, judge_halvings=2))
    assert networks["generator"].network.down[3][1].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert networks["generator"].network.down[3][2].weight.mean().item() == pytest.approx(1, abs=0.01)


class Constant(Generator):
    """A generator that always makes one level, by a weight."""

    def __init__(self, config: Pix2PixConfig, level: float) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.tensor(level))
        self.told: list[torch.Tensor] = []

        def made(x, masks):
            self.told.append(x.detach())
            return self.level.expand(len(x), config.channels, *x.shape[2:])

        object.__setattr__(self.network, "forward", made)


class Mean(nn.Module):
    """Judges by the mean of the last channel, and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))
        self.seen: list[torch.Tensor] = []

    def forward(self, x):
        self.seen.append(x.detach())
        return self.factor * x[:, -1].flatten(1).mean(1)


def test_the_judge_comes_first_and_both_losses_by_hand():
    (stage,) = stages(SMALL, Pix2PixGame())
    assert [(p.name, p.updates) for p in stage.phases] == [
        ("discriminator", ("discriminator",)),
        ("generator", ("generator",)),
    ]
    assert stage.needs == ("images", "inputs")
    phases = {p.name: p for p in stage.phases}
    judge = Mean()
    networks = {"generator": Constant(SMALL, 0.25), "discriminator": judge}
    batch = batch_of(3)
    a, b = batch.inputs, batch.images
    out = phases["discriminator"].loss(networks, batch, {})
    real, fake = b[:, -1].flatten(1).mean(1), torch.full((3,), 0.25)
    softplus = torch.nn.functional.softplus
    torch.testing.assert_close(out.value, 0.5 * (softplus(-real).mean() + softplus(fake).mean()))
    # The judge sees the input in front of the image; the input alone would say nothing of the pair.
    made = torch.full_like(b, 0.25)
    assert torch.equal(judge.seen[0], torch.cat((a, b), 1)) and torch.equal(judge.seen[1], torch.cat((a, made), 1))
    means = phases["generator"].loss(networks, batch, {}).means
    torch.testing.assert_close(means["gan"], softplus(-fake).mean())
    torch.testing.assert_close(means["pixel"], 100 * (b - 0.25).abs().mean())
    torch.testing.assert_close(means["loss_g"], means["gan"] + means["pixel"])


def test_without_an_adversarial_term_the_generator_learns_alone():
    networks, phases = small(game=Pix2PixGame(adversarial=0.0))
    assert list(phases) == ["generator"]
    out, found = gradients(networks, phases["generator"], batch_of())
    assert set(out.means) == {"pixel", "loss_g"} and any(g.abs().max() > 0 for g in found["generator"])


def test_a_phase_changes_what_it_updates_and_the_l1_falls():
    networks, phases = small(dataclasses.replace(SMALL, width=4))
    optimizers = adams(networks, 0.002, (0.5, 0.999))
    x = torch.linspace(-1, 1, 64).expand(2, 3, 64, 64)
    batch = Batch(images=-x, inputs=x)
    found = []
    for i in range(40):
        for phase in phases.values():
            out = step(networks, phase, batch, optimizers, seed=i)
        found.append(out.means["pixel"].item())
    assert found[-1] < 0.5 * found[0]


def test_random_numbers_are_the_batchs_own_so_that_it_may_be_cut():
    """With a normalisation that does not couple rows, in float64, two halves are the whole."""
    config = dataclasses.replace(SMALL, norm="instance")
    networks, phases = small(config)
    networks = {name: network.double() for name, network in networks.items()}
    batch = batch_of(4, config)
    batch = Batch(images=batch.images.double(), inputs=batch.inputs.double())
    for phase in phases.values():
        _, whole = gradients(networks, phase, batch)
        halves = [gradients(networks, phase, batch.part(i, i + 2))[1] for i in (0, 2)]
        (name,) = phase.updates
        for w, first, second in zip(whole[name], halves[0][name], halves[1][name], strict=True):
            torch.testing.assert_close((first + second) / 2, w, rtol=1e-9, atol=1e-12)
    # And other random numbers give other gradients: there is dropout, and it is on.
    _, other = gradients(networks, phases["generator"], batch, seed=1)
    assert max((a - b).abs().max() for a, b in zip(whole["generator"], other["generator"], strict=True)) > 1e-6


def images_of(networks, x, **controls):
    with torch.no_grad():
        return render({"generator": networks["generator"].eval()}, x, None, controls)


def test_an_image_does_not_depend_on_its_neighbours():
    networks, _ = small()
    x = batch_of(4).inputs
    order = [2, 0, 3, 1]
    whole = images_of(networks, x)
    torch.testing.assert_close(images_of(networks, x[order]), whole[order], rtol=0, atol=1e-6)
    torch.testing.assert_close(images_of(networks, x[1:2]), whole[1:2], rtol=0, atol=1e-6)
    # In training mode it would, which this would show.
    networks["generator"].train()
    with torch.no_grad():
        coupled, alone = (render(networks, given, None, {}) for given in (x, x[1:2]))
    assert (coupled[1:2] - alone).abs().max() > 1e-3
    # A batch of one in training is what sampling gives.
    torch.testing.assert_close(alone, whole[1:2], rtol=0, atol=1e-5)


def test_running_statistics_are_another_choice_and_do_not_depend_on_neighbours_either():
    networks, phases = small(dataclasses.replace(SMALL, norm_eval="running"))
    for i in range(3):
        step(networks, phases["generator"], batch_of(4, seed=i), adams(networks, 0.0, (0.5, 0.999)))
    x = batch_of(3).inputs
    whole = images_of(networks, x)
    torch.testing.assert_close(images_of(networks, x[2:]), whole[2:], rtol=0, atol=1e-6)
    other, _ = small()
    other["generator"].load_state_dict(networks["generator"].state_dict(), strict=False)
    assert (images_of(other, x) - whole).abs().max() > 1e-3
    assert "running_mean" in " ".join(networks["generator"].state_dict())
    assert "running_mean" not in " ".join(other["generator"].state_dict())


def test_dropout_is_on_when_sampling_fixed_by_a_seed_and_can_be_turned_off():
    networks, _ = small()
    x = batch_of(2).inputs
    torch.manual_seed(1)
    usual = images_of(networks, x)
    torch.manual_seed(2)
    assert torch.equal(images_of(networks, x, seed=0.0, dropout=1.0), usual)
    assert not torch.equal(images_of(networks, x, seed=5.0), usual)
    off = images_of(networks, x, dropout=0.0)
    assert not torch.equal(off, usual) and torch.equal(images_of(networks, x, dropout=0.0, seed=5.0), off)
    assert {c.name: c.default for c in SYSTEM.controls} == {"dropout": 1.0, "seed": 0.0}


HOLE = dataclasses.replace(SMALL, hole=128)


def test_what_is_whole_is_handed_through_to_the_bit():
    networks, _ = small(HOLE)
    levels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64)).astype(np.uint8)
    levels[..., 20:40, 10:50] = 128
    levels[0, :, 0, 0] = (128, 128, 127)  # not a hole: one channel is another
    x = torch.from_numpy(levels).float() / 127.5 - 1
    missing = (levels == 128).all(1)
    assert not missing[0, 0, 0]
    made = to_uint8(images_of(networks, x)).numpy().transpose(0, 2, 3, 1)
    whole = levels.transpose(0, 2, 3, 1)
    assert np.array_equal(made[~missing], whole[~missing])
    assert (made[missing] != whole[missing]).mean() > 0.5
    # Without handing through nearly every pixel would be another.
    plain = build(SMALL)
    assert (to_uint8(images_of(plain, x)).numpy().transpose(0, 2, 3, 1) == whole).mean() < 0.1


def test_the_generator_is_told_the_hole_and_the_judge_sees_the_rest_as_it_is():
    (stage,) = stages(HOLE, Pix2PixGame())
    networks = {"generator": Constant(HOLE, 0.25), "discriminator": Mean()}
    batch = dataclasses.replace(batch_of(2), inputs=with_hole())
    stage.phases[0].loss(networks, batch, {})
    told = networks["generator"].told[0]
    assert told.shape[1] == 4
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    # A pixel of the noise around may be the level of a hole by chance: 1 in 2**24.
    assert torch.equal(told[:, 3:], mask) and torch.equal(told[:, :3], batch.inputs)
    shown = networks["discriminator"].seen[1][:, 3:]
    assert torch.equal(shown, torch.where(mask > 0, torch.tensor(0.25), batch.inputs))
    means = stage.phases[1].loss(networks, batch, {}).means
    apart = (batch.images - 0.25).abs()
    expected = 100 * (6 * (apart * mask).sum() + (apart * (1 - mask)).sum()) / apart.numel()
    torch.testing.assert_close(means["pixel"], expected)
    assert abs(100 * apart.mean() - expected) > 1  # the weight of the hole would be missed


def test_weighted_l1_is_l1_without_a_hole_or_with_weight_one():
    x, y = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    mask = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    torch.testing.assert_close(weighted_l1(x, y, None, 6), (x - y).abs().mean())
    torch.testing.assert_close(weighted_l1(x, y, mask, 1), (x - y).abs().mean())
    torch.testing.assert_close(weighted_l1(x, y, mask, 6), ((x - y)[0].abs().mean() * 6 + (x - y)[1].abs().mean()) / 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Pix2PixConfig(size=128), "multiples of 256, not 128"),
        (lambda: Pix2PixConfig(size=66, downs=6), "multiples of 64, not 66"),
        (lambda: Pix2PixConfig(size=64, downs=6, judge_halvings=5), "judge_halvings"),
        (lambda: Pix2PixConfig(width=0), "at least 1"),
        (lambda: Pix2PixConfig(dropout=1.0), "dropout"),
        (lambda: Pix2PixConfig(norm="instance", norm_eval="running"), "norm_eval"),
        (lambda: Pix2PixConfig(hole=256), "hole"),
        (lambda: Pix2PixConfig(hole=128, input_channels=1), "hole"),
        (lambda: Pix2PixGame(pixel=-1.0), "negative"),
        (lambda: Pix2PixGame(pixel=0.0, adversarial=0.0), "neither"),
        (lambda: Pix2PixGame(judge=0.0), "judge"),
    ],
)
def test_what_cannot_be(make, words):
    with pytest.raises(ConfigError, match=words) as error:
        make()
    assert "\n" not in error.value.message


def test_the_hint_names_halvings_that_fit():
    with pytest.raises(ConfigError) as error:
        Pix2PixConfig(size=192)
    assert error.value.hint == "Set network.downs=6."
    assert Pix2PixConfig(size=192, downs=6).image_shape == (192, 192, 3)


def pairs(place: Path, operation: str, **options) -> Path:
    (place / "images").mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(blobs(6, 64, 3)):
        Image.fromarray(image).save(place / "images" / f"{i}.png")
    return prep(place / "images", size=64, operation=operation, out=place / operation, progress=False, **options).path


def test_channels_of_the_inputs_follow_the_data_and_what_cannot_be_is_said(tmp_path):
    grey = pairs(tmp_path, "grey")
    options = {"out": tmp_path / "runs", "device": "cpu", "progress": False}
    tiny = {"network.width": 2, "network.judge_width": 2, "batch": 2, "kimg": 0.004, "grid": 2}
    # As many as the set has, whatever the recipe says; and the grid shows grey beside colour.
    run = train("pix2pix-64", data=grey, overrides=tiny, **options)
    trained = Trained.load(run, device="cpu")
    assert trained.recipe.network.input_shape == (64, 64, 1)
    made = trained.translate(np.zeros((1, 64, 64, 1), np.uint8))
    assert made.shape == (1, 64, 64, 3)
    assert np.asarray(Image.open(next((run / "grids").glob("*.png")))).shape[2] == 3
    with pytest.raises(DataError, match="inputs are 64x64x1, recipe pix2pix-64 starts from 64x64x3"):
        train("pix2pix-64", data=grey, overrides={**tiny, "network.input_channels": 3}, **options)
    with pytest.raises(DataError, match="hole"):
        train("inpaint-64", data=grey, overrides=tiny, **options)
    with pytest.raises(DataError, match="no set of pairs"):
        train("pix2pix-64", data=grey / "inputs", overrides={**tiny, "network.channels": 1}, **options)


@pytest.mark.parametrize(
    ("recipe", "operation"), [("colourise-64", "grey"), ("inpaint-64", "hole"), ("denoise-64", "noise")]
)
def test_tasks_are_recipes(recipe, operation, tmp_path):
    tiny = {"network.width": 2, "network.judge_width": 2, "kimg": 0.003, "grid": 2}
    options = {"out": tmp_path / "runs", "device": "cpu", "progress": False}
    run = train(recipe, data=pairs(tmp_path, operation), overrides=tiny, **options)
    trained = Trained.load(run, device="cpu")
    shape = trained.recipe.network.input_shape
    given = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    assert trained.translate(given).shape == (2, 64, 64, 3)


def test_the_loss_of_an_undecided_judge_is_known():
    networks, phases = small()
    for p in networks["discriminator"].parameters():
        p.data.zero_()
    out = phases["discriminator"].loss(networks, batch_of(), {})
    assert out.value.item() == pytest.approx(math.log(2), abs=1e-6)  # half of 2 ln 2
