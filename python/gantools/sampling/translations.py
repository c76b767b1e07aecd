"""Folders of translated images: read from files, folders, archives or prepared sets, written under their names.

translations/
  manifest.json       of which run, with which controls, and what could not be read
  NAME.png, ...       an image for each input, by its path without the suffix
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepared import PreparedSet, is_prepared
from gantools.data.sources import open_source
from gantools.errors import ConfigError, DataError
from gantools.files import check_replaceable, whole_folder, write_json
from gantools.runs.checkpoint import versions
from gantools.sampling.generator import Generator

FORMAT = "gantools-translations"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"


def translate(
    run: str | Path | None,
    inputs: Sequence[str | Path],
    *,
    out: str | Path = "translations",
    checkpoint: str | float = "last",
    controls: Mapping[str, float] | None = None,
    tile: int | None = None,
    alpha: str = "error",
    sixteen_bit: str = "full",
    device: str | None = None,
    overwrite: bool = False,
) -> tuple[Path, list[tuple[str, str]]]:
    """Translate images into a folder of PNG files with their names.

    Args:
        run: as in `Generator.load`.
        inputs: image files, folders or archives of them, or prepared sets.
        out: the folder to make.
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        controls: the system's controls by name.
        tile: as in `Generator.translate`.
        alpha: `error` leaves transparent images out with that reason; `drop`, `white`, `black`.
        sixteen_bit: `full`, `stretch` or `LOW:HIGH`, as `gantools prep` has it.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace `out` when it holds translations of gantools.

    Returns:
        The folder, and (name, reason) of what could not be read.

    Raises:
        DataError: nothing there, nothing readable, two inputs of one name, or `out` exists.
        ConfigError, CheckpointError: the run, a control or a policy.
    """
    if not inputs:
        raise ConfigError("which images?", "For example: gantools translate RUN photos/ --out results")
    if alpha not in _native.ALPHA_POLICIES:
        raise ConfigError(f"alpha: expected one of {', '.join(_native.ALPHA_POLICIES)}, found {alpha!r}.")
    target = Path(out)
    check_replaceable(target, MANIFEST, FORMAT, "translations", overwrite)
    generator = Generator.load(run, checkpoint, device=device)
    translator = generator.translator
    found = [item for path in inputs for item in _items(Path(path), translator.channels, alpha, sixteen_bit)]
    names = _output_names([name for name, _ in found])
    chosen = generator.controls(controls)
    rejects: list[tuple[str, str]] = []
    files: dict[str, str] = {}
    with whole_folder(target, overwrite=target.exists()) as folder:
        for (name, read), file in zip(found, names, strict=True):
            try:
                image = read()
            except DataError as e:
                rejects.append((name, e.message))
                continue
            place = folder / file
            place.parent.mkdir(parents=True, exist_ok=True)
            (made,) = translator.translate([image], tile=tile, controls=chosen)
            place.write_bytes(_native.encode_png(np.ascontiguousarray(made)))
            files[file] = name
        if not files:
            name, reason = rejects[0]
            raise DataError(
                f"none of the {len(rejects):,} images could be read; the first: {name}: {reason}",
                "Transparent images need --alpha drop, white or black." if "alpha" in reason else None,
            )
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "count": len(files),
            "scale": translator.scale,
            "run": str(generator.run.absolute()),
            "checkpoint": generator.checkpoint.absolute().name,
            "recipe": generator.recipe.name,
            "controls": chosen,
            "tile": tile,
            "files": files,
            "rejects": [{"name": name, "reason": reason} for name, reason in rejects],
            "versions": versions(),
        }
        write_json(folder / MANIFEST, manifest)
    return target, rejects


class _Read:
    """Reads an image when it is called; DataError: it cannot be."""

    def __init__(self, source: _native.Source, item: int, policy: Mapping[str, Any]) -> None:
        self.source, self.item, self.policy = source, item, policy

    def __call__(self) -> NDArray[np.uint8]:
        return _native.decode(self.source.read(self.item), **self.policy)


class _Stored:
    """Reads an image of a prepared set when it is called."""

    def __init__(self, data: PreparedSet, i: int) -> None:
        self.data, self.i = data, i

    def __call__(self) -> NDArray[np.uint8]:
        return self.data[self.i]


def _items(path: Path, channels: int, alpha: str, sixteen_bit: str) -> Iterator[tuple[str, _Read | _Stored]]:
    policy = {"channels": channels, "alpha": alpha, "sixteen_bit": sixteen_bit}
    if is_prepared(path):
        data = PreparedSet(path)
        if data.shape[2] != channels:
            raise DataError(
                f"{path}: images have {data.shape[2]} channel(s), the network takes {channels}.",
                f"Prepare it again: gantools prep --channels {channels}",
            )
        yield from ((name, _Stored(data, i)) for i, name in enumerate(data.names))
        return
    if path.is_file() and path.suffix.lower() not in (".zip", ".tar", ".tgz", ".gz", ".zst", ".bz2", ".xz"):
        yield path.name, _Read(_native.Source.files(path.parent, [path.name]), 0, policy)
        return
    source = open_source(path, "all", loose=True)
    if source.pixels is not None:
        raise DataError(f"{path}: holds pixels, not image files.", "Prepare it first: gantools prep")
    yield from (
        (name, _Read(source.reader, int(item), policy)) for name, item in zip(source.names, source.items, strict=True)
    )


def _output_names(names: Sequence[str]) -> list[str]:
    taken: dict[str, str] = {}
    for name in names:
        file = PurePosixPath(name).with_suffix(".png").as_posix()
        if file == MANIFEST or file in taken:
            raise DataError(
                f"{taken.get(file)} and {name} would both be written as {file}.",
                "Rename one of them, or translate them into two folders.",
            )
        taken[file] = name
    return list(taken)
