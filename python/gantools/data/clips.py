"""Films frame by frame: video files, which PyAV reads (the extra `film`), and folders of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.sources.tree import is_image_name
from gantools.errors import ConfigError, DataError, cause

#: How the names of video files end.
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".y4m")
#: Two frames belong to two shots where they differ by more than so many times the median of the film, and by more than
#: so many levels: of a film in which nothing moves every difference is many times the median.
CUT, LEAST_CUT = 5.0, 4.0
MAKE = "Give a video file, a folder of frames, or a folder of either."


class EndsEarly(DataError):
    """A video of which only some frames could be read; they have been given."""

    def __init__(self, name: str, had: int, declared: int) -> None:
        of = f" of {declared:,}" if declared else ""
        super().__init__(
            f"{name}: damaged or cut off, {had:,}{of} frames could be read.", "Copy or download the file again."
        )
        self.had, self.declared = had, declared


@dataclass(frozen=True)
class Clip:
    """A film.

    Attributes:
        name: the file's without its suffix, or the folder's.
        path: the file or folder.
        frames: file names of the frames in order; empty: a video file.
        fps: frames a second; None: a folder does not say.
        declared: frames that a video file says it has; 0: it does not say.
    """

    name: str
    path: Path
    frames: tuple[str, ...] = ()
    fps: Fraction | None = None
    declared: int = 0

    def read(self, *, alpha: str = "error", sixteen_bit: str = "full") -> Iterator[NDArray[np.uint8]]:
        """Its frames in order, uint8 (h, w, 3), all of one size.

        Args:
            alpha: what becomes of transparent frames in files of their own, as `gantools prep` has it.
            sixteen_bit: likewise.

        Raises:
            EndsEarly: after the frames that could be read.
            DataError: a frame of a folder cannot be read, or one is of another size than the first.
        """
        shape: tuple[int, ...] | None = None
        found = self._files(alpha, sixteen_bit) if self.frames else self._video()
        for number, frame in enumerate(found):
            if shape is None:
                shape = frame.shape
            if frame.shape != shape:
                (h, w, _), (height, width, _) = frame.shape, shape
                raise DataError(f"{self.path}: frame {number:,} is {w} x {h}, the first is {width} x {height}.", MAKE)
            yield frame

    def file_of(self, number: int) -> str:
        """The name of a frame's file: its own, or its number."""
        return self.frames[number] if self.frames else f"{number:06d}.png"

    def stamp(self) -> list[list[Any]]:
        """What is another one when the film is: names, sizes and times of its files."""
        files = [self.path / name for name in self.frames] or [self.path]
        return [[file.name, (found := file.stat()).st_size, found.st_mtime_ns] for file in files]

    def _files(self, alpha: str, sixteen_bit: str) -> Iterator[NDArray[np.uint8]]:
        for name in self.frames:
            try:
                data = (self.path / name).read_bytes()
                yield _native.decode(data, channels=3, alpha=alpha, sixteen_bit=sixteen_bit)
            except (DataError, OSError) as e:
                told = e.message if isinstance(e, DataError) else cause(e)
                raise DataError(f"{self.path / name}: {told.rstrip('.')}.", "Every frame of a film is needed.") from e

    def _video(self) -> Iterator[NDArray[np.uint8]]:
        av = _av()
        had = 0
        with _opened(self.path) as film:
            stream = film.streams.video[0]
            stream.thread_type = "AUTO"
            try:
                for frame in film.decode(stream):
                    if frame.is_corrupt:
                        raise EndsEarly(str(self.path), had, self.declared)
                    pixels = frame.to_ndarray(format="rgb24")
                    # The frame's matrix turns it counterclockwise by so many degrees, as PyAV tells it.
                    yield np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
                    had += 1
            except av.FFmpegError:
                raise EndsEarly(str(self.path), had, self.declared) from None
        if had < self.declared:
            raise EndsEarly(str(self.path), had, self.declared)


def is_video(path: Path) -> bool:
    """Whether it is a file with the name of a video."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def find_clips(path: Path) -> list[Clip]:
    """The films at `path`: a video file, a folder of frames in the order of their numbers, or a folder of such.

    Raises:
        ConfigError: PyAV is needed and missing.
        DataError: nothing is there, no video, or not one kind of film alone.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.", MAKE)
    if path.is_file():
        if is_image_name(path.name):
            raise DataError(f"{path}: is one image, no film.", MAKE)
        return [_video_clip(path)]
    entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    frames = [p.name for p in entries if p.is_file() and is_image_name(p.name)]
    videos = [p for p in entries if is_video(p)]
    folders = [(p, inner) for p in entries if p.is_dir() and (inner := _frames_in(p))]
    kinds = [
        word for word, given in (("frames", frames), ("video files", videos), ("folders of frames", folders)) if given
    ]
    if len(kinds) > 1:
        raise DataError(f"{path}: has {' and '.join(kinds)} side by side.", "Give one of them alone.")
    if frames:
        return [Clip(path.resolve().name, path, _in_order(frames))]
    found = [_video_clip(p) for p in videos] or [Clip(p.name, p, _in_order(inner)) for p, inner in folders]
    if not found:
        raise DataError(f"{path}: has neither frames nor video files.", MAKE)
    return found


def check_names(clips: Sequence[Clip]) -> None:
    """DataError: two films have one name."""
    seen: dict[str, Path] = {}
    for clip in clips:
        if clip.name in seen:
            raise DataError(f"{seen[clip.name]} and {clip.path} have one name, {clip.name}.", "Rename one of them.")
        seen[clip.name] = clip.path


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean |a - b| of two frames, in levels."""
    return float(np.abs(a.astype(np.int16) - b).mean())


def cuts(differences: Sequence[float] | NDArray[np.float64]) -> list[int]:
    """Numbers of the frames that begin a shot, the first one's, 0, included.

    Args:
        differences: between each frame and the next, n - 1 of n frames.
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        return [0]
    threshold = max(CUT * float(np.median(values)), LEAST_CUT)
    return [0, *(int(i) + 1 for i in np.flatnonzero(values > threshold))]


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (..., 3) -> (..., 1): ITU-R 601 luma, rounded as Pillow's `convert("L")` and as sets of one channel."""
    weights = np.array([19595, 38470, 7471], np.int64)
    return ((rgb.astype(np.int64) @ weights + (1 << 15)) >> 16).astype(np.uint8)[..., None]


def _frames_in(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.is_file() and is_image_name(p.name)]


def _in_order(names: Sequence[str]) -> tuple[str, ...]:
    """In the order of names, in which numbers count as such: 9.png before 10.png."""

    def key(name: str) -> tuple[list[tuple[int, str]], str]:
        parts = re.split(r"(\d+)", name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name

    return tuple(sorted(names, key=key))


def _video_clip(path: Path) -> Clip:
    with _opened(path) as film:
        stream = film.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        return Clip(path.stem, path, (), None if rate is None else Fraction(rate), int(stream.frames))


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise ConfigError("reading a video needs PyAV, which is not here.", "pip install 'gantools[film]'") from None
    return av


def _opened(path: Path) -> Any:
    """The file, opened; DataError: it is no video."""
    av = _av()
    try:
        film = av.open(str(path))
    except (av.FFmpegError, OSError) as e:
        raise DataError(f"{path}: no video that can be read ({cause(e)}).", MAKE) from e
    if not film.streams.video:
        film.close()
        raise DataError(f"{path}: has no video in it.", MAKE)
    return film
