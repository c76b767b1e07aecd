"""NIQE against BasicSR where it is installed, against its formulas everywhere, and models that are fitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.special
from numpy.typing import NDArray
from PIL import Image

from gantools.errors import ConfigError, DataError, DownloadError, MetricError, WeightsError
from gantools.metrics.pixels import niqe
from gantools.metrics.pixels.niqe import PRISTINE, PristineModel, niqe_scores
from gantools.pretrained.weights import sha256_of


def photograph(h: int, w: int, seed: int = 0, c: int = 3) -> NDArray[np.uint8]:
    """Noise with a falling spectrum and hard edges: the nearest to a photograph that needs no file."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)) + 0.5 / max(h, w)
    planes = [np.fft.irfft2(np.fft.rfft2(rng.normal(size=(h, w))) / f**1.1, (h, w)) for _ in range(c)]
    x = np.stack(planes, -1) + 1.5 * planes[0][..., None]
    x = x / x.std() + 0.8 * (planes[0] > 0)[..., None]
    return np.clip(110 + 45 * x, 0, 255).astype(np.uint8)


def distort(image: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    if kind == "noise":
        image = image + np.random.default_rng(5).normal(0, 25, image.shape)
    elif kind == "blur":
        image = scipy.ndimage.gaussian_filter(image.astype(float), (1.5, 1.5, 0))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def model() -> PristineModel:
    """Fitted to synthetic photographs, so that tests need no download."""
    return PristineModel.fit(np.stack([photograph(288, 384, seed) for seed in range(100, 112)]))


@pytest.fixture
def peer(basicsr: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    """peer(image, crop=0, double=True) -> BasicSR's NIQE.

    BasicSR rounds to float32 in the local means and the resize, which MATLAB does not: one step of 0.001 in a fitted
    shape moves the number by up to 0.003, and by 0.03 where there are only two blocks. With `double` the same program
    runs in float64, its own resize weights included, and both steps end at ten decimals: in flat surroundings values
    are then 0, as they mostly are in float32, and not noise whose sign counts.
    """
    module, functions = basicsr("metrics.niqe"), basicsr("utils.matlab_functions")
    single, convolve = module.imresize, module.convolve

    def imresize(x: NDArray[np.float64], scale: float, antialiasing: bool) -> NDArray[np.float64]:
        for _ in range(2):
            n = len(x)
            weights, at, before, after = functions.calculate_weights_indices(n, n // 2, scale, "cubic", 4, antialiasing)
            padded = np.pad(x, ((before, after), (0, 0)), mode="symmetric")
            x = np.einsum("kp,kpw->kw", weights.double().numpy(), padded[at.long().numpy()]).T
        return np.round(x * 255, 10) / 255

    def run(image: NDArray[np.uint8], crop: int = 0, double: bool = True) -> float:
        if not double:
            monkeypatch.setattr(module, "imresize", single)
            monkeypatch.setattr(module, "convolve", convolve)
            return float(module.calculate_niqe(image[..., ::-1], crop))
        monkeypatch.setattr(module, "imresize", imresize)
        monkeypatch.setattr(module, "convolve", lambda *args, **options: np.round(convolve(*args, **options), 10))
        stored = np.load(Path(module.__file__).parent / "niqe_pris_params.npz")
        parameters = (stored[k] for k in ("mu_pris_param", "cov_pris_param", "gaussian_window"))
        return float(module.niqe(niqe.luma(image, crop), *parameters))

    return run


@pytest.fixture
def published(basicsr: Callable[[str], Any]) -> PristineModel:
    return PristineModel.load(Path(basicsr("metrics.niqe").__file__).parent / "niqe_pris_params.npz")


@pytest.mark.parametrize(("h", "w"), [(96, 192), (200, 300), (317, 288), (480, 500)])
@pytest.mark.parametrize("kind", ["none", "noise", "blur"])
@pytest.mark.parametrize("crop", [0, 4])
def test_equals_basicsr(
    peer: Callable[..., float], published: PristineModel, h: int, w: int, kind: str, crop: int
) -> None:
    image = distort(photograph(h, w), kind)
    if crop:
        image = np.pad(image, ((crop, crop), (crop, crop), (0, 0)), mode="reflect")
    value = niqe.niqe(image, published, crop=crop)
    assert value == pytest.approx(peer(image, crop), abs=1e-9)
    assert value == pytest.approx(peer(image, crop, double=False), abs=5e-3)


def test_real_photographs_equal_basicsr(
    peer: Callable[..., float], published: PristineModel, celeba: tuple[Path, Path]
) -> None:
    scores = niqe_scores(celeba[0], published.label)
    assert scores.model_sha256 == PRISTINE.sha256 and scores.model == published.label and scores.block == 96
    images = [np.asarray(Image.open(celeba[0] / name).convert("RGB")) for name in scores.names[:40]]
    np.testing.assert_allclose(scores.values[:40], [peer(i) for i in images], atol=1e-6)
    difference = np.abs(scores.values[:40] - [peer(i, double=False) for i in images])
    assert np.median(difference) < 1e-4 and difference.max() < 0.05


def test_the_published_model_is_known_by_its_hash(basicsr: Callable[[str], Any]) -> None:
    assert PRISTINE.sha256 == sha256_of(Path(basicsr("metrics.niqe").__file__).parent / "niqe_pris_params.npz")


def test_features_equal_the_formulas(model: PristineModel) -> None:
    """One block's 18 fine features, computed the slow way with scipy."""
    grey = niqe.luma(photograph(96, 96, 3))
    at = np.arange(7) - 3
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mean = scipy.ndimage.convolve(grey, window, mode="nearest")
    deviation = np.sqrt(np.abs(scipy.ndimage.convolve(grey**2, window, mode="nearest") - mean**2))
    x = (grey - mean) / (deviation + 1)
    gamma = scipy.special.gamma
    grid = np.arange(0.2, 10.001, 0.001)

    def fit(v: NDArray[np.float64]) -> tuple[float, float, float]:
        left, right = np.sqrt((v[v < 0] ** 2).mean()), np.sqrt((v[v > 0] ** 2).mean())
        g = left / right
        r = np.abs(v).mean() ** 2 / (v**2).mean() * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
        a = grid[np.argmin((gamma(2 / grid) ** 2 / (gamma(1 / grid) * gamma(3 / grid)) - r) ** 2)]
        s = np.sqrt(gamma(1 / a) / gamma(3 / a))
        return a, left * s, right * s

    a, left, right = fit(x)
    expected = [a, (left + right) / 2]
    for down, along in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a, left, right = fit(x * np.roll(np.roll(x, down, 0), along, 1))
        expected += [a, (right - left) * gamma(2 / a) / gamma(1 / a), left, right]
    np.testing.assert_allclose(niqe.block_features(grey)[0, :18], expected, rtol=1e-9)


def test_half_size_is_a_bicubic_of_the_mean_of_two() -> None:
    # Linear ramps stay linear, away from the mirrored borders; a constant stays constant everywhere.
    ramp = np.repeat(np.arange(64.0)[:, None], 3, 1)
    half = niqe._half(ramp)
    np.testing.assert_allclose(half[2:-2, 0], np.arange(0.5, 64, 2)[2:-2], atol=1e-12)
    np.testing.assert_allclose(niqe._half(np.full((10, 2), 7.0)), 7.0, atol=1e-12)
    assert half.shape == (32, 3)
    # Pillow's float bicubic has the same kernel, stretched alike; only its borders are cut off instead of mirrored.
    noise = np.random.default_rng(0).uniform(0, 255, (64, 48)).astype(np.float32)
    pillow = np.asarray(Image.fromarray(noise).resize((24, 32), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(
        niqe._half(niqe._half(noise.astype(float)).T).T[2:-2, 2:-2], pillow[2:-2, 2:-2], atol=1e-4
    )


def test_distortions_are_less_natural(model: PristineModel) -> None:
    image = photograph(288, 384, 7)
    clean, noise, blur = (niqe.niqe(distort(image, kind), model) for kind in ("none", "noise", "blur"))
    assert clean < 3 < min(noise, blur)


def test_a_saved_model_gives_the_same_number(model: PristineModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.npz")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["model.npz"]
    loaded = PristineModel.load(tmp_path / "model.npz")
    image = photograph(192, 192, 8)
    assert niqe.niqe(image, loaded) == niqe.niqe(image, model)
    assert loaded.sha256 == sha256_of(tmp_path / "model.npz") and model.sha256 is None


def test_smaller_blocks_for_smaller_images(tmp_path: Path) -> None:
    small = PristineModel.fit(np.stack([photograph(64, 64, seed) for seed in range(40)]), block=16)
    small.save(tmp_path / "small.npz")
    again = PristineModel.load(tmp_path / "small.npz")
    assert again.block == 16
    scores = niqe_scores(np.stack([photograph(64, 64, 90), distort(photograph(64, 64, 90), "noise")]), again)
    assert scores.values[0] < scores.values[1] and scores.names == ("0", "1")
    assert scores.worst(1) == [("1", scores.values[1])] and scores.mean == pytest.approx(scores.values.mean())


def test_fit_keeps_sharp_blocks_of_every_image() -> None:
    images = np.stack([photograph(96 * 4, 96 * 4, seed) for seed in range(6)])
    features, kept = [], []
    for image in images:
        f, sharp = niqe._blocks(niqe.luma(image), 96, "image", 1)
        features.append(f)
        kept.append(sharp > 0.75 * sharp.max())
        # Sharpness is the mean local deviation, so a blurred block has less of it.
        blurred = niqe._blocks(niqe.luma(distort(image, "blur")), 96, "image", 1)[1]
        assert (blurred < sharp).all()
    rows = np.concatenate([f[k] for f, k in zip(features, kept, strict=True)])
    assert 36 < len(rows) < 96
    fitted = PristineModel.fit(images)
    np.testing.assert_allclose(fitted.mean, rows.mean(0))
    np.testing.assert_allclose(fitted.covariance, np.cov(rows, rowvar=False))


def test_flat_blocks_are_left_out(model: PristineModel) -> None:
    image = photograph(192, 384, 9)
    image[:, 192:] = 80
    value = niqe.niqe(image, model)
    assert np.isfinite(value)
    features = niqe.block_features(niqe.luma(image))
    flat = np.isnan(features).any(1).reshape(2, 4)
    assert not flat[:, :2].any() and flat[:, 3].all()
    # Beyond the reach of the edge nothing is left of rounding: both scales of the value itself say so.
    assert np.isnan(features.reshape(2, 4, 36)[:, 3][:, [1, 19]]).all()
    with pytest.raises(MetricError, match="4 of 4 blocks are flat"):
        niqe.niqe(np.full((192, 192, 3), 30, np.uint8), model)


def test_what_cannot_be_judged_is_said(
    model: PristineModel, tmp_path: Path, write_pngs: Callable[..., Path], private_cache: Path
) -> None:
    with pytest.raises(DataError, match=r"image: 96x191 pixels hold 1 blocks of 96x96, NIQE needs 2") as e:
        niqe.niqe(photograph(96, 191), model)
    assert "block=" in str(e.value.hint)
    folder = write_pngs(tmp_path / "a", photograph(64, 64)[None])
    with pytest.raises(DataError, match=r"000000\.png: 64x64"):
        niqe_scores(folder, model)
    with pytest.raises(DataError, match="uint8"):
        niqe.niqe(photograph(96, 192).astype(np.float32), model)  # type: ignore[arg-type]
    for block in (7, 95):
        with pytest.raises(ConfigError, match="even and at least 8"):
            PristineModel.fit(folder, block=block)
    with pytest.raises(MetricError, match="more than 36"):
        PristineModel.fit(photograph(192, 192)[None])
    (tmp_path / "no.npz").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no pristine model"):
        PristineModel.load(tmp_path / "no.npz")
    np.savez(tmp_path / "other.npz", mu=np.zeros(3))
    with pytest.raises(WeightsError, match="no pristine model"):
        PristineModel.load(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", mu_pris_param=np.zeros(3), cov_pris_param=np.zeros((3, 3)))
    with pytest.raises(WeightsError, match=r"its shapes are \(3,\)"):
        PristineModel.load(tmp_path / "other.npz")


def test_no_model_and_no_network_says_which_file(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with pytest.raises(DownloadError) as e:
        PristineModel.load()
    assert str(private_cache / "niqe_pris_params.npz") in str(e.value.hint) and "GANTOOLS_NIQE_MODEL" in str(e.value)
