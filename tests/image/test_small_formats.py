"""BMP, PNM and TGA of every kind against Pillow, byte for byte, and what is cut off or of another format."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
from PIL import Image
from tests.image.damage import decoded_or_refused

from gantools import _native
from gantools.errors import DataError

RNG = np.random.default_rng(0)


def pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def equal(data: bytes, what: str = "") -> None:
    np.testing.assert_array_equal(_native.decode(data, alpha="drop"), pillow(data), err_msg=what)


def refused_when_cut(data: bytes, ends: list[int], capfd) -> None:
    for end in ends:
        with pytest.raises(DataError):
            _native.decode(data[:end])
    assert capfd.readouterr().err == ""


def bmp(
    pixels: bytes,
    width: int,
    height: int,
    bits: int,
    packing: int = 0,
    masks: tuple[int, ...] = (),
    table: bytes = b"",
    header: int = 40,
) -> bytes:
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, abs(height), 1, bits)
    else:
        count = len(table) // 4
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, packing, len(pixels), 0, 0, count, 0)
        fields = struct.pack(f"<{len(masks)}I", *masks)
        info = (info + fields).ljust(max(header, 40 + len(fields)), b"\0") if masks else info.ljust(header, b"\0")
    offset = 14 + len(info) + len(table)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + table + pixels


MASKS = {
    16: [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)],
    24: [(0xFF0000, 0xFF00, 0xFF)],
    32: [
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
    ],
}


@pytest.mark.parametrize("bits", [1, 4, 8, 16, 24, 32])
@pytest.mark.parametrize("width", [1, 7, 33])
@pytest.mark.parametrize("upside", [1, -1])
def test_bmp_of_every_depth_is_equal_with_pillow(bits, width, upside):
    height = 9
    stride = (width * bits + 31) // 32 * 4
    pixels = RNG.integers(0, 256, stride * height, dtype=np.uint8).tobytes()
    table = RNG.integers(0, 256, 4 * 2**bits, dtype=np.uint8).tobytes() if bits <= 8 else b""
    for header in (40, 52, 56, 108, 124):
        equal(bmp(pixels, width, upside * height, bits, table=table, header=header), f"header {header}")
    for masks in MASKS.get(bits, []):
        for header in (40, 124):
            fields = masks[:3] if header == 40 and bits != 32 else masks
            if header == 40 and len(masks) == 4 and masks[3]:
                continue
            equal(bmp(pixels, width, upside * height, bits, 3, fields, header=header), f"{masks}, header {header}")


def test_every_16_bit_value_widens_as_in_pillow():
    pixels = np.arange(65536, dtype="<u2").tobytes()
    equal(bmp(pixels, 256, 256, 16))
    for masks in MASKS[16]:
        equal(bmp(pixels, 256, 256, 16, 3, masks))


def test_bmp_of_grey_tables_of_two_and_of_os2_is_equal_with_pillow():
    grey = np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(256, 4)
    grey[:, 3] = 0
    pixels = RNG.integers(0, 256, 32 * 5, dtype=np.uint8).tobytes()
    equal(bmp(pixels, 32, 5, 8, table=grey.tobytes()))
    equal(bmp(pixels[: 4 * 5], 32, 5, 1, table=b"\0\0\0\0\xff\xff\xff\0"))
    equal(bmp(pixels[: 4 * 5], 32, 5, 1, table=b"\xff\xff\xff\0\0\0\0\0"))
    short = bytes(v % 200 for v in pixels)
    equal(bmp(short, 32, 5, 8, table=RNG.integers(0, 256, 800, dtype=np.uint8).tobytes()))
    core = RNG.integers(0, 256, 3 * 256, dtype=np.uint8).tobytes()
    equal(bmp(pixels, 32, 5, 8, table=core, header=12))


def runs(bits: int, width: int, height: int, rng: np.random.Generator) -> bytes:
    """Runs, literals, skips, ends of rows and, now and then, an early end."""
    out, x, y = bytearray(), 0, 0
    while y < height:
        kind = rng.integers(0, 8)
        left = width - x
        if left <= 0 or kind == 0:
            out += b"\0\0"
            x, y = 0, y + 1
        elif kind == 1 and left > 2 and y + 2 < height:
            out += bytes([0, 2, rng.integers(0, left), rng.integers(0, 2)])
            return bytes(out + b"\0\1") if rng.random() < 0.5 else bytes(out + b"\0\0" * height + b"\0\1")
        elif kind < 4 and left >= 3:
            n = int(rng.integers(3, min(left, 255) + 1))
            literal = rng.integers(0, 256, n if bits == 8 else (n + 1) // 2, dtype=np.uint8).tobytes()
            out += bytes([0, n]) + literal + b"\0" * (len(literal) % 2)
            x += n
        else:
            n = int(rng.integers(1, min(left, 255) + 1))
            out += bytes([n, rng.integers(0, 256)])
            x += n
    return bytes(out + b"\0\1")


@pytest.mark.parametrize("bits", [4, 8])
def test_run_length_bmp_is_equal_with_pillow(bits):
    table = RNG.integers(0, 256, 4 * 2**bits, dtype=np.uint8).tobytes()
    compared = 0
    for seed in range(240):
        rng = np.random.default_rng(seed)
        width, height = int(rng.integers(1, 40)), int(rng.integers(1, 12))
        data = bmp(runs(bits, width, height, rng), width, height, bits, 1 if bits == 8 else 2, table=table)
        try:
            want = pillow(data)
        except ValueError:
            continue  # Pillow refuses a picture that ends before its last row
        compared += 1
        np.testing.assert_array_equal(_native.decode(data), want, err_msg=f"seed {seed}")
    assert compared > 40


def test_what_bmp_does_not_hold_is_refused(capfd):
    data = bmp(bytes(4 * 8 * 3), 7, 4, 24)
    refused_when_cut(data, [2, 14, 30, 54, 80, len(data) - 4], capfd)
    for bits, packing, masks, words in [
        (16, 3, (0xF00, 0xF0, 0xF), "bit fields"),
        (24, 4, (), "a JPEG inside"),
        (24, 5, (), "a PNG inside"),
        (2, 0, (), "2 bits"),
    ]:
        with pytest.raises(DataError, match=f"unsupported BMP: .*{words}"):
            _native.decode(bmp(bytes(4096), 7, 4, bits, packing, masks))


# --- PNM --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", [b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"])
@pytest.mark.parametrize("white", [1, 7, 100, 255, 1000, 4095, 65535])
def test_pnm_is_equal_with_pillow(magic, white):
    width, height = 13, 9
    count = 3 if magic in (b"P3", b"P6") else 1
    values = RNG.integers(0, white + 1, (height, width * count))
    head = b"%b # a comment\n# another\r\n %d\t%d\n" % (magic, width, height)
    if magic in (b"P1", b"P4"):
        bits = values % 2
        body = b" ".join(b"%d" % v for v in bits.reshape(-1)) if magic == b"P1" else np.packbits(bits, axis=1).tobytes()
        data = head + body
        equal(data)
        if magic == b"P1":
            assert np.array_equal(_native.decode(head + body.replace(b" ", b"")), _native.decode(data))
        return
    head += b"%d\n" % white
    if magic in (b"P2", b"P3"):
        body = b"\n".join(b" ".join(b"%d" % v for v in row) + b" # row" for row in values) + b"\n"
    else:
        body = values.astype(">u2" if white > 255 else np.uint8).tobytes()
    data = head + body
    if white > 255 and count == 1:
        # Pillow clips grey of 16 bits; here it is spread over 0..255.
        want = values >> 8 if white == 65535 else np.round(values / white * 255)
        np.testing.assert_array_equal(_native.decode(data, channels=1)[:, :, 0], want)
    elif white == 65535:
        want = (values >> 8).reshape(height, width, 3)
        np.testing.assert_array_equal(_native.decode(data), want)
    else:
        equal(data)


def test_pnm_that_is_cut_off_or_absurd_is_refused(capfd):
    plain, raw = b"P2 3 2 255\n1 2 3 4 5 6\n", b"P6 3 2 255\n" + bytes(18)
    refused_when_cut(plain, [2, 5, 7, 12, 18, 20], capfd)
    refused_when_cut(raw, [3, 9, 12, len(raw) - 1], capfd)
    for data, words in [
        (b"P5 3 2 0\n" + bytes(6), "white"),
        (b"P5 3 2 65536\n" + bytes(12), "white"),
        (b"P2 3 1 9\n1 2 10", "beyond"),
        (b"P5 x 2 255\n", "number"),
        (b"P5 99999 99999 255\n", "too large"),
        (b"P5 10000 10000 255\nabc", "cut off"),
        (b"P5 0 5 255\n", "size of 0x5"),
    ]:
        with pytest.raises(DataError, match=words):
            _native.decode(data)


# --- TGA --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("rle", [False, True])
@pytest.mark.parametrize("flags", [0x00, 0x10, 0x20, 0x30])
def test_tga_is_equal_with_pillow(mode, rle, flags):
    small = Image.fromarray(RNG.integers(0, 256, (9, 11, 4), dtype=np.uint8), "RGBA").resize((44, 27), Image.NEAREST)
    image = small.convert("RGB").quantize(50) if mode == "P" else small.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "TGA", compression="tga_rle" if rle else None, id_section=b"a note")
    data = bytearray(buffer.getvalue())
    data[17] = data[17] & ~0x30 | flags
    equal(bytes(data))
    with Image.open(io.BytesIO(bytes(data))) as opened:
        if "A" in opened.mode:
            white = Image.new("RGBA", opened.size, "white")
            want = np.asarray(Image.alpha_composite(white, opened.convert("RGBA")).convert("RGB"))
            got = _native.decode(bytes(data), alpha="white")
            assert np.abs(got.astype(int) - want).max() <= 1


def tga(
    kind: int,
    depth: int,
    body: bytes,
    width: int = 8,
    height: int = 4,
    flags: int = 0,
    table: tuple[int, int, int] = (0, 0, 0),
) -> bytes:
    head = struct.pack("<BBBHHBHHHHBB", 0, int(table[1] > 0), kind, *table, 0, 0, width, height, depth, flags)
    return head + body


def test_tga_of_16_bits_is_equal_with_pillow():
    body = np.arange(65536, dtype="<u2").tobytes()
    for kind in (2,):
        equal(tga(kind, 16, body, 256, 256))


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("first", [0, 5])
def test_tga_tables_are_equal_with_pillow(bits, first):
    table = RNG.integers(0, 256, 40 * (bits // 8), dtype=np.uint8).tobytes()
    indices = RNG.integers(first, first + 40, 32, dtype=np.uint8).tobytes()
    equal(tga(1, 8, table + indices, table=(first, 40, bits)))


def test_tga_that_is_cut_off_is_refused_and_noise_is_no_tga(capfd):
    whole = tga(2, 24, bytes(96))
    refused_when_cut(whole, [10, 17, 18, 50, 113], capfd)
    packed = tga(10, 24, bytes([0x87, 1, 2, 3]) * 4)
    equal(packed)
    refused_when_cut(packed, [19, 25, len(packed) - 1], capfd)
    for at, value in itertools.product((1, 2, 16, 17), (77, 200)):
        broken = bytearray(whole)
        broken[at] = value
        with pytest.raises(DataError, match="not an image"):
            _native.decode(bytes(broken))


@pytest.mark.parametrize(
    "build",
    [
        lambda: bmp(bytes(4096), 31, 31, 24),
        lambda: tga(10, 24, bytes([0x87, 1, 2, 3]) * 4),
        lambda: b"P3 5 5 255\n" + b"1 2 3 " * 25,
    ],
)
def test_damage_gives_an_image_or_a_reason_and_never_a_panic(build, capfd):
    data, rng = build(), np.random.default_rng(1)
    for _ in range(500):
        decoded_or_refused(data, rng.integers(0, min(len(data), 70), 3), rng)
    assert capfd.readouterr().err == ""


# --- 16 bits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_the_range_of_16_bits_is_the_same_for_every_format(format):
    values = np.linspace(300, 4095, 40 * 30).astype(np.uint16).reshape(30, 40)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format)
    wide = values.astype(np.int64)
    wants = {
        "full": wide >> 8,
        "stretch": ((wide - 300) * 255 + (4095 - 300) // 2) // (4095 - 300),
        "0:4095": (wide * 255 + 4095 // 2) // 4095,
        "1000:2000": (np.clip(wide, 1000, 2000) - 1000) * 255 // 1000,
    }
    for policy, want in wants.items():
        got = _native.decode(buffer.getvalue(), channels=1, sixteen_bit=policy)[:, :, 0]
        assert np.abs(got - want).max() <= (1 if policy == "1000:2000" else 0), policy
    with pytest.raises(ValueError, match="sixteen_bit is full, stretch or LOW:HIGH"):
        _native.decode(buffer.getvalue(), sixteen_bit="5:4")
