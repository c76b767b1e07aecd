"""The resizes against the tools they are exact to."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gantools import _native

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


def with_pillow(image: np.ndarray, height: int, width: int, filter: str) -> np.ndarray:
    c = image.shape[2]
    pil = Image.fromarray(image[..., 0] if c == 1 else image)
    return np.asarray(pil.resize((width, height), FILTERS[filter])).reshape(height, width, c)


@pillow_13
@settings(max_examples=400, deadline=None)
@given(
    h=st.integers(1, 90),
    w=st.integers(1, 90),
    th=st.integers(1, 130),
    tw=st.integers(1, 130),
    c=st.sampled_from([1, 3]),
    filter=st.sampled_from(list(FILTERS)),
    kind=st.sampled_from(["noise", "black-white", "ramp"]),
    seed=st.integers(0, 2**32 - 1),
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
    np.testing.assert_array_equal(_native.resize_tf1(np.asfortranarray(stack), 9), _native.resize_tf1(stack, 9))
    fortran = _native.Source.array(np.asfortranarray(stack))
    assert fortran.fingerprint() == _native.Source.array(stack).fingerprint()


def test_resize_refuses_what_is_no_image():
    with pytest.raises(ValueError, match="filter is one of lanczos"):
        _native.resize(np.zeros((4, 4, 3), np.uint8), 2, 2, "nearest")
    with pytest.raises(ValueError, match="not a 2x0 image"):
        _native.resize(np.zeros((4, 4, 3), np.uint8), 0, 2)
    with pytest.raises(ValueError, match=r"\(h, w\)"):
        _native.resize(np.zeros(4, np.uint8), 2, 2)


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(
    ("h", "w"), [(1, 1), (28, 28), (32, 32), (64, 64), (218, 178), (299, 299), (384, 512), (700, 1024)]
)
def test_tf1_bilinear_is_bit_equal_with_torch_fidelity(h, w, c):
    reference = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = np.stack([image_of(h, w, c, 1, "noise"), image_of(h, w, c, 2, "black-white")])
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    expected = reference.interpolate_bilinear_2d_like_tensorflow1x(tensor, size=(299, 299), align_corners=False)
    for threads in (1, 3):
        ours = _native.resize_tf1(images, 299, threads)
        np.testing.assert_array_equal(ours, expected.permute(0, 2, 3, 1).numpy())
