"""What is SF-GAN's own: roles of its judges, its masks, its foregrounds in the checkpoint, its controls."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from benches.placing import landed, unit
from PIL import Image
from tests.conftest import blobs, write_prepared
from tests.models.by_hand import adams, gradients, step

from gantools.data.sources import open_source
from gantools.errors import CheckpointError, ConfigError
from gantools.layers.guided import dilated
from gantools.layers.placing import Placer
from gantools.models.sfgan import SYSTEM, SFGANConfig, SFGANGame, build, pick, render, stages
from gantools.models.system import Batch
from gantools.runs.checkpoint import read_tensors
from gantools.runs.layout import list_checkpoints
from gantools.sampling.generator import Generator
from gantools.sampling.translations import translate
from gantools.training.run import train

GIVEN = Path(__file__).parent / "foregrounds.npy"
SMALL = SFGANConfig(
    size=16, width=4, halvings=2, hidden=8, foregrounds=2, canvas=8, pool=4,
    translator_width=4, blocks=1, judge_width=4, judge_halvings=1, dilation=1,
)  # fmt: skip
CHANGES = {
    "network": {k: v for k, v in dataclasses.asdict(SMALL).items() if k not in ("shift", "channels")},
    "game": {"foregrounds": str(GIVEN), "geometry_kimg": 0.008, "appearance_kimg": 0.008, "critic_steps": 1},
    "batch": 8,
    "optim.generator": {"lr": 0.0001},
}


def batch_of(n: int = 4, size: int = 16) -> Batch:
    random = torch.Generator().manual_seed(0)
    images, inputs = (torch.rand(n, 3, size, size, generator=random) * 2 - 1 for _ in range(2))
    return Batch(images, inputs=inputs)


def networks_of(config: SFGANConfig = SMALL) -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return build(config)


def phase_of(stage: str, name: str, game: SFGANGame | None = None, config: SFGANConfig = SMALL):
    found = {s.name: s for s in stages(config, game or SFGANGame())}[stage]
    return {p.name: p for p in found.phases}[name]


def test_stages_without_length_are_left_out():
    assert [s.name for s in stages(SMALL, SFGANGame())] == ["geometry", "appearance", "joint"]
    assert [s.name for s in stages(SMALL, SFGANGame(geometry_kimg=0))] == ["appearance", "joint"]
    assert [s.name for s in stages(SMALL, SFGANGame(geometry_kimg=0, appearance_kimg=0))] == ["joint"]
    names = [[p.name for p in s.phases] for s in stages(SMALL, SFGANGame())]
    looks = ["translators", "judge_target", "judge_source"]
    assert names == [["judge_place", "generator"], looks, ["judge_place", "generator", *looks]]


class Noted(torch.nn.Module):
    """Outputs of 0, and what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shown.append(x.detach())
        return self.weight * x.mean((1, 2, 3))


def shown_to(name: str, stage: str) -> list[torch.Tensor]:
    """What the loss of a judge shows it: real images, then generated ones."""
    networks = networks_of()
    networks[name] = Noted()
    game = SFGANGame(grey=False, blur=0.0, penalties=type(SFGANGame().penalties)())
    batch = batch_of()
    if name != "judge_place":
        networks[f"pool_{name.removeprefix('judge_')}"].put(networks["back"](batch.images).detach())
    torch.manual_seed(7)
    phase_of(stage, name, game).loss(networks, batch, {})
    return networks[name].shown


def composed_of(seed: int = 7) -> torch.Tensor:
    networks = networks_of()
    batch = batch_of()
    torch.manual_seed(seed)
    numbers, start = batch.integers(2), 0.1 * batch.normal(8)
    made = networks["generator"](pick(networks, numbers, 3), batch.inputs, start)
    return made.composed.images


def test_the_judges_have_opposite_roles_in_the_joint_stage():
    """Of places, adapted real images are the real ones; of looks, the composed ones are."""
    with torch.no_grad():
        adapted = networks_of()["back"](batch_of().images)
    composed = composed_of()
    real, fake = shown_to("judge_place", "joint")
    assert torch.equal(real, adapted) and torch.allclose(fake, composed)
    real, fake = shown_to("judge_source", "joint")
    assert torch.allclose(real, composed) and torch.equal(fake, adapted)
    assert not torch.allclose(adapted, composed)  # a swap would be seen
    real, fake = shown_to("judge_place", "geometry")
    assert torch.equal(real, batch_of().images) and torch.allclose(fake, composed)


