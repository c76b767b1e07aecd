"""TIFF in every combination of layout, storage and packing: the samples that were written, Pillow's, or a reason."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.image.damage import decoded_or_refused

from gantools import _native
from gantools.errors import DataError

HEIGHT, WIDTH = 37, 53


@dataclass(frozen=True)
class Layout:
    """What a pixel is made of: the number of its colours, their interpretation, and what stands beside them."""

    colours: int
    photometric: int
    extra: tuple[int, ...] = ()


LAYOUTS = {
    "grey": Layout(1, 1),
    "white is zero": Layout(1, 0),
    "grey, further": Layout(1, 1, (0,)),
    "grey, alpha": Layout(1, 1, (2,)),
    "white is zero, alpha": Layout(1, 0, (2,)),
    "RGB": Layout(3, 2),
    "RGB, further": Layout(3, 2, (0,)),
    "RGB, multiplied": Layout(3, 2, (1,)),
    "RGB, alpha": Layout(3, 2, (2,)),
    "RGB, two further": Layout(3, 2, (0, 0)),
    "RGB, multiplied, further": Layout(3, 2, (1, 0)),
    "RGB, alpha, further": Layout(3, 2, (2, 0)),
    "RGB, three further": Layout(3, 2, (0, 0, 0)),
    "palette": Layout(1, 3),
    "palette, further": Layout(1, 3, (0,)),
    "palette, alpha": Layout(1, 3, (2,)),
    "CMYK": Layout(4, 5),
    "CMYK, further": Layout(4, 5, (0,)),
}
STORAGES = [(None, None), (None, 8), (None, HEIGHT), ((16, 32), None), ((64, 48), None)]
"""Tiles (height, width), or rows a strip; None for one strip."""


def lzw(data: bytes) -> bytes:
    """LZW as TIFF has it, whose table is cleared before a code needs more than nine bits."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def packbits(data: bytes) -> bytes:
    """Runs and literals by turns, so that a reader meets both."""
    out = bytearray()
    at = 0
    while at < len(data):
        run = 1
        while run < 128 and data[at : at + 1] == data[at + run : at + run + 1]:
            run += 1
        piece = data[at : at + run] if run > 1 else data[at : at + 3]
        out += bytes([257 - run, piece[0]]) if run > 1 else bytes([len(piece) - 1, *piece])
        at += len(piece)
    return bytes(out)


PACKINGS = {1: bytes, 5: lzw, 8: zlib.compress, 32773: packbits}


def write(
    samples: np.ndarray,
    layout: Layout,
    *,
    order: str = "<",
    packing: int = 1,
    predictor: int = 1,
    tile: tuple[int, int] | None = None,
    rows: int | None = None,
    planar: bool = False,
    tags: dict[int, tuple[str, tuple[int, ...]]] | None = None,
) -> bytes:
    """A TIFF file of `samples` (h, w, c), uint8 or uint16, by numpy alone."""
    height, width, count = samples.shape
    block = tile or (rows or height, width)
    chunks = []
    for plane in range(count) if planar else [slice(None)]:
        one = samples[:, :, plane].reshape(height, width, -1)
        for y, x in itertools.product(range(0, height, block[0]), range(0, width, block[1])):
            chunk = one[y : y + block[0], x : x + block[1]]
            if tile:
                missing = [(0, tile[0] - chunk.shape[0]), (0, tile[1] - chunk.shape[1]), (0, 0)]
                chunk = np.pad(chunk, missing, mode="edge")
            if predictor == 2:
                chunk = np.concatenate([chunk[:, :1], chunk[:, 1:] - chunk[:, :-1]], axis=1)
            chunks.append(PACKINGS[packing](chunk.astype(chunk.dtype.newbyteorder(order)).tobytes()))
    bits = samples.dtype.itemsize * 8
    offsets = np.cumsum([8] + [len(chunk) for chunk in chunks])
    entries: dict[int, tuple[str, tuple[int, ...]]] = {
        256: ("I", (width,)),
        257: ("I", (height,)),
        258: ("H", (bits,) * count),
        259: ("H", (packing,)),
        262: ("H", (layout.photometric,)),
        277: ("H", (count,)),
        284: ("H", (2 if planar else 1,)),
        317: ("H", (predictor,)),
        (324 if tile else 273): ("I", tuple(int(o) for o in offsets[:-1])),
        (325 if tile else 279): ("I", tuple(len(chunk) for chunk in chunks)),
    }
    entries |= {322: ("I", (tile[1],)), 323: ("I", (tile[0],))} if tile else {278: ("I", (block[0],))}
    if layout.extra:
        entries[338] = ("H", layout.extra)
    if layout.photometric == 3:
        entries[320] = ("H", tuple(int(v) for v in table().T.reshape(-1)))
    entries |= tags or {}
    directory = int(offsets[-1]) + int(offsets[-1]) % 2
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory)
    body, behind = struct.pack(order + "H", len(entries)), b""
    far = directory + 2 + 12 * len(entries) + 4
    for number, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        body += struct.pack(order + "HHI", number, {"B": 1, "H": 3, "I": 4}[kind], len(values))
        if len(packed) > 4:
            body += struct.pack(order + "I", far + len(behind))
            behind += packed
        else:
            body += packed.ljust(4, b"\0")
    data = head + b"".join(chunks)
    return data.ljust(directory, b"\0") + body + b"\0\0\0\0" + behind


