"""Exported models: what is in the folder, that it loads back to the bit, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.conftest import blobs
from tests.sampling.conftest import OVERRIDES

from gantools.errors import CheckpointError, ConfigError, DataError
from gantools.metrics.images.open import open_source
from gantools.recipes.recipe import recipe_of
from gantools.runs.checkpoint import read_config
from gantools.runs.folders import is_run
from gantools.sampling.export_onnx import export_onnx
from gantools.sampling.generator import Generator
from gantools.sampling.hub import export_hub
from gantools.sampling.translations import translate
from gantools.sampling.write import sample
from gantools.training.run import train

FILES = {"README.md", "config.json", "grid.png", "model.safetensors"}


def front(folder: Path) -> dict[str, Any]:
    """The front matter of a card."""
    text = (folder / "README.md").read_text()
    assert text.startswith("---\n")
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def images(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.glob("*.png")}


def test_a_generator_comes_back_to_the_bit(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = export_hub(run, tmp_path / "out" / "faces")
    assert {p.name for p in folder.iterdir()} == FILES and [p.name for p in folder.parent.iterdir()] == ["faces"]
    there, here = Generator.load(run, device="cpu"), Generator.load(folder, device="cpu")
    assert np.array_equal(there.sample(70, seed=3), here.sample(70, seed=3))
    assert here.nimg == there.nimg == 48 and here.recipe == there.recipe and here.run == folder
    assert images(sample(run, n=5, out=tmp_path / "a", device="cpu")) == images(
        sample(folder, n=5, out=tmp_path / "b", device="cpu")
    )
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["run"] == str(folder) and manifest["checkpoint"] == "faces"
    # It moves as a whole, and needs nothing of where it was made.
    moved = tmp_path / "moved"
    folder.rename(moved)
    shutil.rmtree(run)
    assert np.array_equal(there.sample(4), Generator.load(moved, device="cpu").sample(4))
    assert recipe_of(moved) == there.recipe
    again = export_hub(moved, tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (moved / "model.safetensors").read_bytes()
    assert (again / "grid.png").read_bytes() == (moved / "grid.png").read_bytes()


def test_the_weights_are_those_that_images_are_made_with(run: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = export_hub(run, tmp_path / "m")
    averaged = load_file(Generator.load(run).checkpoint / "generator_ema.safetensors")
    found = load_file(folder / "model.safetensors")
    assert found.keys() == {f"generator.{name}" for name in averaged}
    assert all(found[f"generator.{name}"].equal(value) for name, value in averaged.items())


def test_classes_come_back(told_run: Path, tmp_path: Path) -> None:
    folder = export_hub(told_run, tmp_path / "m")
    there, here = Generator.load(told_run, device="cpu"), Generator.load(folder, device="cpu")
    assert here.classes == there.classes and here.classes is not None
    assert np.array_equal(there.sample(4, class_="1"), here.sample(4, class_="1"))
    assert 'class_="NAME"' in (folder / "README.md").read_text()


def test_a_translator_comes_back_to_the_bit(images_run: Path, tmp_path: Path) -> None:
    folder = export_hub(images_run, tmp_path / "m")
    photo = tmp_path / "photo.png"
    Image.fromarray(blobs(1, 21, 3)[0]).save(photo)
    given = [blobs(1, 21, 3)[0], blobs(1, 16, 3)[0]]
    for back in (0.0, 1.0):
        there, here = (
            Generator.load(p, device="cpu").translate(given, controls={"back": back}) for p in (images_run, folder)
        )
        assert all(np.array_equal(a, b) for a, b in zip(there, here, strict=True))
    made = [translate(p, [photo], out=tmp_path / f"{i}", device="cpu")[0] for i, p in enumerate((images_run, folder))]
    assert images(made[0]) == images(made[1])
    assert front(folder)["pipeline_tag"] == "image-to-image"
    assert "gantools translate m photos/" in (folder / "README.md").read_text()
    with pytest.raises(ConfigError, match="not from latents"):
        sample(folder, n=2, out=tmp_path / "no", device="cpu")


def test_the_card(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = export_hub(run, tmp_path / "small-dcgan")
    head, text = front(folder), (folder / "README.md").read_text()
    assert head["license"] == "unknown" and "# choose one" in text
    assert head["library_name"] == "gantools" and head["pipeline_tag"] == "unconditional-image-generation"
    assert head["tags"] == ["gan", "dcgan", "gantools"] and "model-index" not in head
    assert "None was measured at this checkpoint." in text and "by the recipe `dcgan`: DCGAN on CelebA faces" in text
    assert "`blobs`, 48 images" in text and "0.048 thousand" in text and "8x8, 3 channels" in text
    grid = run / "grids" / "kimg-000000.048.png"
    assert "![Images of this model](grid.png)" in text and (folder / "grid.png").read_bytes() == grid.read_bytes()
    # Nothing says where it was made.
    assert all(str(tmp_path).encode() not in p.read_bytes() for p in folder.iterdir())
    # Its own lines of Python do what they say.
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert np.array_equal(names["images"], Generator.load(run).sample(16, seed=0))


def test_a_card_has_the_scores_with_how_they_were_measured(make_set: Callable[..., Path], tmp_path: Path) -> None:
    changes = {
        **OVERRIDES,
        "network.channels": 1,
        "eval.metrics": ["fd"],
        "eval.extractor": "fashion-mnist",
        "eval.n": 40,
    }
    data = make_set(n=48, size=8, channels=1)
    run = train("dcgan", data=data, out=tmp_path / "runs", overrides=changes, progress=False, device="cpu")
    assert run is not None
    line = json.loads((run / "stats.jsonl").read_text().splitlines()[-1])
    folder = export_hub(run, tmp_path / "m", checkpoint="best")
    (entry,) = front(folder)["model-index"]
    (result,) = entry["results"]
    (metric,) = result["metrics"]
    assert metric["type"] == "fd" and metric["value"] == line["fd"]
    how = line["protocols"]["fd"]
    assert (
        how.startswith("fashion-mnist ") and "; 40 images, seed 0, against set:blobs@" in how and how in metric["name"]
    )
    assert f"| `fd` | {line['fd']:.6g} | {how} |" in (folder / "README.md").read_text()


def test_a_grid_is_drawn_where_the_run_has_none(run: Path, tmp_path: Path) -> None:
    shown = (run / "grids" / "kimg-000000.048.png").read_bytes()
    shutil.rmtree(run / "grids")
    assert (export_hub(run, tmp_path / "m") / "grid.png").read_bytes() == shown


def test_a_name_cannot_break_the_card(run: Path, tmp_path: Path) -> None:
    config = next(run.glob("checkpoints/*/config.json"))
    values = json.loads(config.read_text())
    values["data"]["name"] = 'a|b`c\n---\nlicense: mit <script> "'
    values["recipe"]["description"] = "x\n---\ny: [z"
    config.write_text(json.dumps(values))
    folder = export_hub(run, tmp_path / "it's a model")
    head, text = front(folder), (folder / "README.md").read_text()
    assert head["license"] == "unknown" and text.count("\n---\n") == 1
    assert "<script>" not in text and 'Generator.load("FOLDER")' in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (3, 4) for row in rows)


def test_what_may_be_replaced(run: Path, tmp_path: Path) -> None:
    folder = export_hub(run, tmp_path / "m")
    with pytest.raises(DataError, match="exists already") as error:
        export_hub(run, folder)
    assert error.value.hint == "Replace it with --overwrite, or choose another place with --hub FOLDER."
    export_hub(run, folder, overwrite=True)
    (folder / ".git").mkdir()
    with pytest.raises(DataError, match=r"holds \.git beside an exported model"):
        export_hub(run, folder, overwrite=True)
    assert (folder / ".git").is_dir()
    for other in (run, tmp_path / "notes"):
        other.mkdir(exist_ok=True)
        (other / "a.txt").write_text("mine")
        with pytest.raises(DataError, match="holds other things than an exported model"):
            export_hub(run, other, overwrite=True)
    # An empty folder is as good as none.
    (tmp_path / "empty").mkdir()
    assert {p.name for p in export_hub(run, tmp_path / "empty").iterdir()} == FILES


def test_damage_is_found(run: Path, tmp_path: Path) -> None:
    folder = export_hub(run, tmp_path / "m")
    weights = folder / "model.safetensors"
    whole = bytearray(weights.read_bytes())
    whole[-3] ^= 1
    weights.write_bytes(whole)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged") as error:
        Generator.load(folder)
    assert "another copy" in str(error.value.hint)
    weights.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        Generator.load(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "version": 99}))
    with pytest.raises(CheckpointError, match="newer gantools"):
        Generator.load(folder)


def test_a_model_is_no_run_to_train_on(run: Path, tmp_path: Path) -> None:
    folder = export_hub(run, tmp_path / "m")
    with pytest.raises(CheckpointError, match="an exported model"):
        read_config(folder)
    for options in ({"resume": folder}, {"recipe": "dcgan", "init_from": folder, "data": tmp_path / "blobs"}):
        with pytest.raises((CheckpointError, DataError), match=r"an exported model|no such folder"):
            train(out=tmp_path / "runs", device="cpu", progress=False, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="an exported model, not a recipe") as error:
        train(folder, out=tmp_path / "runs", device="cpu", progress=False)
    assert f"gantools recipes show {folder} > mine.yaml" in str(error.value.hint)
    with pytest.raises(ConfigError, match="chooses nothing"):
        Generator.load(folder, "best")


def test_it_is_taken_where_runs_are(run: Path, tmp_path: Path) -> None:
    folder = export_hub(run, tmp_path / "m")
    assert is_run(folder)
    assert np.array_equal(open_source(folder, n=6).levels(0, 6), open_source(run, n=6).levels(0, 6))
    assert export_onnx(folder, tmp_path / "a.onnx").is_file()
