"""Folders of generated images: the only place that knows what is in one.

samples/
  manifest.json           format, how many, of which run, checkpoint, seed and data
  000000.png, ...         the images; or, with format "npy",
  samples.npy             all of them, uint8 (n, h, w, c)
  grid.png                the first 64 in one, where asked for
  latents.npy             what they were made of, where asked for: float32 (n, latent), or styles (n, count, style)

Frames of a walk are a folder of samples too.
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
from gantools.sampling.film import check_film, write_film
from gantools.sampling.generator import Generator
from gantools.sampling.given import given_latents, load_sampler, origin
from gantools.sampling.images import BATCH
from gantools.sampling.latents import read_latents, write_array
from gantools.sampling.options import Options

FORMAT = "gantools-samples"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ARRAY = "samples.npy"
GRID = "grid.png"
LATENTS = "latents.npy"
# Images that a walk goes by where none are named.
KEYS = tuple(range(8))
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
    directions: Mapping[str, float] | None = None,
    index: int | None = None,
    seeds: Sequence[int] | None = None,
    latents: str | Path | NDArray[np.float32] | None = None,
    save_latents: bool = False,
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
        directions: how far all images are moved along directions of the run, in standard deviations: {"pca0": 2}.
        index: only the image of this number of those that `seed` gives; `n` is not looked at.
        seeds: image 0 of each of these seeds; `n` and `seed` are not looked at.
        latents: a `.npy` file or an array of them, float32 (n, latent), or styles (n, count, style); `n` and `seed` are
            not looked at.
        save_latents: also write `latents.npy`, the latents before they were moved along directions.
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
        ConfigError: no such class, control or direction, or latents of another shape.
        DataError: `out` exists, or the file of latents is none.
    """
    if format not in ("png", "npy"):
        raise ConfigError(f"format: expected png or npy, found {format!r}.")
    target = Path(out)
    check_replaceable(target, MANIFEST, FORMAT, "samples", overwrite)
    if sum(given is not None for given in (index, seeds, latents)) > 1:
        raise ConfigError("index, seeds and latents: one of them.")
    given, by = given_latents(latents)
    generator = load_sampler(run, checkpoint, device)
    options: Options = {"class_": class_, "controls": controls, "directions": directions, "batch": batch}
    if given is not None:
        n, batches = len(given), generator.batches_of(given, **options)
    elif index is not None:
        n, batches = 1, iter([generator.numbered(index, 1, seed, **options)])
    elif seeds is not None:
        n, batches = len(seeds), iter([generator.of_seeds(seeds, **options)])
    else:
        batches = generator.batches(n, seed, **options)
    if not save_latents:
        used = None
    elif given is not None:
        used = given.astype(np.float32, copy=False)
    else:
        used = generator.latents_of(index or 0, n, seed) if seeds is None else generator.keys(seeds=seeds)
    said = {
        **({"seed": seed} if given is None else {}),
        **({} if index is None else {"index": index}),
        **({} if seeds is None else {"seeds": list(seeds)}),
        **by,
    }
    manifest = _manifest(generator, n, format, said, options)
    with whole_folder(target, overwrite=target.exists()) as folder:
        first = (
            _write_png(folder, batches) if format == "png" else _write_npy(folder, batches, n, generator.image_shape)
        )
        if grid:
            in_turn = generator.classes is not None and class_ is None and index is None and seeds is None
            write_grid(folder / GRID, *rows_of_grid(first, len(generator.classes or ()) if in_turn else 0))
        if used is not None:
            write_array(folder / LATENTS, used)
        write_json(folder / MANIFEST, manifest)
    return target


