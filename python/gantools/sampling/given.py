"""What commands that sample are given, a run and latents, and what their manifests say of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.runs.checkpoint import versions
from gantools.sampling.generator import Generator
from gantools.sampling.latents import read_latents
from gantools.sampling.options import Options


def load_sampler(run: str | Path | None, checkpoint: str | float = "last", device: str | None = None) -> Generator:
    """`Generator.load`, of a run whose images are made from latents.

    Raises:
        CheckpointError: there is none, or it is damaged.
        ConfigError: its images are made from images.
    """
    generator = Generator.load(run, checkpoint, device=device)
    generator.check_samples()
    return generator


def origin(generator: Generator, said: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """What a manifest says of how images were made: of which run, `said`, and by which options."""
    label, directions = generator.class_number(options.get("class_")), options.get("directions")
    return {
        "run": str(generator.run.absolute()),
        "checkpoint": generator.checkpoint.absolute().name,
        "recipe": generator.recipe.name,
        **said,
        **({} if label is None or generator.classes is None else {"class": generator.classes[label]}),
        **({"controls": generator.controls(options.get("controls"))} if generator.system.controls else {}),
        **({"directions": dict(directions)} if directions else {}),
        "data": {key: generator.data[key] for key in ("path", "name", "fingerprint")},
        "versions": versions(),
    }


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
