"""From what the user asked for to a job: recipe, data and device, checked before anything is written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gantools.data.enlarged import generated_note
from gantools.data.feeds.second import open_second
from gantools.data.prepared import MANIFEST, PreparedSet, is_prepared, read_manifest
from gantools.device import find_device
from gantools.errors import CheckpointError, ConfigError, DataError, GantoolsError
from gantools.models.system import ANNOTATED, classes_of
from gantools.recipes import recipe_names
from gantools.recipes.recipe import Recipe, load_recipe, parse_overrides, recipe_from_dict
from gantools.recipes.strict import differences, to_plain
from gantools.runs.checkpoint import newest_whole_checkpoint, read_config, versions
from gantools.runs.folders import RECORD, RUNS, find_checkpoint, list_runs, newest_run
from gantools.runs.layout import CHECKPOINTS, CONFIG

DATA = Path("data")

# What a resumed training may not change: the networks would be others, or the order of the images would.
FIXED = (
    *("name", "model", "network", "seed"),
    *(f"data.{key}" for key in ("feed", "flip", "balance", "crop", "turn", "degrade", "frames")),
)
# What changes no number of a training.
HARMLESS = (
    "epochs",
    "kimg",
    "tick_kimg",
    "tick_epochs",
    "reported",
    "grid",
    "keep",
    "track",
    "eval",
    "health",
    "description",
    "source",
    "target",
    "prep",
)


@dataclass(frozen=True)
class Job:
    """One training, ready to start.

    Attributes:
        recipe: what to train.
        data: on what.
        inputs: what an image-to-image generator starts from; None where it needs nothing else.
        device: where.
        out: the folder of runs.
        checkpoint: where it goes on; None at the beginning.
        run: the run that it goes on with; None: a new one is made.
        start: the checkpoint whose weights a new run begins with.
        parent: the checkpoint that the run began with, of a training that goes on.
        changes: what is another than before, of a training that goes on: (key, before, now).
        notes: lines about what was chosen for the user.
    """

    recipe: Recipe
    data: PreparedSet
    device: torch.device
    out: Path
    inputs: PreparedSet | None = None
    checkpoint: Path | None = None
    run: Path | None = None
    start: Path | None = None
    parent: str | None = None
    changes: tuple[tuple[str, Any, Any], ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = field(default=())

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
        config: dict[str, Any] = {"recipe": self.recipe.to_dict(), "data": _record(self.data)}
        if self.inputs is not None:
            config["inputs"] = _record(self.inputs)
        begun = self.start or (self.checkpoint if self.run is None else None)
        parent = self.parent if begun is None else str(begun.absolute())
        if parent is not None:
            config["parent"] = parent
        if self.history:
            config["history"] = list(self.history)
        return config

    def record(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`."""
        return {**self.config(), "device": str(self.device), "versions": versions()}


def _record(data: PreparedSet) -> dict[str, Any]:
    inputs = data.inputs
    return {
        **({} if inputs is None else {"inputs": inputs.fingerprint}),
        "path": str(data.path.absolute()),
        "name": data.name,
        "fingerprint": data.fingerprint,
        "count": len(data),
        "shape": list(data.shape),
        "classes": data.classes,
    }


def resolve(
    recipe: str | Path | None,
    *,
    data: str | Path | None,
    inputs: str | Path | None = None,
    out: str | Path | None,
    changes: Mapping[str, Any],
    overrides: Mapping[str, Any] | Sequence[str],
    resume: str | Path | bool | None,
    init_from: str | Path | None = None,
    device: str | None,
) -> Job:
    """Check everything and open the data.

    Args:
        changes: overrides that have an option of their own (`batch`, `kimg`, ...); None means not given.
        resume: a run, a checkpoint of one, a folder of runs, or True for the newest run in `out`.
        recipe, data, inputs, out, overrides, init_from, device: as in `gantools.train`.

    Raises:
        ConfigError, DataError, CheckpointError: what was asked for is wrong or not there.
    """
    runs = RUNS if out is None else Path(out)
    asked = {**parse_overrides(overrides), **{key: value for key, value in changes.items() if value is not None}}
    found = find_device(device)
    if resume is not None and resume is not False:
        if init_from is not None:
            raise ConfigError(
                "--resume and --init-from: one or the other.",
                "--resume goes on with a run, --init-from starts a new one with its weights.",
            )
        return _resumed(recipe, data, inputs, runs, asked, resume, found)
    if recipe is None:
        raise ConfigError("which recipe?", f"For example: gantools train dcgan. Recipes: {', '.join(recipe_names())}.")
    resolved = load_recipe(_no_run(recipe), asked)
    dataset, resolved, notes = open_data(data, resolved, asked)
    second = open_inputs(inputs, resolved, dataset)
    start = None if init_from is None else find_checkpoint(init_from)
    return Job(resolved, dataset, found, runs, second, start=start, notes=tuple(notes))


