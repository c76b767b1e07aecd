"""Folders of generated images: the only place that knows what is in one.

samples/
  manifest.json           format, how many, of which run, checkpoint, seed and data
  000000.png, ...         the images; or, with format "npy",
  samples.npy             all of them, uint8 (n, h, w, c)
  grid.png                the first 64 in one, where asked for
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import ConfigError, DataError
from gantools.files import check_replaceable, whole_folder, write_json
from gantools.grid import write_grid
from gantools.runs.checkpoint import versions
from gantools.sampling.generator import BATCH, Generator

FORMAT = "gantools-samples"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ARRAY = "samples.npy"
GRID = "grid.png"
# Images in the grid: more are too small to judge. With a row a class: images in a row, and rows.
GRID_IMAGES, GRID_COLUMNS, GRID_CLASSES = 64, 8, 16


def sample(
    run: str | Path | None = None,
    *,
    n: int = 1000,
    seed: int = 0,
    checkpoint: str | float = "last",
    class_: int | str | None = None,
    controls: Mapping[str, float] | None = None,
    index: int | None = None,
    seeds: Sequence[int] | None = None,
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
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        class_: number or name of the class of all images; None: each class in turn.
        controls: what the system lets a user turn, by name: {"truncation": 0.7}.
        index: only the image of this number of those that `seed` gives; `n` is not looked at.
        seeds: image 0 of each of these seeds; `n` and `seed` are not looked at.
        out: the folder to make.
        format: "png": `000000.png`, ...; "npy": one `samples.npy`, uint8 (n, h, w, c).
        grid: also write `grid.png`, the first 64 images in one; a row a class where each class comes in turn.
        batch: images computed at once.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace `out` when it holds samples of gantools.

    Returns:
        The path of the folder.

    Raises:
        CheckpointError: no such run, or its checkpoint is damaged.
        ConfigError: no such class or control.
        DataError: `out` exists.
    """
    if format not in ("png", "npy"):
        raise ConfigError(f"format: expected png or npy, found {format!r}.")
    target = Path(out)
    check_replaceable(target, MANIFEST, FORMAT, "samples", overwrite)
    if index is not None and seeds is not None:
        raise ConfigError("index and seeds: one or the other.")
    generator = Generator.load(run, checkpoint, device=device)
    generator.check_samples()
    chosen: dict[str, Any] = {"class_": class_, "controls": controls, "batch": batch}
    if index is not None:
        n, batches = 1, iter([generator.numbered(index, 1, seed, **chosen)])
    elif seeds is not None:
        n, batches = len(seeds), iter([generator.of_seeds(seeds, **chosen)])
    else:
        batches = generator.batches(n, seed, **chosen)
    label = generator.class_number(class_)
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "count": n,
        "shape": list(generator.image_shape),
        "format_images": format,
        "run": str(generator.run.absolute()),
        "checkpoint": generator.checkpoint.absolute().name,
        "recipe": generator.recipe.name,
        "seed": seed,
        **({} if index is None else {"index": index}),
        **({} if seeds is None else {"seeds": list(seeds)}),
        **({} if label is None or generator.classes is None else {"class": generator.classes[label]}),
        **({"controls": generator.controls(controls)} if generator.system.controls else {}),
        "data": {key: generator.data[key] for key in ("path", "name", "fingerprint")},
        "versions": versions(),
    }
    with whole_folder(target, overwrite=target.exists()) as folder:
        first = (
            _write_png(folder, batches) if format == "png" else _write_npy(folder, batches, n, generator.image_shape)
        )
        if grid:
            in_turn = generator.classes is not None and label is None and index is None and seeds is None
            write_grid(folder / GRID, *_rows(first, len(generator.classes or ()) if in_turn else 0))
        write_json(folder / MANIFEST, manifest)
    return target


def samples_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a samples folder, or None when `path` is not one.

    Raises:
        DataError: the manifest of a samples folder is damaged or from a newer version.
    """
    file = path / MANIFEST
    if not file.is_file():
        return None
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as e:
        raise DataError(f"{file}: damaged ({e}).", "Make the samples again with: gantools sample") from e
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return None
    if manifest.get("version") != FORMAT_VERSION:
        raise DataError(
            f"{file}: samples format {manifest.get('version')}, this gantools reads {FORMAT_VERSION}.",
            "Use the gantools that made them, or make them again.",
        )
    return manifest


def _rows(images: NDArray[np.uint8], classes: int) -> tuple[NDArray[np.uint8], int | None]:
    """The images of a grid, and how many are in a row: those of a class, where there are few classes, each in turn."""
    columns = min(GRID_COLUMNS, len(images) // classes) if 1 < classes <= GRID_CLASSES else 0
    if columns == 0:
        return images[:GRID_IMAGES], None
    return np.concatenate([images[c : columns * classes : classes] for c in range(classes)]), columns


def _write_png(folder: Path, batches: Iterator[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Write each image as a PNG; returns the first images, for the grid."""
    first: list[NDArray[np.uint8]] = []
    done = 0

    def write(index: int, image: NDArray[np.uint8]) -> None:
        (folder / f"{index:06d}.png").write_bytes(_native.encode_png(image))

    with ThreadPoolExecutor() as pool:
        for images in batches:
            first.extend(images[: GRID_COLUMNS * GRID_CLASSES - len(first)])
            list(pool.map(write, range(done, done + len(images)), images))
            done += len(images)
    return np.stack(first)


def _write_npy(
    folder: Path, batches: Iterator[NDArray[np.uint8]], n: int, shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Write all images as one array; returns the first images, for the grid."""
    first: list[NDArray[np.uint8]] = []
    # Not through a memory map: on a full disk writing to one kills the process.
    with (folder / ARRAY).open("wb") as f:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, *shape)}
        np.lib.format.write_array_header_1_0(f, header)
        for images in batches:
            first.extend(images[: GRID_COLUMNS * GRID_CLASSES - len(first)])
            f.write(np.ascontiguousarray(images).data)
    return np.stack(first)
