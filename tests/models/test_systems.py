"""What every system must do; a new one, or a new way to train one, adds a row to `ROWS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import assert_same, blobs, write_prepared
from torch import Tensor

from gantools.data.annotations import TABLES
from gantools.data.prepare import prep
from gantools.data.video import prep_video
from gantools.models import NAMES
from gantools.models.system import Batch, Out, Phase, classes_of
from gantools.recipes.recipe import Recipe, load_recipe
from gantools.runs.checkpoint import read_state
from gantools.runs.layout import list_checkpoints
from gantools.training.compiled import plain
from gantools.training.run import train
from gantools.training.seeds import reseed
from gantools.training.state import TrainingState
from gantools.training.step import run_phase

BATCH = 8


@dataclass(frozen=True)
class Row:
    """A system's facts.

    Attributes:
        recipe: the recipe it is trained by here.
        parameters: of each network that has any, at that recipe's own settings.
        shape: (c, h, w) of the images it makes at those settings.
        small: changes of the recipe that make it trainable in moments.
        golden: the value of every phase's loss, twice around, in their order, of `synthetic` images at seed 0.
        coupled: why a batch that is cut in two gives other gradients; empty: it gives the same.
        no_onnx: what is said where its generator cannot be exported (tests/sampling/test_export_onnx.py).
    """

    recipe: str
    parameters: Mapping[str, int]
    shape: tuple[int, int, int]
    golden: list[float]
    small: Mapping[str, Any] = field(default_factory=dict)
    coupled: str = ""
    no_onnx: str = ""


BATCH_NORM = "batch normalisation takes the statistics of the rows it is given"
DROPOUT = "dropout draws for the rows it is given"

ROWS = {
    "dcgan": Row(
        "dcgan",
        # 4x4, no bias: 128 -> 512 -> 256 -> 128 -> 64 -> 3, a weight and a bias a channel in BatchNorm; its mirror.
        {"generator": 3_806_080, "discriminator": 2_765_568},
        (3, 64, 64),
        [1.510332, 0.975728, 1.351658, 0.780365],
        {"network": {"size": 16, "latent": 16, "width": 32}},
        BATCH_NORM,
    ),
    "dcgan-fashion": Row(
        "dcgan-fashion",
        {"generator": 2_479_873, "discriminator": 1_030_145},
        (1, 28, 28),
        [1.400632, 0.713606, 1.381464, 0.683728],
        {},
        BATCH_NORM,
    ),
    "conv-mnist": Row(
        "conv-mnist",
        # Of 317,135,168 by Keras' counting, which has the statistics of batch normalisation among them.
        {"generator": 317_135_168 - 75_648, "discriminator": 412_033},
        (1, 28, 28),
        [1.39065, 0.692131, 1.381246, 0.686629],
        {"network": {"hidden": 8}},
        BATCH_NORM,
    ),
    "dcgan-faces": Row(
        "dcgan-faces",
        {"generator": 34_828_035, "discriminator": 17_422_849},
        (3, 64, 64),
        [1.384826, 0.710932, 1.400386, 0.743891],
        {"network": {"width": 2}, "eval": {"metrics": []}},
        BATCH_NORM,
    ),
    "dcgan-keras": Row(
        "dcgan-keras",
        {"generator": 3_750_275, "discriminator": 404_801},
        (3, 64, 64),
        [1.402704, 0.692036, 1.395248, 0.690906],
        {"network": {"width": 4}},
        DROPOUT,
    ),
    "mlp": Row(
        "mlp-mnist",
        {"generator": 1_486_352, "discriminator": 1_460_225},
        (1, 28, 28),
        [1.389943, 0.695271, 1.343949, 0.69966],
        {"network": {"size": 8, "widths": [16, 32]}},
        DROPOUT,
    ),
    "stylegan2": Row(
        "stylegan2-celeba",
        {"generator": 22_243_608, "discriminator": 23_407_361},
        (3, 64, 64),
        [0.740979, 2.213206, 1.303635, 9.6e-05, 0.712946, 2.191496, 1.341622, 0.000111],
        {
            "network": {"size": 8, "latent": 6, "style": 8, "mapping_layers": 2, "width": 64, "max_width": 8},
            "compute.precision": "float32",  # not which one is faster just now
        },
    ),
    "resnet": Row(
        "wgan-gp-celeba",
        {"generator": 8_540_483, "discriminator": 7_488_961},
        (3, 64, 64),
        [4.752264, -0.156974, 5.010791, -0.251697],
        {"network": {"size": 16, "latent": 8, "width": 8}},
        BATCH_NORM,
    ),
    "acgan": Row(
        "acgan-fashion",
        {"generator": 265_536, "discriminator": 67_904},
        (1, 28, 28),
        [3.582325, 1.79141, 3.581185, 1.791226],
        {"network": {"size": 8, "classes": 3, "latent": 8, "width": 4}},
        BATCH_NORM,
    ),
    "improved": Row(
        "improved-fashion",
        # Virtual normalisation in G; in D 3136 features in 100 kernels of 5, their lengths, biases and weights.
        {"generator": 234_176, "discriminator": 36_544 + 3136 * 500 + 500 + 100 + 100},
        (1, 28, 28),
        [1.608005, 6.264388, 1.540887, 6.126474],
        {
            "network": {"size": 16, "latent": 8, "width": 4, "reference": 4, "kernels": 5},
            "game": {"feature_matching": 0.5, "historical": 0.5},
        },
        "minibatch discrimination compares the rows it is given",
    ),
    "ebgan": Row(
        "ebgan-mnist",
        {"generator": 234_176, "discriminator": 267_616},
        (1, 28, 28),
        [15.312504, 0.455234, 15.327048, 0.429984],
        {"network": {"size": 8, "latent": 8, "width": 4, "code": 4}},
        BATCH_NORM,
    ),
    "resnet/sagan": Row(
        "sagan-celeba",
        {"generator": 12_240_196, "discriminator": 9_583_810},
        (3, 64, 64),
        [3.865103, 1.362879, 3.473805, 1.328443],
        {
            "network": {"size": 16, "latent": 8, "width": 8, "critic_width": 8, "widest": 2}
            | {"attention": 8, "classes": 3},
        },
        BATCH_NORM,
    ),
    "biggan": Row(
        "biggan-128",
        {"generator": 70_433_988, "discriminator": 87_982_370},
        (3, 128, 128),
        [2.422033, 2.395365, 2.1399, 1.601153],
        {
            "network": {"size": 16, "latent": 12, "embedding": 6, "width": 4, "attention": 8, "classes": 3},
            "compute": {"accumulate": 1, "precision": "float32"},
        },
        BATCH_NORM,
    ),
    "progan": Row(
        "progan-celeba",
        {"generator": 22_490_383, "discriminator": 22_498_049},
        (3, 64, 64),
        # Five stages of two phases, twice around.
        [
            *(0.867921, 0.479041, 4.566292, 0.742387, 4.369221, 0.586571, 6.783244, 0.590771, 6.420517, 0.249336),
            *(0.727281, 0.509783, 4.304312, 0.651992, 4.656882, 0.518603, 6.946198, 0.74486, 6.184644, 0.279321),
        ],
        {
            "network": {"size": 16, "latent": 8, "base": 64, "widest": 16},
            "game": {"fade_kimg": 0.008, "stable_kimg": 0.008, "batches": [8]},
        },
    ),
    "stylegan": Row(
        "stylegan-celeba",
        {"generator": 25_137_935, "discriminator": 22_498_049},
        (3, 64, 64),
        # Three stages of two phases, twice around.
        [
            *(4.792646, 0.561108, 4.186182, 0.182794, 1.591501, 1.421292),
            *(6.590843, 0.114312, 4.581267, 0.067876, 1.639612, 0.998858),
        ],
        {
            "network": {"size": 8, "latent": 8, "base": 64, "widest": 16, "style": 8, "mapping_layers": 2},
            "game": {"start": 0, "fade_kimg": 0.008, "stable_kimg": 0.008, "batches": [8]},
        },
    ),
    "msggan": Row(
        "msggan-celeba",
        {"generator": 22_490_383, "discriminator": 22_545_153},
        (3, 64, 64),
        # Rows are held against the mean of those at hand, but new networks are in the straight part of the hinge.
        [1.912065, 2.012554, 1.922053, 2.189366],
        {"network": {"size": 16, "latent": 8, "width": 128, "max_width": 16}},
    ),
    "r3gan": Row(
        "r3gan-cifar",
        {"generator": 20_781_952, "discriminator": 21_280_512},
        (3, 32, 32),
        [0.697622, 0.720486, 0.682539, 0.671303],
        {
            "network": {"size": 8, "latent": 6, "width": 64, "max_width": 8, "group": 4, "blocks": 1},
            "compute.precision": "float32",  # not which one is faster just now
        },
    ),
    "cyclegan": Row(
        "cyclegan-64",
        {"generator": 7_837_699, "back": 7_837_699, "judge_target": 662_977, "judge_source": 662_977},
        (3, 64, 64),
        [21.760414, 0.646538, 0.540511, 21.509462, 0.597924, 0.515755],
        {"network": {"size": 16, "width": 4, "blocks": 1, "judge_width": 4, "judge_halvings": 2, "pool": 5}},
    ),
    "pix2pix": Row(
        "pix2pix-64",
        {"generator": 29_244_035, "discriminator": 666_433},
        (3, 64, 64),
        [0.703559, 64.105515, 0.699992, 64.070183],
        {"network": {"width": 2, "judge_width": 4}},
        BATCH_NORM,
    ),
    "sfgan": Row(
        "sfgan-glasses",
        {
            "generator": 5_025_512,
            "judge_place": 2_792_417,
            "appearance": 7_837_699,
            "back": 7_837_699,
            "judge_target": 2_764_737,
            "judge_source": 2_764_737,
        },
        (3, 128, 128),
        # Stages of two, three and five phases, twice around.
        [
            *(2.044464, 0.55627, 20.907825, 0.430529, 0.461285, 2.44744, 0.560865, 20.640997, 0.420551, 0.451705),
            *(2.017001, 0.563222, 20.572254, 0.409361, 0.441688, 2.415854, 0.559159, 20.426899, 0.402353, 0.430358),
        ],
        {
            "network": {
                "size": 16,
                "width": 4,
                "halvings": 2,
                "hidden": 8,
                "foregrounds": 2,
                "canvas": 8,
                "pool": 5,
                "translator_width": 4,
                "blocks": 1,
                "judge_width": 4,
                "judge_halvings": 1,
            },
            "game": {
                "geometry_kimg": 0.008,
                "appearance_kimg": 0.008,
                "critic_steps": 1,
                "foregrounds": str(Path(__file__).parent / "foregrounds.npy"),
            },
            "optim.generator": {"lr": 0.0001},
        },
    ),
    "srgan": Row(
        "srgan-x4",
        {"generator": 1_547_350, "discriminator": 23_563_649, "content": 1_547_350},
        (3, 96, 96),
        [0.509701, 0.509128, 1.432542, 0.508165, 0.507698, 1.436259],
        {
            "network": {"size": 32, "width": 8, "blocks": 1, "judge_width": 4, "judge_hidden": 8},
            "data": {"crop": 32},
            "game": {"pretrain_kimg": 0.016, "perceptual": {"weight": 0.0}, "pixel": 1.0},
        },
        BATCH_NORM,
    ),
    "srgan/esrgan": Row(
        "esrgan-x4",
        {"generator": 16_697_987, "discriminator": 14_499_401, "content": 16_697_987},
        (3, 128, 128),
        [0.63675, 0.64018, 0.704828, 0.636753, 0.640218, 0.700568],
        {
            "network": {"size": 32, "width": 8, "blocks": 1, "growth": 4, "judge_width": 4, "judge_hidden": 8},
            "data": {"crop": 32},
            "game": {"pretrain_kimg": 0.016, "perceptual": {"weight": 0.0}, "pixel": 1.0},
        },
        BATCH_NORM,
    ),
    "srgan/realesrgan": Row(
        "realesrgan-x4",
        {"generator": 16_697_987, "discriminator": 4_376_897, "content": 16_697_987},
        (3, 256, 256),
        [0.772943, 0.452042, 1.392499, 0.772828, 0.45198, 1.391732],
        {
            "network": {"size": 32, "width": 8, "blocks": 1, "growth": 4, "judge_width": 4},
            "data": {"crop": 32, "degrade": {"around": 8}},
            "game": {"pretrain_kimg": 0.016, "perceptual": {"weight": 0.0}},
        },
    ),
    "srgan/ranksrgan": Row(
        "ranksrgan-x4",
        {"generator": 1_554_499, "discriminator": 17_827_401, "content": 1_554_499, "ranker": 13_734_281},
        (3, 296, 296),
        [0.636636, 0.498836, 0.757527, 1.415166, 0.636608, 0.519093, 0.75742, 1.407971],
        {
            "network": {"size": 32, "width": 8, "blocks": 1, "judge_width": 4, "judge_hidden": 8, "ranker": 4},
            "data": {"crop": 32},
            "game": {
                "pretrain_kimg": 0.008,
                "rank": {"kimg": 0.008, "least": 0.0},
                "perceptual": {"weight": 0.0},
                "pixel": 1.0,
            },
        },
        BATCH_NORM,
    ),
    "vsrgan": Row(
        "vsrgan-x4",
        {"generator": 1_330_369, "discriminator": 386_433},
        (1, 64, 64),
        [1.129872, 0.871857, 1.400715, 1.08729, 0.861208, 1.383003],
        {
            "network": {"size": 16, "width": 8, "blocks": 1, "judge_width": 4},
            "data": {"crop": 16},
            "game": {"pretrain_kimg": 0.016, "perceptual": {"weight": 0.0}, "pixel": 1.0},
        },
        BATCH_NORM,
        no_onnx="takes 5 frames at once",
    ),
    "tpgan": Row(
        "tpgan-64",
        {"generator": 143_736_774, "discriminator": 13_357_441, "recogniser": 87_380},
        (3, 64, 64),
        [1.388547, 2.373726, 1.391299, 2.337152],
        {
            "network": {"size": 32, "width": 8, "judge_width": 4, "classes": 16},
            "game": {"identity": {"weight": 0.0}},
        },
        BATCH_NORM,
        "needs marks of each image",
    ),
}

systems = pytest.mark.parametrize("name", ROWS)


def small(name: str, **changes: Any) -> Recipe:
    """The system's recipe, made small."""
    row = ROWS[name]
    return load_recipe(row.recipe, {"batch": BATCH, "grid": 5, "kimg": 0.032, **row.small, **changes})


