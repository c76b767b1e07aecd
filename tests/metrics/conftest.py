"""Real images and weights for the scoring tests, unpacked once a session."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(private_cache: Path) -> Path:
    """Every test here has its own cache folder."""
    return private_cache


def _write_pngs(folder: Path, images: NDArray[np.uint8]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(folder / f"{i:06d}.png")
    return folder


@pytest.fixture(scope="session")
def write_pngs() -> Callable[[Path, NDArray[np.uint8]], Path]:
    """write_pngs(folder, images) -> folder with 000000.png and so on."""
    return _write_pngs


@pytest.fixture(scope="session")
def pictures() -> Callable[..., NDArray[np.uint8]]:
    """pictures(n, size, channels, seed) -> uint8 (n, size, size, channels): smooth waves, each of its own colour."""

    def make(n: int, size: int = 32, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:size, 0:size, 0:1][:2] / size
        fx, fy, phase = rng.uniform(0, 6, (3, n, 1, 1, channels))
        return np.round(127.5 + 127.5 * np.sin(2 * fx * x + 2 * fy * y + phase)).astype(np.uint8)

    return make


@pytest.fixture
def make_samples(tmp_path: Path) -> Callable[..., Path]:
    """make_samples(images, data=PreparedSet or None, kind="png") -> a samples folder as `gantools sample` writes it."""

    def make(images: NDArray[np.uint8], data: Any = None, kind: str = "png", **changes: Any) -> Path:
        folder = tmp_path / "samples"
        folder.mkdir(exist_ok=True)
        if kind == "npy":
            np.save(folder / "samples.npy", images)
        else:
            _write_pngs(folder, images)
        Image.new("RGB", (200, 200), "red").save(folder / "grid.png")
        manifest: dict[str, Any] = {
            "format": "gantools-samples",
            "version": 1,
            "count": len(images),
            "shape": list(images.shape[1:]),
            "format_images": kind,
            "run": "runs/00000-dcgan-blobs",
            "checkpoint": "final",
            "recipe": "dcgan",
            "seed": 0,
            "versions": {},
        }
        if data is not None:
            manifest["data"] = {"path": str(data.path), "name": data.name, "fingerprint": data.fingerprint}
        manifest.update(changes)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


@pytest.fixture(scope="session")
def basicsr() -> Iterator[Callable[[str], Any]]:
    """basicsr("metrics.niqe") -> that module of BasicSR; skips where it is not installed.

    It is read without running its packages' `__init__`, which need a torchvision older than any that gantools knows:
    `pip install --no-deps --no-build-isolation basicsr==1.4.2 opencv-python-headless`.
    """
    spec = importlib.util.find_spec("basicsr")
    if spec is None or spec.submodule_search_locations is None or importlib.util.find_spec("cv2") is None:
        pytest.skip("needs basicsr 1.4.2 and opencv-python-headless")
    root = Path(spec.submodule_search_locations[0])
    for name in ("basicsr", "basicsr.metrics", "basicsr.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.modules["basicsr.utils"].bgr2ycbcr = importlib.import_module("basicsr.utils.color_util").bgr2ycbcr
        yield lambda name: importlib.import_module(f"basicsr.{name}")
    for name in [n for n in sys.modules if n.split(".")[0] == "basicsr"]:
        del sys.modules[name]
