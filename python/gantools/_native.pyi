"""The Rust extension. Every function releases the interpreter lock while it works."""

from os import PathLike

import numpy as np
from numpy.typing import NDArray

__version__: str

# --- images -------------------------------------------------------------------------------------------------------

def decode(
    data: bytes, *, channels: int = 3, alpha: str = "error", orientation: str = "apply", max_pixels: int = 178956970
) -> NDArray[np.uint8]:
    """The image in the bytes of a JPEG, PNG, WebP or BMP file: uint8 (h, w, channels), channels 1 or 3.

    Args:
        data: the file's bytes; the format is taken from them.
        channels: 3 (RGB) or 1 (ITU-R 601 luma as Pillow's `convert("L")`).
        alpha: `error`, `drop`, `white` or `black`; alpha that is opaque everywhere is always dropped.
        orientation: `apply` or `ignore` an EXIF orientation tag.
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

def read_images_tf1(paths: list[str] | list[PathLike[str]], size: int, threads: int = 0) -> NDArray[np.float32]:
    """Image files decoded to RGB and resized as the original FID does: float32 (n, size, size, 3), 0..255.

    Decoding is that of Pillow's `Image.open(path).convert("RGB")` (alpha dropped, EXIF orientation ignored); the resize
    is TensorFlow 1's bilinear without half-pixel centres and antialiasing, bit-equal with torch-fidelity on a CPU.

    Args:
        paths: files of any size, JPEG, PNG, WebP or BMP.
        size: side of the result.
        threads: 0 for all cores.

    Raises:
        DataError: names the first file that cannot be read.
    """

def resize_tf1(images: NDArray[np.uint8], size: int, threads: int = 0) -> NDArray[np.float32]:
    """uint8 (n, h, w, c) resized as by `read_images_tf1`: float32 (n, size, size, c), 0..255."""