def _no_run(recipe: str | Path) -> str | Path:
    """`recipe`, unless it is the folder of a run.

    Raises:
        ConfigError: it is one.
    """
    path = Path(recipe)
    if path.is_dir() and (path / CONFIG).is_file():
        raise ConfigError(
            f"{recipe}: is a checkpoint or an exported model, not a recipe.",
            f"To train its recipe again: gantools recipes show {recipe} > mine.yaml, then gantools train mine.yaml",
        )
    if path.is_dir() and (path / "config.yaml").is_file():
        raise ConfigError(
            f"{recipe}: is a run, not a recipe.",
            f"Go on with it: gantools train --resume {recipe}\n"
            f"Or train its recipe again: gantools train {path / 'config.yaml'}",
        )
    return recipe


def _resumed(
    recipe: str | Path | None,
    data: str | Path | None,
    inputs: str | Path | None,
    runs: Path,
    asked: Mapping[str, Any],
    resume: str | Path | bool,
    device: torch.device,
) -> Job:
    """A training that goes on; what it may not change is refused, what it changes is listed."""
    run, checkpoint = _place(resume, runs, None if recipe is None else str(recipe))
    place = checkpoint.parent.parent
    config = read_config(checkpoint)
    if "imported" in config:
        raise CheckpointError(
            f"{place}: holds weights of another program, no training to go on with.",
            f"Begin one with them: gantools train {place / RECORD} --init-from {place}",
        )
    before = recipe_from_dict(config["recipe"], str(checkpoint))
    after = recipe_from_dict(config["recipe"], str(checkpoint), overrides=asked)
    if recipe is not None and str(recipe) != before.name:
        raise ConfigError(f"{place}: trained by recipe {before.name!r}, not {str(recipe)!r}.")
    changed = list(differences(before.to_dict(), after.to_dict()))
    for key, old, _ in changed:
        if any(key == fixed or key.startswith(f"{fixed}.") for fixed in FIXED):
            raise ConfigError(
                f"--resume goes on with the run's own networks and order of images; {key} cannot be changed ({old!r}).",
                "To train with another one, start a new run; --init-from RUN begins it with this run's weights.",
            )
    told = [d for d in changed if not any(d[0] == key or d[0].startswith(f"{key}.") for key in HARMLESS)]
    dataset = _same_set(data, config["data"], "--data")
    second = None
    if "inputs" in config:
        second = _same_set(inputs, config["inputs"], "--inputs")
    elif inputs is not None:
        raise ConfigError(f"--inputs: {before.name} was trained without a second set.", "Leave it out.")
    else:
        second = open_inputs(None, after, dataset)
    history = [*config.get("history", [])]
    history += [{"nimg": config["nimg"], "changed": {key: [old, new] for key, old, new in told}}] if told else []
    return Job(
        after,
        dataset,
        device,
        place.parent,
        second,
        checkpoint,
        run,
        parent=config.get("parent"),
        changes=tuple(told),
        history=tuple(history),
    )


