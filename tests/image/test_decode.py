"""Decoding against Pillow, in every mode that both read, and what is refused."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from gantools import _native
from gantools.errors import DataError


def photo(h: int = 61, w: int = 83) -> Image.Image:
    """Smooth shapes with some noise, so that chroma subsampling and ringing matter."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:h, 0:w]
    base = np.stack([np.sin(x / 7) * 90, np.cos(y / 5) * 90, np.sin((x + y) / 9) * 90], -1) + 128
    return Image.fromarray(np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8))


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert(mode)
    return np.asarray(image).reshape(image.height, image.width, -1)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("size", [(61, 83), (64, 64), (1, 1), (8, 17)])
def test_jpeg_is_equal_with_pillow(progressive, subsampling, quality, size):
    data = saved(photo(*size), "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    np.testing.assert_array_equal(_native.decode(data), pillow(data))
    np.testing.assert_array_equal(_native.decode(data, channels=1), pillow(data, "L"))


def test_real_celeba_photographs_are_equal_with_pillow(test_data):
    with zipfile.ZipFile(test_data / "data/celeba/img_align_celeba.zip") as z:
        names = sorted(z.namelist())[::13]
        assert len(names) > 500
        for name in names:
            data = z.read(name)
            np.testing.assert_array_equal(_native.decode(data), pillow(data), err_msg=name)


@pytest.mark.parametrize("progressive", [False, True])
def test_grey_and_cmyk_jpeg_are_equal_with_pillow(progressive):
    for mode in ("L", "CMYK"):
        data = saved(photo().convert(mode), "JPEG", quality=90, progressive=progressive)
        np.testing.assert_array_equal(_native.decode(data), pillow(data))
    # Samples over the whole cube, not only what convert("CMYK") makes.
    inks = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 4), dtype=np.uint8), "CMYK")
    data = saved(inks, "JPEG", quality=95)
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_png_modes_are_equal_with_pillow(mode):
    data = saved(photo().convert(mode), "PNG")
    np.testing.assert_array_equal(_native.decode(data), pillow(data))
    luma = Image.open(io.BytesIO(data)).convert("RGB").convert("L")
    np.testing.assert_array_equal(_native.decode(data, channels=1)[..., 0], np.asarray(luma))


@pytest.mark.parametrize("bits", [2, 4])
def test_png_of_few_bits_is_equal_with_pillow(bits):
    data = saved(photo().convert("P", palette=Image.Palette.ADAPTIVE, colors=2**bits), "PNG", bits=bits)
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


def test_png_of_16_bits_keeps_the_high_byte():
    grey = np.arange(0, 65536, 257, dtype=np.uint16)[:256].reshape(16, 16) + 200
    data = saved(Image.fromarray(grey), "PNG")
    expected = (grey >> 8).astype(np.uint8)[..., None]
    np.testing.assert_array_equal(_native.decode(data, channels=1), expected)
    np.testing.assert_array_equal(_native.decode(data), expected.repeat(3, -1))


def test_transparency_follows_the_policy():
    rgba = np.dstack([np.asarray(photo()), np.random.default_rng(1).integers(0, 256, (61, 83), dtype=np.uint8)])
    data = saved(Image.fromarray(rgba), "PNG")
    with pytest.raises(DataError, match="transparency; choose --alpha"):
        _native.decode(data)
    np.testing.assert_array_equal(_native.decode(data, alpha="drop"), pillow(data))
    for colour in ("white", "black"):
        background = Image.new("RGB", (83, 61), colour)
        image = Image.open(io.BytesIO(data))
        background.paste(image.convert("RGB"), mask=image.getchannel("A"))
        np.testing.assert_array_equal(_native.decode(data, alpha=colour), np.asarray(background))


def test_palette_with_transparency_is_refused_by_default_and_equal_with_pillow_when_dropped():
    image = photo().convert("P", palette=Image.Palette.ADAPTIVE)
    data = saved(image, "PNG", transparency=image.getpixel((0, 0)))
    with pytest.raises(DataError, match="transparency"):
        _native.decode(data)
    np.testing.assert_array_equal(_native.decode(data, alpha="drop"), pillow(data))


