"""HEIC and AVIF: the pixels are those of pillow-heif and Pillow; without them the files are skipped by name."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageOps, features

import gantools
from gantools import _native
from gantools.data import heif
from gantools.data.sources import folder
from gantools.data.sources.base import report
from gantools.errors import DataError

pillow_heif = pytest.importorskip("pillow_heif")
pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


def image(mode: str = "RGB", size=(40, 30)) -> Image.Image:
    bands = len(mode)
    pixels = np.random.default_rng(len(mode)).integers(0, 256, (5, 5, bands), dtype=np.uint8)
    layers = [Image.fromarray(pixels[..., i]).resize(size, Image.Resampling.BICUBIC) for i in range(bands)]
    return Image.merge(mode, layers)


def encoded(kind: str, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    if kind == "AVIF":
        image(mode).save(buffer, "AVIF", **options)
    else:
        pillow_heif.from_pillow(image(mode)).save(buffer, format="HEIF", **options)
    return buffer.getvalue()


def theirs(data: bytes) -> Image.Image:
    if data[8:12] == b"avif" or data[4:8] != b"ftyp":
        return Image.open(io.BytesIO(data))
    return pillow_heif.open_heif(data).to_pillow()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_pixels_are_those_of_the_library(kind, mode):
    data = encoded(kind, mode)
    expected = np.asarray(theirs(data).convert("RGB"))
    np.testing.assert_array_equal(_native.decode(heif.to_png(data), alpha="drop"), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_avif_is_kept(orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encoded("AVIF", exif=exif)
    png = heif.to_png(data)
    stored = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(_native.decode(png), np.asarray(ImageOps.exif_transpose(stored)))
    np.testing.assert_array_equal(_native.decode(png, orientation="ignore"), np.asarray(stored))


def test_what_exif_says_of_a_heic_does_not_count():
    exif = Image.Exif()
    exif[0x112] = 6
    data = encoded("HEIC", exif=exif.tobytes())
    np.testing.assert_array_equal(_native.decode(heif.to_png(data)), np.asarray(theirs(data)))


def write(place):
    (place / "set").mkdir()
    files = {"a.heic": encoded("HEIC"), "b.AVIF": encoded("AVIF"), "d.png": None}
    buffer = io.BytesIO()
    image().save(buffer, "PNG")
    files["d.png"] = buffer.getvalue()
    for name, data in files.items():
        (place / "set" / name).write_bytes(data)
    with zipfile.ZipFile(place / "set.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(f"set/{name}", data)
    return files


@pytest.mark.parametrize("source", ["set", "set.zip"])
def test_a_set_with_both_is_prepared(tmp_path, source):
    files = write(tmp_path)
    (tmp_path / "set/broken.heic").write_bytes(files["a.heic"][:200])
    s = gantools.prep("folder", source=tmp_path / source, size=16, crop="none", out=tmp_path / "o", progress=False)
    assert [name.rsplit("/")[-1] for name in s.names] == list(files)
    for i, data in enumerate(files.values()):
        expected = theirs(data).resize((16, 16), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(s[i], np.asarray(expected))
    assert set(heif.versions()) <= set(s.manifest["versions"])
    if source == "set":
        reject = (tmp_path / "o/rejects.jsonl").read_text()
        assert "broken.heic" in reject and "damaged HEIC" in reject and "Error" not in reject


def test_without_the_extra_they_are_skipped_by_name_and_the_extra_is_named(tmp_path, monkeypatch):
    files = write(tmp_path)
    monkeypatch.setattr(heif, "suffixes", lambda: ())
    source = folder.open_source(tmp_path / "set")
    assert source.names == ["d.png"]
    assert source.skipped == {".heic": 1, ".avif": 1}
    assert report(source)[-1] == ".heic and .avif need an extra. Type: pip install 'gantools[heif]'"
    with pytest.raises(DataError, match="HEIC, which is not read without"):
        heif.to_png(files["a.heic"])


def test_other_files_stay_as_they_are_and_sets_without_these_formats_have_no_python_in_the_way(tmp_path):
    assert heif.to_png(b"no image at all") == b"no image at all"
    reader = object()
    assert heif.reading(reader, ["a.png", "heic.jpg"]) is reader
