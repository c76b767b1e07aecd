"""Scores of few images, of transparent ones, of classes that are cut off, of references without an end."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gantools.errors import ConfigError, DataError, MetricError
from gantools.metrics.networks import registry as extractors
from gantools.metrics.options import Options
from gantools.metrics.pixels.paired import paired_scores
from gantools.metrics.registry import METRICS
from gantools.metrics.results.html import write_report
from gantools.metrics.results.words import explain, explain_difference
from gantools.metrics.scorer import score

Pictures = Callable[..., NDArray[np.uint8]]
FASHION: dict[str, Any] = {"extractor": "fashion-mnist", "device": "cpu", "cache": False}


def never(*args: object, **kwargs: object) -> None:
    raise AssertionError("a network was loaded before everything had been checked")


def gantools(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gantools", "score", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_the_psnr_of_equal_pairs_is_infinite(pictures: Pictures, tmp_path: Path) -> None:
    x = pictures(3)
    found = score(x, ref=x.copy(), metrics=("psnr", "ssim"))
    assert found["psnr"].value == math.inf and found["ssim"].value == 1
    assert "infinite" in str(found)
    plain = json.loads(found.to_json())
    first, second = plain["scores"]
    assert (first["value"], first["infinite"]) == (None, True)
    assert (second["value"], second["infinite"]) == (1, False)
    # Beside a result that has a number, and the other way round.
    y = x.copy()
    y[0, 0, 0] ^= 1
    other = score(x, ref=y, metrics=("psnr", "ssim"))
    assert math.isfinite(float(other["psnr"].value or 0))
    for pair in ((plain, other.to_dict()), (other.to_dict(), plain), (plain, plain)):
        assert all(isinstance(text, str) for text in explain_difference(*pair))
    assert explain(found)
    assert "infinite" in write_report(found, x, x, tmp_path / "r.html").read_text()


def test_infinity_passes_and_fails_like_a_number(pictures: Pictures, tmp_path: Path, write_pngs: Any) -> None:
    a = write_pngs(tmp_path / "a", pictures(2))
    (tmp_path / "old.json").write_text(score(a, ref=a, metrics="psnr").to_json())
    done = gantools("--psnr", a, "--ref", a, "--fail-below", "psnr=30", "--against", "old.json", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scores"][0]["infinite"]
    done = gantools("--psnr", a, "--ref", a, "--fail-above", "psnr=30", cwd=tmp_path)
    assert done.returncode == 3 and "psnr is infinite, above 30" in done.stderr


def photo(seed: int) -> NDArray[np.uint8]:
    """A noisy wave, large enough for every metric of pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:200, 0:220] / 200
    wave = 127 + 80 * np.sin(9 * x + 5 * y)[..., None] + rng.normal(0, 20, (200, 220, 3))
    return wave.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("metric", ["psnr", "ssim", "ms-ssim"])
@pytest.mark.parametrize("form", ["array", "folder", "file"])
def test_one_pair_is_enough(tmp_path: Path, metric: str, form: str) -> None:
    x, y = photo(0), photo(1)
    for name, image in (("one", x), ("other", y)):
        (tmp_path / name).mkdir()
        Image.fromarray(image).save(tmp_path / name / f"{name}.png")  # one pair needs no equal names
    given: dict[str, tuple[Any, Any]] = {
        "array": (x[None], y[None]),
        "folder": (tmp_path / "one", tmp_path / "other"),
        "file": (tmp_path / "one/one.png", tmp_path / "other/other.png"),
    }
    found = score(given[form][0], ref=given[form][1], metrics=metric)
    assert found.n_samples == found.n_reference == 1
    assert found.value == pytest.approx(paired_scores(x[None], y[None], [metric]).mean[metric])


@pytest.mark.parametrize("metric", ["is", "vendi"])
def test_one_image_is_enough_for_what_needs_no_covariance(inception_file: Path, metric: str) -> None:
    options = Options(is_splits=1)
    found = score(photo(2)[None], metrics=metric, weights=inception_file, device="cpu", options=options)
    assert found.value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("metric", [key for key, m in METRICS.items() if m.takes == "features" and m.reference != "no"])
def test_one_image_of_a_distance_is_refused_before_networks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, metric: str
) -> None:
    monkeypatch.setattr(extractors, "make_several", never)
    Image.fromarray(photo(0)).save(tmp_path / "a.png")
    several = np.stack([photo(1), photo(2)])
    for samples, ref in ((tmp_path / "a.png", several), (several, tmp_path / "a.png")):
        with pytest.raises(MetricError, match=rf"a\.png: {metric} of 1 image is not defined.* at least 2 images"):
            score(samples, ref=ref, metrics=metric)


