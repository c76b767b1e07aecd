"""What commands that sample are given: a run, and latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools.sampling.generator import Generator
from gantools.sampling.latents import read_latents


def load_sampler(run: str | Path | None, checkpoint: str | float = "last", device: str | None = None) -> Generator:
    """`Generator.load`, of a run whose images are made from latents.

    Raises:
        CheckpointError: there is none, or it is damaged.
        ConfigError: its images are made from images.
    """
    generator = Generator.load(run, checkpoint, device=device)
    generator.check_samples()
    return generator


def given_latents(
    latents: str | Path | NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32] | None, dict[str, str]]:
    """Latents in a file or an array, None for None; and what a manifest says of them.

    Raises:
        DataError: the file is not one of latents.
    """
    if latents is None:
        return None, {}
    if isinstance(latents, str | Path):
        return read_latents(Path(latents)), {"latents": str(latents)}
    return latents, {"latents": "an array"}
