"""Images that a program gives while they are scored: a Dataset, an iterator, a function, a trained generator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.data.sources.labels import labels_of
from gantools.errors import ConfigError, DataError
from gantools.metrics.images.memory import RangeWatch, Values, to_levels
from gantools.metrics.images.reader import ImageReader, LevelReader, pixel_hash, resized
from gantools.metrics.networks.protocols import Input
from gantools.sampling.generator import Generator
from gantools.sampling.images import BATCH

# Images that a function is asked for where they are wanted one by one.
AT_A_TIME = 32


#: What the image of a row is called, wherever it is one.
KEYS = ("image", "images", "pixel_values")
LABEL_KEYS = ("label", "labels", "target", "class", "cls")


def image_of_row(row: dict[Any, Any], where: str) -> Any:
    """What of a row (a dict) is its image, or of a row of batches its images.

    What is called `image`, `images` or `pixel_values`, else the only value that can be one: a PIL image, or a tensor
    or array of two or more dimensions. DataError: none can be, or several; it names the keys.
    """
    named = next((row[key] for key in KEYS if key in row), None)
    if named is not None:
        return named
    keys = ", ".join(repr(key) for key in row) or "no keys"
    found = [key for key, value in row.items() if _can_be_an_image(value)]
    if len(found) == 1:
        return row[found[0]]
    what = f"several values that can be its image ({', '.join(map(repr, found))})" if found else "no image"
    raise DataError(
        f"{where}: a row with {what}; it has {keys}.",
        "Call the image 'image', or give the images alone, for example: [row[KEY] for row in rows].",
    )


def _can_be_an_image(value: Any) -> bool:
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.ndim >= 2
    return hasattr(value, "convert") and hasattr(value, "getbands")


def to_image(item: Any, values: Values | None, where: str, watch: RangeWatch | None = None) -> NDArray[np.uint8]:
    """One image as uint8 (h, w, c): a PIL image (as `convert("RGB")` gives it), a tensor (c, h, w) or an array.

    Of a tuple or list the first is taken, of a dict what `image_of_row` says. DataError: anything else, and as
    `to_levels`.
    """
    if isinstance(item, dict):
        item = image_of_row(item, where)
    if isinstance(item, tuple | list) and item:
        item = item[0]
    # Pillow is not needed to be installed for this.
    if hasattr(item, "convert") and hasattr(item, "getbands"):
        found: NDArray[np.uint8] = np.array(item.convert("RGB"), dtype=np.uint8)
        return found
    if not isinstance(item, torch.Tensor | np.ndarray):
        raise DataError(
            f"{where}: a {type(item).__name__} is no image.",
            "An item is a PIL image, a tensor (c, h, w), an array (h, w, c), or a tuple whose first is one.",
        )
    if item.ndim == 2:
        item = item[..., None]
    if item.ndim != 3:
        raise DataError(
            f"{where}: an image is (c, h, w) or (h, w, c), not {tuple(item.shape)}.",
            "Batches of images are given as an iterator: iter(batches).",
        )
    image: NDArray[np.uint8] = to_levels(item[None], values, where)[0]
    if watch is not None:
        watch.look(item, 1)
    return image


class Items(ImageReader):
    """A Dataset: `len(d)` items `d[i]`, images of any size; read in one thread."""

    parallel = False

    def __init__(self, items: Any, values: Values | None = None) -> None:
        self.label = f"dataset {type(items).__name__}"
        self.shape = None
        self._items, self._values = items, values
        self._watch = RangeWatch(values, len(items), self.label)
        if len(items) == 0:
            raise DataError(f"{self.label}: has no images.")
        # A wrong kind of item is said now, not after the reference is done.
        self._image(0)

    def __len__(self) -> int:
        return len(self._items)

    def _image(self, i: int, watch: RangeWatch | None = None) -> NDArray[np.uint8]:
        with torch.no_grad():
            return to_image(self._items[i], self._values, f"{self.label}, item {i}", watch)

    @cached_property
    def _classes(self) -> tuple[NDArray[np.int64], list[str]] | None:
        names = getattr(self._items, "classes", None)
        names = [str(name) for name in names] if isinstance(names, list | tuple) else None
        # What the datasets of torchvision have; any other is asked item by item.
        values = getattr(self._items, "targets", None)
        if values is None or len(values) != len(self):
            values = [_label(self._items[i]) for i in range(len(self))]
        plain = [v.item() if isinstance(v, torch.Tensor | np.generic) else v for v in values]
        if not all(v is None or isinstance(v, int | str) for v in plain):
            return None
        return labels_of(plain, self.label, names)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """`targets` of the dataset, else the second of each item where it is an integer or a string.

        For the latter all items are read. DataError: only some have one.
        """
        return None if self._classes is None else self._classes[0]

    @property
    def classes(self) -> list[str] | None:
        """`classes` of the dataset, else what the labels are."""
        return None if self._classes is None else self._classes[1]

    def levels(self, start: int, stop: int) -> list[NDArray[np.uint8]]:
        """Images start..stop, each uint8 (h, w, c)."""
        return [self._image(i, self._watch) for i in range(start, stop)]

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """As `ImageReader.pixels`."""
        return self._image(i)

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `ImageReader.read`."""
        images = self.levels(start, stop)
        if len({image.shape for image in images}) == 1:
            return resized([np.stack(images)], inputs)
        return resized([image[None] for image in images], inputs)

    def digest(self, n: int) -> str:
        """Of the pixels, for which all items are read."""
        h = hashlib.sha256(b"items\n")
        for i in range(n):
            image = self._image(i)
            h.update(f"{image.shape}\n".encode())
            h.update(np.ascontiguousarray(image).data)
        return h.hexdigest()


