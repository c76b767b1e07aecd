"""From what the user asked for to a job: recipe, data and device, checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gantools.data.prepared import MANIFEST, PreparedSet, is_prepared, read_manifest
from gantools.device import find_device
from gantools.errors import CheckpointError, ConfigError, DataError
from gantools.recipes import recipe_names
from gantools.recipes.recipe import Recipe, load_recipe, parse_overrides, recipe_from_dict
from gantools.runs.checkpoint import read_config, versions
from gantools.runs.folders import RUNS, newest_checkpoint, newest_run

DATA = Path("data")


@dataclass(frozen=True)
class Job:
    """One training, ready to start; `checkpoint` is where it goes on, None at the beginning."""

    recipe: Recipe
    data: PreparedSet
    device: torch.device
    out: Path  # the folder of runs
    checkpoint: Path | None = None

    @property
    def title(self) -> str:
        """The run folder's name without its number."""
        data = re.sub(r"[^\w.-]", "_", self.data.name)
        return f"{self.recipe.name}-{data}"

    @property
    def total_nimg(self) -> int:
        """Real images that will have been shown at the end: the recipe's length in whole batches."""
        batch = self.recipe.batch
        return -(-self.recipe.total_nimg(len(self.data)) // batch) * batch

    def config(self) -> dict[str, Any]:
        """What a checkpoint and the run's `config.yaml` record: recipe and data as plain values."""
        data = {
            "path": str(self.data.path.absolute()),
            "name": self.data.name,
            "fingerprint": self.data.fingerprint,
            "count": len(self.data),
            "shape": list(self.data.shape),
        }
        return {"recipe": self.recipe.to_dict(), "data": data}

    def record(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`."""
        return {**self.config(), "device": str(self.device), "versions": versions()}


def resolve(
    recipe: str | Path | None,
    *,
    data: str | Path | None,
    out: str | Path | None,
    changes: Mapping[str, Any],
    overrides: Mapping[str, Any] | Sequence[str],
    resume: str | Path | bool | None,
    device: str | None,
) -> Job:
    """Check everything and open the data.

    Args:
        changes: overrides that have an option of their own (`batch`, `kimg`, ...); None means not given.
        resume: a run, or True for the newest run in `out`.
        recipe, data, out, overrides, device: as in `gantools.train`.

    Raises:
        ConfigError, DataError, CheckpointError: what was asked for is wrong or not there.
    """
    runs = RUNS if out is None else Path(out)
    asked = {**parse_overrides(overrides), **{key: value for key, value in changes.items() if value is not None}}
    found = find_device(device)
    checkpoint = None
    if resume is None or resume is False:
        if recipe is None:
            raise ConfigError(
                "which recipe?", f"For example: gantools train dcgan. Recipes: {', '.join(recipe_names())}."
            )
        resolved = load_recipe(recipe, asked)
        dataset = open_data(data, resolved)
    else:
        run = newest_run(runs) if resume is True else Path(resume)
        if not run.is_dir():
            raise CheckpointError(f"{run}: no such run.", "Give a run, for example runs/00000-dcgan-celeba-64.")
        checkpoint = newest_checkpoint(run)
        runs = run.parent
        resolved, dataset = _resumed(checkpoint, recipe, data, asked)
    if resolved.precision == "bfloat16" and found.type != "cuda":
        raise ConfigError("precision: bfloat16 needs CUDA.", "Add --set precision=float32.")
    return Job(resolved, dataset, found, runs, checkpoint)


def _resumed(
    checkpoint: Path, recipe: str | Path | None, data: str | Path | None, asked: Mapping[str, Any]
) -> tuple[Recipe, PreparedSet]:
    """Recipe and data of a checkpoint; only the length of the training may be another than before."""
    config = read_config(checkpoint)
    for key in asked:
        if key not in ("epochs", "kimg"):
            raise ConfigError(
                f"--resume goes on with the run's own settings; {key} cannot be changed.",
                "Only --epochs and --kimg can. To train with other settings, start a new run.",
            )
    resolved = recipe_from_dict(config["recipe"], str(checkpoint), overrides=asked)
    if recipe is not None and str(recipe) != resolved.name:
        raise ConfigError(f"{checkpoint.parent.parent}: trained by recipe {resolved.name!r}, not {str(recipe)!r}.")
    dataset = open_data(config["data"]["path"] if data is None else data, resolved)
    if dataset.fingerprint != config["data"]["fingerprint"]:
        raise DataError(
            f"{dataset.path}: other images than the run was trained on.", "Give the set it was trained on with --data."
        )
    return resolved, dataset


def open_data(data: str | Path | None, recipe: Recipe) -> PreparedSet:
    """The prepared set at `data`, or the only one under ./data that fits the recipe.

    Raises:
        DataError: none there, several fit, or its images have another shape.
    """
    h, w, c = recipe.image_shape
    wanted = f"{h}x{w}x{c}"
    if data is not None:
        dataset = PreparedSet(data)
        if dataset.shape != recipe.image_shape:
            raise DataError(
                f"{data}: holds {'x'.join(map(str, dataset.shape))} images, recipe {recipe.name} takes {wanted}.",
                f"Prepare a fitting set: {recipe.prep}",
            )
    else:
        sets = [p.parent for p in sorted(DATA.glob(f"*/{MANIFEST}")) if is_prepared(p.parent)]
        fitting = [p for p in sets if tuple(read_manifest(p)["shape"]) == recipe.image_shape]
        if not fitting:
            others = f" It has {', '.join(map(str, sets))}, of other shapes." if sets else ""
            raise DataError(
                f"no prepared set of {wanted} images in ./{DATA}/.{others}",
                f"Prepare one: {recipe.prep}\nOr give its place with --data.",
            )
        if len(fitting) > 1:
            raise DataError(
                f"several prepared sets in ./{DATA}/ fit: {', '.join(map(str, fitting))}.",
                f"Choose one, for example: --data {fitting[0]}",
            )
        dataset = PreparedSet(fitting[0])
    if len(dataset) == 0:
        raise DataError(f"{dataset.path}: has no images.")
    return dataset
