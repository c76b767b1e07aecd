"""Images from a trained generator.

Image i is a function of (weights, seed, i) alone: its latent comes from a counter-based generator keyed by (seed, i),
and it is always computed at the same place of a batch of the same size. So the first 10 of 1,000 images are the 10
images that asking for 10 gives, bit for bit, on the same machine with the same batch size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.device import find_device
from gantools.errors import ConfigError
from gantools.levels import to_uint8
from gantools.models import SYSTEMS
from gantools.recipes.recipe import recipe_from_dict
from gantools.runs.checkpoint import read_config, read_weights
from gantools.runs.folders import find_checkpoint
from gantools.sampling.latents import latents

BATCH = 64


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
                images = to_uint8(network(z)).permute(0, 2, 3, 1).contiguous()
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