def needs_marks(recipe: Recipe) -> bool:
    return any("marks" in stage.needs for stage in recipe.stages())


def synthetic(recipe: Recipe, step: int = 0) -> Batch:
    """Waves as images and other waves as inputs, in [-1, 1], and classes in turn: the same on every machine."""

    def waves(shape: tuple[int, int, int], phase: float) -> Tensor:
        h, w, c = shape
        n, k, y, x = torch.meshgrid(*(torch.arange(s) for s in (BATCH, c, h, w)), indexing="ij")
        return torch.sin(0.7 * (n + 1) + 0.4 * (k + 1) * y + 0.3 * x + phase).to(torch.get_default_dtype())

    classes = classes_of(recipe.network)
    inputs = getattr(recipe.network, "input_shape", None)
    frames = recipe.data.frames
    ranked = ("better", "worse") if recipe.data.feed == "ranked" else ()
    extras = {name: waves(recipe.image_shape, step + 2.5 + i) for i, name in enumerate(ranked)}
    if needs_marks(recipe):
        # Every other face looks to the left.
        points = torch.tensor([[43.0, 40], [84, 40], [70, 64], [47, 88], [82, 88]]).to(torch.get_default_dtype())
        extras["marks"] = (points * recipe.image_shape[0] / 128).repeat(BATCH, 1, 1)
        extras["marks"][::2, 2, 0] *= 0.8
    return Batch(
        waves(recipe.image_shape, step),
        torch.arange(BATCH) % classes if classes else None,
        None
        if inputs is None
        else waves(inputs, step + 1.5)
        if frames is None
        else torch.stack([waves(inputs, step + 1.5 + 0.2 * i) for i in range(frames)], 1),
        extras,
    )


