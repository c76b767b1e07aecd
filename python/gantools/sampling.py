"""Images from a trained generator.

Image i is a function of (weights, seed, i) alone: its latent comes from a counter-based generator keyed by (seed, i),
and it is always computed at the same place of a batch of the same size. So the first 10 of 1,000 images are the 10
images that asking for 10 gives, bit for bit, on the same machine with the same batch size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools import _native
from gantools.device import find_device
from gantools.errors import ConfigError, DataError
from gantools.files import whole_folder, write_json
from gantools.grid import write_grid
from gantools.models import SYSTEMS
from gantools.training.checkpoint import read_config, read_weights, versions
from gantools.training.config import recipe_from_dict
from gantools.training.runs import find_checkpoint

FORMAT = "gantools-samples"
FORMAT_VERSION = 1
BATCH = 64
# Images in `grid.png`: more are too small to judge.
GRID = 64


def latents(seed: int, start: int, n: int, dim: int) -> NDArray[np.float32]:
    """Latents N(0, 1) of images start..start+n-1, float32 (n, dim); row i depends on (seed, start + i) alone."""
    rows = np.empty((n, dim), np.float32)
    for i in range(n):
        key = np.array([seed, start + i], np.uint64)
        np.random.Generator(np.random.Philox(key=key)).standard_normal(out=rows[i], dtype=np.float32)
    return rows


def to_uint8(images: Tensor) -> Tensor:
    """Images float (n, c, h, w) in [-1, 1] -> uint8 (n, h, w, c): floor(127.5 x + 128), clamped to [0, 255].

    That is 127.5 x + 127.5 rounded to the nearest, the inverse of x / 127.5 - 1. Files and scores use this one.
    """
    return images.float().mul(127.5).add_(128.0).clamp_(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


@torch.no_grad()
def generate(network: nn.Module, seed: int, n: int, *, batch: int = BATCH, first: int = 0) -> Iterator[Tensor]:
    """Images first..first+n-1 of a generator in evaluation mode, as uint8 (<= batch, h, w, c) tensors on its device.

    They are those of a run from image 0 bit for bit where `first` is a multiple of `batch`.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    try:
        for start in range(0, n, batch):
            # Always a full batch, so that a row's arithmetic does not depend on how many images were asked for.
            z = torch.from_numpy(latents(seed, first + start, batch, int(network.latent))).to(device)  # type: ignore[arg-type]
            with _repeatable():
                images = to_uint8(network(z))
            yield images[: n - start]
    finally:
        network.train(was_training)


@contextmanager
def _repeatable() -> Iterator[None]:
    """Full float32 and no algorithm chosen by timing on CUDA: the next start on this machine gives the same bits."""
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)


