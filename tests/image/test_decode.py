"""Decoding against Pillow, in every mode that both read, and what is refused."""

from __future__ import annotations

import io
import zipfile

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


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_pillow_transposes(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(photo(), format, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(_native.decode(data), np.asarray(upright))
    np.testing.assert_array_equal(_native.decode(data, orientation="ignore"), pillow(data))


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


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP"])
def test_a_truncated_file_of_another_format_is_refused(format):
    data = saved(photo(), format)
    for end in range(0, len(data) - 24, max(1, len(data) // 60)):
        with pytest.raises(DataError):
            _native.decode(data[:end])


def test_what_is_not_read_says_what_it_is():
    for data, words in (
        (b"", "empty"),
        (b"just a text file", "begins with the text"),
        (b"\x00\x01\x02", "begins with the bytes"),
        (saved(photo(), "GIF"), "unsupported GIF"),
        (saved(photo(), "TIFF"), "unsupported TIFF"),
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