def phases(state: TrainingState) -> Iterator[tuple[int, int, Phase]]:
    """(stage, number, phase) of all stages, each of which is entered."""
    for number, stage in enumerate(state.stages):
        state.enter()
        for index, phase in enumerate(stage.phases):
            yield number, index, phase


def scalars(state: TrainingState) -> dict[str, Tensor]:
    return {name: torch.tensor(float(schedule(0))) for name, schedule in state.stage_now.scalars.items()}


def run(state: TrainingState, phase: Phase, at: tuple[int, int], batch: Batch, **options: Any) -> None:
    compute = options.pop("compute", plain(phase, state.device, False))
    run_phase(state, phase, compute, batch, scalars(state), at=(*at, 0), **options)


@contextmanager
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def start(name: str, **changes: Any) -> TrainingState:
    return TrainingState(small(name, **changes), torch.device("cpu"), pretrained=False)


def test_every_system_has_a_row() -> None:
    assert {load_recipe(row.recipe).model for row in ROWS.values()} == set(NAMES)


@systems
def test_parameters_and_shapes_at_the_recipes_own_settings(name: str) -> None:
    row = ROWS[name]
    recipe = load_recipe(row.recipe)
    with torch.device("meta"):
        networks = recipe.system.build(recipe.network)
    counts = {key: sum(p.numel() for p in network.parameters()) for key, network in networks.items()}
    assert {key: n for key, n in counts.items() if n} == row.parameters
    h, w, c = recipe.image_shape
    assert (c, h, w) == row.shape
    assert {name for stage in recipe.stages() for phase in stage.phases for name in phase.updates} <= set(networks)
    assert set(recipe.system.shows) <= set(networks) and recipe.system.sampler in recipe.system.shows


