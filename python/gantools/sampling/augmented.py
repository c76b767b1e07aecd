"""Generated images as training data: a prepared set with images of a run behind its own, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gantools.data.enlarged import Generated, enlarge
from gantools.data.exports.folder import class_folders
from gantools.data.plan import say
from gantools.data.prepared import PreparedSet, digest
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.runs.checkpoint import read_config
from gantools.sampling.generator import Generator
from gantools.sampling.given import load_sampler, origin
from gantools.sampling.images import BATCH
from gantools.sampling.options import Options

#: In place of a number of images: as many as bring each class to the largest.
FILL = "fill"


def augment_set(
    run: str | Path | None,
    data: str | Path | PreparedSet,
    *,
    per_class: int | Literal["fill"],
    classes: Sequence[str] | None = None,
    generated_only: bool = False,
    seed: int = 0,
    checkpoint: str | float = "last",
    controls: Mapping[str, float] | None = None,
    directions: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    batch: int = BATCH,
    device: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> PreparedSet:
    """Make a prepared set of the images of another and generated ones of its classes, marked as generated.

    Image j of a class is image j of `gantools sample --class`, whatever the other numbers are. The same call writes the
    same bytes. What was stopped by Ctrl-C goes on when the same call is made again.

    Args:
        run: as in `Generator.load`; one that was told classes.
        data: a prepared set with labels, of the shape that the run makes.
        per_class: generated images of each class; "fill": as many as bring each class to the largest.
        classes: names of the classes that get some; None: all of the set.
        generated_only: the generated images alone, without those of the set.
        seed: in [0, 2**63).
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        controls: what the system lets a user turn, by name: {"truncation": 0.7}.
        directions: how far all images are moved along directions of the run, in standard deviations: {"pca0": 2}.
        out: the folder to make; None: that of the set with `-augmented` (`-generated`) behind it.
        batch: images computed at once.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace a prepared set at `out`.
        progress: show a progress bar on stderr.

    Returns:
        The new set, opened: the images of `data`, then class by class the generated ones, `generated/CLASS/000000.png`,
        ...; annotation `generated`: 0 or 1.

    Raises:
        CheckpointError: no such run, or its checkpoint is damaged.
        ConfigError: a run without classes, or no such class, control or direction.
        DataError: no prepared set, without labels, of another shape or other classes; or `out` exists.
        Interrupted: Ctrl-C.
    """
    if per_class != FILL and (not isinstance(per_class, int) or isinstance(per_class, bool) or per_class < 1):
        raise ConfigError(f"per class: a whole number of at least 1 or {FILL}, not {per_class!r}.")
    images = data if isinstance(data, PreparedSet) else PreparedSet(data)
    names = _classes(images)
    generator = load_sampler(run, checkpoint, device)
    numbers = _fitting(images, generator, names, names if classes is None else classes)
    wanted = _wanted(images, per_class, numbers)
    options: Options = {"controls": controls, "directions": directions, "batch": batch}
    # Checked before anything is written.
    generator.chosen(**options)
    said = {
        "count": sum(wanted.values()),
        "classes": {names[number]: n for number, n in wanted.items()},
        **origin(generator, {"seed": seed}, options),
        "weights": digest(read_config(generator.checkpoint, exported=True)["files"])[:32],
    }
    if not generated_only:
        _check_repeated(images, said)
    known = (images.fingerprint, images.manifest.get("source", {}).get("enlarged_from"))
    if generator.data.get("fingerprint") not in known:
        trained = generator.data.get("name")
        say(f"Note: {generator.run} was trained on other images than {images.path}'s ({trained}).", progress)
    folders = class_folders(names)
    made = Generated(
        np.repeat(np.array(list(wanted), np.int64), list(wanted.values())),
        [f"generated/{folders[number]}/{i:06d}.png" for number, n in wanted.items() for i in range(n)],
        partial(_pixels, generator, {generator.class_number(names[k]): n for k, n in wanted.items()}, seed, options),
        said,
    )
    ending = "generated" if generated_only else "augmented"
    place = images.path.with_name(f"{images.path.name}-{ending}") if out is None else Path(out)
    return enlarge(images, made, place, alone=generated_only, overwrite=overwrite, progress=progress)


def _classes(images: PreparedSet) -> list[str]:
    """The names of a set's classes. DataError: it has none, or is a set of pairs."""
    if images.inputs is not None:
        raise DataError(f"{images.path}: is a set of pairs, and a run makes no pairs.", "Give a set of images.")
    if images.classes is None or images.labels is None:
        raise DataError(
            f"{images.path}: has no labels, so there is no class to make images of.",
            "Prepare a set with labels: a folder a class, or gantools prep --labels",
        )
    return images.classes


def _fitting(images: PreparedSet, generator: Generator, names: list[str], asked: Sequence[str]) -> list[int]:
    """Numbers in the set of the classes asked for, in its order; what does not fit is refused."""
    if generator.classes is None:
        raise ConfigError(
            f"{generator.run}: was trained without classes, so it cannot be asked for images of one.",
            f"Train one that is told them, for example: gantools train cdcgan-fashion --data {images.path}",
        )
    if generator.image_shape != images.shape:
        made, there = ("x".join(map(str, shape)) for shape in (generator.image_shape, images.shape))
        raise DataError(
            f"{images.path}: holds {there} images, {generator.run} makes {made}.", "Give the set it was trained on."
        )
    for name in asked:
        if name not in names:
            raise unknown_name("class", name, names)
        if name not in generator.classes:
            raise DataError(
                f"{generator.run}: was told no class {name!r} of {images.path}, only {_few(generator.classes)}.",
                "Name classes that both have with --classes, or give the set it was trained on.",
            )
    return [number for number, name in enumerate(names) if name in asked]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _wanted(images: PreparedSet, per_class: int | str, numbers: Sequence[int]) -> dict[int, int]:
    """How many images of each class are made, without those of which there are none."""
    if isinstance(per_class, int):
        return dict.fromkeys(numbers, per_class)
    assert images.labels is not None
    there = np.bincount(images.labels, minlength=len(images.classes or ())).tolist()
    found = {number: max(there) - there[number] for number in numbers if there[number] < max(there)}
    if not found:
        raise DataError(f"{images.path}: none of these classes has fewer images than the largest.", "Nothing to do.")
    return found


def _check_repeated(images: PreparedSet, said: Mapping[str, Any]) -> None:
    """DataError: images of the same weights, seed and class are in the set already."""
    same = ("weights", "seed", "controls", "directions")
    for entry in images.manifest.get("generated", []):
        both = sorted(entry.get("classes", {}).keys() & said["classes"].keys())
        if both and all(entry.get(key) == said.get(key) for key in same):
            raise DataError(
                f"{images.path}: already has images of {both[0]} by these weights and seed {said['seed']}.",
                "Take another --seed, or the set without them.",
            )


def _pixels(
    generator: Generator, wanted: Mapping[int | None, int], seed: int, options: Options, first: int, n: int
) -> NDArray[np.uint8]:
    """Images first..first+n-1 of all, uint8 (n, h, w, c); each class begins with its image 0."""
    parts = []
    for (class_, count), end in zip(wanted.items(), accumulate(wanted.values()), strict=True):
        begin = max(first, end - count)
        if (rows := min(first + n, end) - begin) > 0:
            here: Options = {**options, "class_": class_}
            parts.append(generator.numbered(begin - (end - count), rows, seed, **here))
    return np.concatenate(parts)
