"""The Rust extension. Every function releases the interpreter lock while it works."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALPHA_POLICIES",
    "CROPS",
    "DECODERS",
    "DEGRADE_RESIZES",
    "DEGRADE_STEPS",
    "EFFECTS",
    "FILTERS",
    "IMAGE_FORMATS",
    "IMAGE_MODES",
    "KERNEL_SHAPES",
    "ORIENTATION_POLICIES",
    "RESIZE_RULES",
    "SQUARE_CROPS",
    "STORES",
    "Frechet",
    "Kernel",
    "Moments",
    "PixelPolicy",
    "Reader",
    "Source",
    "__version__",
    "balls",
    "blur_kernel",
    "decode",
    "degrade",
    "degrade_float",
    "encode_png",
    "frechet_distance",
    "frechet_distance_features",
    "frechet_distance_features_moments",
    "hash_file",
    "inspect_images",
    "kernel_cross_sums",
    "kernel_self_sums",
    "nearest",
    "neighbour_radii",
    "placement",
    "prepare_shard",
    "read_images",
    "resize",
    "resize_images",
    "turn",
    "turned_points",
]

__version__: str

CROPS: list[str]
EFFECTS: list[str]
"""What may be done to prepared pixels: `none`, `edges` (Sobel's gradient) or `hole` (the middle quarter is grey)."""
STORES: list[str]
FILTERS: list[str]
IMAGE_FORMATS: list[str]
"""Names of the file formats that are read."""
IMAGE_MODES: list[str]
"""How colour is stored in a file: `grey`, `RGB`, `palette` or `CMYK`; alpha is said apart."""
ALPHA_POLICIES: list[str]
ORIENTATION_POLICIES: list[str]
RESIZE_RULES: list[str]
"""Names of the rules by which `read_images` and `resize_images` resize."""
SQUARE_CROPS: list[str]
"""What becomes of images that are not square there: `none` (squeezed) or `center` (the largest centred square)."""
DECODERS: list[tuple[str, str]]
"""The libraries that decide decoded pixels, with their versions."""

# --- images -------------------------------------------------------------------------------------------------------

def decode(
    data: bytes,
    *,
    channels: int = 3,
    alpha: str = "error",
    orientation: str = "apply",
    sixteen_bit: str = "full",
    max_pixels: int = 178956970,
) -> NDArray[np.uint8]:
    """The image in the bytes of a JPEG, PNG, WebP, BMP, GIF or TIFF file: uint8 (h, w, channels), channels 1 or 3.

    Args:
        data: the file's bytes; the format is taken from them.
        channels: 3 (RGB) or 1 (ITU-R 601 luma as Pillow's `convert("L")`).
        alpha: `error`, `drop`, `white` or `black`; alpha that is opaque everywhere is always dropped.
        orientation: `apply` or `ignore` an orientation of EXIF or XMP data.
        sixteen_bit: which 16-bit values become 0 and 255: `full` keeps the high byte, `stretch` takes the image's
            lowest and highest, `LOW:HIGH` these two.
        max_pixels: limit on declared width times height.

    Raises:
        DataError: not an image, damaged, truncated, too large, or transparent under `alpha="error"`.
    """

def encode_png(image: NDArray[np.uint8]) -> bytes:
    """The PNG file of uint8 (h, w), (h, w, 1), (h, w, 3) or (h, w, 4); the same pixels always give the same bytes."""

def resize(image: NDArray[np.uint8], height: int, width: int, filter: str = "lanczos") -> NDArray[np.uint8]:
    """uint8 (h, w) or (h, w, c) resized to uint8 (height, width, c), byte-equal with Pillow's `Image.resize`.

    Args:
        image: 1 to 4 channels.
        height: rows of the result.
        width: columns of the result.
        filter: `lanczos`, `bicubic`, `bilinear` or `box`.
    """

def turn(image: NDArray[np.uint8], yaw: float) -> NDArray[np.uint8]:
    """A frontal face uint8 (h, w) or (h, w, c) turned by `yaw` degrees, uint8 (h, w, c); above 0 the nose goes right.

    It is aligned as by `gantools prep frontal`. Each pixel of the face is moved by the depth of an ellipsoid with a
    nose; what is beside it stays, and what is uncovered is filled linearly along its row.
    """

def turned_points(points: NDArray[np.float64], yaws: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Where points float64 (n, 2), x and y from the middle of the first pixel, go by turns float64 (n,) of a face.

    Args:
        points: in a face of `side` pixels.
        yaws: degrees.
        side: of the face, in pixels.
    """

def read_images(
    source: Source, items: NDArray[np.int64], inputs: Sequence[tuple[str, int, str]], threads: int = 0
) -> list[NDArray[np.float32]]:
    """Images as networks take them: for each input float32 (n, size, size, 3), 0..255, each image decoded once for all.

    Decoding is that of Pillow's `Image.open(path).convert("RGB")` (alpha dropped, EXIF orientation ignored).

    Args:
        source: where the images are; of any size, encoded or pixels of 1 or 3 channels.
        items: int64 (n,), numbers of items.
        inputs: (resize, size, crop) each: a name in `RESIZE_RULES`, the side of the result, a name in `SQUARE_CROPS`.
        threads: 0 for all cores.

    Raises:
        DataError: names the first item that cannot be read. IndexError: no such item. ValueError: an unknown name.
    """

def inspect_images(
    source: Source, items: NDArray[np.int64], threads: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.uint64], list[tuple[int, str]]]:
    """What image files declare of themselves; their pixels are not decoded.

    Args:
        source: where the images are, encoded or pixels.
        items: int64 (n,), numbers of items.
        threads: 0 for all cores.

    Returns:
        int64 (n, 7): width and height as stored, format (place in `IMAGE_FORMATS`, -1 for pixels), mode (place in
        `IMAGE_MODES`), bits a sample, whether there is alpha (0 or 1), EXIF orientation (1 to 8); uint64 (n, 2): the
        XXH3 of the bytes as stored; and (position in `items`, reason) of those that cannot be read, whose rows are 0.

    Raises:
        IndexError: no such item. KeyboardInterrupt: Ctrl-C.
    """

def resize_images(
    images: NDArray[np.uint8], inputs: Sequence[tuple[str, int, str]], threads: int = 0
) -> list[NDArray[np.float32]]:
    """uint8 (n, h, w, 1) or (n, h, w, 3) as by `read_images`: float32 (n, size, size, 3) for each input, 0..255."""

# --- degradation --------------------------------------------------------------------------------------------------

DEGRADE_STEPS: list[str]
"""What may be done to an image, a step's number being its place here: see `degrade`."""
DEGRADE_RESIZES: list[str]
"""Modes of the step `resize`: those of PyTorch's `F.interpolate`, without antialiasing."""
KERNEL_SHAPES: list[str]
"""Shapes of blur kernels: see `blur_kernel`."""

def degrade(
    images: NDArray[np.uint8],
    steps: NDArray[np.float64],
    seeds: NDArray[np.uint64],
    out: NDArray[np.uint8],
    threads: int = 0,
) -> None:
    """Does to each image the steps of its own, in float32 levels, and rounds what comes of it to `out`.

    A step is seven numbers: its place in `DEGRADE_STEPS`, then, zeros behind them,

    - none: nothing;
    - blur: place of the shape in `KERNEL_SHAPES`, side, deviation, other deviation, angle, exponent; borders reflected;
    - resize: place of the mode in `DEGRADE_RESIZES`, height, width;
    - gaussian: deviation of the noise in levels, 1 for the same in all channels;
    - poisson: factor of the noise, 1 for the same in all channels;
    - jpeg: quality, 1 to 100; saved with colour at half the size (4:2:0) and read again;
    - sharpen: weight and threshold in levels of unsharp masking.

    Args:
        images: uint8 (n, h, w, c), contiguous, c 1 or 3.
        steps: float64 (n, any, 7), contiguous.
        seeds: uint64 (n,), what decides each image's random numbers.
        out: uint8 (n, h', w', c), contiguous, of the size that the steps lead to.
        threads: 0 for all cores; the result does not depend on it.

    Raises:
        ValueError: shapes, or a number is out of its range. KeyboardInterrupt: Ctrl-C.
    """

def degrade_float(
    images: NDArray[np.uint8],
    steps: NDArray[np.float64],
    seeds: NDArray[np.uint64],
    out: NDArray[np.float32],
    threads: int = 0,
) -> None:
    """As `degrade`, not rounded at the end, float32 levels that may lie outside 0 to 255."""

def blur_kernel(
    shape: str,
    side: int,
    deviation: float,
    other: float | None = None,
    angle: float = 0.0,
    exponent: float = 1.0,
) -> NDArray[np.float64]:
    """A kernel that sums up to 1, float64 (side, side).

    With q = (x, y) S^-1 (x, y)^T, S the covariance of two axes of these deviations, the first turned by `angle` radians
    from the columns' direction towards the rows': `gaussian` is exp(-q / 2), `generalised` exp(-q^exponent / 2),
    `plateau` 1 / (1 + q^exponent); `sinc` is w J1(w r) / (2 pi r) with the cut-off w = `deviation` and the distance r.

    ValueError: an unknown shape, an even side, or a number that is not positive.
    """

# --- preparation --------------------------------------------------------------------------------------------------

@final
class Source:
    """The items that a set is made of, addressed by number: files, entries of archives, parts of files, an array.

    Names are as `os.fsdecode` gives them: what is no UTF-8 in a file system or an archive is there as lone surrogates.
    """

    @staticmethod
    def files(root: str | PathLike[str], names: list[str]) -> Source:
        """Files by their paths relative to `root`, in this order. Reading one that is no regular file is an error."""

    @staticmethod
    def zip(path: str | PathLike[str]) -> Source:
        """The files in a zip archive, sorted bytewise by name, with its symbolic links followed.

        Separators in the names are as the archive has them, which may be backslashes.

        Raises:
            DataError: no readable zip archive. OSError: the system cannot read it.
        """

    @staticmethod
    def tar(archives: list[tuple[str | PathLike[str], str]]) -> Source:
        """The files in tar archives: (path, prefix of its names) each; an archive's are sorted bytewise by name.

        Hard and symbolic links are followed within their archive, also those to folders. Archives that stand one
        behind the other in a file are one, where a later file of a name takes the place of an earlier one. What gzip or
        zstd compressed is unpacked into a temporary file (in TMPDIR) that goes with the source.

        Raises:
            DataError: one is compressed by something else, damaged, cut off, no tar archive, or does not fit on the
                disk when unpacked.
            OSError: the system cannot read it. KeyboardInterrupt: Ctrl-C.
        """

    @staticmethod
    def ranges(
        files: list[str | PathLike[str]],
        ranges: NDArray[np.int64],
        *,
        names: list[str] | None = None,
        shape: list[int] | tuple[int, int, int] | None = None,
    ) -> Source:
        """Parts of files: int64 (n, 3) rows of file number, first byte and length.

        With `names` they are image files; with `shape` (h, w, c) they are pixels of that shape. One of both is given.
        """

    @staticmethod
    def fetched(names: list[str], fingerprint: str, fetch: Callable[[int], bytes]) -> Source:
        """Image files whose bytes a function gives; it is called from any thread, with the interpreter lock held.

        An exception in it makes that item a reject with its first line as the reason. `fingerprint` stands for the
        content: it has to change when the content does.
        """

    @staticmethod
    def array(images: NDArray[np.uint8]) -> Source:
        """uint8 (n, h, w) or (n, h, w, c), copied."""

    @property
    def names(self) -> list[str] | None:
        """The names of the items; None for pixels."""

    @property
    def faults(self) -> list[tuple[str, str]]:
        """What is in archives beside the items and folders: its name and what it is.

        These are earlier files of a name, links that lead back to a folder above them, and what stands behind an
        archive's end. Links that lead nowhere and members that are no regular files are items, which cannot be read.
        """

    def __len__(self) -> int: ...
    def read(self, index: int) -> bytes:
        """The bytes of an item as stored, of an array its pixels. DataError: it cannot be read. IndexError: none."""

    def fingerprint(self) -> str:
        """32 hexadecimal digits: a hash of names and sizes (files, tar), also checksums (zip), or of the pixels."""

@final
class PixelPolicy:
    """Everything that decides the pixels of a prepared image."""

    def __new__(
        cls,
        *,
        width: int,
        height: int,
        channels: int,
        crop: str = "center",
        band: int | None = None,
        background: tuple[int, int, int] | None = None,
        filter: str = "lanczos",
        fast: bool = False,
        alpha: str = "error",
        orientation: str = "apply",
        sixteen_bit: str = "full",
        half: str = "whole",
        effect: str = "none",
        max_pixels: int = 178956970,
    ) -> PixelPolicy:
        """`half` is `whole`, `left` or `right`; `effect` a name in `EFFECTS`; the others as in `prep`."""

def placement(policy: PixelPolicy, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of what a prepared image shows, in the coordinates of the image it was made of.

    The point (x, y) of the image lies at ((x - left) * policy width / width, (y - top) * policy height / height) of the
    result. With the crop `pad` or `center-wide` the rectangle reaches beyond the image.

    Args:
        policy: how images are prepared.
        width: columns of the upright image.
        height: its rows.

    Raises:
        DataError: an image of this size cannot be prepared so, or each image has its own crop (`box`, `landmarks`).
    """

def prepare_shard(
    source: Source,
    items: NDArray[np.int64],
    policy: PixelPolicy,
    path: str | PathLike[str],
    threads: int = 0,
    progress: Callable[[int], object] | None = None,
    *,
    store: str = "pixels",
    regions: NDArray[np.float64] | None = None,
    noise: float | None = None,
    seeds: NDArray[np.uint64] | None = None,
    yaws: NDArray[np.float64] | None = None,
) -> tuple[int, str, list[tuple[int, str, str]], list[tuple[int, int]], int]:
    """Decodes, crops and resizes items and writes them into one file, whole or not at all.

    Args:
        source: where the items are.
        items: their numbers, in the order of the result.
        policy: how they become pixels.
        path: the file; it is written under a temporary name and renamed.
        threads: 0 for all cores; the result does not depend on it.
        progress: called with the number of items done, about ten times a second, with the interpreter lock held.
        store: `pixels` (a uint8 (n, h, w, c) `.npy` file), `png`, `jpeg` (the prepared images, encoded) or `original`
            (the items' own bytes).
        regions: float64 (n, 8) for the crops `box`, `landmarks` and `tile`: x and y of the north-west, south-west,
            south-east and north-east corner of what is kept of each item; those of a box or tile are whole, upright and
            square, and a tile's a whole multiple of the policy's width.
        noise: deviation in levels of noise that is added to the finished pixels.
        seeds: uint64 (n,), what decides each item's noise.
        yaws: float64 (n,), degrees by which the finished face of each item is turned, as by `turn`.

    Returns:
        The number of images written, the file's XXH3 as 16 hexadecimal digits, the rejects: (position in `items`,
        class, reason), the others' (width, height) before they were prepared, and how many of them have 16-bit samples
        that all stay below 4096. Classes are `not-an-image`, `unsupported`, `damaged`, `too-large`, `transparent`,
        `does-not-fit` and `unreadable`.

    Raises:
        OSError: the file could not be written; nothing is left of it.
        KeyboardInterrupt: Ctrl-C; likewise.
    """

@final
class Reader:
    """The images of a prepared set's shards, mapped; may be used by several threads at once and after a fork."""

    def __new__(
        cls,
        paths: Sequence[str | PathLike[str]],
        counts: Sequence[int],
        shape: tuple[int, int, int],
        *,
        store: str = "pixels",
        policy: PixelPolicy | None = None,
    ) -> Reader:
        """Opens shards of `counts` images each, all of `shape` (h, w, c); encoded ones need the `policy` of that shape.

        DataError: a shard is missing, of another kind or shape, or longer or shorter than it says.
        """

    def __len__(self) -> int: ...
    def gather(self, indices: NDArray[np.int64], out: NDArray[np.uint8], flip: NDArray[np.bool_] | None = None) -> None:
        """Writes the images `indices` into `out`, contiguous uint8 (m, h, w, c), mirrored where `flip` (m,) says so.

        IndexError: an index that is no image; ValueError: shapes. Nothing is written then.
        """

    def gather_float(
        self,
        indices: NDArray[np.int64],
        out: NDArray[np.float32],
        layout: str = "nchw",
        flip: NDArray[np.bool_] | None = None,
    ) -> None:
        """As `gather`, as x / 127.5 - 1, into float32 (m, c, h, w) or, with layout `nhwc`, (m, h, w, c)."""

def hash_file(path: str | PathLike[str]) -> str:
    """The XXH3 of a file, 16 hexadecimal digits."""

# --- statistics ---------------------------------------------------------------------------------------------------

@final
class Moments:
    """Count, mean and centred second moment of features that arrive in batches; all sums in float64.

    Joined by the pairwise update of Chan, Golub and LeVeque (1979), so shards and processes combine exactly up to
    rounding. An instance must not be used by two threads at once.
    """

    def __new__(cls, d: int) -> Moments:
        """Nothing seen yet, for features of width `d`. ValueError: d is 0."""

    @staticmethod
    def from_state(n: int, mean: NDArray[np.float64], m2: NDArray[np.float64]) -> Moments:
        """From `n`, `mean` (d,) and `m2()` (d, d) of another instance. ValueError: shapes; MetricError: not finite."""

    @property
    def n(self) -> int:
        """Features seen."""

    @property
    def d(self) -> int:
        """Width of a feature."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """float64 (d,): the mean; zeros while n is 0."""

    def update(self, features: NDArray[np.float32] | NDArray[np.float64]) -> None:
        """Adds float32 or float64 (n, d). ValueError: dtype or shape; MetricError: not finite (nothing is added)."""

    def merge(self, other: Moments) -> None:
        """Adds all that `other` has seen. ValueError: another width."""

    def covariance(self) -> NDArray[np.float64]:
        """float64 (d, d), exactly symmetric, with divisor n - 1. MetricError: n < 2."""

    def m2(self) -> NDArray[np.float64]:
        """float64 (d, d): sum of (x - mean)(x - mean)^T; with `n` and `mean` the whole state."""

@final
class Frechet:
    """A Frechet distance and how it was computed."""

    @property
    def distance(self) -> float:
        """The squared distance, which is what FID is; >= 0."""

    def __float__(self) -> float:
        """The same."""

    @property
    def mean_term(self) -> float:
        """|mu1 - mu2|^2: its share that is due to the means."""

    @property
    def route(self) -> str:
        """`features`, `features-moments`, `cholesky` or `truncated-eigen`: where the trace of the root came from."""

    @property
    def rank(self) -> int:
        """Numerical rank of the product of the two covariances."""

def frechet_distance(
    mu1: NDArray[np.float64], sigma1: NDArray[np.float64], mu2: NDArray[np.float64], sigma2: NDArray[np.float64]
) -> Frechet:
    """|mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2) for covariances of any rank (arXiv:1706.08500, equation 6).

    Args:
        mu1, mu2: float64 (d,).
        sigma1, sigma2: float64 (d, d), symmetric and positive semi-definite.

    Raises:
        ValueError: shapes.
        MetricError: not finite, not symmetric, not positive semi-definite.
    """

def frechet_distance_features_moments(
    features: NDArray[np.float32] | NDArray[np.float64], mu: NDArray[np.float64], sigma: NDArray[np.float64]
) -> Frechet:
    """As `frechet_distance`, one side as features (n, d): an n x n problem where n <= d. MetricError: n < 2."""

def frechet_distance_features(
    features1: NDArray[np.float32] | NDArray[np.float64], features2: NDArray[np.float32] | NDArray[np.float64]
) -> Frechet:
    """As `frechet_distance`, both sides as features (n, d): n1 x n2 where both are <= d. MetricError: n < 2."""

@final
class Kernel:
    """A kernel k(x, y) for `kernel_self_sums` and `kernel_cross_sums`."""

    @staticmethod
    def polynomial(gamma: float, coef: float, degree: int) -> Kernel:
        """(gamma x.y + coef)^degree, degree 1 to 64. ValueError: not that, or not finite."""

    @staticmethod
    def gaussian(sigma: float) -> Kernel:
        """exp(-|x - y|^2 / (2 sigma^2)). ValueError: sigma is not positive and finite."""

def kernel_self_sums(
    features: NDArray[np.float32] | NDArray[np.float64], kernel: Kernel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of features (n, d): float64 (n,) sums over j != i of k(x_i, x_j), and float64 (n,) k(x_i, x_i).

    Products and sums are in float64, tile by tile, in O(n) memory; the result does not depend on the threads. Ctrl-C
    ends it, as it does the functions below.

    Raises:
        ValueError: dtype or shape.
        MetricError: not finite, or too large.
    """

def kernel_cross_sums(
    features1: NDArray[np.float32] | NDArray[np.float64],
    features2: NDArray[np.float32] | NDArray[np.float64],
    kernel: Kernel,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of features (n, d) and (m, d): float64 (n,) sums of k(x_i, y_j) over j, and float64 (m,) sums over i.

    ValueError: dtypes that differ or are not float, or shapes; MetricError: not finite, or too large.
    """

def neighbour_radii(features: NDArray[np.float32] | NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Of features (n, d): float64 (n,), the squared distance to the k-th nearest other row.

    Every distance that matters is summed from differences in float64, so the result does not depend on blocks or
    threads and equal distances are equal. Memory is O(n).

    Raises:
        ValueError: dtype or shape.
        MetricError: not finite, too large, or n <= k.
    """

def balls(
    features1: NDArray[np.float32] | NDArray[np.float64],
    radii1: NDArray[np.float64],
    features2: NDArray[np.float32] | NDArray[np.float64],
    radii2: NDArray[np.float64],
    closed: bool,
) -> tuple[tuple[NDArray[np.uint32], NDArray[np.uint32]], tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
    """How two sets lie in each other's balls; `radii1` (n,) and `radii2` (m,) are squared, as `neighbour_radii` gives.

    For each set two uint32 arrays: for each point the number of balls of the other set that it is in, and for each ball
    the number of points of the other set that it holds. A point at exactly the radius is inside where `closed`.

    ValueError: dtypes or shapes; MetricError: not finite, or too large.
    """

def nearest(
    features1: NDArray[np.float32] | NDArray[np.float64], features2: NDArray[np.float32] | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each row of `features1` the squared distance to the nearest row of `features2`, and its number.

    Of equally near rows it is the first. Exact as `neighbour_radii` is.

    ValueError: dtypes or shapes; MetricError: not finite, too large, or no row in `features2`.
    """
