"""Frames of films: an image, and as its inputs the frames around it, the same part of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gantools.data.batches import Selection
from gantools.data.feeds.base import Sample, Side, SidesFeed, Span
from gantools.data.image_set import ImageSet
from gantools.errors import ConfigError, DataError

VIDEO = "Make a set of films with: gantools prep video FILE --out SET --size 128"


def neighbours(clips: NDArray[np.int32], frames: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Rows of the `count` frames around each, int64 (n, count), its own in the middle.

    At the ends of a film the last frame stands for those beyond it; a frame of another film never does, nor one beyond
    a frame that is missing.

    Args:
        clips: number of each row's film, (n,).
        frames: its place in that, (n,).
        count: odd.
    """
    order = np.lexsort((frames, clips))
    film, at = clips[order].astype(np.int64), frames[order].astype(np.int64)
    begins = np.ones(len(order), bool)
    begins[1:] = (film[1:] != film[:-1]) | (at[1:] != at[:-1] + 1)
    run = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(order)) - 1
    places = np.arange(len(order))[:, None] + np.arange(-(count // 2), count // 2 + 1)
    places = np.clip(places, first[run][:, None], last[run][:, None])
    found = np.empty((len(order), count), np.int64)
    found[order] = order[places]
    return found


def around(data: ImageSet, count: int, place: str) -> NDArray[np.int64]:
    """`neighbours` of a set's images.

    Raises:
        ConfigError: `count` has no middle. DataError: the set does not say which film its images are of.
    """
    if count < 1 or count % 2 == 0:
        raise ConfigError(f"data.frames is {count}; it has to be odd, with one in the middle.", "For example 5.")
    annotations = getattr(data, "annotations", {})
    if not {"clip", "frame"} <= set(annotations):
        raise DataError(f"{place} does not say which films its images are of.", VIDEO)
    return neighbours(annotations["clip"], annotations["frame"], count)


class FramesFeed:
    """A feed of images whose inputs are the frames around each, float32 (n, frames, c, h, w).

    Args:
        images: of the images.
        inputs: of the inputs of the same images, what `images` selects of each at another size.
        rows: of the frames around each, from `around`.
        open: makes a feed of both sides.
    """

    def __init__(
        self, images: Side, inputs: Side, rows: NDArray[np.int64], open: Callable[[Side, Side], SidesFeed]
    ) -> None:
        self._frames = rows.shape[1]

        def window(span: Span) -> Selection:
            chosen = inputs.select(span)

            def each(values: NDArray[np.generic] | None) -> NDArray[np.generic] | None:
                return None if values is None else np.repeat(values, self._frames, 0)

            rest = (each(chosen.flips), each(chosen.corners), each(chosen.turns))
            return Selection(rows[chosen.indices].reshape(-1), *rest)  # type: ignore[arg-type]

        self._feed = open(images, Side(inputs.data, window, inputs.side))
        self.count, self.resident = self._feed.count, self._feed.resident

    def at(self, position: int, n: int, following: Span | None = None) -> Sample:
        """The rows at positions position..position+n-1; those of `following` are begun. See `Feed.at`."""
        found = self._feed.at(position, n, following)
        assert found.inputs is not None
        return found._replace(inputs=found.inputs.reshape(n, self._frames, *found.inputs.shape[1:]))

    def close(self) -> None:
        """Stop the reading threads."""
        self._feed.close()