class Generator:
    """A trained generator. Make one with `Generator.load`.

    Attributes:
        network: the torch module, in evaluation mode; latents float (n, latent) -> images float (n, c, h, w).
        checkpoint: the folder it was loaded from.
        recipe: the recipe it was trained by.
        data: `path`, `name`, `fingerprint`, `count` and `shape` of the prepared set it was trained on.
        image_shape: (h, w, c).
    """

    def __init__(self, network: nn.Module, checkpoint: Path, config: dict[str, Any]) -> None:
        self.network, self.checkpoint = network, checkpoint
        self.recipe = recipe_from_dict(config["recipe"], str(checkpoint))
        self.data: dict[str, Any] = config["data"]
        self.image_shape = self.recipe.image_shape

    @classmethod
    def load(cls, path: str | Path | None = None, *, device: str | None = None) -> Generator:
        """Load a generator: the averaged weights where the run has them, else the weights as trained.

        Args:
            path: a run (its newest checkpoint is taken), a checkpoint, a folder of runs (the newest); None: `./runs`.
            device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        checkpoint = find_checkpoint(path)
        config = read_config(checkpoint)
        recipe = recipe_from_dict(config["recipe"], str(checkpoint))
        network = SYSTEMS[recipe.model].build(recipe.network)["generator"].eval().requires_grad_(False)
        averaged = "generator_ema.safetensors" in config["files"]
        read_weights(checkpoint, "generator_ema" if averaged else "generator", network)
        network.to(find_device(device))
        if recipe.channels_last:
            network.to(memory_format=torch.channels_last)
        return cls(network, checkpoint, config)

    def batches(self, n: int, seed: int = 0, *, batch: int = BATCH) -> Iterator[NDArray[np.uint8]]:
        """As `sample`, in pieces of at most `batch` images."""
        if n < 1:
            raise ConfigError(f"n: must be at least 1, not {n}.")
        if batch < 1:
            raise ConfigError(f"batch: must be at least 1, not {batch}.")
        if not 0 <= seed < 1 << 63:
            raise ConfigError(f"seed: must be in [0, 2**63), not {seed}.")
        for images in generate(self.network, seed, n, batch=batch):
            yield images.cpu().numpy()

    def sample(self, n: int, seed: int = 0, *, batch: int = BATCH) -> NDArray[np.uint8]:
        """Generate images.

        Args:
            n: how many, at least 1.
            seed: in [0, 2**63). Image i depends on the weights, `seed` and i alone, not on `n`.
            batch: images computed at once; another batch size may change a pixel by 1.

        Returns:
            uint8 (n, h, w, c).
        """
        return np.concatenate(list(self.batches(n, seed, batch=batch)))


def sample(
    run: str | Path | None = None,
    *,
    n: int = 1000,
    seed: int = 0,
    out: str | Path = "samples",
    format: Literal["png", "npy"] = "png",
    grid: bool = False,
    batch: int = BATCH,
    device: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Generate images into a folder, with a `manifest.json` that says from what. The same call writes the same bytes.

    Args:
        run: as in `Generator.load`.
        n: how many images.
        seed: in [0, 2**63); image i does not depend on `n`.
        out: the folder to make.
        format: "png": `000000.png`, ...; "npy": one `samples.npy`, uint8 (n, h, w, c).
        grid: also write `grid.png`, the first 64 images in one.
        batch: images computed at once.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace `out` when it holds samples of gantools.

    Returns:
        The path of the folder.

    Raises:
        CheckpointError: no such run, or its checkpoint is damaged.
        DataError: `out` exists.
    """
    if format not in ("png", "npy"):
        raise ConfigError(f"format: expected png or npy, found {format!r}.")
    target = Path(out)
    _check_target(target, overwrite)
    generator = Generator.load(run, device=device)
    checkpoint = generator.checkpoint.absolute()
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "count": n,
        "shape": list(generator.image_shape),
        "format_images": format,
        "run": str(checkpoint.parent.parent),
        "checkpoint": checkpoint.name,
        "recipe": generator.recipe.name,
        "seed": seed,
        "data": {key: generator.data[key] for key in ("path", "name", "fingerprint")},
        "versions": versions(),
    }
    with whole_folder(target, overwrite=target.exists()) as folder:
        batches = generator.batches(n, seed, batch=batch)
        first = (
            _write_png(folder, batches) if format == "png" else _write_npy(folder, batches, n, generator.image_shape)
        )
        if grid:
            write_grid(folder / "grid.png", first)
        write_json(folder / "manifest.json", manifest)
    return target


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise DataError(
            f"{target}: exists already.", "Replace it with --overwrite, or choose another place with --out."
        )
    try:
        ours = json.loads((target / "manifest.json").read_bytes())["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise DataError(
            f"{target}: holds other things than samples of gantools; not replacing it.",
            "Choose another place with --out.",
        )


def _write_png(folder: Path, batches: Iterator[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Write each image as a PNG; returns the first images, for the grid."""
    first: list[NDArray[np.uint8]] = []
    done = 0

    def write(index: int, image: NDArray[np.uint8]) -> None:
        (folder / f"{index:06d}.png").write_bytes(_native.encode_png(image))

    with ThreadPoolExecutor() as pool:
        for images in batches:
            first.extend(images[: GRID - len(first)])
            list(pool.map(write, range(done, done + len(images)), images))
            done += len(images)
    return np.stack(first)


def _write_npy(
    folder: Path, batches: Iterator[NDArray[np.uint8]], n: int, shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Write all images as one array; returns the first images, for the grid."""
    first: list[NDArray[np.uint8]] = []
    # Not through a memory map: on a full disk writing to one kills the process.
    with (folder / "samples.npy").open("wb") as f:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, *shape)}
        np.lib.format.write_array_header_1_0(f, header)
        for images in batches:
            first.extend(images[: GRID - len(first)])
            f.write(np.ascontiguousarray(images).data)
    return np.stack(first)
