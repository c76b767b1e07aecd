"""How super-resolution is judged: the luma, borders and kernel of published figures, and that a score says them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.metrics.pixels.test_paired import noisy, scene

from gantools import _native
from gantools.data.prepare import prep
from gantools.metrics.options import Options
from gantools.metrics.pixels.paired import paired_scores
from gantools.metrics.pixels.similarity import psnr
from gantools.metrics.results.details import detail_words
from gantools.metrics.scorer import score


def photographs(archive: Path) -> list[NDArray[np.uint8]]:
    """The images of an archive, cut to multiples of 12."""
    found = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getnames()):
            file = tar.extractfile(member)
            if file is not None:
                image = np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
                found.append(np.ascontiguousarray(image[: len(image) // 12 * 12, : image.shape[1] // 12 * 12]))
    return found


def bicubic(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    h, w = image.shape[:2]
    return _native.resize(_native.resize(image, h // 4, w // 4, "bicubic"), h, w, "bicubic")


def nearest(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bug: a kernel that is not widened, so not antialiased."""
    h, w = image.shape[:2]
    return _native.resize(np.ascontiguousarray(image[::4, ::4]), h, w, "bicubic")


@pytest.mark.parametrize(("name", "luma", "rgb"), [("CSet5", 28.397, 26.665), ("CSet14", 26.088, 24.463)])
def test_bicubic_enlargement_is_as_far_off_as_is_published(test_data: Path, name: str, luma: float, rgb: float) -> None:
    archive = test_data / "data" / "sr" / f"{name}.tar"
    if not archive.is_file():
        pytest.skip(f"no {archive.name}")

    def mean(enlarge, channel: str = "y", crop: int = 4) -> float:
        return float(np.mean([psnr(enlarge(x)[None], x[None], channel=channel, crop=crop)[0] for x in images]))

    images = photographs(archive)
    assert mean(bicubic) == pytest.approx(luma, abs=0.005)
    assert mean(bicubic, "rgb") == pytest.approx(rgb, abs=0.005)
    # Each of these is a protocol that somebody has used, and moves the figure.
    assert all(abs(other - luma) > 0.005 for other in (mean(nearest), mean(bicubic, crop=0)))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, image in enumerate(scene(3, 48, 48)):
        Image.fromarray(image).save(folder / f"{i}.png")
    return prep(folder, size=48, scale=4, out=tmp_path / "pairs", progress=False).path


@pytest.fixture
def enlarged(tmp_path: Path) -> Path:
    folder = tmp_path / "enlarged"
    folder.mkdir()
    for i, image in enumerate(noisy(scene(3, 48, 48))):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


def test_a_paired_score_says_luma_border_and_kernel(pairs: Path, enlarged: Path, tmp_path: Path) -> None:
    options = Options(channel="y", crop=4)
    found = score(enlarged, ref=pairs, metrics=("psnr", "ssim"), options=options)
    for one in found:
        details = one.details
        assert (details["channel"], details["crop"]) == ("y", 4)
        assert details["inputs"]["scale"] == 4 and details["inputs"]["operation"] == "bicubic"
        assert "a = -0.5" in details["inputs"]["kernel"] and "antialiased" in details["inputs"]["kernel"]
        said = ", ".join(detail_words(one))
        assert "of the luma" in said and "4 pixels cut off" in said and "4 times smaller" in said
    # A folder does not say what small images are made of it by; the score says that it does not.
    plain = score(enlarged, ref=tmp_path / "photos", metrics=("psnr",), options=options)
    assert plain.only.value == found["psnr"].value
    assert "inputs" in plain.only.details and plain.only.details["inputs"] is None
    assert paired_scores(enlarged, pairs).to_dict()["inputs"]["scale"] == 4
