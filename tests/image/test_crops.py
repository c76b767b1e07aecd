"""Crops by name against the tools they are named after, written out here with numpy and Pillow."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import gantools
from gantools import _native
from gantools.data.policy import TILE
from gantools.data.regions import REGION_CROPS
from gantools.errors import ConfigError

pytestmark = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow < 13 resizes otherwise")
LANCZOS, BICUBIC, BOX = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.BOX


def noise(h: int, w: int, c: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, c), dtype=np.uint8)


def native(path: Path, images: np.ndarray, **policy) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """The prepared images and the rejects."""
    policy = {"height": policy["width"], "channels": images.shape[-1], **policy}
    items = np.arange(len(images), dtype=np.int64)
    _, _, rejects, *_ = _native.prepare_shard(
        _native.Source.array(images), items, _native.PixelPolicy(**policy), path / "x.npy"
    )
    return np.load(path / "x.npy"), rejects


def center_crop_wide(width: int, height: int, img: np.ndarray) -> np.ndarray | None:
    """What StyleGAN3's dataset_tool does for --transform=center-crop-wide --resolution=WxH."""
    rows = int(np.round(width * img.shape[0] / img.shape[1]))
    if img.shape[1] < width or rows < height:
        return None
    top = (img.shape[0] - rows) // 2
    picture = Image.fromarray(img[top : top + rows]).resize((width, height), LANCZOS)
    square = np.zeros([width, width, 3], dtype=np.uint8)
    begin = (width - height) // 2
    square[begin : begin + height] = np.asarray(picture)
    return square


