"""The classifier that ships: its accuracy, its file, its training script."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from gantools.data.sources.idx import read_idx
from gantools.errors import WeightsError
from gantools.pretrained import fashion as fc


def test_the_shipped_weights_reach_the_stated_accuracy(test_data: Path, fashion_images: NDArray[np.uint8]) -> None:
    labels = read_idx(test_data / "data/fashion/t10k-labels-idx1-ubyte.gz", 1)
    # 0.001 is ten images: what another machine's rounding may tip.
    assert fc.accuracy(fc.load(), fashion_images, labels) == pytest.approx(fc.ACCURACY, abs=0.001)
    assert fc.ACCURACY >= 0.915


def test_the_shipped_file_is_small_and_says_how_it_was_made() -> None:
    assert fc.weights_path().stat().st_size < 500_000
    with safe_open(fc.weights_path(), framework="pt") as f:
        note = json.loads(f.metadata()["gantools"])
    assert note["test_accuracy"] == fc.ACCURACY
    assert {"epochs", "seed", "batch", "data"} <= note.keys()


def test_features_are_those_before_the_last_layer() -> None:
    net = fc.load()
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    x = torch.rand(5, 1, 28, 28) * 255
    features = net.features(x)
    assert features.shape == (5, fc.FEATURES) and (features >= 0).all()
    torch.testing.assert_close(net.head(features), net(x))


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no weights")
    (tmp_path / "cut").write_bytes(fc.weights_path().read_bytes()[:5000])
    for name in ("text", "cut", "missing"):
        with pytest.raises(WeightsError, match=name):
            fc.load(tmp_path / name)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_the_training_script_learns(tmp_path: Path) -> None:
    """Two classes that a glance tells apart, learned in one short run from the command line."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1280).astype(np.uint8)
    images = rng.integers(0, 60, (1280, 28, 28)).astype(np.uint8)
    images[labels == 1, 8:20, 8:20] += 150
    for prefix, rows in (("train", slice(0, 1024)), ("t10k", slice(1024, None))):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images[rows])
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", labels[rows])
    tool = Path(__file__).parents[2] / "tools" / "train_fashion_classifier.py"
    script = [sys.executable, str(tool), "--source", str(tmp_path)]
    out = tmp_path / "weights.safetensors"
    done = subprocess.run([*script, "--out", str(out), "--epochs", "5"], capture_output=True, text=True, check=True)
    reached = float(done.stdout.rsplit(maxsplit=1)[-1])
    assert reached > 0.95, done
    assert fc.accuracy(fc.load(out), images[1024:], labels[1024:]) == pytest.approx(reached, abs=1e-4)
