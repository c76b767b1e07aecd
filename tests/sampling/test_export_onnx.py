"""Every system's generator as ONNX, run by onnxruntime, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.models.test_systems import ROWS, small
from torch import Tensor

from gantools.errors import ConfigError, DataError, GantoolsError
from gantools.levels import to_uint8
from gantools.models.system import Networks, classes_of
from gantools.recipes.recipe import Recipe
from gantools.sampling import export_onnx as module
from gantools.sampling.export_onnx import BATCHES, LEVELS, export_onnx, write_onnx
from gantools.sampling.generator import Generator
from gantools.sampling.latents import latents

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def untrained(recipe: Recipe) -> Generator:
    """A generator of a recipe with weights at random, so large that its images are not all grey."""
    torch.manual_seed(0)
    built = recipe.system.build(recipe.network)
    networks = {name: built[name].eval().requires_grad_(False) for name in recipe.system.shows}
    for parameter in (p for network in networks.values() for p in network.parameters()):
        # None stays all alike, as no trained one is: normalised, a constant is 0 / 0 but for its epsilon.
        parameter.add_(0.2 * parameter.abs().mean() * torch.randn_like(parameter))
    classes = classes_of(recipe.network)
    data = {"path": "", "name": "none", "fingerprint": "", "count": 0}
    config = {"recipe": recipe.to_dict(), "data": {**data, "classes": [f"c{i}" for i in range(classes)]}, "nimg": 500}
    found = Generator(networks, Path("none"), config)
    for _ in range(20):
        if images_of(found, 2).std() > 10:
            break
        for parameter in found.network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(1.5)
    assert images_of(found, 2).std() > 10
    return found


def images_of(generator: Generator, n: int, side: int = 0) -> NDArray[np.uint8]:
    if generator.system.takes == "images":
        given = pictures(generator, n, side)
        if generator.system.guides:
            points = np.array([[0.34, 0.32], [0.66, 0.32], [0.52, 0.5], [0.37, 0.69], [0.64, 0.69]], np.float32)
            return generator.translate(given, marks=np.repeat(points[None] * given.shape[1], n, 0))
        return generator.translate(given)
    return generator.from_latents(latents(0, 0, n, int(generator.network.latent)), batch=n)  # type: ignore[arg-type]


def pictures(generator: Generator, n: int, side: int = 0) -> NDArray[np.uint8]:
    h, w, c = generator.recipe.network.input_shape
    return np.random.default_rng(1).integers(0, 256, (n, side or h, 2 * side or w, c), dtype=np.uint8)


def run_onnx(file: Path, **inputs: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels uint8 (n, h, w, c) of what a file gives."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == list(inputs)
    assert [o.name for o in session.get_outputs()] == ["output"]
    (made,) = session.run(None, inputs)
    assert made.dtype == np.float32 and np.abs(made).max() <= 1
    levels: NDArray[np.uint8] = to_uint8(torch.from_numpy(made)).permute(0, 2, 3, 1).numpy()
    return levels


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


def images_in(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(levels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1)


@pytest.mark.parametrize("name", ROWS)
def test_every_system(name: str, tmp_path: Path) -> None:
    generator = untrained(small(name))
    file = tmp_path / "g.onnx"
    if ROWS[name].no_onnx:
        with pytest.raises(ConfigError, match=ROWS[name].no_onnx) as error:
            write_onnx(generator, file)
        assert "\n" not in error.value.message and list(tmp_path.iterdir()) == []
        return
    write_onnx(generator, file)
    assert list(tmp_path.iterdir()) == [file]
    if generator.system.takes == "images":
        multiple = getattr(generator.recipe.network, "multiple", 1)
        for n, side in ((3, 0), (1, 6 * multiple), (2, 11 * multiple)):
            given = pictures(generator, n, side)
            assert apart(run_onnx(file, images=images_in(given)), generator.translate(given)) <= LEVELS
        return
    for n in (1, 3, 7):
        inputs: dict[str, NDArray[Any]] = {"latents": latents(0, 0, n, int(generator.network.latent))}  # type: ignore[arg-type]
        if classes := classes_of(generator.recipe.network):
            inputs["labels"] = np.arange(n) % classes
        assert apart(run_onnx(file, **inputs), images_of(generator, n)) <= LEVELS


@pytest.mark.parametrize("name", ["dcgan", "stylegan2"])
def test_classes_are_an_input(name: str, tmp_path: Path) -> None:
    network = {**ROWS[name].small["network"], "classes": 3}
    generator = untrained(small(name, network=network))
    file = write_onnx(generator, tmp_path / "g.onnx")
    z = np.repeat(latents(0, 0, 1, int(generator.network.latent)), 6, 0)  # type: ignore[arg-type]
    made = run_onnx(file, latents=z, labels=np.array([0, 1, 2, 2, 1, 0]))
    assert apart(made[:3], generator.from_latents(z[:3], batch=3)) <= LEVELS
    assert np.array_equal(made[:3], made[3:][::-1])
    assert apart(made[0], made[1]) > 10 * LEVELS
    told = {p.key: p.value for p in onnx.load(file).metadata_props}
    assert json.loads(told["classes"]) == ["c0", "c1", "c2"]


def test_what_is_written_beside_the_graph(tmp_path: Path) -> None:
    file = write_onnx(untrained(small("cyclegan")), tmp_path / "deep" / "g.onnx", controls={"back": 1})
    program = onnx.load(file)
    onnx.checker.check_model(program)
    told = {p.key: p.value for p in program.metadata_props}
    assert (told["recipe"], told["model"], told["kimg"], told["multiple"]) == ("cyclegan-64", "cyclegan", "0.5", "4")
    assert json.loads(told["controls"]) == {"back": 1.0}
    axes = [d.dim_param or d.dim_value for d in program.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", 3, "height", "width"]


@pytest.mark.parametrize(
    ("name", "controls"),
    [
        ("stylegan2", {"truncation": 0.5, "mixing": 0.5, "noise": 0.0}),
        ("cyclegan", {"back": 1.0}),
        ("srgan", {"interpolation": 0.25}),
    ],
)
def test_controls_are_fixed_in_the_file(name: str, controls: dict[str, float], tmp_path: Path) -> None:
    generator = untrained(small(name))
    if name == "srgan":
        state = generator.networks["generator"].state_dict()
        generator.networks["content"].load_state_dict({k: v * 0.5 for k, v in state.items()})
    elif name == "stylegan2":
        for key, value in generator.network.state_dict().items():
            if key.endswith(("strength", "mean")):  # without these nothing is turned
                value.add_(0.5)
    file = write_onnx(generator, tmp_path / "g.onnx", controls=controls)
    if generator.system.takes == "images":
        given = pictures(generator, 2)
        made = run_onnx(file, images=images_in(given))
        asked, usual = (generator.translate(given, controls=c) for c in (controls, None))
    else:
        z = latents(0, 0, 4, int(generator.network.latent))  # type: ignore[arg-type]
        made = run_onnx(file, latents=z)
        asked, usual = (generator.from_latents(z, batch=4, controls=c) for c in (controls, None))
    assert apart(made, asked) <= LEVELS < apart(asked, usual)


def test_a_level_of_growth_decides_the_graph(tmp_path: Path) -> None:
    generator = untrained(small("progan"))
    z = latents(0, 0, 2, 8)
    for level in (0, 1):
        generator.network.level.fill_(level)  # type: ignore[operator, union-attr]
        generator.network.alpha.fill_(0.3)  # type: ignore[operator, union-attr]
        file = write_onnx(generator, tmp_path / f"{level}.onnx")
        assert apart(run_onnx(file, latents=z), generator.from_latents(z, batch=2)) <= LEVELS
    # Exporting changes a copy.
    assert isinstance(generator.network.level, Tensor)


Render = Callable[[Networks, Tensor, Tensor | None, Mapping[str, float]], Tensor]


def with_render(generator: Generator, make: Callable[[Render], Render]) -> Generator:
    generator.system = dataclasses.replace(generator.system, render=make(generator.system.render))
    return generator


def decides_by_value(render: Render) -> Render:
    return lambda networks, start, *rest: render(networks, start, *rest) * (2 if float(start.sum()) > 0 else 1)


def test_what_cannot_be_traced_is_refused_in_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("dcgan", "cyclegan"):
        generator = with_render(untrained(small(name)), decides_by_value)
        with pytest.raises(ConfigError) as error:
            write_onnx(generator, tmp_path / "g.onnx")
        assert error.value.message == (
            f"none: the generator of {name} cannot be exported as ONNX: its code goes one way or another by the value "
            "of a tensor."
        )
        assert "--hub" in str(error.value.hint)
    # Any other reason is the library's, in one line.
    generator = with_render(
        untrained(small("dcgan")), lambda render: lambda *given: torch.special.bessel_j1(render(*given))
    )
    with pytest.raises(ConfigError, match="cannot be exported as ONNX: ") as error:
        write_onnx(generator, tmp_path / "g.onnx")
    assert "\n" not in error.value.message and len(error.value.message) < 260
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def of_one_size(render: Render) -> Render:
    def fixed(networks: Networks, start: Tensor, *rest: Any) -> Tensor:
        return render(networks, start.reshape(-1, 3, 16, 16), *rest)

    return fixed


def test_sides_that_cannot_be_free_are_fixed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    generator = with_render(untrained(small("cyclegan")), of_one_size)
    with caplog.at_level(logging.WARNING, "gantools"):
        file = write_onnx(generator, tmp_path / "g.onnx")
    assert "images of 16x16 pixels alone" in caplog.text
    given = pictures(generator, 3)
    assert apart(run_onnx(file, images=images_in(given)), generator.translate(given)) <= LEVELS


def brighter(self: Any, start: Tensor, labels: Tensor | None = None) -> Tensor:
    return RIGHT(self, start, labels) + 2.5 / 127.5


def of_two(self: Any, start: Tensor, labels: Tensor | None = None) -> Tensor:
    return RIGHT(self, start[:2], labels).clone()


def mixes_rows(self: Any, start: Tensor, labels: Tensor | None = None) -> Tensor:
    return RIGHT(self, start + 0.2 * (start - start.mean(0)), labels)


def undefined(self: Any, start: Tensor, labels: Tensor | None = None) -> Tensor:
    return RIGHT(self, start, labels) / start.mul(0).sum()


RIGHT = module._Rendering.forward


@pytest.mark.parametrize("wrong", [brighter, of_two, mixes_rows, undefined])
def test_a_file_that_is_not_the_generator_is_not_written(
    wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module._Rendering, "forward", wrong)
    with pytest.raises(GantoolsError, match=r"not written\.|cannot run the file"):
        write_onnx(untrained(small("dcgan")), tmp_path / "g.onnx")
    assert list(tmp_path.iterdir()) == []


def test_one_level_apart_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly(self: Any, start: Tensor, labels: Tensor | None = None) -> Tensor:
        return RIGHT(self, start, labels) + 0.9 / 127.5

    monkeypatch.setattr(module._Rendering, "forward", nearly)
    assert write_onnx(untrained(small("dcgan")), tmp_path / "g.onnx").is_file()
    assert BATCHES == (1, 5, 64) and LEVELS == 1


def test_runs(run: Path, images_run: Path, tmp_path: Path) -> None:
    file = export_onnx(run, tmp_path / "a.onnx", checkpoint=0.048)
    generator = Generator.load(run, device="cpu")  # with the averaged weights
    z = latents(3, 0, 5, 6)
    assert apart(run_onnx(file, latents=z), generator.from_latents(z, batch=5)) <= LEVELS
    given = np.random.default_rng(2).integers(0, 256, (1, 20, 36, 3), dtype=np.uint8)
    file = export_onnx(images_run, tmp_path / "b.onnx")
    assert apart(run_onnx(file, images=images_in(given)), Generator.load(images_run).translate(given)) <= LEVELS


def test_nothing_is_replaced_that_is_not_ours(run: Path, tmp_path: Path) -> None:
    file = export_onnx(run, tmp_path / "a.onnx")
    before = file.read_bytes()
    with pytest.raises(DataError, match="exists already"):
        export_onnx(run, file)
    other = onnx.load(file)
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "theirs.onnx")
    (tmp_path / "notes.onnx").write_text("mine")
    (tmp_path / "folder.onnx").mkdir()
    for name in ("theirs.onnx", "notes.onnx", "folder.onnx"):
        with pytest.raises(DataError, match="no ONNX file of gantools"):
            export_onnx(run, tmp_path / name, overwrite=True)
    assert (tmp_path / "notes.onnx").read_text() == "mine"
    assert export_onnx(run, file, overwrite=True).read_bytes() == before
    with pytest.raises(ConfigError, match="has nothing to turn"):
        export_onnx(run, file, controls={"truncation": 0.5}, overwrite=True)
    assert file.read_bytes() == before


def test_a_missing_library_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ConfigError, match="writing ONNX needs onnxscript") as error:
        export_onnx(run, tmp_path / "a.onnx")
    assert error.value.hint == "pip install 'gantools[onnx]'"
