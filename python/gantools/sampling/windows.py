"""The frames around a frame of a film, shot by shot, and colours for what a network of luma makes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.clips import cuts, difference, luma
from gantools.errors import DataError

Pixels = NDArray[np.uint8]


def by_windows(
    frames: Iterable[Pixels],
    begins: Sequence[int],
    make: Callable[[Pixels], Pixels],
    *,
    count: int,
    channels: int,
    done: Collection[int] = (),
) -> Iterator[tuple[int, Pixels]]:
    """What a network makes of each frame of a film, with its number; those that are `done` are left out.

    At the ends of a shot its last frame stands for those beyond it. Where a network of several frames knows luma alone
    and the film is in colour, the colours are those of the frame enlarged by bicubic.

    Args:
        frames: in order, uint8 (h, w, 1) or (h, w, 3).
        begins: numbers of the frames that begin a shot.
        make: what the network makes of a window, uint8 (h, w, count * channels), its frames one behind the other.
        count: frames of a window, odd; the one in the middle is that which is made.
        channels: of a frame as the network takes it.
        done: numbers of frames.
    """
    reach, starts = count // 2, set(begins)
    held: list[tuple[Pixels, Pixels]] = []  # frames, and what the network is given of them
    shot = first = due = 0  # numbers of the shot's first frame, of the first that is held, of the next result

    def results(last: int, until: int) -> Iterator[tuple[int, Pixels]]:
        nonlocal due, first
        while due <= until:
            if due not in done:
                around = (min(max(i, shot), last) for i in range(due - reach, due + reach + 1))
                made = make(np.concatenate([held[i - first][1] for i in around], 2))
                yield due, coloured(held[due - first][0], made) if count > 1 else made
            due += 1
            while first < due - reach:
                held.pop(0)
                first += 1

    number = -1
    for number, frame in enumerate(frames):
        if number in starts and number:
            yield from results(number - 1, number - 1)
            held.clear()
            shot = first = due = number
        held.append((frame, as_channels(frame, channels)))
        yield from results(number, number - reach)
    yield from results(number, number)


def check_frames(frames: Sequence[Pixels]) -> None:
    """DataError: these are not the frames of one film."""
    for frame in frames:
        told = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        if told != f"uint8 {getattr(frame, 'shape', None)}" or frame.ndim != 3 or frame.shape[2] not in (1, 3):
            raise DataError(
                f"a frame is {told}; this network takes frames uint8 (h, w, 1) or (h, w, 3).",
                "A film is a list of them, or uint8 (n, h, w, c).",
            )
        if frame.shape != frames[0].shape:
            raise DataError(f"a frame is {told}, the first is {frames[0].shape}: this network takes one film.")


def as_channels(frame: Pixels, channels: int) -> Pixels:
    """A frame of 1 or 3 channels as the network takes it: its luma, or grey as colour."""
    if frame.shape[2] == channels:
        return frame
    return luma(frame) if channels == 1 else np.repeat(frame, channels, 2)


def coloured(frame: Pixels, made: Pixels) -> Pixels:
    """The luma `made` with the colours of `frame`, enlarged by bicubic; what has colours already is as it is.

    Adding one number to red, green and blue changes luma by that number and neither Cb nor Cr (ITU-R 601).
    """
    if made.shape[2] != 1 or frame.shape[2] != 3:
        return made
    height, width = made.shape[:2]
    large = _native.resize(frame, height, width, "bicubic")
    return np.clip(large + (made.astype(np.int16) - luma(large)), 0, 255).astype(np.uint8)


def shots_of(frames: Iterable[Pixels]) -> list[int]:
    """Numbers of the frames that begin a shot."""
    differences: list[float] = []
    before: Pixels | None = None
    for frame in frames:
        if before is not None:
            differences.append(difference(before, frame))
        before = frame
    return cuts(differences)
