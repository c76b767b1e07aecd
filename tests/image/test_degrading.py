"""Each piece of a degradation against numpy, scipy, torch or Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import special, stats
from scipy.ndimage import convolve

from gantools import _native

STEP = {name: i for i, name in enumerate(_native.DEGRADE_STEPS)}
SHAPE = {name: i for i, name in enumerate(_native.KERNEL_SHAPES)}
MODE = {name: i for i, name in enumerate(_native.DEGRADE_RESIZES)}


def photo(h: int = 40, w: int = 52, c: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth with edges and some grain."""
    y, x = np.mgrid[:h, :w]
    waves = [np.sin(0.21 * x + k) * np.cos(0.13 * y - k) + (x + y * (k + 1) > w) for k in range(c)]
    noise = np.random.default_rng(seed).normal(0, 4, (h, w, c))
    return np.clip(110 + 55 * np.stack(waves, 2) + noise, 0, 255).astype(np.uint8)


def row(name: str, *values: float) -> list[float]:
    return [STEP[name], *values, *[0.0] * (6 - len(values))]


def floats(image: np.ndarray, *steps: list[float], seed: int = 3, size: tuple[int, int] | None = None) -> np.ndarray:
    h, w = size or image.shape[:2]
    out = np.empty((1, h, w, image.shape[2]), np.float32)
    _native.degrade_float(image[None], np.array([steps]), np.array([seed], np.uint64), out)
    return out[0]


def kernel_by_definition(shape, side, first, second, angle, exponent, *, bug=None):
    at = np.arange(side) - side // 2
    x, y = np.meshgrid(at, at)
    if shape == "sinc":
        r = np.hypot(x, y)
        with np.errstate(invalid="ignore", divide="ignore"):
            weights = first * special.j1(first * r) / (2 * np.pi * r)
        weights[side // 2, side // 2] = first**2 / (4 * np.pi) if bug != "middle" else first / (2 * np.pi)
        return weights / weights.sum()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([first**2, second**2]) @ turn.T)
    places = np.stack((x, y), -1)
    q = np.einsum("hwi,ij,hwj->hw", places, inverse, places)
    weights = {
        "gaussian": np.exp(-q / 2),
        "generalised": np.exp(-(q ** (exponent / 2 if bug == "exponent" else exponent)) / 2),
        "plateau": 1 / (1 + q**exponent),
    }[shape]
    return weights if bug == "sum" else weights / weights.sum()


KERNELS = [
    ("gaussian", 7, 0.2, 0.2, 0.0, 1.0),
    ("gaussian", 21, 2.7, 1.1, -2.1, 1.0),
    ("generalised", 13, 1.4, 1.4, 0.0, 0.6),
    ("generalised", 9, 2.0, 0.5, 0.7, 3.1),
    ("plateau", 21, 2.5, 0.9, 1.3, 1.6),
    ("sinc", 7, np.pi / 3, 1.0, 0.0, 1.0),
    ("sinc", 21, np.pi, 1.0, 0.0, 1.0),
    ("sinc", 15, 1.1, 1.0, 0.0, 1.0),
]


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_their_definitions(kernel):
    np.testing.assert_allclose(_native.blur_kernel(*kernel), kernel_by_definition(*kernel), atol=1e-9)


@pytest.mark.parametrize(("kernel", "bug"), [(5, "middle"), (3, "exponent"), (4, "sum")])
def test_a_wrong_kernel_would_be_seen(kernel, bug):
    wrong = kernel_by_definition(*KERNELS[kernel], bug=bug)
    assert np.abs(_native.blur_kernel(*KERNELS[kernel]) - wrong).max() > 1e-3


