"""What every export gets: the images of a set, as pixels or as PNGs that threads have made."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepared import PreparedSet

BATCH = 256


@dataclass(frozen=True)
class Images:
    """The images of a set, and who wants to know how many are written."""

    set: PreparedSet
    threads: int
    done: Callable[[int], None]

    def pngs(self) -> Iterator[tuple[int, int | None, bytes]]:
        """Number, class number or None, and PNG file of each image, in order."""
        labels = self.set.labels
        threads = self.threads or os.cpu_count() or 1
        waiting: deque[Future[bytes]] = deque()
        i = 0
        with ThreadPoolExecutor(threads) as pool:
            for image in (*range(len(self.set)), *[None] * (4 * threads)):
                if image is not None:
                    waiting.append(pool.submit(_native.encode_png, self.set[image]))
                # A bounded window: encoding must not run ahead of the disk.
                if waiting and (image is None or len(waiting) > 4 * threads - 1):
                    yield i, None if labels is None else int(labels[i]), waiting.popleft().result()
                    i += 1
                    self.done(i)

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """All images in order, uint8 (<= 256, h, w, c)."""
        i = 0
        for batch in self.set.batches(BATCH):
            yield batch
            i += len(batch)
            self.done(i)


def image_name(i: int) -> str:
    """The name of image `i` as dataset_tool.py gives it: a thousand in a folder, sorted as the numbers are."""
    return f"{i // 1000:05d}/img{i:08d}.png"
