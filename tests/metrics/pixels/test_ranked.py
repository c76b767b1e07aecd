"""Ranked pairs: which of two results is the better one, and what there is to say when there are none."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from click.testing import CliRunner
from PIL import Image
from tests.metrics.pixels.test_paired import noisy, scene

from gantools.cli import cli
from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError
from gantools.metrics.pixels.niqe import PristineModel, niqe_scores
from gantools.metrics.pixels.ranked import TABLE, rank

N, SIDE, CROP = 6, 72, 4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `a`, `b` and `c` of the same scenes, unlike blurred and noisy, and a pristine model of small blocks."""
    root = tmp_path_factory.mktemp("ranked")
    scenes = scene(N, SIDE, SIDE)
    blurred = np.stack([scipy.ndimage.gaussian_filter(x, (2, 2, 0)) for x in scenes])
    for name, images in (("a", scenes), ("b", blurred), ("c", noisy(scenes, 40))):
        (root / name / "deep").mkdir(parents=True)
        for i, image in enumerate(images):
            Image.fromarray(image).save(root / name / "deep" / f"{i}.1.png")
    PristineModel.fit(scene(8, 96, 96, seed=3), block=16).save(root / "model.npz")
    return root


def test_the_better_one_is_the_image_and_the_worse_one_its_input(place: Path, tmp_path: Path) -> None:
    folders = [place / name for name in "abc"]
    made = rank(folders, tmp_path / "set", gap=0.0, crop=CROP, model=place / "model.npz")
    values = {
        f: dict(zip(s.names, s.values, strict=True))
        for f in folders
        if (s := niqe_scores(f, place / "model.npz", crop=CROP))
    }
    with (made.path / TABLE).open() as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == len(made) == 3 * N and made.inputs is not None
    by_name = {name: i for i, name in enumerate(made.names)}
    for row in rows:
        stem = row["name"].rsplit("-", 2)[0] + ".png"
        better, worse = Path(row["better"]), Path(row["worse"])
        assert values[better][stem] == pytest.approx(float(row["niqe_better"]), abs=1e-6)
        assert values[worse][stem] == pytest.approx(float(row["niqe_worse"]), abs=1e-6)
        assert values[better][stem] <= values[worse][stem]
        at = by_name[row["name"]]
        assert np.array_equal(made[at], np.asarray(Image.open(better / stem)))
        assert np.array_equal(made.inputs[at], np.asarray(Image.open(worse / stem)))


def test_pairs_that_are_too_near_are_left_out(place: Path, tmp_path: Path) -> None:
    folders = [place / name for name in "ab"]
    every = rank(folders, tmp_path / "all", gap=0.0, model=place / "model.npz")
    with (every.path / TABLE).open() as f:
        gaps = sorted(float(row["niqe_worse"]) - float(row["niqe_better"]) for row in csv.DictReader(f))
    some = rank(folders, tmp_path / "some", gap=gaps[2] + 1e-9, model=place / "model.npz")
    assert len(every) == N and len(some) == N - 3
    with pytest.raises(DataError, match="further apart than 1e"):
        rank(folders, tmp_path / "none", gap=1e9, model=place / "model.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all", "some"]


def test_the_command(place: Path, tmp_path: Path) -> None:
    command = ["prep", "ranked", str(place / "a"), str(place / "c"), "--niqe-model", str(place / "model.npz")]
    out = tmp_path / "set"
    done = CliRunner().invoke(cli, [*command, "--gap", "0", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert f"{N} ranked pairs" in done.output and len(PreparedSet(out)) == N
    again = CliRunner().invoke(cli, [*command, "--out", str(out)])
    assert isinstance(again.exception, DataError) and "--overwrite" in (again.exception.hint or "")
    assert CliRunner().invoke(cli, [*command, "--gap", "0", "--out", str(out), "--overwrite"]).exit_code == 0


def test_what_cannot_be_ranked(place: Path, tmp_path: Path) -> None:
    model = place / "model.npz"
    with pytest.raises(ConfigError, match="two networks"):
        rank([place / "a"], tmp_path / "set", model=model)
    with pytest.raises(ConfigError, match="gap"):
        rank([place / "a", place / "b"], tmp_path / "set", gap=-1, model=model)
    other, wide = tmp_path / "other", tmp_path / "wide"
    for folder, shape in ((other, (SIDE, SIDE, 3)), (wide, (SIDE, 2 * SIDE, 3))):
        folder.mkdir()
        Image.fromarray(np.zeros(shape, np.uint8)).save(folder / "x.png")
    with pytest.raises(DataError, match="have no partner of that name"):
        rank([place / "a", other], tmp_path / "set", model=model)
    with pytest.raises(DataError, match="72x144 pixels") as error:
        rank([wide, wide], tmp_path / "set", model=model)
    assert "gantools prep tiles" in (error.value.hint or "")
    assert not list(tmp_path.glob(".*"))