@pytest.mark.parametrize("shape", [(40, 52, 3), (5, 9, 3), (1, 30, 1), (64, 3, 1)])
@pytest.mark.parametrize("kernel", KERNELS[1:6:2])
def test_blur_is_a_filter_with_reflected_borders(shape, kernel):
    image = photo(*shape)
    name, *numbers = kernel
    found = floats(image, row("blur", SHAPE[name], *numbers))
    weights = kernel_by_definition(*kernel)[:, :, None]
    expected = convolve(image.astype(float), weights, mode="mirror")
    np.testing.assert_allclose(found / 255, expected / 255, atol=1e-5)
    if min(shape[:2]) > 8:  # a mirror that repeats the border, as scipy's `reflect`, is another one
        assert np.abs(found - convolve(image.astype(float), weights, mode="reflect")).max() > 0.1


@settings(max_examples=30, deadline=None)
@given(
    mode=st.sampled_from(sorted(MODE)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    to=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    c=st.sampled_from([1, 3]),
)
def test_resizes_are_torchs(mode, size, to, c):
    image = photo(*size, c)
    found = floats(image, row("resize", MODE[mode], *to), size=to)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    options = {} if mode == "area" else {"align_corners": False}
    expected = F.interpolate(x, size=to, mode=mode, **options)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=0.05)  # of 255 levels: 2e-4 of the range


def test_an_antialiased_resize_would_be_seen():
    image = photo(40, 40)
    found = floats(image, row("resize", MODE["bicubic"], 10, 10), size=(10, 10))
    x = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    other = F.interpolate(x, size=(10, 10), mode="bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - other).max() > 5


@pytest.mark.parametrize("quality", [1, 30, 61, 95, 100])
@pytest.mark.parametrize("shape", [(40, 52, 3), (17, 9, 3), (33, 8, 1), (1, 1, 3)])
def test_jpeg_is_what_is_read_of_pillows_file(quality, shape):
    image = photo(*shape)
    file = io.BytesIO()
    # 4:2:0
    Image.fromarray(image.squeeze(2) if shape[2] == 1 else image).save(file, "JPEG", quality=quality, subsampling=2)
    expected = _native.decode(file.getvalue(), channels=shape[2])
    np.testing.assert_array_equal(floats(image, row("jpeg", quality)), expected)


def test_gaussian_noise_has_its_moments():
    plane = np.full((200, 300, 3), 128, np.uint8)
    noise = floats(plane, row("gaussian", 12.0, 0)) - 128
    assert abs(noise.mean()) < 0.1 and noise.std() == pytest.approx(12, rel=0.01)
    assert stats.kurtosis(noise.ravel()) == pytest.approx(-0.1, abs=0.03)  # of the sum of twelve uniform numbers
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
    grey = floats(plane, row("gaussian", 12.0, 1)) - 128
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    assert grey.std() == pytest.approx(12, rel=0.02)
    dark = floats(np.zeros_like(plane), row("gaussian", 12.0, 0))
    assert dark.min() == 0 and (dark > 0).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("grey", [0, 1])
def test_poisson_noise_has_its_moments(grey):
    image = np.zeros((400, 256, 3), np.uint8)
    image[...] = np.arange(256)[None, :, None]  # 256 levels, so v = 256 and a level's mean is level * 256 / 255
    scale = 0.7
    noise = floats(image, row("poisson", scale, grey)) - image
    for level in (60, 128, 200):
        of_level = noise[:, level] / scale / 255
        variance = level / 255 / 256
        assert of_level.mean() == pytest.approx(0, abs=4 * np.sqrt(variance / 400))
        assert of_level.var() == pytest.approx(variance, rel=0.15 if not grey else 0.25)
    np.testing.assert_allclose(noise[:, 0], 0)  # nothing is counted of black
    same = np.abs(noise[..., 0] - noise[..., 1])[:, 40:200].max()
    assert same == 0 if grey else same > 1
    # Counted numbers are whole: the noise lies on a grid of 255 / 256 levels.
    counts = (noise[:, 100] / scale + 100) / 255 * 256
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)


def test_fewer_levels_make_more_noise():
    image = np.full((100, 100, 1), 200, np.uint8)
    image[0, 0] = 10  # two levels: v = 2
    noise = (floats(image, row("poisson", 0.1, 0)) - image)[1:] / 0.1 / 255
    assert noise.var() == pytest.approx(200 / 255 / 2, rel=0.05)