def _label(item: Any) -> Any:
    if isinstance(item, dict):
        return next((item[key] for key in LABEL_KEYS if key in item), None)
    return item[1] if isinstance(item, tuple | list) and len(item) > 1 else None


class Stream(ImageReader):
    """Batches as an iterator gives them: in order, once.

    A batch is as `to_levels` takes it, or a tuple whose first is. The iterator is asked in another thread than the one
    it was made in, without gradients.
    """

    lasting = False
    once = True
    parallel = False

    def __init__(self, batches: Iterator[Any], n: int, values: Values | None = None, label: str = "iterator") -> None:
        self.label = label
        self.shape = None
        self._batches, self._n, self._values = batches, n, values
        self._watch = RangeWatch(values, n, label)
        self._next = 0
        self._left: list[NDArray[np.uint8]] = []

    def __len__(self) -> int:
        return self._n

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `ImageReader.read`; `start` is what the last call stopped at. DataError: it is not, or the end came."""
        return resized(self._take(start, stop), inputs)

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """As `ImageReader.pixels`; the image after the last. DataError: it is not, or the end came."""
        image: NDArray[np.uint8] = self._take(i, i + 1)[0][0]
        return image

    def _take(self, start: int, stop: int) -> list[NDArray[np.uint8]]:
        if start != self._next:
            raise DataError(
                f"{self.label}: gives its images once and in order; image {start} was asked for, the next is "
                f"{self._next}.",
                "Make a new iterator for each use, or give a function f(n, start).",
            )
        have = sum(len(part) for part in self._left)
        while have < stop - start:
            part = self._ask()
            if part is None:
                raise DataError(
                    f"{self.label}: ended after {self._next + have:,} images, {self._n:,} were asked for.",
                    "Ask for fewer with -n (in Python n=), or let it give more.",
                )
            self._left.append(part)
            have += len(part)
        taken: list[NDArray[np.uint8]] = []
        need = stop - start
        while need:
            part = self._left.pop(0)
            taken.append(part[:need])
            if len(part) > need:
                self._left.insert(0, part[need:])
            need -= len(taken[-1])
        self._next = stop
        return taken

    def _ask(self) -> NDArray[np.uint8] | None:
        with torch.no_grad():
            batch = next(self._batches, None)
        if batch is None:
            return None
        images = _array(batch, self.label)
        levels = to_levels(images, self._values, self.label)
        self._watch.look(images, len(levels))
        return levels

    def digest(self, n: int) -> str:
        """DataError: the images can be had only once."""
        raise DataError(f"{self.label}: gives its images once, so nothing can say beforehand which they are.")


def one_by_one(items: Iterable[Any], values: Values | None, where: str) -> Iterator[NDArray[np.uint8]]:
    """Single images, as `to_image` takes them, as batches of one."""
    watch = RangeWatch(values, RangeWatch.ENOUGH, where)
    for i, item in enumerate(items):
        yield to_image(item, values, f"{where}, item {i}", watch)[None]


def _array(batch: Any, where: str) -> Any:
    if isinstance(batch, dict):
        batch = image_of_row(batch, where)
    if isinstance(batch, tuple | list) and batch:
        batch = batch[0]
    if not isinstance(batch, torch.Tensor | np.ndarray):
        raise DataError(
            f"{where}: a {type(batch).__name__} is no batch of images.",
            "A batch is a tensor (n, c, h, w) or an array (n, h, w, c), or a tuple whose first is one.",
        )
    return batch


class Call(ImageReader):
    """A function f(n, start) that makes images start..start+n-1; it runs in another thread, without gradients."""

    lasting = False
    parallel = False

    def __init__(self, function: Callable[[int, int], Any], n: int, values: Values | None = None) -> None:
        self.label = f"function {getattr(function, '__name__', type(function).__name__)}"
        self.shape = None
        self._function, self._n, self._values = function, n, values
        self._block: tuple[int, NDArray[np.uint8]] = (-1, np.empty((0, 1, 1, 1), np.uint8))
        self._watch = RangeWatch(values, n, self.label)

    def __len__(self) -> int:
        return self._n

    def read(self, start: int, stop: int, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """As `ImageReader.read`. DataError: the function gave another number of images than it was asked for."""
        return resized([self._make(start, stop)], inputs)

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """As `ImageReader.pixels`; the function is asked for some images at a time."""
        start = i // AT_A_TIME * AT_A_TIME
        if self._block[0] != start:
            self._block = (start, self._make(start, min(start + AT_A_TIME, self._n)))
        image: NDArray[np.uint8] = self._block[1][i - start]
        return image

    def _make(self, start: int, stop: int) -> NDArray[np.uint8]:
        with torch.no_grad():
            batch = self._function(stop - start, start)
        batch = _array(batch, self.label)
        images = to_levels(batch, self._values, self.label)
        self._watch.look(batch, len(images))
        if len(images) != stop - start:
            raise DataError(f"{self.label}: gave {len(images):,} images where {stop - start:,} were asked for.")
        return images

    def digest(self, n: int) -> str:
        """DataError: nothing says that the function makes the same images again."""
        raise DataError(f"{self.label}: nothing says that it makes the same images again.")


class Run(LevelReader):
    """The images of a trained generator, made when they are read; nothing is written.

    They are those of `gantools sample --seed SEED`: image i depends on the weights, the seed and i alone.
    """

    parallel = False

    def __init__(self, generator: Generator, n: int, seed: int = 0) -> None:
        generator.check_samples()
        self.label = str(generator.checkpoint)
        self.shape = generator.image_shape
        self.generator, self.seed = generator, seed
        self.trained_on = generator.data
        self._n = n
        # The block of images made last: a batch may end in the middle of one.
        self._block: tuple[int, NDArray[np.uint8]] = (-1, np.empty((0, *self.shape), np.uint8))
        if not 0 <= seed < 1 << 63:
            raise ConfigError(f"seed must be in [0, 2**63), not {seed}.")

    def __len__(self) -> int:
        return self._n

    def levels(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Images start..stop, uint8 (n, h, w, c)."""
        parts = []
        for number in range(start // BATCH, -(-stop // BATCH)):
            if self._block[0] != number:
                made = self.generator.numbered(number * BATCH, BATCH, self.seed)
                self._block = (number, made)
            first = number * BATCH
            parts.append(self._block[1][max(0, start - first) : stop - first])
        return np.concatenate(parts)

    def digest(self, n: int) -> str:
        """Of the weights and the seed, with what may move a pixel by 1: torch's version and the kind of device."""
        h = pixel_hash(self.shape)
        networks = self.generator.networks
        device = next(networks[self.generator.recipe.system.sampler].parameters()).device.type
        h.update(f"run {self.seed} {n} {torch.__version__} {device}\n".encode())
        tensors = {f"{n}.{k}": v for n, network in networks.items() for k, v in network.state_dict().items()}
        for name, tensor in sorted(tensors.items()):
            h.update(name.encode())
            h.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return str(h.hexdigest())
