"""`--fast`: how far from exact, and where it stays exact."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from tests.image.test_real_images import square

import gantools
from gantools import _native


def photo(h: int, w: int, seed: int = 0) -> Image.Image:
    """Like a photograph: a spectrum that falls with frequency, edges, and some noise of the sensor."""
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(size=(h, w // 2 + 1, 3)) + 1j * rng.normal(size=(h, w // 2 + 1, 3))
    frequency = np.hypot(np.fft.fftfreq(h)[:, None] * h, np.arange(w // 2 + 1)[None]) + 1
    image = np.fft.irfft2(spectrum / frequency[..., None] ** 1.2, s=(h, w), axes=(0, 1))
    image = 128 + image / image.std() * 45
    y, x = np.mgrid[0:h, 0:w]
    for _ in range(6):
        cy, cx, r = rng.uniform(0, h), rng.uniform(0, w), rng.uniform(min(h, w) / 12, min(h, w) / 4)
        image[(y - cy) ** 2 + (x - cx) ** 2 < r * r] += rng.uniform(-70, 70, 3)
    return Image.fromarray(np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, **{"quality": 92, **options})
    return buffer.getvalue()


def both(tmp_path, files: list[bytes], size: int, **policy) -> tuple[np.ndarray, np.ndarray]:
    """Prepared exactly and fast, as int."""
    names = []
    for i, data in enumerate(files):
        (tmp_path / f"{i}.jpg").write_bytes(data)
        names.append(f"{i}.jpg")
    source, items = _native.Source.files(tmp_path, names), np.arange(len(files), dtype=np.int64)
    results = []
    for fast in (False, True):
        options = {"width": size, "height": size, "channels": 3, **policy}
        count, _, rejects, *_ = _native.prepare_shard(
            source, items, _native.PixelPolicy(fast=fast, **options), tmp_path / "x.npy"
        )
        assert (count, rejects) == (len(files), [])
        results.append(np.load(tmp_path / "x.npy").astype(int))
    return results[0], results[1]


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("side", "size"), [(512, 64), (1024, 64), (1024, 128), (2048, 64)])
def test_fast_is_near_exact(side, size, subsampling, progressive, tmp_path):
    files = [jpeg(photo(side, side, s), subsampling=subsampling, progressive=progressive) for s in range(2)]
    exact, fast = both(tmp_path, files, size)
    error = np.abs(exact - fast)
    assert 0 < error.max() <= 8
    # Of 4:2:2 libjpeg cannot keep the full chroma, as it does of 4:2:0, where each block is decoded twice as large.
    assert error.mean() < (1.5 if subsampling == 1 else 0.5)


def drafted(data: bytes, by: int, size: int) -> np.ndarray:
    """The centre of a JPEG that libjpeg-turbo decodes at 1/by of its size, resized; all of it by Pillow."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (image.width // by, image.height // by))
        image = image.convert("RGB")
    return np.asarray(square(image).resize((size, size), Image.Resampling.LANCZOS)).astype(int)


@pytest.mark.parametrize(
    "options", [{"subsampling": s} for s in (0, 1, 2)] + [{"optimize": True}, {"progressive": True}]
)
@pytest.mark.parametrize(("shape", "size", "by"), [((512, 512), 64, 2), ((512, 640), 32, 4), ((1040, 1024), 32, 8)])
def test_fast_is_what_pillow_gives_at_the_reduced_size(shape, size, by, options, tmp_path):
    photos = [photo(*shape, seed) for seed in range(2)]
    photos.append(photos[0].convert("L"))
    files = [jpeg(p, restart_marker_blocks=n, **options) for n, p in enumerate(photos)]
    _, fast = both(tmp_path, files, size, filter="lanczos", crop="center")
    for data, got in zip(files, fast, strict=True):
        np.testing.assert_array_equal(got, drafted(data, by, size))


def test_fast_is_what_pillow_gives_of_real_photographs(test_data, tmp_path):
    with zipfile.ZipFile(test_data / "data/celeba/img_align_celeba.zip") as z:
        files = [z.read(name) for name in sorted(n for n in z.namelist() if n.endswith(".jpg"))[:200]]
    _, fast = both(tmp_path, files, 22)
    for data, got in zip(files, fast, strict=True):
        np.testing.assert_array_equal(got, drafted(data, 2, 22))


@pytest.mark.parametrize(("side", "size"), [(1024, 256), (1023, 128), (511, 64), (178, 64)])
def test_where_less_than_four_times_would_be_left_it_is_exact(side, size, tmp_path):
    exact, fast = both(tmp_path, [jpeg(photo(side, side))], size)
    np.testing.assert_array_equal(fast, exact)


def test_other_formats_are_exact(tmp_path):
    buffer = io.BytesIO()
    photo(512, 512).save(buffer, "PNG")
    exact, fast = both(tmp_path, [buffer.getvalue()], 32)
    np.testing.assert_array_equal(fast, exact)


@pytest.mark.parametrize("policy", [{"crop": "center"}, {"crop": "none"}, {"crop": "pad"}])
@pytest.mark.parametrize("shape", [(770, 1021), (1023, 769)])
def test_every_orientation_and_shape_takes_the_right_box(shape, policy, tmp_path):
    """Sides that 2 and 4 do not divide: the box has to be where the exact one is, to a fraction of a pixel."""
    files = [jpeg(photo(*shape), orientation) for orientation in range(1, 9)]
    exact, fast = both(tmp_path, files, 48, **policy)
    error = np.abs(exact - fast)
    assert error.max(axis=(1, 2, 3)).max() <= 8
    assert error.mean(axis=(1, 2, 3)).max() < 0.5
    # The test would see a box that is one pixel of the file off.
    shifted = [jpeg(photo(*shape).transform((shape[1], shape[0]), Image.Transform.AFFINE, (1, 0, 1, 0, 1, 1)))]
    off, _ = both(tmp_path, shifted, 48, **policy)
    assert np.abs(exact[0] - off[0]).mean() > 2 * error.mean(axis=(1, 2, 3)).max()


def test_grey_and_cmyk_are_near_exact(tmp_path):
    files = [jpeg(photo(512, 512).convert(mode)) for mode in ("L", "CMYK")]
    exact, fast = both(tmp_path, files, 64)
    assert np.abs(exact - fast).max() <= 8


def test_fast_is_recorded(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/1.jpg").write_bytes(jpeg(photo(512, 512)))
    sets = {
        fast: gantools.prep(
            "folder", source=tmp_path / "photos", size=64, fast=fast, out=tmp_path / str(fast), progress=False
        )
        for fast in (False, True)
    }
    assert sets[True].manifest["policy"]["decode"] == "fast-4x"
    assert sets[False].manifest["policy"]["decode"] == "exact"
    assert sets[True].fingerprint != sets[False].fingerprint
    # A damaged file is a reject all the same.
    data = jpeg(photo(512, 512))
    (tmp_path / "photos/2.jpg").write_bytes(data[: len(data) // 2])
    s = gantools.prep("folder", source=tmp_path / "photos", size=64, fast=True, out=tmp_path / "d", progress=False)
    assert s.manifest["source"]["rejected"] == 1
