"""PSNR, SSIM and MS-SSIM against scikit-image, piq, scipy and, where it is installed, BasicSR; pairing by name."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piq
import pytest
import scipy.ndimage
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from tests.conftest import write_prepared

from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError
from gantools.metrics.pixels import paired, similarity
from gantools.metrics.pixels.paired import PairedScores, paired_scores


def noisy(images: NDArray[np.uint8], sigma: float = 12, seed: int = 1) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, sigma, images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


def scene(n: int, h: int, w: int, c: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Blurred noise with edges: structure at every scale."""
    rng = np.random.default_rng(seed)
    fine = rng.uniform(0, 255, (n, h, w, c))
    coarse = scipy.ndimage.gaussian_filter(rng.uniform(-4000, 4000, (n, h, w, c)), (0, 6, 6, 0))
    return np.clip(127 + coarse + 0.1 * fine + 60 * (coarse > 0), 0, 255).astype(np.uint8)


SIZES = [(11, 11), (32, 32), (64, 48), (33, 61), (218, 178)]


@pytest.mark.parametrize(("h", "w"), SIZES)
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("sigma", [1, 30])
def test_psnr_and_ssim_equal_scikit_image(h: int, w: int, c: int, sigma: float) -> None:
    targets = scene(2, h, w, c)
    samples = noisy(targets, sigma)
    psnr, ssim = similarity.psnr(samples, targets), similarity.ssim(samples, targets)
    for i, (a, b) in enumerate(zip(samples, targets, strict=True)):
        assert psnr[i] == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255), abs=1e-10)
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        expected = structural_similarity(b, a, channel_axis=2, **options)
        assert ssim[i] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("channel", ["rgb", "y"])
@pytest.mark.parametrize("crop", [0, 4])
@pytest.mark.parametrize(("h", "w"), [(32, 40), (97, 64)])
def test_psnr_and_ssim_equal_basicsr(
    basicsr: Callable[[str], object], channel: paired.Channel, crop: int, h: int, w: int
) -> None:
    peer = basicsr("metrics.psnr_ssim")
    targets = scene(2, h, w)
    samples = noisy(targets)
    psnr = similarity.psnr(samples, targets, channel=channel, crop=crop)
    ssim = similarity.ssim(samples, targets, channel=channel, crop=crop)
    for i in range(2):
        # BasicSR takes BGR, and computes luma in float32.
        a, b = samples[i, ..., ::-1], targets[i, ..., ::-1]
        luma = channel == "y"
        assert psnr[i] == pytest.approx(peer.calculate_psnr(a, b, crop, test_y_channel=luma), abs=1e-5)
        assert ssim[i] == pytest.approx(peer.calculate_ssim(a, b, crop, test_y_channel=luma), abs=1e-7)


def test_luma_is_that_of_bt_601() -> None:
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    luma = similarity.planes(colours[:, None, None], "y")[:, 0, 0, 0]
    np.testing.assert_allclose(luma, [16, 235, 81.481, 144.553, 40.966], atol=1e-12)
    grey = scene(1, 12, 12, 1)
    np.testing.assert_array_equal(similarity.planes(grey, "y"), similarity.planes(grey, "rgb"))


@pytest.mark.parametrize(("h", "w"), [(176, 176), (256, 192), (208, 320)])
@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("sigma", [3, 60])
def test_ms_ssim_equals_piq(h: int, w: int, c: int, sigma: float) -> None:
    targets = scene(2, h, w, c)
    samples = noisy(targets, sigma)
    a, b = (torch.from_numpy(x).double().permute(0, 3, 1, 2) for x in (samples, targets))
    expected = piq.multi_scale_ssim(a, b, data_range=255.0, reduction="none")
    np.testing.assert_allclose(similarity.ms_ssim(samples, targets), expected.numpy(), atol=1e-9)