@pytest.mark.parametrize("convention", ["torch-fidelity", "original", "torchmetrics", "dgm"])
def test_too_few_images_for_the_splits_are_refused_before_networks(
    monkeypatch: pytest.MonkeyPatch, pictures: Pictures, convention: str
) -> None:
    monkeypatch.setattr(extractors, "make_several", never)
    for n in (1, 6, 9):
        with pytest.raises(MetricError, match=f"{n} images make no 10 splits") as e:
            score(pictures(n), metrics="is", options=Options(is_convention=convention))
        assert "--is-splits" in str(e.value.hint)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_dropped_for_every_score(tmp_path: Path, inception_file: Path, mode: str) -> None:
    for name in ("clear", "opaque", "target"):
        (tmp_path / name).mkdir()
    for i in range(3):
        image = Image.fromarray(photo(i)[:64, :64]).convert("L" if mode == "LA" else "RGB")
        Image.fromarray(photo(i + 5)[:64, :64]).save(tmp_path / f"target/{i}.png")
        if mode == "P":
            image = image.quantize(16)
            image.save(tmp_path / f"clear/{i}.png", transparency=0)
        else:
            image.putalpha(Image.linear_gradient("L").resize((64, 64)))
            image.save(tmp_path / f"clear/{i}.png")
        Image.open(tmp_path / f"clear/{i}.png").convert("RGB").save(tmp_path / f"opaque/{i}.png")
    network: dict[str, Any] = {"weights": inception_file, "device": "cpu", "dims": 64, "interval": False}
    cases: list[tuple[str, dict[str, Any]]] = [("psnr,ssim", {}), ("fid", network)]
    for metrics, more in cases:
        found, same = (
            score(tmp_path / n, ref=tmp_path / "target", metrics=metrics, **more) for n in ("clear", "opaque")
        )
        assert [s.value for s in found] == [s.value for s in same]
        warned = " ".join(found.warnings)
        assert "3 samples have transparency, which is dropped" in warned and "--alpha" not in warned
        # Of pairs nothing is resized, and there is no distance.
        assert ("distance" in warned or "resized" in warned) == bool(more)


def test_the_counts_of_a_file_are_those_of_the_statistics_used(
    tmp_path: Path, pictures: Pictures, inception_file: Path
) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.float64]] = {}
    for tail, d in (("", 2048), ("_s", 2023)):
        x = rng.random((64, d))
        arrays |= {f"mu{tail}": x.mean(0), f"sigma{tail}": np.cov(x, rowvar=False)}
    np.savez(tmp_path / "VIRTUAL.npz", arr_0=np.repeat(pictures(1, 16), 7, axis=0), **arrays)
    more: dict[str, Any] = {"weights": inception_file, "device": "cpu", "interval": False}
    of_statistics = score(pictures(8), ref=tmp_path / "VIRTUAL.npz", metrics="fid", **more)
    assert of_statistics.n_reference is None and "reference" not in of_statistics.inputs
    assert not any("reference images" in text for text in of_statistics.warnings)
    of_images = score(pictures(8), ref=tmp_path / "VIRTUAL.npz", metrics="prc", **more)
    assert of_images.n_reference == 7 and of_images.inputs["reference"]["count"] == 7
    assert any("6 of 7 reference images are exact copies" in text for text in of_images.warnings)


@pytest.mark.parametrize(
    ("n", "said"), [(5, "1 of 3 classes: none of b, c"), (9, "2 of 3 classes: none of c"), (11, None)]
)
@pytest.mark.parametrize("side", ["samples", "reference"])
def test_classes_that_n_cuts_off_are_told(
    tmp_path: Path, pictures: Pictures, write_pngs: Any, n: int, said: str | None, side: str
) -> None:
    x = pictures(15, 28, 1)
    for i, name in enumerate("abc"):
        write_pngs(tmp_path / "classes" / name, x[5 * i : 5 * i + 5])
    if side == "samples":
        found = score(tmp_path / "classes", ref=x, n=n, metrics="fd", **FASHION)
    else:
        found = score(x, ref=tmp_path / "classes", n_ref=n, metrics="fd", **FASHION)
        assert found.n_reference == n
    told = [text for text in found.warnings if "classes" in text]
    assert told == [] if said is None else len(told) == 1 and said in told[0]


def test_a_reference_without_an_end_takes_n_ref(tmp_path: Path, pictures: Pictures) -> None:
    x, y = pictures(12, 28, 1), pictures(10, 28, 1, seed=1)
    whole = score(x, ref=y, metrics="fd", **FASHION).value
    forms: list[Callable[[], Any]] = [
        lambda: (y[i : i + 4] for i in range(0, 10, 4)),
        lambda: iter([y[:3], y[3:]]),
        lambda: lambda n, start: y[start : start + n],
    ]
    for make in forms:
        found = score(x, ref=make(), n_ref=10, metrics="fd", **FASHION)
        assert found.n_reference == 10 and found.value == pytest.approx(whole, rel=1e-9)
        with pytest.raises(DataError, match=r"the reference: .* does not say how many") as e:
            score(x, ref=make(), n=5, metrics="fd", **FASHION)
        assert "n_ref=" in str(e.value.hint) and "--n-ref" in str(e.value.hint)
    np.savez(tmp_path / "s.npz", mu=np.zeros(128), sigma=np.eye(128))
    with pytest.raises(ConfigError, match="statistics are of all their images"):
        score(x, ref=tmp_path / "s.npz", n_ref=3, metrics="fd", **FASHION)
