"""Translating faces, which need landmarks: of prepared sets, of a table, or one line that says how to get them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.conftest import blobs

from gantools.cli.translate import command
from gantools.data.frontal import COLUMNS
from gantools.data.prepare import prep
from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError
from gantools.sampling.generator import Generator
from gantools.sampling.translations import translate
from gantools.training.run import train

FACE = np.array([[42.5, 40], [84.5, 40], [63.5, 64], [46.5, 88], [80.5, 88]]) / 4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, their landmarks, sets made of them and a run of a few steps."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "photos").mkdir()
    rows = ["image_id," + ",".join(COLUMNS)]
    for i, image in enumerate(blobs(8, 32, 3)):
        Image.fromarray(image).save(folder / "photos" / f"{i}.png")
        rows.append(f"{i}.png," + ",".join(f"{v:.3f}" for v in FACE.ravel()))
    (folder / "points.csv").write_text("\n".join(rows))
    common = {"landmarks": folder / "points.csv", "size": 32, "progress": False}
    pairs = prep(folder / "photos", faces="frontal", angles=(30.0,), out=folder / "pairs", **common)
    prep(folder / "photos", faces="all", out=folder / "faces", **common)
    network = {"size": 32, "width": 8, "judge_width": 4}
    changes = {"network": network, "game": {"identity": {"weight": 0.0}}, "batch": 4, "grid": 4}
    run = train(
        "tpgan-64", data=pairs.path, kimg=0.008, overrides=changes, out=folder / "runs", device="cpu", progress=False
    )
    assert run is not None
    return folder


def images(folder: Path) -> dict[str, np.ndarray]:
    return {p.stem: np.asarray(Image.open(p)) for p in sorted(folder.rglob("*.png"))}


def test_sets_bring_their_landmarks(place, tmp_path):
    generator = Generator.load(place / "runs", device="cpu")
    pairs = PreparedSet(place / "pairs")
    assert pairs.inputs is not None
    marks = pairs.annotations["marks"].reshape(-1, 5, 2)
    out, rejects = translate(place / "runs", [place / "pairs" / "inputs"], out=tmp_path / "a", device="cpu")
    made = generator.translate(pairs.inputs.gather(np.arange(8)), marks=marks)
    assert rejects == [] and np.array_equal(np.stack(list(images(out).values())), made)
    # Other landmarks give another face, so they are not left unused.
    other = generator.translate(pairs.inputs.gather(np.arange(8)), marks=marks + np.float32(4))
    assert not np.array_equal(other, made)
    out, rejects = translate(place / "runs", [place / "faces"], out=tmp_path / "b", device="cpu")
    assert rejects == [] and len(images(out)) == 8
    with pytest.raises(DataError, match="set of pairs") as e:
        translate(place / "runs", [place / "pairs"], out=tmp_path / "c", device="cpu")
    assert e.value.hint is not None and "inputs" in e.value.hint


def test_a_table_for_aligned_files_and_what_is_not_in_it(place, tmp_path):
    table = tmp_path / "some.csv"
    table.write_text("\n".join((place / "points.csv").read_text().splitlines()[:4]))
    arguments = [str(place / "runs"), str(place / "photos"), "--landmarks", str(table), "--device", "cpu"]
    found = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "t")])
    assert found.exit_code == 0, found.output
    assert sorted(images(tmp_path / "t")) == ["0", "1", "2"]
    assert found.output.count("left out") == 5 and "landmarks" in found.output


def test_without_landmarks_a_line_says_how_to_get_them(place, tmp_path):
    with pytest.raises(DataError, match="needs the landmarks of each face") as e:
        translate(place / "runs", [place / "photos"], out=tmp_path / "t", device="cpu")
    assert "--landmarks" in (e.value.hint or "") and not (tmp_path / "t").exists()
    generator = Generator.load(place / "runs", device="cpu")
    face = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(DataError, match="needs the landmarks") as e:
        generator.translate(face)
    assert e.value.hint is not None and "prep frontal" in e.value.hint and "\n" not in e.value.message
    with pytest.raises(ConfigError, match="tile"):
        generator.translate(face, marks=FACE[None].astype(np.float32), tile=256)
    with pytest.raises(DataError, match="32 x 32"):
        generator.translate(np.zeros((1, 64, 64, 3), np.uint8), marks=FACE[None].astype(np.float32))


def test_a_set_without_marks_is_no_training_set(place, tmp_path):
    pairs = prep(place / "photos", size=32, operation="hole", out=tmp_path / "holes", progress=False)
    changes = {
        "network": {"size": 32, "width": 8, "judge_width": 4, "classes": 0},
        "game": {"ids": 0.0, "identity": {"weight": 0.0}},
    }
    with pytest.raises(DataError, match="has no marks") as e:
        train(
            "tpgan-64",
            data=pairs.path,
            kimg=0.008,
            overrides=changes,
            out=tmp_path / "runs",
            device="cpu",
            progress=False,
        )
    assert e.value.hint is not None and "prep frontal" in e.value.hint
