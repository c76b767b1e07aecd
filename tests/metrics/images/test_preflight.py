"""What is said of images before they are decoded, against what Pillow says of the same files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gantools import _native
from gantools.errors import DataError
from gantools.metrics.images.open import open_source
from gantools.metrics.images.preflight import Preflight, compare, preflight

Pictures = Callable[..., np.ndarray]

# format of Pillow, mode of Pillow, what is declared: mode, bits, alpha
KINDS = [
    ("JPEG", "RGB", "RGB", 8, False),
    ("JPEG", "L", "grey", 8, False),
    ("JPEG", "CMYK", "CMYK", 8, False),
    ("PNG", "RGB", "RGB", 8, False),
    ("PNG", "RGBA", "RGB", 8, True),
    ("PNG", "L", "grey", 8, False),
    ("PNG", "LA", "grey", 8, True),
    ("PNG", "P", "palette", 8, False),
    ("PNG", "1", "grey", 1, False),
    ("PNG", "I;16", "grey", 16, False),
    ("WebP", "RGB", "RGB", 8, False),
    ("WebP", "RGBA", "RGB", 8, True),
    ("BMP", "RGB", "RGB", 8, False),
    ("BMP", "P", "palette", 8, False),
    ("GIF", "P", "palette", 8, False),
    ("TIFF", "RGB", "RGB", 8, False),
    ("TIFF", "L", "grey", 8, False),
    ("TIFF", "CMYK", "CMYK", 8, False),
    ("TIFF", "RGBA", "RGB", 8, True),
    ("TIFF", "I;16", "grey", 16, False),
]


def encode(kind: str, mode: str, size: tuple[int, int] = (13, 7), **options: Any) -> bytes:
    rng = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, size[::-1]).astype(np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 4)).astype(np.uint8), "RGBA")
        image = image.convert("RGB").convert(mode) if mode in ("CMYK", "P", "1") else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "mode", "expected", "bits", "alpha"), KINDS)
def test_headers_are_those_that_pillow_reads(
    tmp_path: Path, kind: str, mode: str, expected: str, bits: int, alpha: bool
) -> None:
    for size in ((13, 7), (300, 1), (64, 64)):
        data = encode(kind, mode, size)
        (tmp_path / "x.png").write_bytes(data)  # the name does not matter
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == size and image.format is not None and image.format.lower() == kind.lower()
        source = _native.Source.files(tmp_path, ["x.png"])
        rows, hashes, failures = _native.inspect_images(source, np.array([0]))
        assert failures == [] and hashes.any()
        w, h, kind_number, mode_number, found_bits, found_alpha, orientation = rows[0].tolist()
        assert (w, h) == size and _native.IMAGE_FORMATS[kind_number] == kind
        assert (_native.IMAGE_MODES[mode_number], found_bits, bool(found_alpha)) == (expected, bits, alpha)
        assert orientation == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientations_are_found(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "x.jpg").write_bytes(encode(kind, "RGB", exif=exif.tobytes()))
    assert preflight(open_source(tmp_path)).rotated == (orientation > 1)


@pytest.mark.parametrize(("kind", "mode"), [(k, m) for k, m, *_ in KINDS])
def test_a_header_that_is_accepted_is_that_of_an_image_that_is_read(tmp_path: Path, kind: str, mode: str) -> None:
    """Cut anywhere, a file is either refused from its header, or its header still says what it said."""
    data = encode(kind, mode)
    (tmp_path / "0.png").write_bytes(data)
    # The last byte of a WebP may be padding that some writers leave out.
    cuts = list(range(0, len(data) - (kind == "WebP"), max(1, len(data) // 40)))
    for i, end in enumerate(cuts):
        (tmp_path / f"{i + 1}.png").write_bytes(data[:end])
    source = _native.Source.files(tmp_path, [f"{i}.png" for i in range(len(cuts) + 1)])
    rows, _, failures = _native.inspect_images(source, np.arange(len(cuts) + 1))
    refused = {i for i, _ in failures}
    assert 0 not in refused and 1 in refused
    for i in range(1, len(cuts) + 1):
        if i not in refused:
            np.testing.assert_array_equal(rows[i, :4], rows[0, :4])
    if kind in ("JPEG", "PNG", "WebP"):
        assert len(refused) == len(cuts), "a cut-off file of these kinds is found without decoding it"


def test_random_bytes_are_refused_or_read_and_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names = []
    for kind, mode, *_ in KINDS:
        whole = encode(kind, mode)
        for i in range(30):
            data = bytearray(whole)
            for at in rng.integers(0, min(len(data), 200), 4):
                data[at] = rng.integers(0, 256)
            names.append(f"{kind}-{mode.replace(';', '')}-{i}.bin")
            (tmp_path / names[-1]).write_bytes(data)
    rows, _, failures = _native.inspect_images(_native.Source.files(tmp_path, names), np.arange(len(names)))
    assert len(rows) == len(names) and 50 < len(failures) < len(names)


@pytest.fixture
def odd(tmp_path: Path, pictures: Pictures) -> Path:
    """A folder with something of everything."""
    folder = tmp_path / "odd"
    for name in ("a", "empty", "texts", ".hidden"):
        (folder / name).mkdir(parents=True)
    image = Image.fromarray(pictures(1, 16)[0])
    image.save(folder / "a/0.png")
    image.save(folder / "a/1.png")
    image.save(folder / "a/2.jpg")
    image.resize((8, 24)).save(folder / "3.png")
    image.convert("RGBA").save(folder / "4.png")
    (folder / "5.png").write_bytes(encode("PNG", "I;16"))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.convert("L").save(folder / "6.jpg", exif=exif.tobytes())
    (folder / "7.png").write_bytes((folder / "a/0.png").read_bytes()[:60])
    (folder / "8.jpg").write_text("<html>not found</html>")
    (folder / "texts/readme.txt").write_text("x")
    return folder


def test_everything_that_is_odd_is_counted(odd: Path) -> None:
    found = preflight(open_source(odd))
    assert found.count == 9
    assert found.sizes == {(16, 16): 5, (8, 24): 1, (13, 7): 1}
    assert found.modes == {"RGB": 5, "grey": 2} and found.formats == {"PNG": 5, "JPEG": 2}
    assert (found.sixteen_bit, found.alpha, found.rotated) == (1, 1, 1)
    assert found.duplicates == 1 and found.duplicate_examples == (("a/0.png", "a/1.png"),)
    assert dict(found.unreadable) == {
        "7.png": "damaged PNG: the file is cut off",
        "8.jpg": "not an image (it is an HTML page)",
    }
    assert found.empty_folders == ("empty",) and found.other_folders == (("texts", "readme.txt"),)
    assert found.jpeg_share == pytest.approx(2 / 7)
    with pytest.raises(DataError, match=r"odd: 2 of 9 images cannot be read: 7\.png: damaged PNG.*; 8\.jpg: not an"):
        found.check()
    text = "\n".join(compare(found, None, 64))
    for part in (
        "2 samples cannot be read, for example 7.png",
        "samples are of 3 sizes, most often 16x16 (5)",
        "samples are 5 RGB and 2 grey",
        "samples are 5 PNG and 2 JPEG",
        "1 samples have more than 8 bits",
        "1 samples have transparency",
        "1 samples are to be turned",
        "1 of 9 samples are exact copies of others, for example a/0.png and a/1.png",
        "1 sub-folders of",
        "texts/ (readme.txt)",
        "9 samples for 64 features: their covariance is singular",
    ):
        assert part in text, part
    first = preflight(open_source(odd), 2)
    assert first.count == 2 and first.unreadable == ()


def test_an_archive_says_what_its_folder_says(tmp_path: Path, odd: Path) -> None:
    folder = preflight(open_source(odd))
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as z:
        for f in sorted(odd.rglob("*.*")):
            if f.is_file():
                z.write(f, f.relative_to(odd).as_posix())
    found = preflight(open_source(tmp_path / "odd.zip"))
    for name in ("count", "sizes", "modes", "formats", "duplicates", "unreadable", "alpha", "rotated", "hashes"):
        assert getattr(found, name) == getattr(folder, name), name


def test_images_in_memory_and_in_sets(tmp_path: Path, pictures: Pictures, make_set: Callable[..., Path]) -> None:
    images = pictures(10, 16)[:, :12].copy()
    images[7] = images[2]
    np.savez(tmp_path / "x.npz", images)
    for source in (open_source(images), open_source(tmp_path / "x.npz")):
        found = preflight(source)
        assert found.sizes == {(16, 12): 10} and found.modes == {"RGB": 10} and found.formats == {"pixels": 10}
        assert found.duplicates == 1 and found.jpeg_share is None
    prepared = preflight(open_source(make_set(n=20, size=8, channels=1)))
    assert prepared.sizes == {(8, 8): 20} and prepared.modes == {"grey": 20} and prepared.duplicates is None
    live = preflight(open_source(lambda n, start: images[start : start + n], n=10))
    assert live == Preflight("function <lambda>", 10)
    with pytest.raises(DataError, match="has 10 images, 11 were asked for"):
        preflight(open_source(images), 11)


def test_what_differs_between_two_sides_is_said(tmp_path: Path, pictures: Pictures) -> None:
    def side(name: str, images: np.ndarray, suffix: str) -> Preflight:
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image.squeeze()).save(tmp_path / name / f"{i}{suffix}")
        return preflight(open_source(tmp_path / name))

    a = side("a", pictures(4, 16), ".png")
    same = side("same", pictures(4, 16, seed=1), ".png")
    other = side("other", pictures(4, 24, 1), ".jpg")
    copies = side("copies", pictures(4, 16)[1:3], ".png")
    assert compare(a, same, 2) == compare(same, a, 2) and len(compare(a, same, 2)) == 2  # both few
    text = "\n".join(compare(a, other, 2))
    assert "samples are 16x16 and reference images 24x24" in text
    assert "samples are in colour, reference images grey" in text
    assert "0 % of the samples and 100 % of the reference images are JPEG" in text
    assert any("2 samples are byte for byte equal" in line for line in compare(a, copies, 2))


@pytest.mark.parametrize(
    ("n", "part"),
    [(100, "singular"), (2047, "singular"), (2048, "fewer than the usual"), (9999, "fewer"), (10_000, None)],
)
def test_too_few_for_the_claim(n: int, part: str | None) -> None:
    warnings = compare(Preflight("x", n), None, 2048)
    assert warnings == [] if part is None else part in warnings[0]
    assert compare(Preflight("x", 50_000), None, 2048, n_reference=n) == [
        w.replace("samples", "reference images") for w in warnings
    ]


def test_few_samples_are_said_to_be_few() -> None:
    assert "only 2,000 samples" in compare(Preflight("x", 2000), None, 64)[0]


def test_thousands_of_real_files(tmp_path: Path, test_data: Path) -> None:
    with zipfile.ZipFile(test_data / "data/celeba/img_align_celeba.zip") as z:
        names = [n for n in z.namelist() if n.endswith(".jpg")][:2000]
        for i, name in enumerate(names):
            (tmp_path / f"{i:06d}.jpg").write_bytes(z.read(name))
    found = preflight(open_source(tmp_path))
    assert found.unreadable == () and found.sizes == {(178, 218): 2000} and found.formats == {"JPEG": 2000}


@pytest.mark.parametrize("copies", [0, 1, 4])
@pytest.mark.parametrize("form", ["folder", "array"])
def test_every_copy_of_a_reference_image_counts(
    tmp_path: Path, pictures: Callable[..., np.ndarray], write_pngs: Callable[..., Path], copies: int, form: str
) -> None:
    ours, theirs = pictures(9, 16, 3, 1), pictures(9, 16, 3, 2)
    ours[:copies] = theirs[5]
    sides = (
        [ours, theirs] if form == "array" else [write_pngs(tmp_path / k, x) for k, x in (("a", ours), ("b", theirs))]
    )
    a, b = (preflight(open_source(side)) for side in sides)
    found = [text for text in compare(a, b, None) if "byte for byte" in text]
    expected = {0: [], 1: ["1 sample is byte for byte equal to a reference image."]}
    assert found == expected.get(copies, ["4 samples are byte for byte equal to reference images."])
    # A reference that repeats its images makes no further copies of the samples.
    twice = preflight(open_source(np.concatenate([theirs, theirs]))) if form == "array" else b
    assert [text for text in compare(a, twice, None) if "byte for byte" in text] == found
