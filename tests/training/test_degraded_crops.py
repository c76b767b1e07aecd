"""Trainings whose inputs are computed from the images: what they need, and that they go on exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import blobs

from gantools.data.prepare import prep
from gantools.errors import ConfigError, DataError, GantoolsError
from gantools.runs.checkpoint import read_config
from gantools.runs.layout import list_checkpoints
from gantools.training.run import train

SMALL: dict[str, Any] = {
    "network": {"size": 32, "kind": "msrresnet", "width": 4, "blocks": 1, "judge_width": 4},
    "data": {"crop": 32, "degrade": {"around": 8}},
    "game": {"pretrain_kimg": 0.024, "perceptual": {"weight": 0.0}},
    "batch": 8,
    "grid": 4,
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    (root / "images").mkdir()
    for i, image in enumerate(blobs(12, 48, 3)):
        Image.fromarray(np.ascontiguousarray(image)).save(root / "images" / f"{i:02d}.png")
    options: dict[str, Any] = {"size": 48, "progress": False}
    return {
        "images": prep(root / "images", out=root / "plain", **options).path,
        "pairs": prep(root / "images", scale=4, out=root / "pairs", **options).path,
        "grey": prep(root / "images", channels=1, out=root / "grey", **options).path,
    }


def run(sets: dict[str, Path], place: Path | None, data: str = "images", kimg: float = 0.048, **options: Any) -> Any:
    changes = {**SMALL, **options.pop("changes", {})}
    return train(
        "realesrgan-x4", data=sets[data], out=place, overrides=changes, kimg=kimg, device="cpu", progress=False,
        **options,
    )  # fmt: skip


def test_a_training_that_was_stopped_goes_on_exactly(sets: dict[str, Path], tmp_path: Path) -> None:
    whole = run(sets, tmp_path / "whole")
    first = run(sets, tmp_path / "parts", kimg=0.016)
    again = train(resume=first, kimg=0.048, device="cpu", progress=False)
    assert again == first
    ours, theirs = (list_checkpoints(place)[-1] for place in (whole, first))
    names = sorted(f.name for f in ours.iterdir() if f.suffix == ".safetensors")
    assert names
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    recipe = read_config(theirs, check=False)["recipe"]
    assert recipe["data"]["degrade"]["second"]["sigma"] == [0.2, 1.5]
    with pytest.raises(GantoolsError, match=r"data\.degrade"):
        train(resume=first, kimg=0.1, overrides={"data.degrade.sinc": 0.1}, device="cpu", progress=False)


@pytest.mark.parametrize(
    ("data", "changes", "error", "words", "hint"),
    [
        ("pairs", {}, ConfigError, "holds inputs, and recipe realesrgan-x4 computes them", "data.degrade=null"),
        ("grey", {}, DataError, "1 channel", ""),
        ("images", {"data": {"crop": 32, "degrade": {"around": 20}}}, DataError, "smaller than the 52", "prep tiles"),
        ("images", {"data.degrade": None, "data.crop": 32}, DataError, "is no set of pairs", "prep tiles"),
        ("images", {"data.degrade": "real-esrgam"}, ConfigError, "real-esrgam", "real-esrgan"),
        ("images", {"data.degrade": {"first": {"sigmas": [1, 2]}}}, ConfigError, "unknown key", "sigma"),
        ("images", {"data": {"feed": "paired", "crop": None}}, ConfigError, "belongs to the feed `crops`", None),
    ],
)
def test_what_it_needs_and_does_not_have(
    sets: dict[str, Path], tmp_path: Path, data: str, changes: Any, error: Any, words: str, hint: str | None
) -> None:
    with pytest.raises(error) as found:
        run(sets, tmp_path, data, changes=changes)
    assert words in found.value.message and "\n" not in found.value.message
    assert hint is None or hint in (found.value.hint or "") + found.value.message


def test_a_name_stands_for_the_whole_section(sets: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="smaller than the 176"):
        run(sets, tmp_path, changes={"data": {"crop": 32, "degrade": "real-esrgan"}})