def test_opaque_alpha_is_no_transparency():
    data = saved(photo().convert("RGBA"), "PNG")
    np.testing.assert_array_equal(_native.decode(data), np.asarray(photo()))


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}, {"quality": 20}])
def test_webp_is_equal_with_pillow(options):
    data = saved(photo(), "WEBP", **options)
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_is_equal_with_pillow(mode):
    data = saved(photo().convert(mode), "BMP")
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("interlace", [False, True])
def test_gif_is_equal_with_pillow(mode, interlace):
    data = saved(photo().convert(mode), "GIF", interlace=interlace)
    np.testing.assert_array_equal(_native.decode(data), pillow(data))
    np.testing.assert_array_equal(
        _native.decode(data, channels=1),
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB").convert("L"))[..., None],
    )


def test_of_an_animated_gif_the_first_frame_is_taken():
    frames = [photo().rotate(angle) for angle in (0, 30, 60)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(data)).n_frames == 3
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


def gif(screen, frame, table: bytes, transparent: int | None = None) -> bytes:
    """A GIF whose frame (left, top, width, height) has the index (x + y) % 4 at x, y; its LZW codes never grow."""
    left, top, w, h = frame
    bits = len(table).bit_length() - 3  # 4 colours: 1
    data = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80 | bits, 1, 0) + table
    if transparent is not None:
        data += b"!\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    data += b"," + struct.pack("<HHHHB", left, top, w, h, 0) + b"\x02"
    # Three-bit codes 0-3; the code 4 clears the dictionary before codes would take four bits.
    codes = [code for y in range(h) for x in range(w) for code in (4, (x + y) % 4)] + [5]
    number = sum(code << 3 * i for i, code in enumerate(codes))
    packed = number.to_bytes((3 * len(codes) + 7) // 8, "little")
    for at in range(0, len(packed), 255):
        block = packed[at : at + 255]
        data += bytes([len(block)]) + block
    return data + b"\0;"


@pytest.mark.parametrize("transparent", [None, 0, 2])
@pytest.mark.parametrize("frame", [(0, 0, 9, 7), (3, 2, 4, 3), (0, 0, 12, 3), (5, 5, 6, 6)])
def test_a_gif_frame_lies_on_its_screen_as_in_pillow(frame, transparent):
    data = gif((9, 7), frame, bytes(range(10, 130, 10)), transparent)
    np.testing.assert_array_equal(_native.decode(data, alpha="drop"), pillow(data))
    if transparent is None:
        return
    with pytest.raises(DataError, match="transparency"):
        _native.decode(data)
    for colour in ("white", "black"):
        image = Image.open(io.BytesIO(data)).convert("RGBA")
        background = Image.new("RGBA", image.size, colour)
        background.alpha_composite(image)
        np.testing.assert_array_equal(_native.decode(data, alpha=colour), np.asarray(background.convert("RGB")))


def test_gif_indices_beyond_the_colour_table_are_black_as_in_pillow():
    data = gif((5, 4), (0, 0, 5, 4), bytes([200, 10, 10, 10, 200, 10]))
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


@pytest.mark.parametrize("compression", [None, "packbits", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK"])
def test_tiff_is_equal_with_pillow(mode, compression):
    data = saved(photo().convert(mode), "TIFF", compression=compression)
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


def test_bilevel_tiff_of_group_4_and_both_polarities_is_equal_with_pillow():
    image = photo(40, 61).convert("1")
    for options in ({"compression": "group4"}, {"tiffinfo": {262: 0}}, {"compression": "group4", "tiffinfo": {262: 0}}):
        data = saved(image, "TIFF", **options)
        np.testing.assert_array_equal(_native.decode(data), pillow(data))


# Width, height, offsets of strips, rows of a strip, lengths of strips; the other tags are 16 bits wide.
LONG_TAGS = {256, 257, 273, 278, 279}


def tiff(samples: np.ndarray, order: str = "<", **tags: tuple[int, ...]) -> bytes:
    """A plain TIFF of one strip, by numpy alone: (h, w, c) or, planar, (c, h, w)."""
    planar = "planar" in tags
    c, h, w = samples.shape if planar else np.moveaxis(samples, -1, 0).shape
    bits = samples.dtype.itemsize * 8
    body = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    number, plane = (c, len(body) // c) if planar else (1, len(body))
    entries = {
        256: (w,),
        257: (h,),
        258: (bits,) * c,
        259: (1,),
        262: tags.get("photometric", (2 if c > 2 else 1,)),
        273: tuple(8 + plane * i for i in range(number)),
        277: (c,),
        278: (h,),
        279: (plane,) * number,
        284: (2 if planar else 1,),
        **({338: tags["extra"]} if "extra" in tags else {}),
    }
    end = 8 + len(body)
    after = end + 2 + 12 * len(entries) + 4
    directory, more = struct.pack(order + "H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        size, letter = (4, "I") if tag in LONG_TAGS else (3, "H")
        packed = struct.pack(f"{order}{len(values)}{letter}", *values).ljust(4, b"\0")
        if len(packed) > 4:
            packed, more = struct.pack(order + "I", after + len(more)), more + packed
        directory += struct.pack(order + "HHI", tag, size, len(values)) + packed
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, end)
    return head + body + directory + bytes(4) + more


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_16_bits_keeps_the_high_byte(order):
    rng = np.random.default_rng(3)
    for c in (1, 3):
        samples = rng.integers(0, 65536, (17, 23, c), dtype=np.uint16)
        data = tiff(samples, order)
        np.testing.assert_array_equal(_native.decode(data, channels=c), (samples >> 8).astype(np.uint8))
        if c == 3:
            np.testing.assert_array_equal(_native.decode(data), pillow(data))


@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_with_a_fourth_sample_is_equal_with_pillow(extra, dtype):
    samples = np.random.default_rng(4).integers(0, np.iinfo(dtype).max, (17, 23, 4), dtype=dtype, endpoint=True)
    data = tiff(samples, extra=(extra,))
    np.testing.assert_array_equal(_native.decode(data, alpha="drop"), pillow(data))
    if extra:
        with pytest.raises(DataError, match="transparency"):
            _native.decode(data)
        image = Image.open(io.BytesIO(data))
        white = Image.new("RGB", image.size, "white")
        white.paste(image.convert("RGB"), mask=image.getchannel("A"))
        np.testing.assert_array_equal(_native.decode(data, alpha="white"), np.asarray(white))
    else:
        np.testing.assert_array_equal(_native.decode(data), pillow(data))


def test_tiff_in_planes_is_the_same_image():
    samples = np.asarray(photo())
    data = tiff(np.ascontiguousarray(np.moveaxis(samples, -1, 0)), planar=(1,))
    np.testing.assert_array_equal(_native.decode(data), samples)


def test_of_a_tiff_of_several_pages_the_first_is_taken():
    data = saved(photo(), "TIFF", save_all=True, append_images=[photo(20, 20)])
    np.testing.assert_array_equal(_native.decode(data), np.asarray(photo()))


def test_tiff_of_other_kinds_says_what_it_is():
    for image, options, words in (
        (photo().convert("YCbCr"), {}, "unsupported TIFF: YCbCr colours"),
        (photo(), {"compression": "jpeg"}, "unsupported TIFF.*JPEG"),
        (photo().convert("F"), {}, "unsupported TIFF: samples that are no unsigned integers"),
    ):
        with pytest.raises(DataError, match=words):
            _native.decode(saved(image, "TIFF", **options))


@pytest.mark.parametrize("format", ["GIF", "TIFF"])
def test_gif_and_tiff_of_a_huge_declared_size_are_refused_before_memory_is_taken(format):
    if format == "GIF":
        data = gif((60_000, 60_000), (0, 0, 2, 2), bytes(12))
    else:
        data = tiff(np.zeros((1, 1, 3), np.uint8))
        for tag in (256, 257, 278):
            data = data.replace(struct.pack("<HHII", tag, 4, 1, 1), struct.pack("<HHII", tag, 4, 1, 60_000))
    with pytest.raises(DataError, match="too large: 60000x60000"):
        _native.decode(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_pillow_transposes(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(photo(), format, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(_native.decode(data), np.asarray(upright))
    # Of a TIFF Pillow always applies it.
    stored = np.asarray(photo()) if format == "TIFF" else pillow(data)
    np.testing.assert_array_equal(_native.decode(data, orientation="ignore"), stored)


def test_an_icc_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in ("JPEG", "PNG"):
        data = saved(photo(), format, icc_profile=profile)
        np.testing.assert_array_equal(_native.decode(data), pillow(data))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_wherever_it_is_cut(progressive):
    data = saved(photo(200, 200), "JPEG", quality=90, progressive=progressive)
    for end in range(3, len(data) - 2, max(1, len(data) // 60)):
        with pytest.raises(DataError):
            _native.decode(data[:end])


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP", "GIF"])
def test_a_truncated_file_of_another_format_is_refused(format):
    data = saved(photo(), format)
    for end in range(0, len(data) - 24, max(1, len(data) // 60)):
        with pytest.raises(DataError):
            _native.decode(data[:end])


@pytest.mark.parametrize("compression", [None, "packbits", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_truncated_tiff_is_refused(compression):
    # Pillow writes the directory first or last, depending on the compression; every byte is needed either way.
    data = saved(photo(), "TIFF", compression=compression)
    for end in range(0, len(data) - 24, max(1, len(data) // 60)):
        with pytest.raises(DataError):
            _native.decode(data[:end])


def test_a_tiff_that_declares_values_without_end_is_refused_in_little_memory():
    # Found by fuzzing: 1,728,055,553 values of one tag, for which 55 GB were asked for and the process ended.
    data = base64.b64decode(
        "SUkqAAgAAAAKAAABBAABAAAACgAAAAEBBAABAAAACgAAABIBAwABCQBnZEFU/PwBAwABAAAAAQAAAAYBAwABAAAAAQAAABUBAwAB"
        "AAAAAQAAAEIBBAABAAAAAAAAgEMBBAABAAAAAAAAgEQBBAABAAAAloAAAEUBBAABAAAAZAAAAAAAAMvLy8vLy8vLy8vLy8vLy8vL"
        "y8vL48vLAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    )
    with pytest.raises(DataError, match=r"too large|lie outside of the file"):
        _native.decode(data)


def test_a_tiff_that_shrinks_a_thousandfold_is_read():
    data = saved(Image.new("RGB", (2000, 1500), (1, 2, 3)), "TIFF", compression="tiff_adobe_deflate")
    assert len(data) < 60_000
    np.testing.assert_array_equal(_native.decode(data), pillow(data))


def test_a_palette_that_is_not_made_of_whole_colours_is_refused():
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", 2, 2, 8, 3, 0, 0, 0)
    pixels = zlib.compress(b"\0\0\1\0\1\0")
    for palette in (bytes(n) for n in (4, 5, 7, 8, 767)):
        chunks = chunk(b"IHDR", header) + chunk(b"PLTE", palette) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
        for transparency in (b"", chunk(b"tRNS", b"\7")):
            data = b"\x89PNG\r\n\x1a\n" + chunks.replace(chunk(b"IDAT", pixels), transparency + chunk(b"IDAT", pixels))
            with pytest.raises(DataError, match="palette"):
                _native.decode(data, alpha="drop")


def test_what_is_not_read_says_what_it_is():
    for data, words in (
        (b"", "empty"),
        (b"just a text file", "begins with the text"),
        (b"\x00\x01\x02", "begins with the bytes"),
        (b"GIF88a" + bytes(40), "begins with the bytes"),
    ):
        with pytest.raises(DataError, match=words):
            _native.decode(data)


def test_a_bomb_is_refused_by_its_declared_size():
    data = saved(Image.new("L", (3000, 3000)), "PNG")
    with pytest.raises(DataError, match="too large: 3000x3000"):
        _native.decode(data, max_pixels=1_000_000)


def test_png_written_here_is_read_back_by_pillow_and_is_always_the_same():
    rng = np.random.default_rng(0)
    for shape in [(7, 5), (7, 5, 1), (64, 64, 3), (9, 9, 4)]:
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        data = _native.encode_png(image)
        assert data == _native.encode_png(image.copy())
        np.testing.assert_array_equal(
            np.asarray(Image.open(io.BytesIO(data))), image.reshape(shape[:2] + shape[2:]).squeeze()
        )