@systems
def test_it_renders_images_in_range_from_what_it_takes(name: str) -> None:
    recipe, state = small(name), start(name)
    for _ in state.stages:
        state.enter()
    system, batch = recipe.system, synthetic(recipe)
    networks = {key: network.eval() for key, network in state.shown().items()}
    begin = batch.inputs if system.takes == "images" else torch.randn(BATCH, networks[system.sampler].latent)  # type: ignore[arg-type]
    assert begin is not None
    for choose in (lambda c: c.default, lambda c: c.low, lambda c: c.high):
        with torch.no_grad():
            controls = {c.name: choose(c) for c in system.controls}
            guides = {name: batch.extras[name] for name in system.guides}
            images = system.render(networks, begin, batch.labels, controls, **guides)
        h, w, c = recipe.image_shape
        assert images.shape == (BATCH, c, h, w) and images.isfinite().all()


@systems
def test_its_way_by_styles_is_its_way_from_latents(name: str) -> None:
    recipe, state = small(name), start(name)
    system = recipe.system
    if system.styles is None:
        return
    for _ in state.stages:
        state.enter()
    networks = {key: network.eval() for key, network in state.shown().items()}
    z, labels = torch.randn(BATCH, networks[system.sampler].latent), synthetic(recipe).labels  # type: ignore[arg-type]
    assert set(system.styles.controls) <= {c.name for c in system.controls}
    for choose in (lambda c: c.default, lambda c: c.low, lambda c: c.high):
        controls = {c.name: choose(c) for c in system.controls}
        with torch.no_grad():
            styles = system.styles.of(networks, z, labels, controls)
            assert styles.ndim == 3 and len(styles) == BATCH
            # Of the controls, only those that it names may matter to the styles.
            others = {
                c.name: controls[c.name] if c.name in system.styles.controls else c.default for c in system.controls
            }
            torch.testing.assert_close(system.styles.of(networks, z, labels, others), styles, rtol=0, atol=0)
            images = system.render(networks, z, labels, controls)
            torch.testing.assert_close(system.styles.render(networks, styles, controls), images, rtol=0, atol=0)