def _place(resume: str | Path | bool, runs: Path, recipe: str | None) -> tuple[Path | None, Path]:
    """(the run to go on with, the checkpoint to begin at); a checkpoint that was named begins a new run."""
    if resume is True:
        run = newest_run(runs, recipe)
        return run, newest_whole_checkpoint(run)
    path = Path(str(resume))
    if not path.is_dir():
        hint = "Give a run, for example runs/00000-dcgan-celeba-64."
        if str(resume) in recipe_names():
            hint = f"To go on with the newest run of that recipe: gantools train {resume} --resume"
        raise CheckpointError(f"{path}: no such run.", hint)
    if (path / CONFIG).is_file():
        return None, path
    if not (path / CHECKPOINTS).is_dir() and list_runs(path):
        path = newest_run(path, recipe)
    return path, newest_whole_checkpoint(path)


def _same_set(given: str | Path | None, record: Mapping[str, Any], option: str) -> PreparedSet:
    """The set that a checkpoint was trained on, at its place or at `given`."""
    place = Path(record["path"]) if given is None else Path(given)
    if given is None and not is_prepared(place):
        raise DataError(
            f"{place}: the set that the run was trained on is not there any more.", f"Say where it is: {option} PATH"
        )
    dataset = PreparedSet(place)
    inputs = None if dataset.inputs is None else dataset.inputs.fingerprint
    if dataset.fingerprint != record["fingerprint"] or inputs != record.get("inputs"):
        raise DataError(
            f"{dataset.path}: other images than the run was trained on.",
            f"Give the set it was trained on with {option}; --init-from starts a new run on other images.",
        )
    return dataset


def open_data(
    data: str | Path | None, recipe: Recipe, asked: Mapping[str, Any]
) -> tuple[PreparedSet, Recipe, list[str]]:
    """The prepared set at `data`, or the only one under ./data that fits, and the recipe made to fit it.

    The size, channels and number of classes of the networks follow the data, unless the user set them.

    Raises:
        DataError: none there, several fit, or its images have a shape that the recipe cannot take.
    """
    if data is not None:
        dataset = PreparedSet(data)
    else:
        sets = [p.parent for p in sorted(DATA.glob(f"*/{MANIFEST}")) if is_prepared(p.parent)]
        shapes = {p: tuple(read_manifest(p)["shape"]) for p in sets}
        fitting = [p for p, shape in shapes.items() if shape == recipe.image_shape]
        if not fitting:
            fitting = [p for p, shape in shapes.items() if _fits(recipe, shape, asked)]
        wanted = "x".join(map(str, recipe.image_shape))
        if not fitting:
            others = f" It has {', '.join(map(str, sets))}, of other shapes." if sets else ""
            prep = recipe.prep or f"gantools prep FOLDER --size {recipe.image_shape[0]}"
            raise DataError(
                f"no prepared set of {wanted} images in ./{DATA}/.{others}",
                f"Prepare one: {prep}\nOr give its place with --data.",
            )
        if len(fitting) > 1:
            raise DataError(
                f"several prepared sets in ./{DATA}/ fit: {', '.join(map(str, fitting))}.",
                f"Choose one, for example: --data {fitting[0]}",
            )
        dataset = PreparedSet(fitting[0])
    if len(dataset) == 0:
        raise DataError(f"{dataset.path}: has no images.")
    resolved, notes = fitted(recipe, dataset, asked)
    generated = generated_note(dataset)
    return dataset, resolved, [*([] if generated is None else [f"{dataset.path}: {generated}"]), *notes]


def _fits(recipe: Recipe, shape: tuple[int, ...], asked: Mapping[str, Any]) -> bool:
    h, w, c = shape
    try:
        _with_shape(recipe, (h, w, c), asked)
    except GantoolsError:
        return False
    return True