@pytest.mark.parametrize(("h", "w"), [(161, 161), (178, 218), (165, 201)])
def test_ms_ssim_of_odd_sizes_follows_the_original(h: int, w: int) -> None:
    """The authors' program: a 2x2 mean under symmetric borders, then every second pixel; windows inside the image."""
    targets = scene(1, h, w, 1)
    samples = noisy(targets, 20)
    x, y = (i[0, ..., 0].astype(np.float64) for i in (samples, targets))
    at = np.arange(11) - 5
    gauss = np.exp(-(at**2) / 4.5)
    window = np.outer(gauss, gauss) / gauss.sum() ** 2

    def mean(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return scipy.ndimage.correlate(z, window)[5:-5, 5:-5]

    expected = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mx, my = mean(x), mean(y)
        cs = (2 * (mean(x * y) - mx * my) + 7.65**2) / (mean(x * x) - mx**2 + mean(y * y) - my**2 + 7.65**2)
        light = (2 * mx * my + 2.55**2) / (mx**2 + my**2 + 2.55**2)
        expected *= (cs * light if scale == 4 else cs).mean() ** weight
        # An even filter in MATLAB reaches forward; scipy's reaches back unless its origin is moved.
        x, y = (scipy.ndimage.correlate(z, np.full((2, 2), 0.25), origin=-1)[::2, ::2] for z in (x, y))
    assert similarity.ms_ssim(samples, targets)[0] == pytest.approx(expected, abs=1e-12)


def test_equal_images_and_opposite_ones() -> None:
    images = scene(2, 176, 176)
    assert np.isinf(similarity.psnr(images, images)).all()
    np.testing.assert_array_equal(similarity.ssim(images, images), 1)
    np.testing.assert_array_equal(similarity.ms_ssim(images, images), 1)
    # Structure turned round: contrast terms are negative, which a power cannot take, and count as 0.
    values = similarity.ms_ssim(255 - images, images)
    assert np.isfinite(values).all() and (values < 0.1).all()
    black, white = np.zeros((1, 16, 16, 3), np.uint8), np.full((1, 16, 16, 3), 255, np.uint8)
    assert similarity.psnr(black, white)[0] == 0


@pytest.fixture
def folders(tmp_path: Path, write_pngs: Callable[..., Path]) -> tuple[Path, Path, NDArray[np.uint8], NDArray[np.uint8]]:
    targets = scene(6, 32, 32)
    samples = np.stack([noisy(t[None], 5 * i, i)[0] for i, t in enumerate(targets)])
    return write_pngs(tmp_path / "a", samples), write_pngs(tmp_path / "b", targets), samples, targets


def equal(a: PairedScores, b: PairedScores) -> bool:
    return a.values.keys() == b.values.keys() and all((a.values[m] == b.values[m]).all() for m in a.values)


def test_folders_arrays_and_prepared_sets_give_the_same(
    folders: tuple[Path, Path, NDArray[np.uint8], NDArray[np.uint8]], tmp_path: Path
) -> None:
    a, b, samples, targets = folders
    done: list[int] = []
    by_name = paired_scores(a, b, advance=done.append)
    assert sum(done) == 6
    assert by_name.names == tuple(f"{i:06d}.png" for i in range(6))
    by_position = paired_scores(samples, targets)
    assert equal(by_name, by_position) and by_position.names == tuple("012345")
    np.testing.assert_array_equal(by_name.values["psnr"], similarity.psnr(samples, targets))
    np.testing.assert_array_equal(by_name.values["ssim"], similarity.ssim(samples, targets))
    np.save(tmp_path / "b.npy", targets)
    assert equal(by_position, paired_scores(samples, tmp_path / "b.npy"))
    prepared = write_prepared(tmp_path / "set", targets)
    assert equal(by_position, paired_scores(samples, prepared)) and equal(
        by_position, paired_scores(samples, PreparedSet(prepared))
    )


def test_names_match_without_suffix_in_sub_folders_and_in_any_order(tmp_path: Path) -> None:
    images = scene(3, 16, 24)
    for folder, suffix, names in (("a", "png", "xyz"), ("b", "bmp", "zyx")):
        (tmp_path / folder / "sub").mkdir(parents=True)
        for name in names:
            Image.fromarray(images["xyz".index(name)]).save(tmp_path / folder / "sub" / f"{name}.{suffix}")
    scores = paired_scores(tmp_path / "a", tmp_path / "b", ["psnr"])
    assert scores.names == ("sub/x.png", "sub/y.png", "sub/z.png") and scores.identical == 3


def test_mean_and_json_of_equal_pairs(folders: tuple[Path, Path, NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    a, b, samples, targets = folders
    scores = paired_scores(a, b)
    # The first target got no noise at all.
    assert scores.identical == 1 and math.isinf(scores.values["psnr"][0])
    assert scores.mean["psnr"] == pytest.approx(similarity.psnr(samples[1:], targets[1:]).mean())
    assert scores.mean["ssim"] == pytest.approx(similarity.ssim(samples, targets).mean())
    plain = json.loads(scores.to_json())
    assert plain["values"]["psnr"][0] is None and plain["values"]["psnr"][1] == scores.values["psnr"][1]
    assert plain["identical"] == 1 and plain["n"] == 6 and plain["channel"] == "rgb" and plain["crop"] == 0
    assert plain["worst"]["psnr"][-1] == ["000000.png", None]
    same = paired_scores(b, b, ["psnr"])
    assert same.mean["psnr"] is None and same.identical == 6
    assert json.loads(same.to_json())["mean"] == {"psnr": None}


def test_worst_pairs_come_first(folders: tuple[Path, Path, NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    scores = paired_scores(folders[0], folders[1])
    assert [name for name, _ in scores.worst("psnr", 3)] == ["000005.png", "000004.png", "000003.png"]
    values = [value for _, value in scores.worst("ssim")]
    assert values == sorted(values) and len(values) == 6
    with pytest.raises(ConfigError, match="unknown metric 'ssm'"):
        scores.worst("ssm")


def test_images_of_different_sizes_in_one_folder(tmp_path: Path) -> None:
    sizes = [(20, 20), (20, 20), (33, 17), (20, 20), (12, 40)]
    expected = []
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
    for i, (h, w) in enumerate(sizes):
        target = scene(1, h, w, seed=i)
        sample = noisy(target)
        Image.fromarray(target[0]).save(tmp_path / "b" / f"{i}.png")
        Image.fromarray(sample[0]).save(tmp_path / "a" / f"{i}.png")
        expected.append(similarity.ssim(sample, target, channel="y", crop=0)[0])
    scores = paired_scores(tmp_path / "a", tmp_path / "b", ["ssim"], channel="y")
    np.testing.assert_array_equal(scores.values["ssim"], expected)


def test_what_cannot_be_paired_is_said(
    folders: tuple[Path, Path, NDArray[np.uint8], NDArray[np.uint8]], tmp_path: Path
) -> None:
    a, b, samples, targets = folders
    (a / "000003.png").rename(a / "other.png")
    with pytest.raises(DataError, match=r"1 of 6 images in .*a have no partner .* 'other'.*1 of 6 .*b .*'000003'"):
        paired_scores(a, b)
    (a / "other.png").rename(a / "000003.png")
    shutil.copy(a / "000003.png", a / "000003.bmp")
    with pytest.raises(DataError, match="the same name but for the suffix"):
        paired_scores(a, b)
    (a / "000003.bmp").unlink()
    Image.fromarray(targets[0, :20]).save(a / "000002.png")
    with pytest.raises(DataError, match=r"000002\.png: the sample is 20x32 with 3 channels, its target 32x32"):
        paired_scores(a, b)
    (a / "000002.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"000002\.png"):
        paired_scores(a, b)
    with pytest.raises(ConfigError, match="only positions"):
        paired_scores(a, targets)
    with pytest.raises(DataError, match="6 samples and 5 targets"):
        paired_scores(samples, targets[:5])


def test_wrong_arguments_are_refused(pictures: Callable[..., NDArray[np.uint8]]) -> None:
    x = pictures(2, 32)
    with pytest.raises(ConfigError, match="Did you mean 'psnr'"):
        paired_scores(x, x, ["pnsr"])
    with pytest.raises(ConfigError, match="no metric"):
        paired_scores(x, x, [])
    with pytest.raises(ConfigError, match="unknown channel 'luma'"):
        similarity.psnr(x, x, channel="luma")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 0"):
        similarity.psnr(x, x, crop=-1)
    with pytest.raises(DataError, match="nothing is left"):
        similarity.psnr(x, x, crop=16)
    with pytest.raises(DataError, match="differ in shape"):
        similarity.psnr(x, x[:1])
    with pytest.raises(DataError, match="uint8"):
        similarity.psnr(x.astype(np.float32), x.astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="11x11"):
        similarity.ssim(x, x, crop=11)
    with pytest.raises(DataError, match=r"0: MS-SSIM needs sides of at least 161"):
        paired_scores(x, x, ["ms-ssim"])
