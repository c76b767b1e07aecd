"""`gantools.score`: the number against torch-fidelity's, what it says about itself, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError, GantoolsError, MetricError, WeightsError
from gantools.metrics.features import reference as references
from gantools.metrics.images.open import open_source
from gantools.metrics.networks.protocols import Input
from gantools.metrics.options import Options
from gantools.metrics.results.scores import Scores
from gantools.metrics.scorer import score

Pictures = Callable[..., NDArray[np.uint8]]


def torch_fidelitys(samples: Path, reference: Path, weights: Path) -> float:
    import torch_fidelity

    found = torch_fidelity.calculate_metrics(
        input1=str(samples),
        input2=str(reference),
        fid=True,
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        samples_find_deep=True,
        feature_extractor_weights_path=str(weights),
        batch_size=32,
    )
    return float(found["frechet_inception_distance"])


@pytest.mark.slow
def test_fid_equals_torch_fidelitys(celeba: tuple[Path, Path], inception_file: Path) -> None:
    a, b = celeba
    ours = score(a, ref=b, weights=inception_file, device="cpu")
    assert (ours.n_samples, ours.n_reference, ours.only.details["route"]) == (256, 256, "features")
    assert ours.value > 1
    assert ours.value == pytest.approx(torch_fidelitys(a, b, inception_file), rel=1e-5)


def test_all_numbers_of_one_call_are_torch_fidelitys(
    celeba: tuple[Path, Path], inception_file: Path, tmp_path: Path
) -> None:
    import torch_fidelity

    for name, folder in zip("ab", celeba, strict=True):
        (tmp_path / name).mkdir()
        for file in sorted(folder.iterdir())[:64]:
            (tmp_path / name / file.name).symlink_to(file)
    theirs = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "a"),
        input2=str(tmp_path / "b"),
        fid=True,
        kid=True,
        kid_subset_size=50,
        isc=True,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_layer_prc="2048",
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        feature_extractor_weights_path=str(inception_file),
    )
    ours = score(
        tmp_path / "a",
        ref=tmp_path / "b",
        metrics=("fid", "kid", "is", "prc"),
        weights=inception_file,
        device="cpu",
        options=Options(kid_subset_size=50),
    )
    # Covariances of 64 images are singular: torch-fidelity adds up the rounding noise of their zeros.
    assert ours["fid"].value == pytest.approx(theirs["frechet_inception_distance"], abs=1e-4)
    assert ours["kid"].value == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-6)
    assert ours["kid"].details["std"] == pytest.approx(theirs["kernel_inception_distance_std"], abs=1e-6)
    assert ours["is"].value == pytest.approx(theirs["inception_score_mean"], abs=1e-5)
    assert ours["is"].details["std"] == pytest.approx(theirs["inception_score_std"], abs=1e-5)
    assert (ours["precision"].value, ours["recall"].value) == (theirs["precision"], theirs["recall"])


def test_fid_of_other_sizes_equals_torch_fidelitys(
    celeba: tuple[Path, Path], cifar: Path, inception_file: Path, tmp_path: Path
) -> None:
    """32x32 PNG against 178x218 JPEG: the resize to 299 decides here."""
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(celeba[0].iterdir())[:48]:
        (few / path.name).write_bytes(path.read_bytes())
    ours = score(cifar, ref=few, weights=inception_file, device="cpu")
    assert ours.value == pytest.approx(torch_fidelitys(cifar, few, inception_file), rel=1e-5)


def test_fid_of_grey_images_equals_torch_fidelitys(
    fashion_images: NDArray[np.uint8], inception_file: Path, tmp_path: Path, write_pngs: Callable[..., Path]
) -> None:
    a, b = (write_pngs(tmp_path / n, fashion_images[i : i + 40]) for n, i in (("a", 0), ("b", 40)))
    ours = score(a, ref=b, weights=inception_file, device="cpu")
    assert ours.value == pytest.approx(torch_fidelitys(a, b, inception_file), rel=1e-5)


@pytest.fixture
def trained(make_set: Callable[..., Path], make_samples: Callable[..., Path], pictures: Pictures) -> Path:
    """A samples folder whose manifest names a grey prepared set of 200 images."""
    return make_samples(pictures(150, 32, 1), PreparedSet(make_set(n=200, size=32, channels=1)))


def fd(samples: Any, **kwargs: Any) -> Scores:
    return score(samples, metrics=("fd",), extractor="fashion-mnist", device="cpu", **kwargs)


def test_samples_are_scored_against_what_their_manifest_names(trained: Path) -> None:
    s = fd(trained)
    assert s.value > 0 and (s.n_samples, s.n_reference) == (150, 200)
    assert (s.only.name, s.only.key) == ("Frechet distance (fashion-mnist features)", "fd-fashion-mnist")
    assert s.reference.endswith("blobs") and s.reference_id.startswith("set:blobs@")
    assert float(s) == s.value


def test_every_kind_of_input_gives_the_same_number(trained: Path, tmp_path: Path) -> None:
    manifest = json.loads((trained / "manifest.json").read_text())
    reference = PreparedSet(manifest["data"]["path"])
    expected = fd(trained).value
    array = open_source(trained).read(0, 150, [Input("tf1-bilinear", 32)])[0][..., :1].astype(np.uint8)
    np.save(tmp_path / "x.npy", array)
    whole = reference.gather(np.arange(200))
    for samples, ref in ((array, reference), (tmp_path / "x.npy", reference.path), (array, whole)):
        assert fd(samples, ref=ref).value == pytest.approx(expected, rel=1e-5)


def test_the_score_does_not_depend_on_batch_or_cache(trained: Path) -> None:
    first = fd(trained, batch=16, cache=False).value
    assert fd(trained, batch=64).value == pytest.approx(first, rel=1e-5)
    assert fd(trained, batch=16).value == pytest.approx(first, rel=1e-5)


def test_a_set_against_itself_is_zero_and_a_shift_is_not(pictures: Pictures) -> None:
    x = pictures(60, 28, 1)
    scale = fd(x, ref=255 - x).value
    assert 0 <= fd(x, ref=x).value < 1e-5 * scale


def test_constant_images_give_a_number(pictures: Pictures) -> None:
    black, white = (np.full((5, 28, 28, 1), v, np.uint8) for v in (0, 255))
    s = fd(black, ref=white)
    assert np.isfinite(s.value) and s.value == pytest.approx(s.only.details["mean_term"], rel=1e-5)


def test_the_first_n_images_are_scored(pictures: Pictures) -> None:
    x, ref = pictures(60, 28, 1), pictures(50, 28, 1, seed=1)
    assert fd(x, ref=ref, n=20).value == pytest.approx(fd(x[:20], ref=ref).value, rel=1e-5)
    with pytest.raises(DataError, match="has 60 images, 61 were asked for"):
        fd(x, ref=ref, n=61)


def test_a_single_image_is_a_named_error(pictures: Pictures) -> None:
    x = pictures(5, 28, 1)
    with pytest.raises(MetricError, match="fd of 1 image is not defined: a covariance needs at least 2"):
        fd(x[:1], ref=x)
    with pytest.raises(MetricError, match="fd of 1 image is not defined: a covariance needs at least 2"):
        fd(x, ref=x[:1])


def test_the_word_fid_is_kept_for_what_it_means(
    pictures: Pictures, inception_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    x = pictures(4, 32)
    with pytest.raises(ConfigError, match="FID is defined with the Inception network"):
        score(x, metrics=("fid",), ref=x, extractor="fashion-mnist")
    full = score(x, ref=x[:3], weights=inception_file, device="cpu")
    assert (full.only.name, full.only.key, full.only.protocol.layer) == ("FID", "fid", "pool3")
    assert score(x[..., :1], ref=x[..., :1], extractor="fashion-mnist", device="cpu").only.key == "fd-fashion-mnist"
    small = score(x, ref=x[:3], dims=64, weights=inception_file, device="cpu")
    assert (small.only.name, small.only.key) == ("FID (64 features)", "fid-64")
    assert "4 samples for 2048 features" in caplog.text
    clean = score(x, ref=x[:3], dims=64, weights=inception_file, device="cpu", protocol="clean")
    assert (clean.only.name, clean.only.key) == ("FID (64 features, clean)", "fid-64-clean")
    assert "protocol   clean: Pillow bicubic" in str(clean)


def test_several_protocols_give_a_score_each_as_alone(pictures: Pictures, inception_file: Path) -> None:
    x, ref = pictures(6, 400), pictures(5, 480, seed=1)  # larger than 299: antialiasing acts
    options: dict[str, Any] = {"ref": ref, "weights": inception_file, "device": "cpu", "dims": 192, "cache": False}
    names = ["clean", "tf", "pytorch-fid", "torchmetrics", "studiogan"]
    together = score(x, protocol=names, **options)
    assert [s.protocol.name for s in together] == names
    alone = [score(x, protocol=name, **options) for name in names]
    assert [s.value for s in together] == [s.value for s in alone]
    assert len({round(s.value, 3) for s in together}) == len(names), "each protocol is another number"
    assert score(x, **options).value == together["fid-192"].value
    assert [s.key for s in together][:2] == ["fid-192-clean", "fid-192"]
    with pytest.raises(ConfigError, match="Did you mean 'clean'"):
        score(x, protocol="clear", **options)


def test_it_says_how_it_was_made(trained: Path) -> None:
    s = fd(trained)
    text = str(s)
    assert text.splitlines()[0].split("  ")[0] == f"Frechet distance (fashion-mnist features): {s.value:.4f}"
    said = ("150 images", "200 images", "tf1-28-grey", s.only.protocol.weights_sha256[:16], s.only.details["route"])
    for part in (*said, s.reference_id):
        assert part in text
    d = json.loads(s.to_json())
    assert (d["format"], d["version"]) == ("gantools-scores", 1)
    assert set(d) == {f.name for f in dataclasses.fields(Scores)} | {"format", "version"}
    (one,) = d["scores"]
    assert one["value"] == s.value and one["protocol"]["weights_sha256"] == s.only.protocol.weights_sha256
    assert set(d["versions"]) == {"gantools", "torch", "numpy", "python"}


def test_few_images_and_other_sizes_are_warned_of(
    pictures: Pictures, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    x, ref = pictures(200, 28, 1), pictures(100, 32, 1)
    s = fd(x, ref=ref)
    said = " ".join(s.warnings)
    assert "only 200 samples" in said
    assert "100 reference images for 128 features" in said
    assert "samples are 28x28 and reference images 32x32" in said
    # A program that uses the library decides what becomes of them.
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("gantools", "WARNING", text) for text in s.warnings
    ]
    assert capfd.readouterr() == ("", "")
    assert "resized by different factors" not in " ".join(fd(x, ref=x).warnings)


def test_another_fingerprint_is_refused(
    make_set: Callable[..., Path], make_samples: Callable[..., Path], pictures: Pictures
) -> None:
    data = PreparedSet(make_set(n=10, size=32, channels=1))
    folder = make_samples(pictures(10, 32, 1), data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["data"]["fingerprint"] = "0" * 32
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="fingerprint"):
        fd(folder)


def test_nothing_to_score_against_says_what_to_type(tmp_path: Path, pictures: Pictures, write_pngs: Any) -> None:
    with pytest.raises(DataError, match="nothing to score against") as e:
        fd(write_pngs(tmp_path / "plain", pictures(4, 28, 1)))
    assert "--ref PATH" in str(e.value.hint)


def test_what_is_wrong_is_found_before_the_slow_part(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("features were computed before everything had been checked")

    monkeypatch.setattr(references, "collect", never)
    monkeypatch.setattr("gantools.metrics.features.passes.features", never)
    x = pictures(4, 28, 1)
    wrong: list[tuple[type[GantoolsError], dict[str, Any]]] = [
        (DataError, {"ref": tmp_path / "nowhere"}),
        (DataError, {"ref": tmp_path}),
        (WeightsError, {"ref": x, "weights": tmp_path / "no.safetensors"}),
        (ConfigError, {"ref": x, "device": "toaster"}),
        (ConfigError, {"ref": x, "dims": 64}),
        (ConfigError, {"ref": x, "batch": 0}),
        (ConfigError, {"ref": x, "metrics": ("fd", "fid")}),
        (ConfigError, {"ref": x, "metrics": ("fdi",)}),
    ]
    for error, kwargs in wrong:
        with pytest.raises(error):
            score(x, **{"metrics": ("fd",), "extractor": "fashion-mnist", **kwargs})


def test_progress_is_told_of_every_image(trained: Path) -> None:
    done: dict[str, int] = {}
    totals: dict[str, int] = {}

    def progress(what: str, total: int) -> Callable[[int], None]:
        totals[what] = total
        done[what] = 0

        def advance(k: int) -> None:
            done[what] += k

        return advance

    fd(trained, progress=progress)
    assert done == totals == {"reference": 200, "samples": 150}