@systems
def test_losses_are_finite_and_the_known_ones(name: str) -> None:
    state = start(name)
    values = []

    def recorded(phase: Phase) -> Phase:
        def loss(*args: Any) -> Out:
            out = phase.loss(*args)
            values.append(float(out.value.detach()))
            return out

        return Phase(phase.name, phase.updates, loss, phase.every, lazy=phase.lazy, after=phase.after)

    for turn in range(2):
        state.stage = -1
        for number, index, phase in phases(state):
            state.nimg = turn * BATCH
            run(state, recorded(phase), (number, index), synthetic(state.recipe, turn))
    for network in state.networks.values():
        assert all(t.isfinite().all() for t in network.state_dict().values())
    golden, once = ROWS[name].golden, len(values) // 2
    # Threads and the CPU's instructions move the first round by up to 2e-4; other networks or losses by far more.
    # Adam's first step is as long however small a gradient is: where rounding turns one, the second round moves more.
    assert values[:once] == pytest.approx(golden[:once], rel=2e-3, abs=5e-4)
    assert values[once:] == pytest.approx(golden[once:], rel=5e-2, abs=5e-3)


@systems
def test_a_phase_changes_the_networks_it_updates_and_no_other(name: str) -> None:
    state = start(name)
    touched: set[str] = set()
    for number, index, phase in phases(state):
        before = {k: [p.detach().clone() for p in n.parameters()] for k, n in state.networks.items()}
        run(state, phase, (number, index), synthetic(state.recipe))
        for key, network in state.networks.items():
            changed = [not torch.equal(a, b) for a, b in zip(before[key], network.parameters(), strict=True)]
            # A penalty of gradients leaves the last bias as it is, a stage of growth what is not grown yet.
            assert any(changed) == (key in phase.updates and bool(changed)), (phase.name, key)
        touched |= set(phase.updates)
    assert touched == set(state.optimizers)


