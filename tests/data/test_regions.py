"""The crops `box` and `landmarks` against Pillow: crop and resize, and the alignment of FFHQ written out here."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.test_prepare import jpeg

import gantools
from gantools import _native
from gantools.data.prepared import PreparedSet
from gantools.data.regions import box_squares, eye_squares, into_region
from gantools.data.show import show
from gantools.errors import ConfigError, DataError

newest_pillow = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow < 13 resizes otherwise")
FILTERS = {name: Image.Resampling[name.upper()] for name in ("lanczos", "bicubic", "bilinear", "box")}


def noise(h: int, w: int, c: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, c), dtype=np.uint8)


def native(path, image, regions, **policy):
    """The prepared image and the rejects."""
    policy = {"height": policy["width"], "channels": image.shape[-1], **policy}
    _, _, rejects, *_ = _native.prepare_shard(
        _native.Source.array(image[None]),
        np.zeros(len(regions), np.int64),
        _native.PixelPolicy(**policy),
        path / "x.npy",
        regions=np.asarray(regions, np.float64),
    )
    return np.load(path / "x.npy"), rejects


def pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def align(image: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """FFHQ's alignment from the five points, without its mirrored and blurred border."""
    points = landmarks.reshape(5, 2).astype(float)
    eye_left, eye_right, mouth_left, mouth_right = points[0], points[1], points[3], points[4]
    eye_avg = (eye_left + eye_right) * 0.5
    eye_to_eye = eye_right - eye_left
    eye_to_mouth = (mouth_left + mouth_right) * 0.5 - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye_avg + eye_to_mouth * 0.1
    quad = np.stack([c - x - y, c - x + y, c + x + y, c + x - y])
    img = pillow(image)
    shrink = int(np.floor(np.hypot(*x) * 2 / size * 0.5))
    if shrink > 1:
        w, h = (max(1, int(np.rint(n / shrink))) for n in img.size)
        img = img.resize((w, h), Image.Resampling.LANCZOS)
        quad /= shrink
    large = (4 * size, 4 * size)
    corners = tuple((quad + 0.5).flatten())
    img = img.transform(large, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    out = np.asarray(img.resize((size, size), Image.Resampling.LANCZOS))
    return out.reshape(size, size, -1)


@newest_pillow
@settings(max_examples=150, deadline=None)
@given(
    image=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    box=st.tuples(st.integers(-40, 80), st.integers(-40, 80), st.integers(1, 90), st.integers(1, 90)),
    size=st.integers(1, 40),
    c=st.sampled_from([1, 3]),
    name=st.sampled_from(sorted(FILTERS)),
)
def test_a_box_is_pillows_crop_and_resize(image, box, size, c, name, tmp_path_factory):
    pixels = noise(*image, c)
    region = box_squares(np.array([box]))
    left, top, right, bottom = (int(v) for v in region[0, [0, 1, 4, 5]])
    side = max(box[2:])
    assert (right - left, bottom - top) == (side, side)
    # The box itself is inside of its square.
    assert left <= box[0] and top <= box[1] and right >= box[0] + box[2] and bottom >= box[1] + box[3]
    ours, rejects = native(tmp_path_factory.getbasetemp(), pixels, region, width=size, crop="box", filter=name)
    if rejects:
        outside = right <= 0 or bottom <= 0 or left >= image[1] or top >= image[0]
        assert ("outside" if outside else "far larger") in rejects[0][2]
        return
    expected = pillow(pixels).crop((left, top, right, bottom)).resize((size, size), FILTERS[name])
    np.testing.assert_array_equal(ours[0], np.asarray(expected).reshape(size, size, c))


@newest_pillow
def test_outside_of_a_box_is_the_background(tmp_path):
    image = noise(10, 10)
    region = box_squares(np.array([[6, 6, 8, 8]]))
    ours, _ = native(tmp_path, image, region, width=8, crop="box", background=(9, 8, 7))
    np.testing.assert_array_equal(ours[0, :4, :4], image[6:, 6:])
    assert (ours[0, 4:] == [9, 8, 7]).all() and (ours[0, :, 4:] == [9, 8, 7]).all()


@newest_pillow
@settings(max_examples=120, deadline=None)
@given(
    image=st.tuples(st.integers(20, 250), st.integers(20, 250)),
    points=st.lists(st.tuples(st.integers(-10, 200), st.integers(-10, 200)), min_size=5, max_size=5, unique=True),
    size=st.integers(1, 48),
    c=st.sampled_from([1, 3]),
)
def test_landmarks_are_aligned_as_in_ffhq(image, points, size, c, tmp_path_factory):
    pixels = noise(*image, c)
    landmarks = np.array(points).reshape(1, 10)
    region = eye_squares(landmarks)
    ours, rejects = native(tmp_path_factory.getbasetemp(), pixels, region, width=size, crop="landmarks")
    if rejects:
        assert "one point" in rejects[0][2]
        assert not np.isfinite(region).all() or np.ptp(region) < 2
        return
    np.testing.assert_array_equal(ours[0], align(pixels, landmarks[0], size))


# Eyes, nose and corners of the mouth of an upright and of a tilted face.
FACES = {"a.jpg": [60, 80, 100, 80, 80, 100, 65, 120, 95, 120], "b.jpg": [60, 70, 98, 90, 72, 104, 48, 112, 76, 130]}


@pytest.fixture
def wild(tmp_path):
    """Two in-the-wild images with boxes and landmarks."""
    root = tmp_path / "celeba"
    (root / "img_celeba").mkdir(parents=True)
    for i, name in enumerate(FACES):
        (root / "img_celeba" / name).write_bytes(jpeg(i, (200, 170 + 20 * i), quality=95, subsampling=0))
    rows = "\n".join(f"{name} {' '.join(map(str, points))}" for name, points in FACES.items())
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    (root / "list_landmarks_celeba.txt").write_text(f"2\n{header}\n{rows}\n")
    boxes = "2\nimage_id x_1 y_1 width height\na.jpg 40 50 80 110\nb.jpg 100 20 90 60\n"
    (root / "list_bbox_celeba.txt").write_text(boxes)
    return root


@newest_pillow
@pytest.mark.parametrize("crop", ["box", "landmarks"])
def test_in_the_wild_images_are_cropped_one_by_one(wild, tmp_path, crop):
    s = gantools.prep("celeba", source=wild, size=48, crop=crop, out=tmp_path / "set", progress=False)
    assert s.manifest["source"]["in_the_wild"]
    assert s.sizes.tolist() == [[170, 200], [190, 200]]
    for i, name in enumerate(FACES):
        image = np.asarray(Image.open(wild / "img_celeba" / name))
        if crop == "landmarks":
            expected = align(image, np.array(FACES[name]), 48)
        else:
            box = [(25, 50, 135, 160), (100, 5, 190, 95)][i]
            expected = np.asarray(Image.fromarray(image).crop(box).resize((48, 48), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(s[i], expected)


def test_eyes_of_a_tilted_face_come_out_level(wild):
    regions = eye_squares(np.array(list(FACES.values())))
    for points, region in zip(FACES.values(), regions, strict=True):
        moved = into_region(np.array(points, float).reshape(5, 2), region, 100)
        assert abs(moved[0, 1] - moved[1, 1]) < 6  # level
        assert moved[:, 0].min() > 20 and moved[:, 0].max() < 80
        assert moved[3:, 1].mean() > moved[:2, 1].mean() + 15  # the mouth below


def test_marks_are_drawn_where_the_crop_put_them(wild, tmp_path):
    for crop in ("box", "landmarks", "center"):
        s = gantools.prep("celeba", source=wild, size=48, crop=crop, out=tmp_path / crop, progress=False)
        plain = show(s.path, n=2, out=tmp_path / "plain.png")
        marked = show(s.path, n=2, landmarks=True, out=tmp_path / "marked.png")
        assert plain.read_bytes() != marked.read_bytes()
        if crop != "landmarks":
            show(s.path, n=2, boxes=True, out=tmp_path / "boxes.png")
        else:
            with pytest.raises(DataError, match="turned"):
                show(s.path, n=2, boxes=True, out=tmp_path / "boxes.png")


def test_what_the_crops_need_is_said(wild, tmp_path):
    options = {"size": 16, "out": tmp_path / "set", "progress": False}
    for wrong, words in (
        ({"fast": True}, "no fast way"),
        ({"store": "encoded", "encoding": "original"}, "original bytes"),
    ):
        with pytest.raises(ConfigError, match=words):
            gantools.prep("celeba", source=wild, crop="box", **wrong, **options)
    with pytest.raises(ConfigError, match="no background"):
        gantools.prep("celeba", source=wild, crop="landmarks", pad_color="white", **options)
    with pytest.raises(DataError, match="list_bbox_celeba"):
        gantools.prep("folder", source=wild / "img_celeba", crop="box", **options)
    aligned = tmp_path / "aligned"
    (aligned / "img_align_celeba").mkdir(parents=True)
    (aligned / "img_align_celeba" / "a.jpg").write_bytes(jpeg(0, (218, 178)))
    (aligned / "list_bbox_celeba.txt").write_text("1\nimage_id x_1 y_1 width height\na.jpg 40 50 80 110\n")
    with pytest.raises(ConfigError, match="do not belong to the aligned"):
        gantools.prep("celeba", source=aligned, crop="box", **options)
    assert not (tmp_path / "set").exists()


def test_a_box_or_landmarks_without_a_picture_are_rejects(wild, tmp_path):
    boxes = "2\nimage_id x_1 y_1 width height\na.jpg 0 0 0 0\nb.jpg 100 20 90 60\n"
    (wild / "list_bbox_celeba.txt").write_text(boxes)
    s = gantools.prep("celeba", source=wild, size=16, crop="box", out=tmp_path / "set", progress=False)
    assert s.names == ["b.jpg"]
    points = "2\n" + (wild / "list_landmarks_celeba.txt").read_text().split("\n")[1]
    (wild / "list_landmarks_celeba.txt").write_text(f"{points}\na.jpg {'7 ' * 10}\nb.jpg {' '.join(['3'] * 10)}\n")
    with pytest.raises(DataError, match="landmarks lie in one point"):
        gantools.prep("celeba", source=wild, size=16, crop="landmarks", out=tmp_path / "two", progress=False)
    assert PreparedSet(tmp_path / "set").manifest["source"]["rejected"] == 1
