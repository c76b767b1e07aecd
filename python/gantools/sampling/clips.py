"""Films from films, read from a video or a folder of frames, written as a folder of PNG or an .mp4."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.clips import Clip, EndsEarly, find_clips, is_video
from gantools.errors import ConfigError, DataError, Interrupted
from gantools.files import atomic_write, check_replaceable, write_json
from gantools.progress import Progress
from gantools.sampling.film import VIDEO
from gantools.sampling.partial import FORMAT, MANIFEST, begin, publish, weights_stamp
from gantools.sampling.translate import Translator
from gantools.sampling.video import check_video, write_video
from gantools.sampling.windows import by_windows, shots_of

#: Frames a second of a video made of a folder, which says none.
FPS = Fraction(25)
FASTEST = 1000


def takes_film(translator: Translator, inputs: Sequence[Path], out: Path) -> bool:
    """Whether a command is about a film: the network takes frames, or an input or the result is a video."""
    return translator.frames > 1 or out.suffix.lower() == VIDEO or any(map(is_video, inputs))


def translate_film(
    translator: Translator,
    inputs: Sequence[Path],
    target: Path,
    *,
    plan: Mapping[str, Any],
    checkpoint: Path,
    fps: float | None,
    overwrite: bool,
    progress: bool,
) -> tuple[Path, list[tuple[str, str]]]:
    """Translate one film into a folder of frames, or an .mp4 where `target` is called so.

    Args:
        translator: of the run.
        inputs: one path.
        target: to make.
        plan: what decides the frames: `controls`, `tile`, `pad`, `alpha`, `sixteen_bit` and whatever else.
        checkpoint: of the weights.
        fps: frames a second of an .mp4; None: the film's, or `FPS`.
        overwrite: replace what is there, and discard what a stopped call left.
        progress: show progress on stderr.

    Returns:
        `target`, and (name, reason) of what is missing at the film's end.

    Raises:
        ConfigError: PyAV is missing, or more than one film.
        DataError: no film, none that can be read, or `target` exists.
        Interrupted: Ctrl-C; what is done is kept, and the same call goes on.
    """
    film = target.suffix.lower() == VIDEO
    if film:
        check_video()
        if target.exists() and not (overwrite and target.is_file()):
            raise DataError(f"{target}: exists already.", "Replace it with --overwrite, or choose another --out.")
    else:
        check_replaceable(target, MANIFEST, FORMAT, "translations", overwrite)
    clip = _only(inputs, translator)
    if film and target.exists() and target.samefile(clip.path):
        raise DataError(f"{target}: is the film itself.", "Choose another place with --out.")
    rate = _rate(fps, clip)
    partial = target.with_name(target.name + ".partial")
    done = begin(partial, {**plan, "film": True}, [clip.stamp(), weights_stamp(checkpoint)], overwrite)
    options: dict[str, Any] = {"alpha": plan["alpha"], "sixteen_bit": plan["sixteen_bit"]}
    rejects: list[tuple[str, str]] = []

    def read() -> Iterator[NDArray[np.uint8]]:
        try:
            yield from clip.read(**options)
        except EndsEarly as e:
            rejects[:] = [(clip.path.name, e.message.removeprefix(f"{clip.path}: "))]

    count = 0

    def counted() -> Iterator[NDArray[np.uint8]]:
        nonlocal count
        for frame in read():
            count += 1
            yield frame

    files: dict[str, str] = {}
    ready: set[int] = set()
    with Progress("translating", clip.declared or len(clip.frames), unit="frames", show=progress) as bar:
        try:
            begins = shots_of(counted())
            if not count:
                why = f" ({rejects[0][1]})" if rejects else ""
                raise DataError(f"{clip.path}: has no frame that can be read{why}.", "Choose another film.")
            names = _names(clip, count)
            ready = {i for i, name in enumerate(names) if name in done}
            if ready:
                bar.print(f"Going on after {len(ready):,} frames.")
                bar.advance(len(ready))

            def make(window: NDArray[np.uint8]) -> NDArray[np.uint8]:
                return translator.made(window, tile=plan["tile"], pad=plan["pad"], controls=plan["controls"])

            count_of, channels = translator.frames, translator.channels
            for number, image in by_windows(read(), begins, make, count=count_of, channels=channels, done=ready):
                with atomic_write(partial / names[number]) as f:
                    f.write(_native.encode_png(np.ascontiguousarray(image)))
                ready.add(number)
                bar.advance(1)
            files = {name: clip.file_of(number) for number, name in enumerate(names)}
            if film:
                frames = ((partial / name).read_bytes() for name in names)
                write_video(target, frames, count, rate, least=1)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{len(ready):,} frames are translated and kept in {partial}.", "Run the same command again to go on."
            ) from None
    if film:
        shutil.rmtree(partial)
        return target, rejects
    left_out = [{"name": name, "reason": reason} for name, reason in rejects]
    facts = {"fps": None if clip.fps is None else str(clip.fps), "shots": begins}
    write_json(partial / MANIFEST, {**plan, "count": len(files), "files": files, "rejects": left_out, **facts})
    publish(partial, target)
    return target, rejects


def _only(inputs: Sequence[Path], translator: Translator) -> Clip:
    """The one film that is meant."""
    found = [clip for path in inputs for clip in find_clips(path)]
    if len(found) > 1:
        raise ConfigError(
            f"{len(found)} films: {', '.join(clip.path.name for clip in found[:3])}{', ...' * (len(found) > 3)}.",
            f"One at a time, for example: gantools translate RUN {found[0].path} --out {found[0].name}-large",
        )
    return found[0]


def _rate(fps: float | None, clip: Clip) -> Fraction:
    rate = FPS if clip.fps is None else clip.fps
    if fps is not None:
        rate = Fraction(fps).limit_denominator(1001)
    if not 1 <= rate <= FASTEST:
        raise ConfigError(f"fps: must be from 1 to {FASTEST} frames a second, not {float(rate):g}.", "Say it: --fps 25")
    return rate


def _names(clip: Clip, count: int) -> list[str]:
    """The files of the results, in order."""
    names = [Path(clip.file_of(i)).stem + ".png" for i in range(count)]
    if len(set(names)) != len(names):
        raise DataError(f"{clip.path}: several frames have one name but for the suffix.", "Rename one of them.")
    return names
