"""`gantools show`: grids, attributes, landmarks and boxes."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.conftest import blobs

import gantools
from gantools.cli.show import command
from gantools.data.show import ALIGNED, show
from gantools.drawing import COLOURS, cross, rectangle
from gantools.errors import ConfigError, DataError

EYES = {"000001.jpg": ((69, 109), (106, 113)), "000002.jpg": ((69, 110), (107, 112))}
BOXES = {"000001.jpg": (95, 71, 226, 313), "000002.jpg": (72, 94, 221, 306)}


def faces(folder, size, seed=0):
    """Six images in CelebA's layout, with the first rows of its annotations."""
    images = folder / "img_align_celeba"
    images.mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 7)]
    for i, name in enumerate(names):
        pixels = np.random.default_rng(seed + i).integers(0, 60, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / name, quality=95)
    nose_and_mouth = "77 142 73 152 108 154"
    lines = [f"{n} {' '.join(f'{x} {y}' for x, y in EYES.get(n, EYES['000001.jpg']))} {nose_and_mouth}" for n in names]
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    (folder / "list_landmarks_align_celeba.txt").write_text("\n".join(["6", header, *lines]) + "\n")
    lines = [f"{n} {' '.join(str(v) for v in BOXES.get(n, BOXES['000001.jpg']))}" for n in names]
    (folder / "list_bbox_celeba.txt").write_text("\n".join(["6", "image_id x_1 y_1 width height", *lines]) + "\n")
    lines = [f"{n} {1 if i % 3 == 0 else -1} -1" for i, n in enumerate(names)]
    (folder / "list_attr_celeba.txt").write_text("\n".join(["6", "Smiling Bald", *lines]) + "\n")
    return folder


@pytest.fixture
def celeba(tmp_path):
    return faces(tmp_path / "celeba", ALIGNED)


def prepared(celeba, tmp_path, **options):
    options = {"size": 64, "out": tmp_path / "set", "progress": False, **options}
    return gantools.prep("celeba", source=celeba, **options)


def read(path):
    return np.asarray(Image.open(path))


def coloured(image, colour):
    """Middle (x, y) of the pixels of this colour."""
    y, x = np.nonzero((image == colour).all(-1))
    assert len(x), f"nothing of {colour}"
    return (x.min() + x.max()) / 2, (y.min() + y.max()) / 2


def test_the_first_images_or_random_ones(make_set, tmp_path):
    path = make_set(n=30, size=8)
    images = blobs(30, 8, 3)
    first = read(show(path, n=4, out=tmp_path / "first.png"))
    assert first.shape == (22, 22, 3)
    np.testing.assert_array_equal(first[2:10, 12:20], images[1])
    one, same, other = (read(show(path, n=4, seed=s, out=tmp_path / "x.png")) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, first)
    # A grid of all the images is not larger than the set.
    assert read(show(path, n=64, out=tmp_path / "all.png")).shape[1] == 8 * 10 + 2
    with pytest.raises(ConfigError):
        show(path, n=0)


def test_grey_images_stay_grey(make_set, tmp_path):
    assert read(show(make_set(n=5, size=8, channels=1), out=tmp_path / "g.png")).ndim == 2


def test_an_attribute_divides_the_grid(celeba, tmp_path):
    s = prepared(celeba, tmp_path, size=8)
    grid = read(show(s.path, n=4, attribute="Smiling", out=tmp_path / "a.png"))
    cells = [grid[y : y + 8, x : x + 8] for y in (2, 12) for x in (2, 12)]
    for cell, i in zip(cells, (0, 3, 1, 2), strict=True):
        np.testing.assert_array_equal(cell, s[i])
    with pytest.raises(ConfigError, match="Did you mean 'Smiling'"):
        show(s.path, attribute="Smilng")
    with pytest.raises(DataError, match="no image has the attribute Bald"):
        show(s.path, attribute="Bald")


# Left, top, width and height of what each crop keeps of an aligned image.
KEPT = {
    "center": (0, 20, 178, 178),
    "none": (0, 0, 178, 218),
    "pad": (-20, 0, 218, 218),
    "dhariwal": (0, 20, 178, 178),
    "celeba-140": (19, 39, 140, 140),
}