def walk(
    run: str | Path | None = None,
    *,
    frames: int = 120,
    seeds: Sequence[int] | None = None,
    latents: str | Path | NDArray[np.float32] | None = None,
    once: bool = False,
    film: str | Path | None = None,
    fps: int = 24,
    checkpoint: str | float = "last",
    class_: int | str | None = None,
    controls: Mapping[str, float] | None = None,
    directions: Mapping[str, float] | None = None,
    out: str | Path = "walk",
    batch: int = BATCH,
    device: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the frames of a walk from image to image as a folder of PNG files, and as a film where asked for.

    Args:
        run: as in `Generator.load`.
        frames: how many; as many between any two of the images.
        seeds: the walk goes by image 0 of each; None: of 0 to 7.
        latents: or by these: a `.npy` file or an array, float32 (points, latent).
        once: end at the last image; else the walk returns to the first.
        film: also write the frames as this animated PNG, which plays without end, or as this .mp4.
        fps: frames a second of the film.
        checkpoint, class_, controls, directions, batch, device: as in `sample`; one class for all frames.
        out: the folder to make.
        overwrite: replace `out` when it holds samples of gantools, and the film.

    Returns:
        The path of the folder.

    Raises:
        As `sample`.
    """
    target, clip = Path(out), None if film is None else Path(film)
    check_replaceable(target, MANIFEST, FORMAT, "samples", overwrite)
    elsewhere = "Choose another place: gantools walk --film FILE.png"
    if clip is not None:
        check_film(clip)
    if clip is not None and target.absolute() in clip.absolute().parents:
        raise ConfigError(f"film: {clip} lies in the folder of the frames.", elsewhere)
    if clip is not None and clip.exists() and not (overwrite and clip.is_file()):
        raise DataError(f"{clip}: exists already.", f"Replace it with --overwrite. {elsewhere}")
    if not 1 <= fps <= 1000:
        raise ConfigError(f"fps: must be from 1 to 1000 frames a second, not {fps}.")
    if seeds is not None and latents is not None:
        raise ConfigError("seeds and latents: one of them.")
    given, by = given_latents(latents)
    generator = load_sampler(run, checkpoint, device)
    if given is not None and (given.ndim != 2 or given.shape[1] != generator.latent):
        raise ConfigError(f"latents: a walk goes by (points, {generator.latent}), found {tuple(given.shape)}.")
    seeds = KEYS if seeds is None and given is None else seeds
    keys = generator.keys(seeds=seeds) if given is None else given.astype(np.float32, copy=False)
    label = 0 if class_ is None and generator.classes else class_
    options: Options = {"class_": label, "controls": controls, "directions": directions, "batch": batch}
    said = {"walk": {**({} if seeds is None else {"seeds": list(seeds)}), **by, "closed": not once}}
    manifest = _manifest(generator, frames, "png", said, options)
    with whole_folder(target, overwrite=target.exists()) as folder:
        _write_png(folder, generator.walk_batches(frames, keys, closed=not once, **options))
        write_json(folder / MANIFEST, manifest)
        if clip is not None:
            clip.parent.mkdir(parents=True, exist_ok=True)
            write_film(clip, ((folder / _name(i)).read_bytes() for i in range(frames)), frames, fps)
    return target


def _manifest(generator: Generator, n: int, format: str, said: Mapping[str, Any], options: Options) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "count": n,
        "shape": list(generator.image_shape),
        "format_images": format,
        **origin(generator, said, options),
    }


def samples_latents(path: Path) -> NDArray[np.float32]:
    """The latents of a folder of samples, float32 (n, latent), or styles (n, count, style).

    Raises:
        DataError: it is no folder of samples, or has none.
    """
    if samples_manifest(path) is None:
        raise DataError(f"{path}: no folder of samples.", "Make one: gantools sample --save-latents")
    if not (path / LATENTS).is_file():
        raise DataError(f"{path}: has no latents.", "Make the samples again: gantools sample --save-latents")
    return read_latents(path / LATENTS)


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


def rows_of_grid(images: NDArray[np.uint8], classes: int) -> tuple[NDArray[np.uint8], int | None]:
    """The images of a grid, and how many are in a row: those of a class, where there are few classes, each in turn.

    Args:
        images: uint8 (n, h, w, c).
        classes: how many there are that images have in turn; 0: none.
    """
    columns = min(GRID_COLUMNS, len(images) // classes) if 1 < classes <= GRID_CLASSES else 0
    if columns == 0:
        return images[:GRID_IMAGES], None
    return np.concatenate([images[c : columns * classes : classes] for c in range(classes)]), columns


def _name(index: int) -> str:
    """The file of image `index`."""
    return f"{index:06d}.png"


def _write_png(folder: Path, batches: Iterator[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Write each image as a PNG; returns the first images, for the grid."""
    first: list[NDArray[np.uint8]] = []
    done = 0

    def write(index: int, image: NDArray[np.uint8]) -> None:
        (folder / _name(index)).write_bytes(_native.encode_png(image))

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