@pytest.mark.parametrize("stage", ["geometry", "joint"])
def test_backgrounds_without_a_foreground_are_generated_ones(stage):
    """1/4 of what is to be taken for composed: its loss weighs 1/4 against 3/4 of the composed ones'."""
    none = type(SFGANGame().penalties)()
    networks, losses = networks_of(), {}
    with torch.no_grad():
        for weight in networks["judge_place"].parameters():
            weight.mul_(3)
    for bare in (0.0, 0.25):
        game = SFGANGame(grey=False, blur=0.0, penalties=none, bare=bare)
        torch.manual_seed(7)
        losses[bare] = phase_of(stage, "judge_place", game).loss(networks, batch_of(), {})
    judge, batch = networks["judge_place"], batch_of()
    real = batch.images if stage == "geometry" else networks["back"](batch.images)
    plain = SFGANGame().place.discriminator(judge(real), judge(batch.inputs))
    assert abs(float((plain - losses[0.0].value).detach())) > 1e-3
    torch.testing.assert_close(losses[0.25].value, 0.75 * losses[0.0].value + 0.25 * plain)
    torch.testing.assert_close(losses[0.25].means["loss_d"], losses[0.25].value.detach())
    assert "bare_score" in losses[0.25].means and "bare_score" not in losses[0.0].means
    with pytest.raises(ConfigError, match=r"game\.bare: must be below 1"):
        SFGANGame(bare=1.0)


def test_the_judges_are_two_networks():
    """One network in both roles would be taught both labels for the same images at once, and so nothing."""
    networks = networks_of()
    joint = stages(SMALL, SFGANGame())[-1]
    updates = [name for phase in joint.phases for name in phase.updates]
    assert {"judge_place", "judge_source"} <= set(updates) and len(updates) == len(set(updates))
    ours = {id(p) for p in networks["judge_place"].parameters()}
    assert not ours & {id(p) for p in networks["judge_source"].parameters()}


def test_the_generator_is_taught_to_be_taken_for_real():
    """Its gradient raises the output of the judge of places on what it composed; maximal fakeness would lower it."""
    networks = networks_of()
    torch.nn.init.normal_(networks["generator"].predictor.last.weight, std=0.1)
    batch, phase = batch_of(8), phase_of("geometry", "generator", SFGANGame(displacement=0.0))
    before = gradients(networks, phase, batch)[0].means["loss_g"].item()
    optimizers = adams(networks, 1e-3, (0.5, 0.9))
    for _ in range(20):
        out = step(networks, phase, batch, optimizers)
    assert out.means["loss_g"].item() < before - 1e-3


def test_both_sides_are_shown_grey_and_blurred_alike():
    networks = networks_of()
    networks["judge_place"] = Noted()
    game = SFGANGame(grey=True, blur=1.0, penalties=type(SFGANGame().penalties)())
    phase_of("geometry", "judge_place", game).loss(networks, batch_of(), {})
    phase_of("geometry", "generator", game).loss(networks, batch_of(), {})
    assert len(networks["judge_place"].shown) == 3
    for images in networks["judge_place"].shown:
        torch.testing.assert_close(images[:, 0], images[:, 2])
        assert images.std() < 0.45 * batch_of().images.std()


def test_foregrounds_and_starts_are_drawn_from_the_batch():
    networks, batch = networks_of(), batch_of(8)
    seen: list[torch.Tensor] = []
    networks["generator"].register_forward_pre_hook(lambda _, given: seen.extend((given[0], given[2])))
    phase_of("appearance", "translators").loss(networks, batch, {})
    foregrounds, start = seen
    assert len({float(f.sum()) for f in foregrounds}) == 2
    assert 0.05 < start.std() < 0.2


def test_the_translators_change_the_foreground_and_nothing_else():
    networks, batch = networks_of(), batch_of()
    out = phase_of("appearance", "translators").loss(networks, batch, {})
    source, made = out.rows["composed"], out.rows["target"]
    torch.manual_seed(0)
    assert (made != source).any()
    untouched = (made == source).all(1).float().mean()
    assert untouched > 0.2


def test_what_no_translator_was_trained_for_stays_as_it_was_composed():
    networks, batch = networks_of(), batch_of()
    with torch.no_grad():
        plain = render(networks, batch.inputs, None, {"appearance": 0.0})
        assert torch.equal(render(networks, batch.inputs, None, {}), plain)
        networks["appearance"].get_buffer("begun").fill_(1.0)
        assert not torch.equal(render(networks, batch.inputs, None, {}), plain)


def test_the_stage_of_looks_says_that_it_has_begun():
    networks, batch = networks_of(), batch_of()
    assert networks["appearance"].get_buffer("begun").item() == 0
    step(networks, phase_of("appearance", "translators"), batch, adams(networks, 1e-3, (0.5, 0.9)))
    assert networks["appearance"].get_buffer("begun").item() == 1
    assert torch.isfinite(networks["pool_source"].take(batch)).all()