@systems
def test_a_batch_may_be_cut(name: str) -> None:
    """In float64 the gradients of two halves are those of the whole, or the row says what couples the rows."""
    with double_precision():
        apart = 0.0
        whole, cut = start(name), start(name)
        for (number, index, phase), _ in zip(phases(whole), phases(cut), strict=True):
            batch = synthetic(whole.recipe)
            gradients: list[list[Tensor]] = []
            for state, parts in ((whole, 1), (cut, 2)):
                seen: list[Tensor] = []
                step, state.step = state.step, lambda p, g, seen=seen: seen.extend(x for x in g if x is not None)  # type: ignore
                run(state, phase, (number, index), batch, accumulate=parts)
                state.step = step  # type: ignore[method-assign]
                gradients.append(seen)
            scale = max(float(g.abs().max()) for g in gradients[0])
            apart = max(apart, *(float((a - b).abs().max()) / scale for a, b in zip(*gradients, strict=True)))
    if ROWS[name].coupled:
        assert apart > 1e-9, "the row says that it couples the rows, and it does not"
    else:
        assert apart < 1e-9


@systems
def test_every_phase_compiles_to_one_graph(name: str) -> None:
    """Traced whole (nothing in it waits for the device), with the gradients of the plain form."""
    dynamo = torch._dynamo
    dynamo.reset()
    state = start(name)
    with dynamo.config.patch(trace_autograd_ops=True, recompile_limit=256):
        for number, index, phase in phases(state):
            eager = plain(phase, state.device, False)
            traced = torch.compile(eager, fullgraph=True, dynamic=False, backend="eager")
            found = []
            for function in (eager, traced):
                kept = {k: {n: b.clone() for n, b in m.named_buffers()} for k, m in state.networks.items()}
                reseed(state.device, 0, number, index)
                found.append(function(state.networks, synthetic(state.recipe), scalars(state)).gradients)
                for k, m in state.networks.items():
                    for n, b in m.named_buffers():
                        b.data.copy_(kept[k][n])
            for ours, theirs in zip(*found, strict=True):
                assert (ours is None) == (theirs is None)
                if ours is not None:
                    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max() + 1e-12))
    dynamo.reset()