def adm_center_crop(size: int, img: np.ndarray) -> np.ndarray:
    """ADM's center_crop_arr, which EDM2 calls center-crop-dhariwal."""
    pil = Image.fromarray(img)
    while min(*pil.size) >= 2 * size:
        pil = pil.resize(tuple(x // 2 for x in pil.size), resample=BOX)
    scale = size / min(*pil.size)
    pil = pil.resize(tuple(round(x * scale) for x in pil.size), resample=BICUBIC)
    arr = np.asarray(pil)
    y, x = (arr.shape[0] - size) // 2, (arr.shape[1] - size) // 2
    return arr[y : y + size, x : x + size]


@settings(max_examples=120, deadline=None)
@given(w=st.integers(1, 200), h=st.integers(1, 200), size=st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_center_wide_is_that_of_stylegan(w, h, size, tmp_path_factory):
    width, height = max(size), min(size)
    image = noise(h, w)
    ours, rejects = native(tmp_path_factory.getbasetemp(), image[None], width=width, crop="center-wide", band=height)
    expected = center_crop_wide(width, height, image)
    if expected is None:
        assert len(rejects) == 1
        assert f"for a picture of {width}x{height}" in rejects[0][2]
    else:
        np.testing.assert_array_equal(ours[0], expected)


@settings(max_examples=150, deadline=None)
@given(w=st.integers(1, 300), h=st.integers(1, 300), size=st.integers(1, 70), c=st.sampled_from([1, 3]))
def test_dhariwal_is_that_of_adm(w, h, size, c, tmp_path_factory):
    image = noise(h, w, c)
    ours, _ = native(tmp_path_factory.getbasetemp(), image[None], width=size, crop="dhariwal")
    np.testing.assert_array_equal(
        ours[0], adm_center_crop(size, image.squeeze(-1) if c == 1 else image).reshape(size, size, c)
    )


def test_dhariwal_of_an_extreme_shape_needs_no_more_memory_than_its_middle(tmp_path):
    # As a whole it would be resized to 256 x 5,120,000.
    image = noise(20_000, 1)
    ours, _ = native(tmp_path, image[None], width=256, crop="dhariwal")
    rows = np.asarray(Image.fromarray(image[9_990:10_010]).resize((256, 20 * 256), BICUBIC))
    np.testing.assert_array_equal(ours[0], rows[10 * 256 - 128 : 10 * 256 + 128])


@settings(max_examples=150, deadline=None)
@given(
    w=st.integers(1, 200),
    h=st.integers(1, 200),
    size=st.integers(1, 70),
    filter=st.sampled_from(["lanczos", "bicubic", "bilinear", "box"]),
    color=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_pad_is_that_of_pillow(w, h, size, filter, color, tmp_path_factory):
    image = noise(h, w)
    folder = tmp_path_factory.getbasetemp()
    ours, _ = native(folder, image[None], width=size, crop="pad", background=color, filter=filter)
    if min(w, h) * size / max(w, h) <= 0.5:
        return  # Pillow returns an image of another size: nothing of the picture is left
    expected = ImageOps.pad(Image.fromarray(image), (size, size), Image.Resampling[filter.upper()], color)
    np.testing.assert_array_equal(ours[0], np.asarray(expected))
    grey = noise(h, w, 1)
    ours, _ = native(folder, grey[None], width=size, crop="pad", background=color, filter=filter)
    luma = Image.new("RGB", (1, 1), color).convert("L").getpixel((0, 0))
    expected = ImageOps.pad(Image.fromarray(grey[..., 0]), (size, size), Image.Resampling[filter.upper()], luma)
    np.testing.assert_array_equal(ours[0, ..., 0], np.asarray(expected))


def test_pad_keeps_a_pixel_of_an_extreme_shape(tmp_path):
    ours, _ = native(tmp_path, np.full((1, 1, 1000, 3), 7, np.uint8), width=8, crop="pad", background=(255, 255, 255))
    assert (ours[0] == 7).all(axis=(1, 2)).sum() == 1
    assert (ours[0] == 255).all(axis=(1, 2)).sum() == 7


@pytest.mark.parametrize("side", [108, 128, 140, 148, 178])
def test_celeba_boxes_on_real_images(side, test_data, tmp_path):
    source = test_data / "data/celeba"
    s = gantools.prep(
        "celeba", source=source, size=64, crop=f"celeba-{side}", limit=40, out=tmp_path / "s", progress=False
    )
    assert s.manifest["policy"]["crop"] == f"celeba-{side}"
    x, y = int((178 - side) / 2), int((218 - side) / 2)
    with zipfile.ZipFile(source / "img_align_celeba.zip") as z:
        for i in range(0, 40, 7):
            image = Image.open(io.BytesIO(z.read(s.names[i]))).convert("RGB").crop((x, y, x + side, y + side))
            np.testing.assert_array_equal(s[i], np.asarray(image.resize((64, 64), LANCZOS)))


def test_celeba_boxes_refuse_images_of_another_size(tmp_path):
    _, rejects = native(tmp_path, noise(178, 218)[None], width=64, crop="celeba-128")
    assert "no aligned CelebA image" in rejects[0][2]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.fromarray(noise(90 + i, 128, seed=i)).save(tmp_path / f"photos/{i}.png")
    return tmp_path / "photos"


def test_each_crop_is_recorded_and_described(folder, tmp_path):
    documented = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    for crop in _native.CROPS:
        if crop.startswith("celeba") or crop in (*REGION_CROPS, TILE):
            assert f"`{crop}`" in documented or "`celeba-N`" in documented
            continue
        size = (96, 60) if crop == "center-wide" else 32
        s = gantools.prep("folder", source=folder, size=size, crop=crop, out=tmp_path / crop, progress=False)
        policy = s.manifest["policy"]
        assert policy["crop"] == crop
        assert f"`{crop}`" in documented
        assert (policy["filter"] == "box, bicubic") == (crop == "dhariwal")
        assert policy.get("pad_color") == ("#000000" if crop == "pad" else None)
        assert policy.get("band") == (60 if crop == "center-wide" else None)
        assert policy["decode"] == "exact"
        image = np.asarray(Image.open(folder / "2.png"))
        if crop == "center-wide":
            np.testing.assert_array_equal(s[2], center_crop_wide(96, 60, image))
        if crop == "dhariwal":
            np.testing.assert_array_equal(s[2], adm_center_crop(32, image))


def test_the_background_of_pad_can_be_chosen(folder, tmp_path):
    for text, color in (("white", (255, 255, 255)), ("#0a14F0", (10, 20, 240))):
        s = gantools.prep(
            "folder", source=folder, size=32, crop="pad", pad_color=text, out=tmp_path / text[1:], progress=False
        )
        expected = ImageOps.pad(Image.open(folder / "1.png"), (32, 32), LANCZOS, color)
        np.testing.assert_array_equal(s[1], np.asarray(expected))
        assert s.manifest["policy"]["pad_color"] == "#{:02x}{:02x}{:02x}".format(*color)


def test_what_does_not_go_together_is_said(folder, tmp_path):
    for options, words in (
        ({"crop": "dhariwal", "filter": "lanczos"}, "its own filters"),
        ({"crop": "dhariwal", "fast": True}, "no fast way"),
        ({"crop": "center", "pad_color": "white"}, "has no background"),
        ({"crop": "pad", "pad_color": "whit"}, "'whit' is no colour"),
        ({"crop": "center-wide"}, "needs the size of a picture"),
        ({"crop": "center-wide", "size": (32, 64)}, "not tall"),
        ({"crop": "center", "size": (64, 32)}, "makes squares, not 64x32"),
        ({"crop": "center-wide", "size": (32, 0)}, "size is 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            gantools.prep("folder", source=folder, out=tmp_path / "no", progress=False, **{"size": 32, **options})
    assert not (tmp_path / "no").exists()
