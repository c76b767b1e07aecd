"""Which image, and what of it, stands at which position: functions of a seed and a position."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gantools.data.batches import Order, Selection, epochs_of
from gantools.data.feeds.base import Span
from gantools.data.seeds import derived, philox

# Blocks of all classes whose orders are drawn at a time.
BLOCKS = 256


class Plain:
    """Every image once an epoch, in an order and, if asked for, mirrored at random: that of `Order`."""

    def __init__(self, count: int, seed: int, *, flip: bool) -> None:
        self._order = Order(count, seed, flip=flip)

    def __call__(self, span: Span) -> Selection:
        """What stands at the positions of `span`."""
        indices, flips = self._order.take(*span)
        return Selection(indices, flips if self._order.flip else None)


class Balanced:
    """Every class equally often: each run of as many positions as there are classes has each class once.

    The classes of a run stand in an order of their own. The image of a class is the next one of an endless
    concatenation of permutations of that class's images, so within a class all come equally often.

    Args:
        labels: class numbers int64 (n,); classes without an image count for nothing.
        seed: in [0, 2**63).
        flip: also mirror at random.
    """

    def __init__(self, labels: NDArray[np.int64], seed: int, *, flip: bool) -> None:
        self._flip = flip
        self._members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
        self._orders = [Order(len(m), derived(seed, f"class {i}"), flip=flip) for i, m in enumerate(self._members)]
        self._seed = derived(seed, "classes")
        self._runs = lru_cache(maxsize=2)(self._make_runs)

    def __call__(self, span: Span) -> Selection:
        """What stands at the positions of `span`."""
        classes = len(self._members)
        drawn = BLOCKS * classes
        kinds = np.concatenate([self._runs(part)[rows] for part, rows in epochs_of(drawn, *span)])
        # The run that a position is in is how many images of its class came before.
        turns = np.arange(span[0], sum(span)) // classes
        indices, flips = np.empty(len(kinds), np.int64), np.empty(len(kinds), np.bool_)
        first, last = int(turns[0]), int(turns[-1])
        for kind in np.unique(kinds):
            here = np.flatnonzero(kinds == kind)
            within, mirrored = self._orders[kind].take(first, last - first + 1)
            at = turns[here] - first
            indices[here], flips[here] = self._members[kind][within[at]], mirrored[at]
        return Selection(indices, flips if self._flip else None)

    def _make_runs(self, part: int) -> NDArray[np.int64]:
        """The classes at the positions of a part: `BLOCKS` permutations of all of them."""
        runs = np.tile(np.arange(len(self._members)), (BLOCKS, 1))
        return philox(self._seed, part).permuted(runs, axis=1).reshape(-1)


class Crops:
    """A square part of each image, at random places; `scaled` gives those of the same images at another size.

    The places, mirrorings and turns are drawn on the grid of the smaller images, so that a crop of them begins at a
    whole pixel, and every crop of the larger ones begins at a multiple of the scale.

    Args:
        count: images in the set.
        seed: in [0, 2**63).
        room: rows and columns, on the grid of the smaller images, at which a crop may begin.
        flip: mirror left to right at random.
        first: number of the first image, where others of the set are left out.
        turn: turn at random upside down and about the diagonal, which with `flip` gives all eight positions of a
            square.
    """

    def __init__(self, count: int, seed: int, room: tuple[int, int], *, flip: bool, turn: bool, first: int = 0) -> None:
        self._order, self._count, self._room, self._turn = Order(count, seed, flip=flip), count, room, turn
        self._first = first
        self._seed = derived(seed, "crops")
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def scaled(self, span: Span, scale: int) -> Selection:
        """What stands at the positions of `span`, in images `scale` times as large as the smaller ones."""
        indices, flips = self._order.take(*span)
        corners, turns = (
            np.concatenate(parts)
            for parts in zip(
                *([drawn[rows] for drawn in self._epoch(epoch)] for epoch, rows in epochs_of(self._count, *span)),
                strict=True,
            )
        )
        return Selection(
            indices + self._first,
            flips if self._order.flip else None,
            corners * scale,
            turns.astype(bool) if self._turn else None,
        )

    def _make_epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rng = philox(self._seed, epoch)
        corners = rng.integers(0, self._room, (self._count, 2), dtype=np.int64)
        return corners, rng.integers(0, 2, (self._count, 2), dtype=np.int64)
