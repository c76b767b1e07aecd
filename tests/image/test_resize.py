"""The resizes against the tools they are exact to."""

from __future__ import annotations

import zipfile

import numpy as np
import PIL
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from gantools import _native
from gantools.errors import DataError

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
}
# Pillow 13 changed the order of the passes for tall images; older versions differ there by design.
pillow_13 = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow < 13 resizes otherwise")


def image_of(h: int, w: int, c: int, seed: int, kind: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return rng.integers(0, 256, (h, w, c), dtype=np.uint8)
    if kind == "black-white":
        # Rings at their strongest, so that clipping between the passes shows.
        return (rng.integers(0, 2, (h, w, c)) * 255).astype(np.uint8)
    y, x = np.mgrid[0:h, 0:w]
    return ((x * 3 + y * 5)[..., None] * np.arange(1, c + 1) % 256).astype(np.uint8)


# The arguments of `image_of`.
PICTURES = {
    "h": st.integers(1, 90),
    "w": st.integers(1, 90),
    "c": st.sampled_from([1, 3]),
    "kind": st.sampled_from(["noise", "black-white", "ramp"]),
    "seed": st.integers(0, 2**32 - 1),
}


def with_pillow(image: np.ndarray, height: int, width: int, filter: str) -> np.ndarray:
    c = image.shape[2]
    pil = Image.fromarray(image[..., 0] if c == 1 else image)
    return np.asarray(pil.resize((width, height), FILTERS[filter])).reshape(height, width, c)


@pillow_13
@settings(max_examples=400, deadline=None)
@given(
    **PICTURES,
    th=st.integers(1, 130),
    tw=st.integers(1, 130),
    filter=st.sampled_from(list(FILTERS)),
)
def test_any_size_is_byte_equal_with_pillow(h, w, th, tw, c, filter, kind, seed):
    image = image_of(h, w, c, seed, kind)
    np.testing.assert_array_equal(_native.resize(image, th, tw, filter), with_pillow(image, th, tw, filter))


@pillow_13
@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(
    ("h", "w", "th", "tw"),
    [
        (178, 178, 64, 64),
        (218, 178, 64, 64),
        (218, 178, 63, 65),
        (1024, 1024, 64, 64),
        (1023, 511, 257, 129),
        (28, 28, 64, 64),
        (64, 64, 299, 299),
        (301, 97, 64, 64),
        (97, 301, 64, 64),
        (1000, 3, 10, 2),
        (3, 1000, 2, 10),
        (64, 64, 64, 32),
        (64, 64, 32, 64),
        (64, 64, 64, 64),
        (1, 1, 5, 7),
    ],
)
def test_named_sizes_are_byte_equal_with_pillow(h, w, th, tw, c, filter):
    for kind in ("noise", "black-white"):
        image = image_of(h, w, c, h * w, kind)
        np.testing.assert_array_equal(_native.resize(image, th, tw, filter), with_pillow(image, th, tw, filter))


def test_resize_reads_arrays_that_are_not_contiguous():
    image = image_of(40, 30, 3, 0, "noise")
    np.testing.assert_array_equal(_native.resize(image[::2, ::-1], 9, 9), _native.resize(image[::2, ::-1].copy(), 9, 9))
    np.testing.assert_array_equal(_native.resize(np.asfortranarray(image), 9, 9), _native.resize(image, 9, 9))
    assert _native.encode_png(np.asfortranarray(image)) == _native.encode_png(image)
    stack = np.stack([image, 255 - image])
    rules = [(rule, 9, "center") for rule in _native.RESIZE_RULES]
    for a, b in zip(
        _native.resize_images(np.asfortranarray(stack), rules), _native.resize_images(stack, rules), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    fortran = _native.Source.array(np.asfortranarray(stack))
    assert fortran.fingerprint() == _native.Source.array(stack).fingerprint()


def test_resize_refuses_what_is_no_image():
    with pytest.raises(ValueError, match="filter is one of lanczos"):
        _native.resize(np.zeros((4, 4, 3), np.uint8), 2, 2, "nearest")
    with pytest.raises(ValueError, match="not a 2x0 image"):
        _native.resize(np.zeros((4, 4, 3), np.uint8), 0, 2)
    with pytest.raises(ValueError, match=r"\(h, w\)"):
        _native.resize(np.zeros(4, np.uint8), 2, 2)


SIZES = [(1, 1), (28, 28), (32, 32), (64, 64), (218, 178), (299, 299), (384, 512), (512, 384), (700, 3), (1024, 1024)]


def with_the_tool(rule: str, image: np.ndarray, size: int) -> np.ndarray:
    """uint8 (h, w, c) -> float32 (size, size, 3) as the tool does it whose rule it is."""
    image = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    # Contiguous, as ToTensor makes it.
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().contiguous()
    if rule == "tf1-bilinear":
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

        out = interpolate_bilinear_2d_like_tensorflow1x(tensor, size=(size, size), align_corners=False)
    elif rule == "torch-bilinear":
        # In 0..1, as pytorch-fid feeds it.
        out = F.interpolate(tensor / 255, (size, size), mode="bilinear", align_corners=False) * 255
    elif rule == "torch-bilinear-antialias":
        out = F.interpolate(tensor, (size, size), mode="bilinear", align_corners=False, antialias=True)
    elif rule.endswith("-float"):
        # As clean-fid does it; `mode` of fromarray is what float32 has anyway.
        filter = FILTERS[rule.split("-")[1]]
        planes = [Image.fromarray(np.ascontiguousarray(p)) for p in np.moveaxis(image.astype(np.float32), 2, 0)]
        return np.stack([np.asarray(p.resize((size, size), filter)).clip(0, 255) for p in planes], 2)
    else:
        filter = FILTERS[rule.removeprefix("pillow-")]
        return np.asarray(Image.fromarray(image).resize((size, size), filter)).astype(np.float32)
    return out[0].permute(1, 2, 0).numpy()


def assert_as_the_tool(rule: str, ours: np.ndarray, image: np.ndarray, size: int) -> None:
    expected = with_the_tool(rule, image, size)
    if rule.startswith("torch"):
        # 2e-7 with several threads. With one, PyTorch takes another kernel, which rounds source coordinates otherwise:
        # its own two results differ by up to 1.5e-5 of the range.
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-5 * 255)
    else:
        np.testing.assert_array_equal(ours, expected)


@pillow_13
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_network_inputs_are_those_of_the_tools(h, w, c):
    image = np.stack([image_of(h, w, c, 1, "noise"), image_of(h, w, c, 2, "black-white")])
    inputs = [(rule, 299, "none") for rule in _native.RESIZE_RULES]
    for threads in (1, 3):
        for (rule, size, _), ours in zip(inputs, _native.resize_images(image, inputs, threads), strict=True):
            assert ours.shape == (2, 299, 299, 3) and ours.dtype == np.float32
            for i in range(2):
                assert_as_the_tool(rule, ours[i], image[i], size)


@pillow_13
@settings(max_examples=300, deadline=None)
@given(
    **PICTURES,
    size=st.integers(1, 130),
    rule=st.sampled_from(_native.RESIZE_RULES),
)
def test_network_inputs_of_any_size_are_those_of_the_tools(h, w, size, c, rule, kind, seed):
    image = image_of(h, w, c, seed, kind)
    (ours,) = _native.resize_images(image[None], [(rule, size, "none")])
    assert_as_the_tool(rule, ours[0], image, size)


@pytest.mark.parametrize(("h", "w", "box"), [(218, 178, (0, 20, 178, 198)), (5, 8, (1, 0, 6, 5))])
def test_the_centre_square_is_cut_before_the_resize(h, w, box):
    image = image_of(h, w, 3, 0, "noise")
    cut = np.array(Image.fromarray(image).crop(box))
    for rule in _native.RESIZE_RULES:
        (ours,) = _native.resize_images(image[None], [(rule, 64, "center")])
        assert_as_the_tool(rule, ours[0], cut, 64)


def test_inputs_are_read_from_every_kind_of_source(tmp_path):
    images = np.stack([image_of(20, 30, 3, i, "noise") for i in range(5)])
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    names = [f"{i}.png" for i in range(5)]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as z:
        for name in names:
            z.write(tmp_path / name, name)
    (tmp_path / "raw").write_bytes(images.tobytes())
    length = images[0].nbytes
    rows = np.array([[0, i * length, length] for i in range(5)])
    sources = [
        _native.Source.files(tmp_path, names),
        _native.Source.zip(tmp_path / "all.zip"),
        _native.Source.array(images),
        _native.Source.ranges([tmp_path / "raw"], rows, shape=(20, 30, 3)),
        _native.Source.fetched(names, "x", lambda i: (tmp_path / names[i]).read_bytes()),
    ]
    inputs = [("tf1-bilinear", 16, "none"), ("pillow-bicubic-float", 24, "center")]
    items = np.array([4, 0, 2])
    expected = _native.resize_images(images[items], inputs)
    for source in sources:
        for got, wanted in zip(_native.read_images(source, items, inputs), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_reading_inputs_refuses_what_it_does_not_know(tmp_path):
    (tmp_path / "b.png").write_bytes(b"nothing")
    Image.fromarray(image_of(4, 4, 3, 0, "noise")).save(tmp_path / "a.png")
    source = _native.Source.files(tmp_path, ["a.png", "b.png", "c.png"])
    one = [("tf1-bilinear", 8, "none")]
    with pytest.raises(DataError, match=r"/b\.png: not an image"):
        _native.read_images(source, np.array([0, 1, 2]), one)
    with pytest.raises(DataError, match=r"/c\.png: cannot be read"):
        _native.read_images(source, np.array([2]), one)
    with pytest.raises(IndexError, match=r"\[0, 3\)"):
        _native.read_images(source, np.array([3]), one)
    image = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="resize is one of tf1-bilinear"):
        _native.resize_images(image, [("nearest", 8, "none")])
    with pytest.raises(ValueError, match="crop is one of none, center"):
        _native.resize_images(image, [("tf1-bilinear", 8, "left")])
    with pytest.raises(ValueError, match="at least 1"):
        _native.resize_images(image, [("tf1-bilinear", 0, "none")])
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        _native.resize_images(np.zeros((1, 4, 4, 4), np.uint8), one)
    assert _native.read_images(source, np.array([], np.int64), one)[0].shape == (0, 8, 8, 3)
