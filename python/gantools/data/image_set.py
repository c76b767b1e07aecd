"""What feeds and views need of a set of images: a prepared set has it, and whatever else is to be trained on."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray


class ImageSet(Protocol):
    """Images of one shape by number, with or without class numbers; `gantools.data.prepared.PreparedSet` is one."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Class numbers int64 (n,), or None when the set has none."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Image `index`, in [-n, n), as uint8 (h, w, c). IndexError: there is none."""
        ...

    def gather(
        self, indices: NDArray[np.int64], out: NDArray[np.uint8] | None = None, flip: NDArray[np.bool_] | None = None
    ) -> NDArray[np.uint8]:
        """The images at `indices`, int64 (m,), as uint8 (m, h, w, c), in `out` when it is given.

        Args:
            indices: in [0, n), in any order.
            out: uint8 (m, h, w, c) to write into; made when None.
            flip: bool (m,): which of them are mirrored left to right; None: none.
        """
        ...

    def gather_float(
        self,
        indices: NDArray[np.int64],
        out: NDArray[np.float32] | None = None,
        flip: NDArray[np.bool_] | None = None,
        *,
        layout: Literal["nchw", "nhwc"] = "nchw",
    ) -> NDArray[np.float32]:
        """As `gather`, as float32 x / 127.5 - 1 in [-1, 1], (m, c, h, w) or (m, h, w, c) by `layout`."""
        ...


class NamedSet(ImageSet, Protocol):
    """An image set whose images have names and further values each."""

    @property
    def names(self) -> list[str]:
        """The name of each image."""

    @property
    def annotations(self) -> dict[str, NDArray[Any]]:
        """Further arrays by name, the first axis of each aligned with the images."""
