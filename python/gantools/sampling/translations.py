"""Folders of translated images: read from files, folders, archives or prepared sets, written under their names.

translations/
  manifest.json       of which run, with which controls, and what could not be read
  NAME.png, ...       an image for each input, by its path without the suffix

Until all are done they are in the folder NAME.partial, which the next call of the same images and settings goes on
with. Films are made by `gantools.sampling.clips`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepared import PreparedSet, is_prepared
from gantools.data.sources import open_source
from gantools.errors import ConfigError, DataError, Interrupted
from gantools.files import atomic_write, check_replaceable, write_json
from gantools.progress import Progress
from gantools.runs.checkpoint import versions
from gantools.sampling.clips import takes_film, translate_film
from gantools.sampling.generator import Generator
from gantools.sampling.landmarks import given_marks
from gantools.sampling.partial import FORMAT, FORMAT_VERSION, MANIFEST, begin, publish, stamp, weights_stamp


def translate(
    run: str | Path | None,
    inputs: Sequence[str | Path],
    *,
    out: str | Path = "translations",
    checkpoint: str | float = "last",
    controls: Mapping[str, float] | None = None,
    tile: int | None = None,
    pad: bool = False,
    landmarks: str | Path | None = None,
    alpha: str = "error",
    sixteen_bit: str = "full",
    fps: float | None = None,
    device: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> tuple[Path, list[tuple[str, str]]]:
    """Translate images into a folder of PNG files with their names, or a film into one of its frames, or into an .mp4.

    Args:
        run: as in `Generator.load`.
        inputs: image files, folders or archives of them, or prepared sets; or a film: one video file, or, where the
            network takes frames or `out` is an .mp4, a folder of frames in the order of their names.
        out: the folder to make, or of a film the .mp4.
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        controls: the system's controls by name.
        tile, pad: as in `Generator.translate`. Images whose sides the network does not take are left out.
        landmarks: a table of five points of each image, for a system that needs them; None: those of prepared sets.
        alpha: `error` leaves transparent images out with that reason; `drop`, `white`, `black`.
        sixteen_bit: `full`, `stretch` or `LOW:HIGH`, as `gantools prep` has it.
        fps: frames a second of an .mp4; None: those of the video, or 25.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace `out` when it holds translations of gantools, and discard what a stopped call left.
        progress: show a progress bar on stderr.

    Returns:
        The folder, and (name, reason) of what could not be read.

    Raises:
        DataError: nothing there, nothing readable, two inputs of one name, or `out` exists.
        ConfigError, CheckpointError: the run, a control or a policy.
        Interrupted: Ctrl-C; what is done is kept, and the same call goes on.
    """
    if not inputs:
        raise ConfigError("which images?", "For example: gantools translate RUN photos/ --out results")
    if alpha not in _native.ALPHA_POLICIES:
        raise ConfigError(f"alpha: expected one of {', '.join(_native.ALPHA_POLICIES)}, found {alpha!r}.")
    target = Path(out)
    generator = Generator.load(run, checkpoint, device=device)
    translator = generator.translator
    chosen = generator.controls(controls)
    translator.check_tile(tile)
    plan: dict[str, Any] = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "scale": translator.scale,
        "run": str(generator.run.absolute()),
        "checkpoint": generator.checkpoint.absolute().name,
        "recipe": generator.recipe.name,
        "controls": chosen,
        "tile": tile,
        "pad": pad,
        "alpha": alpha,
        "sixteen_bit": sixteen_bit,
        "versions": versions(),
    }
    paths = [Path(path) for path in inputs]
    if takes_film(translator, paths, target):
        if landmarks is not None:
            raise ConfigError("landmarks: go with images, and this is a film.", "Leave them out, or name its frames.")
        translator.check_marks(None)
        return translate_film(
            translator,
            paths,
            target,
            plan=plan,
            checkpoint=generator.checkpoint,
            fps=fps,
            overwrite=overwrite,
            progress=progress,
        )
    if fps is not None:
        raise ConfigError("fps: goes with a film, and these are images.", "Leave it out, or name a video with --out.")
    check_replaceable(target, MANIFEST, FORMAT, "translations", overwrite)
    found = [item for path in paths for item in _items(path, translator.channels, alpha, sixteen_bit)]
    marks = given_marks(translator, found, landmarks)
    names = _output_names([name for name, _ in found])
    # Other images of these names, and other weights in the place of these, are another plan.
    inputs_now: list[Any] = [[name, file, read.stamp()] for (name, read), file in zip(found, names, strict=True)]
    if marks is not None:
        inputs_now += [[None if points is None else points.tolist() for points in marks]]
    partial = target.with_name(target.name + ".partial")
    done = begin(partial, plan, [inputs_now, weights_stamp(generator.checkpoint)], overwrite)
    rejects: list[tuple[str, str]] = []
    files: dict[str, str] = {}
    with Progress("translating", len(found), show=progress) as bar:
        if done:
            bar.print(f"Going on after {len(done):,} images.")
        try:
            for i, ((name, read), file) in enumerate(zip(found, names, strict=True)):
                place = partial / file
                if file not in done:
                    try:
                        points = None if marks is None else marks[i]
                        one = None if points is None else points[None]
                        (made,) = translator.translate([read()], tile=tile, pad=pad, controls=chosen, marks=one)
                    except DataError as e:
                        rejects.append((name, e.message))
                        bar.advance(1)
                        continue
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with atomic_write(place) as f:
                        f.write(_native.encode_png(np.ascontiguousarray(made)))
                files[file] = name
                bar.advance(1)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{len(files):,} of {len(found):,} images are translated and kept in {partial}.",
                "Run the same command again to go on.",
            ) from None
    if not files:
        shutil.rmtree(partial)
        name, reason = rejects[0]
        raise DataError(
            f"none of the {len(rejects):,} images could be translated; the first: {name}: {reason}", _advice(reason)
        )
    left_out = [{"name": name, "reason": reason} for name, reason in rejects]
    write_json(partial / MANIFEST, {**plan, "count": len(files), "files": files, "rejects": left_out})
    publish(partial, target)
    return target, rejects


def _advice(reason: str) -> str | None:
    """What helps against a reason why nothing could be translated."""
    if "alpha" in reason or "transparen" in reason:
        return "Transparent images need --alpha drop, white or black."
    if "landmarks" in reason:
        return "Give them with --landmarks FILE, or faces that have them: gantools prep frontal IMAGES --all-poses"
    return "Mirrored beyond the edge and cut back: --pad" if "multiples of" in reason else None


class _Read:
    """Reads an image when it is called; DataError: it cannot be."""

    def __init__(self, source: _native.Source, item: int, policy: Mapping[str, Any], at: Path) -> None:
        self.source, self.item, self.policy, self.at = source, item, policy, at

    def stamp(self) -> list[Any]:
        """What is another one when the image may be."""
        return [str(self.at.absolute()), self.item, *stamp(self.at)]

    def __call__(self) -> NDArray[np.uint8]:
        return _native.decode(self.source.read(self.item), **self.policy)


class _Stored:
    """Reads an image of a prepared set when it is called."""

    def __init__(self, data: PreparedSet, i: int) -> None:
        self.data, self.i = data, i

    def stamp(self) -> list[Any]:
        """What is another one when the image may be."""
        return [self.data.fingerprint, self.i]

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
        yield path.name, _Read(_native.Source.files(path.parent, [path.name]), 0, policy, path)
        return
    source = open_source(path, "all", loose=True)
    if source.pixels is not None:
        raise DataError(f"{path}: holds pixels, not image files.", "Prepare it first: gantools prep")
    for name, item in zip(source.names, source.items, strict=True):
        file = path / name
        yield name, _Read(source.reader, int(item), policy, file if path.is_dir() and file.is_file() else path)


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