def table() -> np.ndarray:
    """256 colours of 16 bits, (256, 3)."""
    return np.random.default_rng(3).integers(0, 65536, (256, 3), dtype=np.uint16)


def picture(layout: Layout, dtype: type) -> np.ndarray:
    """Smooth with noise, and runs of one value, so that every packing has something to do."""
    count = layout.colours + len(layout.extra)
    rng = np.random.default_rng(7)
    largest = np.iinfo(dtype).max
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:count]
    values = (np.sin(x / 7 + c) * 0.3 + np.cos(y / 5) * 0.2 + 0.5) * largest
    values[:, ::3] += rng.normal(0, largest / 20, values[:, ::3].shape)
    values[5:9] = largest
    return np.clip(values, 0, largest).astype(dtype)


def expected(samples: np.ndarray, layout: Layout) -> np.ndarray:
    """RGB, alpha dropped: the high bytes, by the layout's rule."""
    values = (samples >> 8).astype(np.uint8) if samples.dtype == np.uint16 else samples
    colours = values[:, :, : layout.colours]
    if layout.photometric == 3:
        return (table() >> 8).astype(np.uint8)[colours[:, :, 0]]
    if layout.photometric == 5:
        return np.asarray(Image.fromarray(colours, "CMYK").convert("RGB"))
    if layout.photometric == 0:
        colours = 255 - colours
    if layout.extra[:1] == (1,):
        alpha = values[:, :, 3:4].astype(int)
        colours = np.minimum(colours.astype(int) * 255 // np.maximum(alpha, 1), 255) * (alpha > 0)
    return np.broadcast_to(colours, (*colours.shape[:2], 3)).astype(np.uint8)


def decoded_by_pillow(data: bytes) -> np.ndarray | None:
    """What Pillow makes of a file that it reads, 16-bit grey apart, which it clips."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode.startswith("I"):
                return None
            return np.asarray(image.convert("RGB"))
    except Exception:
        return None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_storage_and_packing_gives_the_samples_that_were_written(name, dtype):
    layout = LAYOUTS[name]
    if layout.photometric == 3 and dtype == np.uint16:
        pytest.skip("a table has 256 colours at most")
    samples = picture(layout, dtype)
    want = expected(samples, layout)
    by_pillow = by_tifffile = 0
    for order, packing, predictor, storage, planar in itertools.product(
        "<>", PACKINGS, (1, 2), STORAGES, (False, True)
    ):
        if predictor == 2 and packing not in (5, 8):
            continue
        tile, rows = storage
        options = {"order": order, "packing": packing, "predictor": predictor, "tile": tile, "rows": rows}
        data = write(samples, layout, **options, planar=planar)
        what = f"{options}, planar {planar}"
        np.testing.assert_array_equal(_native.decode(data, alpha="drop"), want, err_msg=what)
        other = decoded_by_pillow(data)
        # Tiles and strips of planes, and alpha behind planes, are read in part by libtiff's callers: contiguous only.
        if other is not None and not planar:
            by_pillow += 1
            np.testing.assert_array_equal(other, want, err_msg=what)
        if packing == 8:
            by_tifffile += 1
            read = tifffile.imread(io.BytesIO(data))
            read = np.moveaxis(read, 0, -1) if planar and samples.shape[2] > 1 else read
            np.testing.assert_array_equal(read.reshape(samples.shape), samples, err_msg=what)
    assert by_tifffile and (by_pillow or dtype == np.uint16 or layout.extra)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", [0, 1, 3])
@pytest.mark.parametrize("fill", [1, 2])
def test_few_bits_are_equal_with_pillow(bits, photometric, fill):
    values = np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH))
    digits = (values[:, :, None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(digits.reshape(HEIGHT, -1), axis=1)
    if fill == 2:
        rows = np.packbits(np.unpackbits(rows, axis=1).reshape(HEIGHT, -1, 8)[:, :, ::-1].reshape(HEIGHT, -1), axis=1)
    colours = tuple(int(v) for v in table()[: 2**bits].T.reshape(-1))
    tags = {256: ("I", (WIDTH,)), 258: ("H", (bits,)), 266: ("H", (fill,))}
    if photometric == 3:
        tags[320] = ("H", colours)
    data = write(rows[:, :, None], Layout(1, photometric), tags=tags)
    plain = write(
        np.packbits(digits.reshape(HEIGHT, -1), axis=1)[:, :, None],
        Layout(1, photometric),
        tags=tags | {266: ("H", (1,))},
    )
    # Pillow has no reader for tables with bits in reversed order.
    np.testing.assert_array_equal(_native.decode(data), decoded_by_pillow(plain))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({339: ("H", (3, 3, 3))}, "samples that are no unsigned integers"),
        ({258: ("H", (8, 8, 5))}, "bits"),
        ({262: ("H", (6,))}, "YCbCr"),
        ({262: ("H", (8,))}, "Lab"),
        ({262: ("H", (77,))}, "colours of kind 77"),
        ({259: ("H", (7,))}, "compression JPEG"),
        ({259: ("H", (50000,))}, "compression Zstandard"),
        ({259: ("H", (8,)), 317: ("H", (3,))}, "predictor 3"),
        ({284: ("H", (3,))}, "planar configuration 3"),
        ({338: ("H", (0,)), 277: ("H", (5,)), 258: ("H", (8,) * 5)}, "2 samples beside the colours, 1 explained"),
        ({338: ("H", (0, 2)), 277: ("H", (5,)), 258: ("H", (8,) * 5)}, "extra samples"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(tags, reason):
    data = write(picture(LAYOUTS["RGB"], np.uint8), LAYOUTS["RGB"], tags=tags)
    with pytest.raises(DataError, match=f"unsupported TIFF: .*{reason}"):
        _native.decode(data)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_file_cut_anywhere_is_refused_without_a_panic(packing, tile, capfd):
    data = write(picture(LAYOUTS["RGB"], np.uint8), LAYOUTS["RGB"], packing=packing, tile=tile)
    directory = struct.unpack("<I", data[4:8])[0]
    # With the directory moved in front, a cut goes through the pixels.
    for end in [*range(8), 20, directory // 2, directory, directory + 40, len(data) - 1]:
        with pytest.raises(DataError):
            _native.decode(data[:end])
    assert capfd.readouterr().err == ""


def test_damage_gives_an_image_or_a_reason_and_never_a_panic(capfd):
    rng = np.random.default_rng(11)
    for packing, tile in itertools.product(PACKINGS, (None, (16, 16))):
        data = write(picture(LAYOUTS["RGB, alpha"], np.uint8), LAYOUTS["RGB, alpha"], packing=packing, tile=tile)
        start = struct.unpack("<I", data[4:8])[0]
        for _ in range(200):
            decoded_or_refused(data, rng.integers(start if rng.random() < 0.8 else 8, len(data), 3), rng)
    assert capfd.readouterr().err == ""
