"""The file of a network that was trained elsewhere is part of a training: recorded, and refused when it is another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from tests.conftest import blobs

from gantools import prep
from gantools.errors import CheckpointError
from gantools.pretrained.weights import sha256_of
from gantools.runs.checkpoint import read_config
from gantools.runs.layout import list_checkpoints
from gantools.training.run import train


def vgg_file(path: Path, seed: int) -> Path:
    """The two first layers of VGG19 with random weights, as torchvision keys them."""
    torch.manual_seed(seed)
    shapes = {"features.0": (64, 3, 3, 3), "features.2": (64, 64, 3, 3)}
    state = {f"{key}.weight": 0.05 * torch.randn(shape) for key, shape in shapes.items()}
    torch.save({**state, **{f"{key}.bias": torch.zeros(64) for key in shapes}}, path)
    return path


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    images = tmp_path / "images"
    images.mkdir()
    for i, image in enumerate(blobs(8, 32, 3)):
        Image.fromarray(image).save(images / f"{i}.png")
    data = prep(images, size=32, scale=4, out=tmp_path / "data", progress=False).path
    return {"data": data, "out": tmp_path / "runs", "device": "cpu", "progress": False}


def test_another_file_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    ours, other = vgg_file(tmp_path / "ours.pth", 0), vgg_file(tmp_path / "other.pth", 1)
    changes = {
        "network": {"size": 32, "width": 4, "blocks": 1, "judge_width": 4, "judge_hidden": 8},
        "game": {"pretrain_kimg": 0, "perceptual": {"layer": "relu1_2", "weights": str(ours)}},
        "data.crop": 32,
        "batch": 4,
        "grid": 4,
        "ema.half_life_kimg": None,
    }
    run = train("srgan-x4", kimg=0.008, overrides=changes, **options)
    assert run is not None
    record = {"features": sha256_of(ours)}
    assert yaml.safe_load((run / "config.yaml").read_text())["pretrained"] == record
    assert read_config(list_checkpoints(run)[-1])["pretrained"] == record
    message = f"features: its file is another .* {sha256_of(other)[:12]}.*{sha256_of(ours)[:12]}"
    again = {"resume": run, "device": "cpu", "progress": False}
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(CheckpointError, match=message) as e:
        train(kimg=0.016, overrides={"game.perceptual.weights": str(other)}, **again)
    assert "--init-from" in (e.value.hint or "") and "\n" not in e.value.message
    assert (run / "config.yaml").read_bytes() == before
    shutil.copy(ours, tmp_path / "moved.pth")  # the same file somewhere else is the same
    assert train(kimg=0.012, overrides={"game.perceptual.weights": str(tmp_path / "moved.pth")}, **again) == run
    shutil.copy(other, tmp_path / "moved.pth")
    with pytest.raises(CheckpointError, match=message):
        train(kimg=0.016, **again)
    changes["game"]["perceptual"]["weights"] = str(other)
    assert train("srgan-x4", kimg=0.004, init_from=run, overrides=changes, **options) is not None