@pytest.mark.parametrize("size", [64, 100, 178])
@pytest.mark.parametrize("crop", KEPT)
def test_landmarks_follow_the_crop_and_the_resize(celeba, tmp_path, size, crop):
    s = prepared(celeba, tmp_path, size=size, crop=crop)
    image = read(show(s.path, n=1, landmarks=True, out=tmp_path / "l.png"))[2:-2, 2:-2]
    enlarged = image.shape[0] / size
    left, top, width, height = KEPT[crop]
    for (x, y), colour in zip(EYES["000001.jpg"], COLOURS, strict=False):
        at = (x + 0.5 - left) * size / width, (y + 0.5 - top) * size / height
        # On a background the picture takes whole pixels, so it may be half a pixel aside.
        slack = 0.51 if crop != "pad" else 1.01
        assert np.allclose(coloured(image, colour), [v * enlarged - 0.5 for v in at], atol=slack)


def test_landmarks_on_the_originals(celeba, tmp_path):
    s = prepared(celeba, tmp_path)
    zipped = tmp_path / "celeba.zip"
    with zipfile.ZipFile(zipped, "w") as z:
        for file in (celeba / "img_align_celeba").iterdir():
            z.write(file, file.name)
    for source in (celeba, zipped):
        grid = read(show(s.path, n=2, landmarks=True, source=source, out=tmp_path / "o.png"))
        assert grid.shape == (222, 362, 3)
        for i, name in enumerate(("000001.jpg", "000002.jpg")):
            image = grid[2:220, 2 + 180 * i : 180 + 180 * i]
            for eye, colour in zip(EYES[name], COLOURS, strict=False):
                assert coloured(image, colour) == eye


def test_boxes_on_in_the_wild_images(celeba, tmp_path):
    s = prepared(celeba, tmp_path)
    wild = faces(tmp_path / "wild", (409, 687))
    image = read(show(s.path, n=1, boxes=True, source=wild, out=tmp_path / "b.png"))[2:-2, 2:-2]
    y, x = np.nonzero((image == COLOURS[1]).all(-1))
    assert (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1) == BOXES["000001.jpg"]


def test_what_cannot_be_drawn_is_said_plainly(celeba, tmp_path, make_set):
    s = prepared(celeba, tmp_path)
    with pytest.raises(DataError, match="boxes cannot be drawn on these images"):
        show(s.path, boxes=True)
    with pytest.raises(DataError, match=r"000001.jpg: its box .* does not fit on the image of 178 x 218"):
        show(s.path, boxes=True, source=celeba)
    wild = faces(tmp_path / "wild", (409, 687))
    with pytest.raises(DataError, match="landmarks belong to the aligned images"):
        show(s.path, landmarks=True, source=wild)
    plain = make_set(n=3, size=8)
    with pytest.raises(DataError, match="it has no landmarks"):
        show(plain, landmarks=True)
    with pytest.raises(DataError, match=r"000000\.png is not in it"):
        show(plain, source=celeba)


def test_the_command_prints_the_file(celeba, tmp_path, monkeypatch):
    prepared(celeba, tmp_path)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["set", "--grid", "4", "--landmarks"])
    assert (done.exit_code, done.stdout) == (0, "set.png\n")
    assert Image.open(io.BytesIO((tmp_path / "set.png").read_bytes())).size == (2 * 194 + 2, 2 * 194 + 2)


def test_marks_are_cut_off_at_the_edge():
    image = np.zeros((6, 6, 3), np.uint8)
    cross(image, 0, 0, COLOURS[0], radius=2)
    assert (image != 0).any(-1).sum() == 5
    cross(image, -9, 20, COLOURS[0])
    rectangle(image, -3, 2, 6, 9, COLOURS[1])
    assert (image == COLOURS[1]).all(-1).sum() == 3 + 3


def test_a_class_and_what_comes_after_the_first(make_set, tmp_path):
    data = gantools.open(make_set(n=20, size=8, classes=4))
    show(data.path, n=4, class_="2", start=1, out=tmp_path / "a.png")
    grid = read(tmp_path / "a.png")
    assert np.array_equal(grid[2:10, 2:10], data[6]) and np.array_equal(grid[12:20, 12:20], data[18])
    for wrong, words in (({"class_": "7"}, "unknown class '7'"), ({"start": -1}, "at least 0")):
        with pytest.raises(ConfigError, match=words):
            show(data.path, **wrong, out=tmp_path / "b.png")
    with pytest.raises(DataError, match="there are 5 such images, so none after the first 5"):
        show(data.path, class_="2", start=5, out=tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