@pytest.fixture
def sets(tmp_path: Path) -> Callable[[Recipe], dict[str, Path]]:
    """sets(recipe) -> the options `data` and `inputs` of a training on small made-up sets that fit it."""

    def make(recipe: Recipe) -> dict[str, Path]:
        h, w, c = recipe.image_shape
        assert h == w
        classes, feed = classes_of(recipe.network), recipe.data.feed
        labels = np.arange(16) % classes if classes else None
        found = {"data": write_prepared(tmp_path / "data" / "set", blobs(16, h, c), labels)}
        if feed == "unpaired":
            found["inputs"] = write_prepared(tmp_path / "data" / "inputs", blobs(12, h, c)[::-1].copy())
        elif recipe.data.degrade is not None:  # what it starts from is computed
            found["data"] = write_prepared(tmp_path / "data" / "large", blobs(16, recipe.data.read_side, c), labels)
        elif any("inputs" in stage.needs for stage in recipe.stages()):
            images = tmp_path / "images"
            images.mkdir()
            for i, image in enumerate(blobs(16, h, c)):
                Image.fromarray(image.squeeze()).save(images / f"{i:02d}.png")
            scale = h // recipe.network.input_shape[0]
            made_by: dict[str, Any] = {"scale": scale} if scale > 1 else {"operation": "hole"}
            if needs_marks(recipe):
                points = " ".join(f"{v * h / 128:.1f}" for v in (43, 40, 84, 40, 63, 64, 47, 88, 82, 88)).replace(
                    " ", ","
                )
                columns = ",".join(TABLES["landmarks"].columns or ())
                rows = "".join(f"{i:02d}.png,{points}\n" for i in range(16))
                (tmp_path / "points.csv").write_text(f"image_id,{columns}\n{rows}")
                made_by = {"faces": "frontal", "landmarks": tmp_path / "points.csv", "angles": (30.0,)}
            place = tmp_path / "data" / "pairs"
            if feed == "frames":
                found["data"] = prep_video([images], size=h, scale=scale, channels=c, out=place, progress=False).path
            else:
                found["data"] = prep(images, size=h, **made_by, out=place, progress=False).path
        if feed == "ranked":
            place = prep(images, size=h, inputs=images, out=tmp_path / "data" / "ranked", progress=False).path
            found["inputs"] = place
        return found

    return make


@pytest.fixture(autouse=True)
def few_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages measure the statistics of batch normalisation on one batch: enough here, and quick."""
    monkeypatch.setattr("gantools.layers.statistics.STATISTICS_BATCHES", 1)


@systems
def test_a_resumed_training_is_one_that_never_stopped(
    name: str, sets: Callable[[Recipe], dict[str, Path]], tmp_path: Path
) -> None:
    """Stopped in the middle, which with stages is a border; and its grid has the right shape."""
    row, recipe = ROWS[name], small(name)
    options: dict[str, Any] = {"out": tmp_path / "runs", "device": "cpu", "progress": False}
    changes = {"batch": BATCH, "grid": 5, "ema.half_life_kimg": 0.01, **row.small}
    first = {**sets(recipe), **options, "overrides": changes}
    straight = train(row.recipe, kimg=0.032, **first)
    stopped = train(row.recipe, kimg=0.016, **first)
    assert straight is not None and stopped is not None
    train(resume=stopped, kimg=0.032, **options)
    ours, theirs = list_checkpoints(stopped)[-1], list_checkpoints(straight)[-1]
    assert ours.name == theirs.name == "kimg-000000.032"
    weights = sorted(p.name for p in theirs.glob("*.safetensors"))
    averaged = [f"{key}_ema" for key in recipe.system.averaged]
    assert {f"{key}.safetensors" for key in (*start(name).saved, *averaged)} == set(weights)
    for file in weights:
        assert (ours / file).read_bytes() == (theirs / file).read_bytes(), file
    ignored = {"seconds": 0, "meter": 0}
    assert_same({**read_state(ours), **ignored}, {**read_state(theirs), **ignored})
    grid = np.asarray(Image.open(straight / "grids" / f"{theirs.name}.png"))
    assert grid.ndim == (2 if recipe.image_shape[2] == 1 else 3) and min(grid.shape[:2]) > recipe.image_shape[0]


@systems
def test_dry_run(
    name: str, sets: Callable[[Recipe], dict[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = ROWS[name]
    changes = {"batch": BATCH, "kimg": 0.016, **row.small}
    assert train(row.recipe, dry_run=True, overrides=changes, device="cpu", **sets(small(name))) is None
    text = capsys.readouterr().out
    assert "parameters, generator" in text and "expected time" in text
