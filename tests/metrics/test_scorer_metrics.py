"""Many metrics from one pass: the numbers are those of the metrics' own functions, and whatever is asked is said."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from gantools import metrics as numbers
from gantools.errors import ConfigError, DataError, MetricError
from gantools.metrics import options as options_module
from gantools.metrics import registry
from gantools.metrics.features import passes
from gantools.metrics.images.open import open_source
from gantools.metrics.networks import registry as extractors
from gantools.metrics.options import Options
from gantools.metrics.parts import score_part, score_parts
from gantools.metrics.pixels.lpips import Net
from gantools.metrics.pixels.similarity import Channel
from gantools.metrics.registry import METRICS
from gantools.metrics.request import Request
from gantools.metrics.results.html import write_report
from gantools.metrics.results.scores import Scores
from gantools.metrics.results.words import explain, explain_difference, read_result
from gantools.metrics.scorer import score
from gantools.pretrained.fashion import weights_path

Pictures = Callable[..., NDArray[np.uint8]]
FREE = ("fd", "kid", "prc", "dc", "mifid", "memorisation", "vendi", "fid-inf")


@pytest.fixture(scope="module")
def sides() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """150 and 130 grey pictures of 28 x 28."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:28, 0:28] / 28

    def make(n: int, spread: float) -> NDArray[np.uint8]:
        a, b, c = rng.uniform(0.2, spread, (3, n, 1, 1))
        return (np.exp(-((x - a) ** 2 + (y - b) ** 2) / (0.1 * c + 0.02)) * 255).astype(np.uint8)[..., None]

    return make(150, 0.9), make(130, 0.7)


