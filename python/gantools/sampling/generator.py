"""Images from a trained generator.

Image i is a function of (weights, seed, i) alone: its latent comes from a counter-based generator keyed by (seed, i),
and it is always computed at the same place of a batch of the same size. So the first 10 of 1,000 images are the 10
images that asking for 10 gives, bit for bit, on the same machine with the same batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from gantools.models.system import System, classes_of
from gantools.recipes.recipe import recipe_from_dict
from gantools.runs.checkpoint import read_config, read_weights
from gantools.runs.folders import find_checkpoint
from gantools.sampling.latents import latents

BATCH = 64


@torch.no_grad()
def generate(
    system: System,
    networks: Mapping[str, nn.Module],
    seed: int,
    n: int,
    *,
    classes: int = 0,
    labels: Callable[[int, int], NDArray[np.int64]] | None = None,
    controls: Mapping[str, float] | None = None,
    batch: int = BATCH,
    first: int = 0,
    keep_mode: bool = False,
) -> Iterator[Tensor]:
    """Images first..first+n-1 of a system, as uint8 (<= batch, h, w, c) tensors on its device."""
    sampler = networks[system.sampler]
    device = next(sampler.parameters()).device
    chosen = {control.name: control.default for control in system.controls} | dict(controls or {})
    modes = {name: network.training for name, network in networks.items()}
    if not keep_mode:
        for network in networks.values():
            network.eval()
    try:
        for start in range(first, first + n, batch):
            # Always a full batch, so that a row's arithmetic does not depend on how many images were asked for.
            z = torch.from_numpy(latents(seed, start, batch, int(sampler.latent))).to(device)  # type: ignore[arg-type]
            y = None
            if classes:
                y = torch.arange(start, start + batch, device=device) % classes
            with _repeatable():
                images = to_uint8(system.render(networks, z, y, chosen)).permute(0, 2, 3, 1).contiguous()
            yield images[: first + n - start]
    finally:
        for name, network in networks.items():
            network.train(modes[name])


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

    def __init__(self, networks: Mapping[str, nn.Module], checkpoint: Path, config: dict[str, Any]) -> None:
        self.networks, self.checkpoint = networks, checkpoint
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
        built = recipe.system.build(recipe.network)
        networks = {name: built[name].eval().requires_grad_(False) for name in recipe.system.shows}
        for name, network in networks.items():
            averaged = f"{name}_ema.safetensors" in config["files"]
            read_weights(checkpoint, f"{name}_ema" if averaged else name, network)
            network.to(find_device(device))
            if recipe.compute.channels_last:
                network.to(memory_format=torch.channels_last)
        return cls(networks, checkpoint, config)

    def batches(self, n: int, seed: int = 0, *, batch: int = BATCH) -> Iterator[NDArray[np.uint8]]:
        """As `sample`, in pieces of at most `batch` images."""
        if n < 1:
            raise ConfigError(f"n: must be at least 1, not {n}.")
        if batch < 1:
            raise ConfigError(f"batch: must be at least 1, not {batch}.")
        if not 0 <= seed < 1 << 63:
            raise ConfigError(f"seed: must be in [0, 2**63), not {seed}.")
        for images in generate(
            self.recipe.system, self.networks, seed, n, batch=batch, classes=classes_of(self.recipe.network)
        ):
            yield images.cpu().numpy()

    def numbered(self, first: int, n: int, seed: int = 0) -> NDArray[np.uint8]:
        """Images first..first+n-1 of those that `seed` gives, uint8 (n, h, w, c)."""
        classes = classes_of(self.recipe.network)
        made = generate(self.recipe.system, self.networks, seed, n, first=first, classes=classes)
        return np.concatenate([images.cpu().numpy() for images in made])

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
