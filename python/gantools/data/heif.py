"""HEIC and AVIF files, decoded by pillow-heif (libheif) and Pillow where they are installed: the extra `heif`.

gantools' own decoders read the formats that sets are published in; these two come from telephones and the web. They are
decoded in Python and handed on as PNG, without a loss: 8 bits a channel, the orientation kept.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from gantools import _native
from gantools.errors import DataError

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
AVIF_SUFFIXES = (".avif",)
SUFFIXES = (*HEIC_SUFFIXES, *AVIF_SUFFIXES)
#: The brands of an ISO media file that are AVIF; the others are HEIF's.
AVIF_BRANDS = (b"avif", b"avis")
INSTALL = "Type: pip install 'gantools[heif]'"
ORIENTATION = 0x112
MAX_PIXELS = 178956970


@cache
def suffixes() -> tuple[str, ...]:
    """The suffixes that are read on this machine; none without the extra."""
    found: tuple[str, ...] = ()
    try:
        import pillow_heif  # noqa: F401

        found += HEIC_SUFFIXES
    except ImportError:
        pass
    try:
        from PIL import features

        # Before 11.3 Pillow does not know the word.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found += AVIF_SUFFIXES if features.check("avif") else ()
    except ImportError:
        pass
    return found


def is_further(name: str) -> bool:
    """Whether a name is that of a HEIC or AVIF file, whether or not it is read here."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def versions() -> dict[str, str]:
    """The libraries that decide the pixels, with their versions."""
    found = {}
    if ".heic" in suffixes():
        import pillow_heif

        found = {"pillow-heif": str(pillow_heif.__version__), "libheif": str(pillow_heif.libheif_version())}
    if ".avif" in suffixes():
        from PIL import features

        found["libavif"] = str(features.version("avif"))
    return found


def reading(reader: _native.Source, names: list[str]) -> _native.Source:
    """A reader of the same items that decodes the HEIC and AVIF files among them.

    Args:
        reader: of files by name.
        names: the names of the images that are wanted of it; where none is of these formats `reader` itself is
            returned, which reads without Python.
    """
    if not any(is_further(name) for name in names):
        return reader
    everything = reader.names or []

    def fetch(index: int) -> bytes:
        data = reader.read(index)
        return to_png(data) if is_further(everything[index]) else data

    mark = f"{reader.fingerprint()} {sorted(versions().items())}"
    return _native.Source.fetched(everything, hashlib.sha256(mark.encode()).hexdigest()[:32], fetch)


def to_png(data: bytes) -> bytes:
    """The PNG file of the first image in a HEIC or AVIF file; any other file as it is.

    Args:
        data: the whole file; more than 8 bits a channel are rounded to 8, colour profiles are not applied.

    Raises:
        DataError: damaged, too large, or the library for it is not installed.
    """
    if data[4:8] != b"ftyp":
        return data
    name, suffix = ("AVIF", ".avif") if data[8:12] in AVIF_BRANDS else ("HEIC", ".heic")
    if suffix not in suffixes():
        raise DataError(f"{name}, which is not read without gantools[heif]", INSTALL)
    try:
        image = _avif(data) if name == "AVIF" else _heic(data)
        image.load()
    except DataError:
        raise
    # The libraries raise many kinds for what is damaged.
    except Exception as e:
        raise DataError(f"damaged {name}") from e
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    # Of HEIC, what turns the image is part of the format and applied already; EXIF does not count there.
    orientation = image.getexif().get(ORIENTATION, 1) if name == "AVIF" else 1
    kept = type(image.getexif())()
    if orientation != 1:
        kept[ORIENTATION] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, exif=kept)
    return buffer.getvalue()


def _heic(data: bytes) -> Any:
    import pillow_heif

    image = pillow_heif.open_heif(data)
    _check_size(*image.size)
    return image.to_pillow()


def _avif(data: bytes) -> Any:
    from PIL import Image

    with warnings.catch_warnings():
        # The limit is checked here, and is the same for every format.
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data), formats=["AVIF"])
    _check_size(*image.size)
    return image


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(f"too large: {width}x{height} is more than {MAX_PIXELS} pixels")
