"""Fixtures that several test modules share."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

DATA_VARIABLE = "GANTOOLS_TEST_DATA"

TINY = """
description: a DCGAN that trains in milliseconds
source: test
target: none
prep: gantools prep blobs --size 8
model: dcgan
network: {size: 8, channels: 3, latent: 6, width: 4}
optim: {lr: 0.001}
batch: 8
kimg: 0.096
tick_kimg: 0.048
grid: 4
ema: {half_life_kimg: 0.02}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` are skipped where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets and weights; tests that need it are skipped where it is not given."""
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        pytest.skip(f"{DATA_VARIABLE} is not set: it names a folder with CelebA, MNIST and Inception weights")
    path = Path(value)
    assert path.is_dir(), f"{DATA_VARIABLE}={value} is not a folder"
    return path


def write_prepared(
    path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None, *, shard: int = 64
) -> Path:
    """A prepared set written with numpy alone, so that readers are tested without the writer."""
    path.mkdir(parents=True)
    shards = []
    for i, start in enumerate(range(0, len(images), shard)):
        part = np.ascontiguousarray(images[start : start + shard])
        np.save(path / f"images-{i:05d}.npy", part)
        digest = hashlib.blake2b(part.tobytes(), digest_size=8).hexdigest()
        shards.append({"file": f"images-{i:05d}.npy", "count": len(part), "xxh3": digest})
    manifest = {
        "format": "gantools-prepared-set",
        "version": 1,
        "name": path.name,
        "count": len(images),
        "shape": list(images.shape[1:]),
        "dtype": "uint8",
        "layout": "NHWC",
        "fingerprint": hashlib.blake2b(images.tobytes(), digest_size=16).hexdigest(),
        "shards": shards,
    }
    if labels is not None:
        np.save(path / "labels.npy", labels)
        manifest["labels"] = {"file": "labels.npy", "classes": [str(c) for c in range(int(labels.max()) + 1)]}
    (path / "names.jsonl").write_text("".join(json.dumps(f"{i:06d}.png") + "\n" for i in range(len(images))))
    (path / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return path


def blobs(n: int, size: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (n, size, size, channels): smooth random images, unlike noise so that a network can learn them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    cx, cy, r = rng.uniform(0.2, 0.8, (3, n, 1, 1, 1))
    base = np.exp(-((x[None, ..., None] - cx) ** 2 + (y[None, ..., None] - cy) ** 2) / (0.05 + 0.2 * r**2))
    tint = rng.uniform(0.3, 1.0, (n, 1, 1, channels))
    return np.round(base * tint * 255).astype(np.uint8)


def assert_same(a: Any, b: Any) -> None:
    """Nested plain values and tensors are equal to the bit."""
    import torch

    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def run_on_full_disk(largest: int, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `gantools ARGUMENTS` where no file may grow beyond `largest` bytes: as on a disk that fills up in the middle
    of a file."""
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, {largest}));"
        "from gantools.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Path]:
    """make_set(n, size, channels, name=...) -> path of a small prepared set."""

    def make(n: int = 96, size: int = 64, channels: int = 3, name: str = "blobs", classes: int = 0) -> Path:
        labels = np.arange(n) % classes if classes else None
        return write_prepared(tmp_path / "data" / name, blobs(n, size, channels), labels)

    return make


@pytest.fixture(scope="session")
def studio_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four hardly trained runs of different kinds: see `tests.studios`. Not to be changed."""
    from tests.studios import make_runs

    return make_runs(tmp_path_factory.mktemp("studio"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A recipe for 8x8x3 images: 12 steps of 8 images; two epochs of the 48 images of `make_set(48, 8)`."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and no weights in the environment."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("GANTOOLS_CACHE", str(cache))
    monkeypatch.delenv("GANTOOLS_INCEPTION_WEIGHTS", raising=False)
    return cache


@pytest.fixture(scope="session")
def inception_file(test_data: Path) -> Path:
    return test_data / "weights" / "inception-parity.pth"


@pytest.fixture(scope="session")
def celeba(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two disjoint folders of 256 CelebA JPEGs, 178x218."""
    folders = tuple(tmp_path_factory.mktemp(name) for name in ("celeba-a", "celeba-b"))
    with zipfile.ZipFile(test_data / "data/celeba/img_align_celeba.zip") as z:
        names = sorted(n for n in z.namelist() if n.endswith(".jpg"))
        for i, name in enumerate(names[:512]):
            (folders[i // 256] / Path(name).name).write_bytes(z.read(name))
    return folders[0], folders[1]


@pytest.fixture(scope="session")
def cifar(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 CIFAR-10 images as 32x32 PNGs."""
    folder = tmp_path_factory.mktemp("cifar")
    with tarfile.open(test_data / "data/cifar10/cifar10_jpg.tar") as tar:
        members = (m for m in tar if m.isfile() and m.name.endswith((".jpg", ".jpeg", ".png")))
        for i, member in zip(range(64), members, strict=False):
            stream = tar.extractfile(member)
            assert stream is not None
            Image.open(stream).convert("RGB").save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="session")
def fashion_images(test_data: Path) -> NDArray[np.uint8]:
    """The 10,000 Fashion-MNIST test images, uint8 (n, 28, 28)."""
    raw = gzip.decompress((test_data / "data/fashion/t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