def test_sharpening_is_its_definition():
    image = photo(60, 70)
    found = floats(image, row("sharpen", 0.5, 10.0)) / 255
    at = np.arange(51) - 25
    line = np.exp(-0.5 * (at / 8.0) ** 2)
    kernel = np.outer(line, line)[:, :, None] / line.sum() ** 2
    x = image / 255
    residual = x - convolve(x, kernel, mode="mirror")
    mask = convolve((np.abs(residual) * 255 > 10).astype(float), kernel, mode="mirror")
    expected = mask * np.clip(x + 0.5 * residual, 0, 1) + (1 - mask) * x
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - np.clip(x + 0.5 * residual, 0, 1)).max() > 0.01  # the mask is soft
    assert floats(np.full((30, 30, 3), 77, np.uint8), row("sharpen", 0.5, 10.0)) == pytest.approx(77, abs=1e-3)


STEPS = [
    row("sharpen", 0.5, 10.0),
    row("blur", SHAPE["plateau"], 9, 1.4, 0.6, 0.4, 1.5),
    row("resize", MODE["area"], 31, 29),
    row("poisson", 1.1, 0),
    row("jpeg", 40),
    row("none"),
    row("resize", MODE["bicubic"], 10, 13),
    row("gaussian", 9.0, 1),
]


def test_images_do_not_know_of_each_other_nor_of_threads():
    images = np.stack([photo(seed=i) for i in range(7)])
    steps, seeds = np.array([STEPS] * 7), np.arange(7, dtype=np.uint64)

    def made(chosen, threads=0):
        out = np.empty((len(chosen), 10, 13, 3), np.uint8)
        _native.degrade(images[chosen], steps[chosen], seeds[chosen], out, threads)
        return out

    whole = made(np.arange(7))
    np.testing.assert_array_equal(made(np.arange(7), threads=1), whole)
    np.testing.assert_array_equal(made(np.array([5, 2])), whole[[5, 2]])
    loose = np.empty((7, 10, 13, 3), np.float32)
    _native.degrade_float(images, steps, seeds, loose)
    np.testing.assert_array_equal(np.clip(np.rint(loose), 0, 255), whole)
    again = np.empty_like(whole)
    _native.degrade(images, steps, seeds + np.uint64(1), again)
    assert (again != whole).any((1, 2, 3)).all()
    _native.degrade(images[:0], steps[:0], seeds[:0], again[:0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": np.zeros((2, 1, 7))}, "for 1 images"),
        ({"steps": np.zeros((1, 1, 6))}, "for 1 images"),
        ({"seeds": np.zeros(2, np.uint64)}, "for 1 images"),
        ({"out": np.zeros((1, 4, 5, 3), np.uint8)}, r"out must be \(1, 4, 4, 3\)"),
        ({"steps": np.array([[row("resize", 0, 2, 2)]])}, r"out must be \(1, 2, 2, 3\)"),
        ({"steps": np.array([[row("jpeg", 0)]])}, "no step"),
        ({"steps": np.array([[row("blur", 0, 4, 1.0, 1.0, 0.0, 1.0)]])}, "odd side"),
        ({"images": np.zeros((1, 4, 4, 2), np.uint8), "out": np.zeros((1, 4, 4, 2), np.uint8)}, "2 channels"),
    ],
)
def test_wrong_arguments_are_errors(change, words):
    given = {
        "images": np.zeros((1, 4, 4, 3), np.uint8),
        "steps": np.zeros((1, 1, 7)),
        "seeds": np.zeros(1, np.uint64),
        "out": np.zeros((1, 4, 4, 3), np.uint8),
    }
    with pytest.raises(ValueError, match=words):
        _native.degrade(**given | change)


def test_a_kernel_that_is_none():
    with pytest.raises(ValueError, match="shape is one of"):
        _native.blur_kernel("box", 7, 1.0)
    with pytest.raises(ValueError, match="odd side"):
        _native.blur_kernel("gaussian", 6, 1.0)
