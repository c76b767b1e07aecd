"""WebP against Pillow: every kind of file, and what of damaged ones is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from gantools import _native
from gantools.errors import DataError


def picture(width: int, height: int, mode: str, seed: int = 5) -> Image.Image:
    """Slopes with noise; with alpha, some of it is transparent and some half so."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(x / 7) * 90 + 128, np.cos(y / 5) * 90 + 128, (x + y) * 3 % 256, (x * 40 // width) % 3 * 127]
    image = np.stack(planes[: len(mode)], -1)
    image[..., :3] += rng.normal(0, 12, image[..., :3].shape)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def saved(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


def pillow(data: bytes) -> np.ndarray | None:
    """Pillow's pixels as RGB, or None for what it does not read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, EOFError, SyntaxError):
        return None


def ours(data: bytes) -> np.ndarray | None:
    try:
        return _native.decode(data, alpha="drop", orientation="ignore")
    except DataError:
        return None


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def riff(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = b"WEBP" + b"".join(n + len(d).to_bytes(4, "little") + d + bytes(len(d) % 2) for n, d in parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"quality": 1}, {"quality": 80}, {"quality": 100, "method": 6}]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 16), (64, 33), (131, 77)])
def test_every_size_and_kind_is_equal_with_pillow(options, mode, size):
    data = saved(picture(*size, mode), **options)
    np.testing.assert_array_equal(ours(data), pillow(data))


@pytest.mark.parametrize("quality", [0, 100])
def test_transparency_is_that_of_pillow(quality):
    data = saved(picture(40, 30, "RGBA"), quality=60, alpha_quality=quality)
    with Image.open(io.BytesIO(data)) as image:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        want = np.asarray(white.convert("RGB")).astype(int)
    got = _native.decode(data, alpha="white").astype(int)
    assert np.abs(got - want).max() <= 1
    with pytest.raises(DataError, match="transparency"):
        _native.decode(data)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 70}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_of_an_animation_the_first_frame_is_taken(options, mode):
    frames = [picture(50, 40, mode, seed) for seed in range(3)]
    data = saved(frames[0], save_all=True, append_images=frames[1:], duration=50, **options)
    assert b"ANMF" in data
    np.testing.assert_array_equal(ours(data), pillow(data))


@pytest.mark.parametrize("place", [(0, 0), (4, 6), (20, 10)])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_frame_smaller_than_its_image_stands_where_pillow_puts_it(place, alpha):
    still = saved(picture(30, 20, "RGBA" if alpha else "RGB"), quality=80)
    image = b"".join(
        n + len(d).to_bytes(4, "little") + d + bytes(len(d) % 2)
        for n, d in chunks(still)
        if n in (b"VP8 ", b"VP8L", b"ALPH")
    )
    three = lambda *values: b"".join(v.to_bytes(3, "little") for v in values)  # noqa: E731
    frame = three(place[0] // 2, place[1] // 2, 29, 19, 100) + b"\0" + image
    head = bytes([0x02 | (0x10 if alpha else 0), 0, 0, 0]) + three(49, 29)
    data = riff([(b"VP8X", head), (b"ANIM", bytes(6)), (b"ANMF", frame)])
    want = pillow(data)
    assert want is not None and want.shape == (30, 50, 3)
    np.testing.assert_array_equal(ours(data), want)


def test_chunks_that_are_not_pixels_change_nothing():
    plain = picture(33, 21, "RGB")
    want = ours(saved(plain, quality=70))
    for extra in ({"icc_profile": b"profile" * 9}, {"exif": b"Exif\0\0" + bytes(9)}, {"xmp": b"<x/>"}):
        data = saved(plain, quality=70, **extra)
        np.testing.assert_array_equal(ours(data), want)
    parts = chunks(saved(plain, quality=70, icc_profile=b"profile"))
    strange = riff([*parts[:1], (b"ABCD", b"12345"), *parts[1:], (b"EFGH", b"")])
    np.testing.assert_array_equal(ours(strange), want)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_file_that_is_cut_off_anywhere_is_refused(options, mode):
    data = saved(picture(23, 19, mode), **options)
    for end in range(len(data) - 1):
        with pytest.raises(DataError):
            _native.decode(data[:end], alpha="drop")
    # Also where the sizes of its chunks say that this is all.
    parts = chunks(data)
    name, pixels = parts[-1]
    for end in range(0, len(pixels), 7):
        short = riff([*parts[:-1], (name, pixels[:end])])
        want, got = pillow(short), ours(short)
        assert (want is None) == (got is None)
        assert want is None or np.array_equal(want, got)


def test_the_last_padding_byte_may_be_missing():
    odd = saved(picture(20, 20, "RGB"), quality=60, xmp=b"<odd>")
    assert chunks(odd)[-1] == (b"XMP ", b"<odd>")
    np.testing.assert_array_equal(ours(odd[:-1]), pillow(odd))


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_damage_gives_pillows_pixels_or_a_refusal_where_pillow_refuses(options, mode):
    rng = np.random.default_rng(1)
    whole = saved(picture(40, 30, mode), **options)
    taken = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(16, len(data))] ^= 1 << rng.integers(8)
        want, got = pillow(bytes(data)), ours(bytes(data))
        assert (want is None) == (got is None)
        if want is not None:
            taken += 1
            np.testing.assert_array_equal(got, want)
    assert 0 < taken < 300


def test_a_size_beyond_the_limit_is_refused_before_memory_is_taken():
    head = bytes(4) + (16382).to_bytes(3, "little") * 2
    data = riff([(b"VP8X", head), *chunks(saved(picture(8, 8, "RGB"), quality=50))])
    with pytest.raises(DataError):
        _native.decode(data)
    large = saved(Image.new("RGB", (300, 200)), lossless=True)
    with pytest.raises(DataError, match="too large: 300x200"):
        _native.decode(large, max_pixels=59_999)