def _with_shape(recipe: Recipe, shape: tuple[int, int, int], asked: Mapping[str, Any]) -> Recipe:
    """`recipe` with networks for images of `shape`; ConfigError or DataError where they cannot be."""
    if (side := recipe.data.read_side) is not None:
        if min(shape[:2]) < side:
            raise DataError(
                f"images of {shape[0]}x{shape[1]} pixels are smaller than the {side} that are read of them."
            )
        return recipe
    h, w, c = shape
    names = {f.name for f in dataclasses.fields(recipe.network)}
    free = {key for key in ("size", "channels") if key in names and f"network.{key}" not in asked}
    if "network" in asked and isinstance(asked["network"], Mapping):
        free -= asked["network"].keys()
    values: dict[str, Any] = {}
    if "size" in free and h == w:
        values["size"] = h
    if "channels" in free:
        values["channels"] = c
    changed = dataclasses.replace(recipe, network=dataclasses.replace(recipe.network, **values))
    if changed.image_shape != shape:
        wanted = "x".join(map(str, changed.image_shape))
        raise DataError(f"holds {h}x{w}x{c} images, recipe {recipe.name} takes {wanted}.")
    return changed


def _names(asked: Mapping[str, Any], key: str) -> bool:
    """Whether the user has set this key of `network`."""
    section = asked.get("network")
    return f"network.{key}" in asked or (isinstance(section, Mapping) and key in section)


def fitted(recipe: Recipe, data: PreparedSet, asked: Mapping[str, Any]) -> tuple[Recipe, list[str]]:
    """`recipe` with networks that fit `data`, and a line for each key that was changed for it.

    Raises:
        DataError: it cannot be made to fit; or it needs classes that the set does not have.
    """
    prep = f"Prepare a fitting set: {recipe.prep}" if recipe.prep else "Prepare a set of that shape: gantools prep"
    try:
        changed = _with_shape(recipe, data.shape, asked)
    except (ConfigError, DataError) as e:
        h, w, c = data.shape
        reason = e.message if isinstance(e, DataError) else f"holds {h}x{w}x{c} images: {e.message}"
        raise DataError(f"{data.path}: {reason}", prep) from None
    classes = classes_of(changed.network)
    if classes and data.labels is None:
        off = " Or train without them: --set network.classes=0"
        raise DataError(
            f"{data.path}: has no labels, and recipe {recipe.name} trains with {classes} classes.",
            f"Prepare a set with labels (a folder a class, or gantools prep --labels), or choose another recipe.{off}",
        )
    if classes and data.classes is not None and "network.classes" not in asked and len(data.classes) != classes:
        network = dataclasses.replace(changed.network, classes=len(data.classes))
        changed = dataclasses.replace(changed, network=network)
    names = {f.name for f in dataclasses.fields(changed.network)}
    if "input_channels" in names and not _names(asked, "input_channels") and data.inputs is not None:
        try:
            network = dataclasses.replace(changed.network, input_channels=data.inputs.shape[2])
        except ConfigError as e:
            raise DataError(f"{data.path}: {e.message}", prep) from None
        changed = dataclasses.replace(changed, network=network)
    for role in sorted({role for stage in changed.stages() for role in stage.needs} & set(ANNOTATED)):
        if role not in data.annotations:
            raise DataError(f"{data.path}: has no {role}, which recipe {recipe.name} needs.", prep)
    if recipe.data.balance and data.labels is None:
        raise DataError(f"{data.path}: has no labels to balance.", "Leave it out: --set data.balance=false")
    before, after = to_plain(recipe.network), to_plain(changed.network)
    notes = [f"network.{key} {old} -> {new}, as {data.name} has it" for key, old, new in differences(before, after)]
    return changed, notes


def open_inputs(inputs: str | Path | None, recipe: Recipe, data: PreparedSet) -> PreparedSet | None:
    """The second set of a training that needs one: of pairs that of `data` itself, else the one at `inputs`.

    Raises:
        DataError: it is needed and not there, or its images have another shape.
        ConfigError: it is given and not needed.
    """
    needed = any("inputs" in stage.needs for stage in recipe.stages())
    if not needed:
        if inputs is not None:
            raise ConfigError(f"--inputs: recipe {recipe.name} starts from nothing but its set.", "Leave it out.")
        return None
    wanted = tuple(getattr(recipe.network, "input_shape", recipe.image_shape))
    return open_second(
        recipe.data.feed,
        data,
        inputs,
        wanted=wanted,
        recipe=recipe.name,
        prep=recipe.prep,
        computed=recipe.data.degrade is not None,
    )