def test_controls_follow_the_foregrounds():
    assert SYSTEM.controls_of is not None
    found = {c.name: c for c in SYSTEM.controls_of(SMALL)}
    assert (found["foreground"].low, found["foreground"].high, found["foreground"].default) == (0, 1, 0)
    networks, batch = networks_of(), batch_of(1)
    with torch.no_grad():
        one, two = (render(networks, batch.inputs, None, {"foreground": float(i)}) for i in (0, 1))
    assert not torch.equal(one, two)


def test_geometry_0_leaves_the_foreground_where_it_begins():
    networks, batch = networks_of(), batch_of(1)
    placer = networks["generator"]
    assert isinstance(placer, Placer)
    with torch.no_grad():
        start = render(networks, batch.inputs, None, {})
        torch.nn.init.constant_(placer.predictor.last.bias, 0.4)
        assert torch.equal(render(networks, batch.inputs, None, {"geometry": 0.0}), start)
        assert not torch.equal(render(networks, batch.inputs, None, {}), start)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SFGANConfig(size=18), "network.size"),
        (lambda: SFGANConfig(channels=2), "network.channels"),
        (lambda: SFGANConfig(size=16), "network.halvings"),
        (lambda: SFGANConfig(size=32, judge_halvings=4), "network.judge_halvings"),
        (lambda: SFGANConfig(scale=0), "scale"),
        (lambda: SFGANConfig(foregrounds=0), "network.foregrounds"),
        (lambda: SFGANGame(critic_steps=0), "game.critic_steps"),
        (lambda: SFGANGame(blur=-1), "game.blur"),
        (lambda: SFGANGame(loss=dataclasses.replace(SFGANGame().loss, name="relativistic")), "game.loss.name"),
    ],
)
def test_settings_that_make_no_sense(make, words):
    with pytest.raises(ConfigError, match=words) as error:
        make()
    assert "\n" not in error.value.message


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_get_grey_foregrounds(channels):
    config = dataclasses.replace(SMALL, channels=channels)
    networks = networks_of(config)
    batch = Batch(torch.rand(4, channels, 16, 16), inputs=torch.rand(4, channels, 16, 16))
    for stage in stages(config, SFGANGame()):
        for phase in stage.phases:
            step(networks, phase, batch, adams(networks, 1e-3, (0.5, 0.9)))
    with torch.no_grad():
        assert render(networks, batch.inputs, None, {}).shape == (4, channels, 16, 16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over all three stages."""
    place = tmp_path_factory.mktemp("sfgan")
    data = write_prepared(place / "data" / "real", blobs(16, 16, 3))
    inputs = write_prepared(place / "data" / "bare", blobs(12, 16, 3, seed=1))
    mine = place / "mine.npy"
    shutil.copyfile(GIVEN, mine)
    changes = {**CHANGES, "game": {**CHANGES["game"], "foregrounds": str(mine)}}
    options = {"out": place / "runs", "device": "cpu", "progress": False, "kimg": 0.032}
    found = train("sfgan-glasses", data=data, inputs=inputs, overrides=changes, **options)
    assert found is not None
    return found


def test_foregrounds_are_in_the_checkpoint_with_their_sum(run):
    checkpoint = list_checkpoints(run)[-1]
    wanted = np.load(GIVEN).transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(read_tensors(checkpoint, "foregrounds")["rgba"].numpy(), wanted, atol=1e-6)
    assert Generator.load(run, device="cpu").networks["foregrounds"].rgba.shape == (2, 4, 8, 8)


def test_a_resumed_run_keeps_to_its_foregrounds(run, tmp_path):
    copied = tmp_path / "runs" / run.name
    shutil.copytree(run, copied)
    other = np.load(GIVEN)
    other[0, 4, 4] = 255
    np.save(tmp_path / "other.npy", other)
    options = {"resume": copied, "device": "cpu", "progress": False, "kimg": 0.04}
    with pytest.raises(CheckpointError, match="foregrounds: its file is another"):
        train(overrides={"game.foregrounds": str(tmp_path / "other.npy")}, **options)
    train(overrides={"game.foregrounds": str(GIVEN)}, **options)  # the same ones at another place
    assert list_checkpoints(copied)[-1].name == "kimg-000000.040"


def test_a_run_with_the_weights_of_another_has_its_own_foregrounds(run, tmp_path):
    other = np.load(GIVEN)
    other[0, 4, 4] = 255
    np.save(tmp_path / "other.npy", other)
    changes = {**CHANGES, "game": {**CHANGES["game"], "foregrounds": str(tmp_path / "other.npy")}}
    places = {name: run.parent.parent / "data" / name for name in ("real", "bare")}
    made = train(
        "sfgan-glasses", data=places["real"], inputs=places["bare"], overrides=changes, init_from=run, kimg=0.008,
        out=tmp_path / "runs", device="cpu", progress=False,
    )  # fmt: skip
    assert made is not None
    kept = read_tensors(list_checkpoints(made)[-1], "foregrounds")["rgba"]
    np.testing.assert_allclose(kept.numpy(), other.transpose(0, 3, 1, 2) / 255, atol=1e-6)


def test_without_foregrounds_a_line_says_what_to_give(run, tmp_path):
    places = {name: run.parent.parent / "data" / name for name in ("real", "bare")}
    changes = {**CHANGES, "game": {"critic_steps": 1}}
    with pytest.raises(ConfigError, match="what is to be put on the images") as error:
        train("sfgan-glasses", data=places["real"], inputs=places["bare"], overrides=changes, out=tmp_path / "r")
    assert "Set game.foregrounds=PATH" in (error.value.hint or "") and not (tmp_path / "r").exists()


def test_translated_files_have_the_bits_of_their_inputs_outside_the_mask(run, tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    random = np.random.default_rng(0)
    sizes = [(16, 16), (24, 40), (33, 27)]
    for i, size in enumerate(sizes):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(faces / f"{i}.png")
    generator = Generator.load(run, device="cpu")
    placer, networks = generator.networks["generator"], dict(generator.networks)
    assert isinstance(placer, Placer) and networks["appearance"].get_buffer("begun").item() == 1
    for number in (0, 1):
        out, rejects = translate(
            run, [faces], out=tmp_path / f"out-{number}", controls={"foreground": number}, device="cpu"
        )
        assert rejects == [] and len(open_source(out).items) == 3
        for i, (h, w) in enumerate(sizes):
            before, after = (np.asarray(Image.open(p / f"{i}.png")) for p in (faces, out))
            assert before.shape == after.shape
            padded = np.pad(before, ((0, -h % 4), (0, -w % 4), (0, 0)), "symmetric")
            start = torch.from_numpy(padded).permute(2, 0, 1)[None] / 127.5 - 1
            with torch.no_grad():
                alpha = placer(pick(networks, number, 3), start, torch.zeros(1, 8)).composed.alpha
            mask = (dilated(alpha, SMALL.dilation)[0, 0, :h, :w] > 0).numpy()
            assert 0.05 < mask.mean() < 0.9
            assert np.array_equal(before[~mask], after[~mask])
            assert (before[mask] != after[mask]).any(1).mean() > 0.5


def test_a_foreground_that_is_not_there(run):
    generator = Generator.load(run, device="cpu")
    assert [c.high for c in generator.system.controls if c.name == "foreground"] == [1.0]
    with pytest.raises(ConfigError, match=r"control foreground: must be in \[0, 1\], not 2"):
        generator.translate([np.zeros((16, 16, 3), np.uint8)], controls={"foreground": 2})


def test_the_bench_measures_where_the_foreground_is():
    """A point of the canvas is where the frame shows it; and the task with a known truth can be run."""
    placer = networks_of(dataclasses.replace(SMALL, scale=0.5, shift=(0.25, -0.1)))["generator"]
    assert isinstance(placer, Placer)
    p = 0.1 * torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[-0.42, -0.02], [0.3, 0.1]])
    at = landed(placer, p, points)
    grid = placer.grid(p, 400, 400)
    for i in range(3):
        for point, (x, y) in zip(points, at[i], strict=True):
            column, row = (int((float(v) + 1) * 200) for v in (x, y))
            torch.testing.assert_close(grid[i, row, column], point, atol=0.03, rtol=0)
    lines = unit(steps=1, every=1, batch=4)
    assert [step for step, _, _ in lines] == [0, 1]
    assert lines[0][1] == lines[0][2] == pytest.approx(8.65, abs=0.05) and lines[1][2] != lines[0][2]


def test_thin_lines_of_a_large_canvas_are_whole():
    networks = networks_of(dataclasses.replace(SMALL, canvas=256, foregrounds=1))
    rgba = torch.zeros(1, 4, 256, 256)
    rgba[:, 3, 100:103] = 1.0  # three of 256 rows, thinner than a row of 16
    networks["foregrounds"].rgba = rgba
    placer = networks["generator"]
    assert isinstance(placer, Placer)
    with torch.no_grad():
        alpha = placer(pick(networks, 0, 3), torch.zeros(1, 3, 16, 16), torch.zeros(1, 8)).composed.alpha
    assert alpha.sum().item() == pytest.approx(3 * 16 / 16, rel=0.05)  # its area, where single samples would miss it


def test_no_tiles(run):
    with pytest.raises(ConfigError, match="as a whole"):
        Generator.load(run, device="cpu").translate([np.zeros((64, 64, 3), np.uint8)], tile=32)