def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the bundled classifier sees in them."""
    (network,) = extractors.make_several("fashion-mnist", device="cpu")
    batches = passes.features([network], open_source(images), (0, len(images)), 32)
    return np.concatenate([found[0]["features"] for found in batches])


@pytest.fixture(scope="module")
def scored(sides: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> Scores:
    return score(sides[0], metrics=FREE, ref=sides[1], extractor="fashion-mnist", device="cpu", cache=False)


def test_the_numbers_are_those_of_their_functions(scored: Scores, sides: Any) -> None:
    x, y = map(features, sides)
    assert scored["fd-fashion-mnist"].value == pytest.approx(numbers.frechet_distance_features(x, y).distance, rel=1e-6)
    kid = numbers.kid(x, y, subset_size=None)
    assert scored["kid-fashion-mnist"].value == pytest.approx(kid.mean, rel=1e-6, abs=1e-9)
    assert scored["kid-fashion-mnist"].details["subset_size"] == 130
    prc, dc = numbers.precision_recall(x, y), numbers.density_coverage(x, y)
    assert scored["precision-fashion-mnist"].value == pytest.approx(prc.precision, abs=0.01)
    assert scored["recall-fashion-mnist"].value == pytest.approx(prc.recall, abs=0.01)
    assert scored["density-fashion-mnist"].value == pytest.approx(dc.density, abs=0.01)
    assert scored["coverage-fashion-mnist"].value == pytest.approx(dc.coverage, abs=0.01)
    assert scored["vendi-fashion-mnist"].value == pytest.approx(numbers.vendi_score(x).score, rel=1e-6)
    assert scored["mifid-fashion-mnist"].value == pytest.approx(numbers.mifid(x, y).score, rel=1e-5)
    authentic = numbers.authenticity(x, y)
    found = scored["memorisation-fashion-mnist"]
    assert found.value == pytest.approx(authentic.percent, abs=1)
    sample, near, distance = found.details["nearest"][0]
    assert sample == int(np.argmin(authentic.nearest.distance))
    assert near == authentic.nearest.index[sample]
    assert distance == pytest.approx(float(authentic.nearest.distance.min()), rel=1e-4)
    extrapolated = numbers.fid_infinity(x, y)
    assert scored["fid-inf-fashion-mnist"].value == pytest.approx(extrapolated.intercept, rel=1e-4)


def test_intervals_hold_the_number_and_can_be_left_out(scored: Scores, sides: Any) -> None:
    for key in ("fd-fashion-mnist", "kid-fashion-mnist"):
        interval = scored[key].interval
        assert interval is not None
        assert interval.low < interval.estimate < interval.high and interval.standard_error > 0
    plain = score(sides[0], metrics=("fd",), ref=sides[1], extractor="fashion-mnist", interval=False, device="cpu")
    assert next(iter(plain)).interval is None
    assert plain.value == pytest.approx(float(scored["fd-fashion-mnist"]), rel=1e-9)
    assert "histogram" in scored["fd-fashion-mnist"].details


def test_json_text_and_object_agree(scored: Scores) -> None:
    found = json.loads(scored.to_json())
    assert (found["format"], found["version"]) == ("gantools-scores", 1)
    assert [s["key"] for s in found["scores"]] == [s.key for s in scored]
    text = str(scored)
    for s in scored:
        assert s.name in text
    assert len(scored) == 10
    with pytest.raises(MetricError, match="there are 10 scores"):
        _ = scored.value
    with pytest.raises(KeyError, match="fd-fashion-mnist"):
        scored["fid"]


def test_a_reference_is_only_asked_for_where_it_is_needed(sides: Any) -> None:
    s = score(sides[0], metrics=("vendi",), extractor="fashion-mnist", device="cpu")
    assert s.reference is None and s.n_reference is None and "reference  " not in str(s)
    with pytest.raises(DataError, match="nothing to score against"):
        score(sides[0], metrics=("vendi", "kid"), extractor="fashion-mnist", device="cpu")


def test_statistics_alone_serve_distances_but_not_the_rest(sides: Any, tmp_path: Path) -> None:
    y = features(sides[1])
    np.savez(tmp_path / "ref.npz", mu=y.mean(0, dtype=np.float64), sigma=np.cov(y, rowvar=False))
    options: dict[str, Any] = {"ref": tmp_path / "ref.npz", "extractor": "fashion-mnist", "device": "cpu"}
    assert score(sides[0], metrics=("fd", "fid-inf", "vendi"), **options)["fd-fashion-mnist"].value
    with pytest.raises(MetricError, match="kid needs the images of the reference"):
        score(sides[0], metrics=("fd", "kid"), **options)


def test_classes_are_scored_one_by_one(make_set: Callable[..., Path]) -> None:
    a = make_set(n=60, size=28, channels=1, name="a", classes=3)
    b = make_set(n=66, size=28, channels=1, name="b", classes=3)
    s = score(a, metrics=("per-class",), ref=b, extractor="fashion-mnist", device="cpu")
    details = next(iter(s)).details
    assert details["classes"] == 3 and [row[2:] for row in details["worst"]] == [[20, 22]] * 3
    distances = [row[1] for row in details["worst"]]
    assert distances == sorted(distances, reverse=True)
    assert s.value == pytest.approx(np.mean(distances))
    with pytest.raises(MetricError, match="the samples have none"):
        score(make_set(n=9, size=28, channels=1, name="c"), metrics=("per-class",), ref=b, extractor="fashion-mnist")


def test_copies_are_told(sides: Any) -> None:
    s = score(sides[1][:20], metrics=("memorisation",), ref=sides[1], extractor="fashion-mnist", device="cpu")
    assert s.value == 0 and next(iter(s)).details["copies"] == 20
    assert any("copies" in w for w in s.warnings)


def test_switches_and_names_are_checked(sides: Any) -> None:
    for kwargs, words in (
        ({"metrics": ("kdi",)}, "Did you mean 'kid'"),
        ({"metrics": ()}, "no metric"),
        ({"options": Options(prc_convention="prcd")}, "Did you mean 'prdc'"),
        ({"options": Options(level=2)}, "level"),
        ({"options": Options(is_splits=0)}, "is_splits"),
        ({"metrics": ("is",), "extractor": "fashion-mnist"}, "takes another extractor"),
        ({"metrics": ("psnr",), "n": 3}, "Leave -n out"),
        ({"weights": {"incepton": "x"}}, "Did you mean 'inception'"),
    ):
        with pytest.raises(ConfigError, match=words):
            score(sides[0], ref=sides[1], **{"metrics": ("fid",), **kwargs})  # type: ignore[arg-type]


def test_every_metric_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs/scores.md").read_text()
    from gantools.cli.score import FLAGS

    assert set(FLAGS) == set(METRICS)
    for key in FLAGS:
        assert f"`{key}`" in documented, key
    assert {f.name for f in dataclasses.fields(registry.Metric)} >= {"source", "words", "better"}


def test_pairs_are_scored_beside_the_rest(sides: Any) -> None:
    x = sides[0][:20]
    y = np.clip(x.astype(int) + 9, 0, 255).astype(np.uint8)
    s = score(x, metrics=("psnr", "fd", "ssim"), ref=y, extractor="fashion-mnist", device="cpu")
    assert {score.key for score in s} == {"psnr", "fd-fashion-mnist", "ssim"}
    assert 20 < float(s["psnr"]) < 40 and 0 < float(s["ssim"]) < 1
    same = score(x, metrics=("psnr",), ref=x)
    assert next(iter(same)).value == float("inf") and next(iter(same)).details["identical"] == 20
    json.loads(same.to_json())
    with pytest.raises(DataError, match="one by one"):
        score(x, metrics=("psnr",))
    with pytest.raises(ConfigError, match="parts hold features"):
        score_part(x, "1/2", Path("part.npz"), Request(("fd", "psnr"), "fashion-mnist"))


def as_list(x: NDArray[np.uint8]) -> Any:
    return [torch.from_numpy(image).permute(2, 0, 1) for image in x]


FORMS: dict[str, Any] = {
    "array": lambda x: x,
    "tensor": lambda x: torch.from_numpy(x).permute(0, 3, 1, 2),
    "floats": lambda x: torch.from_numpy(x / 255).float(),
    "dataset": as_list,
    "loader": lambda x: torch.utils.data.DataLoader(as_list(x), batch_size=3),
    "iterator": lambda x: iter([x[:3], x[3:]]),
    "function": lambda x: lambda n, start: x[start : start + n],
}


@pytest.mark.parametrize("reference", ["array", "dataset", "iterator"])
@pytest.mark.parametrize("samples", FORMS)
def test_every_form_of_images_gives_the_same_scores_of_pairs(sides: Any, samples: str, reference: str) -> None:
    x = sides[0][:8]
    y = np.clip(x.astype(int) + 9, 0, 255).astype(np.uint8)
    expected = score(x, metrics=("psnr", "ssim"), ref=y)
    ref = FORMS[reference](y) if reference != "iterator" else torch.utils.data.DataLoader(as_list(y), batch_size=5)
    n = 8 if samples in ("iterator", "function") else None
    found = score(FORMS[samples](x), metrics=("psnr", "ssim"), ref=ref, n=n, values=(0, 1))
    assert found["psnr"].value == expected["psnr"].value and found["ssim"].value == expected["ssim"].value


def test_what_can_be_had_once_is_not_asked_for_twice(sides: Any) -> None:
    x = sides[0][:8]
    for metrics, words in ((("fd", "psnr"), "fd and psnr each"), (("niqe", "psnr"), "psnr and niqe each")):
        with pytest.raises(ConfigError, match=f"once and in order, and {words}"):
            score(FORMS["iterator"](x), metrics=metrics, ref=x, n=8, extractor="fashion-mnist")
    with pytest.raises(ConfigError, match="at random"):
        score(FORMS["iterator"](x), metrics="lpips-diversity", n=8)


def test_parts_make_the_same_scores(scored: Scores, sides: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", sides[0])
    request = Request(FREE, "fashion-mnist", device="cpu")
    files = [score_part(tmp_path / "x.npy", f"{i}/3", tmp_path / f"part-{i}.npz", request) for i in (1, 2, 3)]
    together = score_parts([files[2], files[0], files[1]], request, ref=sides[1], cache=False)
    assert together.n_samples == 150
    for s in scored:
        assert together[s.key].value == pytest.approx(s.value, rel=2e-4, abs=1e-6), s.key
    assert score_parts([tmp_path / "part-*.npz"], request, ref=sides[1]).scores == together.scores
    for wrong, words in (
        (files[:2], r"\[3\] are missing"),
        ([*files, tmp_path / "none.npz"], "no such file"),
        ([tmp_path / "gone-*.npz"], "no such files"),
        ([*files[:2], tmp_path / "x.npy"], "no part of a score"),
    ):
        with pytest.raises(DataError, match=words):
            score_parts(wrong, request, ref=sides[1])
    # Fewer metrics of the same features are there as well; other weights are not.
    alone = score_parts(files, Request("fd", "fashion-mnist", device="cpu"), ref=sides[1])
    assert alone.value == together["fd-fashion-mnist"].value
    other = tmp_path / "other.safetensors"
    save_file(load_file(weights_path()), other, metadata={"note": "another file"})
    with pytest.raises(DataError, match="other metrics, protocols or weights"):
        score_parts(files, replace(request, weights=other), ref=sides[1])
    less = replace(request, metrics="fd", options=Options(interval=False))
    few = score_part(tmp_path / "x.npy", "1/1", tmp_path / "few.npz", less)
    with pytest.raises(DataError, match="does not hold all features"):
        score_parts([few], request, ref=sides[1])
    data = bytearray(files[0].read_bytes())
    for end in (0, 10, len(data) // 2):
        files[0].write_bytes(data[:end])
        with pytest.raises(DataError, match=r"part-1.npz: damaged"):
            score_parts(files, request, ref=sides[1])


def test_a_part_is_i_of_n(sides: Any, tmp_path: Path) -> None:
    for text in ("0/2", "3/2", "1", "a/b", "1/0"):
        with pytest.raises(ConfigError, match="not a part"):
            score_part(sides[0], text, tmp_path / "p.npz", Request(extractor="fashion-mnist"))


def test_torchrun_gives_the_same_scores(scored: Scores, sides: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", sides[0])
    np.save(tmp_path / "y.npy", sides[1])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "gantools"]
    metrics = ["--metrics", ",".join(FREE), "--extractor", "fashion-mnist", "--json", "--no-cache", "--device", "cpu"]
    files = [str(tmp_path / "x.npy"), "--ref", str(tmp_path / "y.npy")]
    done = subprocess.run([*command, "score", *files, *metrics], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n_samples"] == 150 and found["n_reference"] == 130
    for s in found["scores"]:
        assert s["value"] == pytest.approx(scored[s["key"]].value, rel=2e-4, abs=1e-6), s["key"]
    assert done.stderr.count("warning: 130 reference images") <= 1


def test_the_report_is_one_whole_file(scored: Scores, sides: Any, tmp_path: Path) -> None:
    file = write_report(scored, sides[0], sides[1], tmp_path / "deep/report.html")
    page = file.read_text()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page and 'src="/' not in page
    assert page.count("data:image/png;base64,") >= 2 + 8
    for s in scored:
        assert s.name in page
    assert "1 / n" in page and "Filled: samples" in page
    assert not list(tmp_path.glob("deep/*.tmp"))
    hostile = dataclasses.replace(scored, samples="<script>alert(1)</script>")
    assert "<script" not in write_report(hostile, sides[0], None, file).read_text()


def test_differences_are_explained(scored: Scores, sides: Any, tmp_path: Path) -> None:
    result = scored.to_dict()
    assert explain_difference(result, result) == []
    other = score(
        sides[0][:100],
        metrics=("fd", "prc"),
        ref=sides[1][:120],
        extractor="fashion-mnist",
        device="cpu",
        batch=16,
        options=Options(prc_convention="prdc"),
    )
    said = " ".join(explain_difference(result, other.to_dict()))
    for words in ("150 and 100 samples", "different references", "convention is torch-fidelity", "32 and 16"):
        assert words in said
    (tmp_path / "r.json").write_text(scored.to_json())
    assert explain_difference(read_result(tmp_path / "r.json"), json.loads(scored.to_json())) == []
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(DataError, match="no result of gantools score"):
        read_result(tmp_path / "r.json")
    text = " ".join(explain(scored))
    assert "torch-fidelity" in text and "150 samples" in text and "precision: share of samples" in text


def test_a_process_with_one_image_still_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", rng.integers(0, 255, (3, 28, 28, 1), dtype=np.uint8))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "gantools"]
    arguments = ["--fd", "--extractor", "fashion-mnist", "--json", "--device", "cpu"]
    files = [str(tmp_path / "x.npy"), "--ref", str(tmp_path / "y.npy")]
    done = subprocess.run([*command, "score", *files, *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    alone = score(tmp_path / "x.npy", ref=tmp_path / "y.npy", metrics=("fd",), extractor="fashion-mnist", device="cpu")
    (one,) = json.loads(done.stdout)["scores"]
    assert one["value"] == pytest.approx(alone.value, rel=1e-4)


@pytest.mark.parametrize(
    "asked",
    [
        {"metrics": FREE, "extractor": "fashion-mnist"},
        {"metrics": ("fid", "fd", "sfid", "kid", "is", "prc", "dc"), "protocol": ("tf", "clean", "studiogan")},
        {"metrics": "fid", "dims": 64},
        {"metrics": "fid, fd", "dims": 192, "protocol": "clean"},
        {"metrics": ("fd", "vendi"), "extractor": "fashion-mnist"},
    ],
)
def test_the_keys_are_known_beforehand(sides: Any, inception_file: Path, asked: dict[str, Any]) -> None:
    request = Request(device="cpu", weights=None if "extractor" in asked else inception_file, **asked)
    few = [np.repeat(side[:24], 3, axis=3) if "extractor" not in asked else side[:24] for side in sides]
    options = Options(is_splits=2)
    found = score(few[0], ref=few[1], weights=request.weights, device="cpu", options=options, cache=False, **asked)
    assert request.keys == tuple(s.key for s in found)


def test_names_in_one_text_are_names() -> None:
    assert [m.key for m in Request("fd, kid,psnr", extractor="fashion-mnist").chosen] == ["fd", "kid", "psnr"]
    for wrong in ("FD", "fdd", "fd;kid"):
        with pytest.raises(ConfigError, match="unknown metric"):
            Request(wrong)
    with pytest.raises(ConfigError, match="no metric"):
        Request(" , ")


def test_switches_of_pixels_are_those_of_their_functions() -> None:
    assert get_args(Channel) == options_module.CHANNELS
    assert get_args(Net) == options_module.LPIPS_NETWORKS
    for wrong in ({"channel": "rbg"}, {"lpips": "Alex"}, {"crop": -1}, {"pairs": 0}):
        with pytest.raises(ConfigError):
            Request("psnr", options=Options(**wrong))
