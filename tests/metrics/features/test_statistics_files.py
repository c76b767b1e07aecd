"""Files of statistics of every tool: read, refused, shown, converted; and pickles that would run code."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gantools.cli import main
from gantools.errors import ConfigError, DataError, MetricError
from gantools.metrics.features import reference as references
from gantools.metrics.features.convert import convert_statistics, show_statistics
from gantools.metrics.features.files import read_statistics
from gantools.metrics.features.reference import (
    Layer,
    default_reference,
    features_of,
    fetch,
    make_statistics,
    open_reference,
    statistics_of,
)
from gantools.metrics.images.open import open_source
from gantools.metrics.networks import registry as extractors
from gantools.metrics.networks.extractor import Extractor


class Fake:
    """An extractor with the name, layers and protocol that a test wants; its features are means of image parts."""

    device = None

    def __init__(
        self, name: str = "inception", layers: dict[str, int] | None = None, protocol: str = "tf", sha: str = "a" * 64
    ) -> None:
        from gantools.metrics.networks.protocols import Input

        self.name, self.layers = name, {"2048": 2048} if layers is None else layers
        self.protocol, self.weights_sha256 = protocol, sha
        self.input = Input("tf1-bilinear", 8)
        self.ran = 0

    def check(self, shape: object) -> None:
        pass

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.ran += 1
        flat = batch.reshape(len(batch), -1)
        return {k: np.ascontiguousarray(np.tile(flat, 11)[:, :d] + i) for i, (k, d) in enumerate(self.layers.items())}


def fake(*args: Any, **kwargs: Any) -> Any:
    return Fake(*args, **kwargs)


def gaussian(d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).standard_normal((64, d))
    return x.mean(0), np.cov(x, rowvar=False)


@pytest.fixture(scope="session")
def adm(tmp_path_factory: pytest.TempPathFactory, pictures: Callable[..., NDArray[np.uint8]]) -> Path:
    """As `VIRTUAL_imagenet256_labeled.npz` is laid out, smaller."""
    file = tmp_path_factory.mktemp("adm") / "VIRTUAL.npz"
    (mu, sigma), (mu_s, sigma_s) = gaussian(2048), gaussian(2023, 1)
    np.savez(file, arr_0=pictures(20, 16), mu=mu, sigma=sigma, mu_s=mu_s, sigma_s=sigma_s)
    return file


def edm2(file: Path, protocol: int = 4) -> dict[str, Any]:
    value = {name: dict(zip(("mu", "sigma"), gaussian(d), strict=True)) for name, d in _DIMS.items()}
    file.write_bytes(pickle.dumps(value, protocol=protocol))
    return value


_DIMS = {"fid": 2048, "fd_dinov2": 1024}


def test_adm_serves_pool3_and_spatial(adm: Path) -> None:
    reference = open_reference(adm)
    assert reference.stored is not None and reference.stored.kind == "adm" and reference.stored.images == 20
    network = fake(layers={"2048": 2048, "spatial": 2023, "768": 768})
    pool3, spatial = statistics_of(reference, [Layer(network, "2048"), Layer(network, "spatial")], 8)
    with np.load(adm) as z:
        np.testing.assert_array_equal(pool3.covariance, z["sigma"])
        np.testing.assert_array_equal(spatial.mean, z["mu_s"])
    assert network.ran == 0
    with pytest.raises(MetricError, match=r"layer \(file: 2048, asked for: 768\), width"):
        statistics_of(reference, [Layer(network, "768")], 8)
    with pytest.raises(MetricError, match=r"protocol \(file: tf, asked for: clean\)"):
        statistics_of(reference, [Layer(fake(protocol="clean"), "2048")], 8)
    with pytest.raises(MetricError, match=r"extractor \(file: inception, asked for: dinov2-b\)"):
        statistics_of(reference, [Layer(fake("dinov2-b"), "2048")], 8)


def test_the_images_in_an_adm_file_give_features(adm: Path) -> None:
    network = fake(layers={"2048": 2048})
    (found,) = features_of(open_reference(adm), [Layer(network, "2048")], 8)
    source = open_source(adm)
    expected = network(source.read(0, 20, [network.input])[0])["2048"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_edm2_pickles_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    value = edm2(tmp_path / "img512.pkl", protocol)
    file = read_statistics(tmp_path / "img512.pkl")
    assert file.kind == "edm2" and [e.dims for e in file.entries] == [2048, 1024]
    found = file.statistics(fake(), "2048")
    np.testing.assert_array_equal(found.covariance, value["fid"]["sigma"])
    dino = file.statistics(fake("dinov2-vitl14", {"features": 1024}, "pil-bicubic"), "features")
    np.testing.assert_array_equal(dino.mean, value["fd_dinov2"]["mu"])
    with pytest.raises(MetricError, match="protocol"):
        file.statistics(fake(protocol="clean"), "2048")


class Bomb:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> Any:
        return self.made


def hostile(marker: Path) -> dict[str, bytes]:
    found = {
        "system": pickle.dumps({"fid": Bomb(os.system, f"touch {marker}")}),
        "eval": pickle.dumps({"fid": {"mu": Bomb(eval, f"open({str(marker)!r}, 'w')")}}),
        "path": pickle.dumps(Bomb(Path.touch, marker)),
        "getattr": pickle.dumps(Bomb(getattr, "x", "upper")),
        "numpy-load": pickle.dumps(Bomb(np.load, str(marker))),
        "object-array": pickle.dumps({"fid": {"mu": np.array([Bomb(os.system, f"touch {marker}")], object)}}),
        "subclass": b"\x80\x04cnumpy\nmatrix\n.",
        "other-numpy": b"\x80\x04cnumpy.f2py\ncompile\n.",
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93.",
        "persistent": b"\x80\x04Pfile\n.",
        "extension": b"\x80\x02\x82\x01.",
        "instance": b"(inumpy\nndarray\n.",
        "new": b"\x80\x04cnumpy\nndarray\n)\x81.",
        "state-of-a-name": b"\x80\x04cnumpy\nndarray\n}b.",
        "reconstruct-of-a-string": b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n\x8c\x01xK\x00\x8c\x01b\x87R.",
        "encode-to-anything": b"\x80\x04c_codecs\nencode\n\x8c\x01x\x8c\x03hex\x86R.",
        "a-name-alone": b"\x80\x04cnumpy\ndtype\n.",
        "memo": b"\x80\x04Nr\xff\xff\xff\x7f.",
        "huge-bytes": b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00x.",
        "empty": b"",
        "text": b"hello",
        "cut": pickle.dumps({"fid": {"mu": np.zeros(100)}})[:-50],
    }
    wrong_size = pickle.dumps({"fid": {"mu": np.zeros(16), "sigma": np.zeros(16)}})
    found["wrong-size"] = wrong_size.replace(b"K\x10\x85", b"K\x11\x85")
    assert found["wrong-size"] != wrong_size
    return found


def test_hostile_pickles_are_refused_and_do_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    cases = hostile(marker)
    for name, data in cases.items():
        file = tmp_path / f"{name}.pkl"
        file.write_bytes(data)
        with pytest.raises(DataError, match=rf"{name}\.pkl"):
            read_statistics(file)
        assert not marker.exists(), name
    # They are live: the first one does what it says where nothing stops it.
    pickle.loads(cases["system"])
    assert marker.exists()


def test_clean_fid_features_serve_both(tmp_path: Path) -> None:
    feats = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    np.savez(tmp_path / "kid.npz", feats=feats)
    network = fake("any", {"x": 16})
    reference = open_reference(tmp_path / "kid.npz")
    ((stats,), (back,)) = fetch(reference, [Layer(network, "x")], [Layer(network, "x")], 8)
    np.testing.assert_array_equal(back, feats)
    np.testing.assert_allclose(stats.covariance, np.cov(feats.astype(np.float64), rowvar=False), atol=1e-12)
    assert stats.n == 50 and reference.stored is not None and reference.stored.kind == "clean-fid"
    np.savez(tmp_path / "kid.npz", feats=np.full((5, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="feats is not finite"):
        features_of(open_reference(tmp_path / "kid.npz"), [Layer(fake("any", {"x": 3}), "x")], 8)


def test_statistics_alone_give_no_features_and_say_for_what(tmp_path: Path) -> None:
    mu, sigma = gaussian(16)
    np.savez(tmp_path / "s.npz", mu=mu, sigma=sigma)
    with pytest.raises(MetricError, match=r"s\.npz: holds means and covariances.*; KID needs them") as e:
        features_of(open_reference(tmp_path / "s.npz"), [Layer(fake("a", {"x": 16}), "x")], 8, needed_by="KID")
    assert "ref make" in str(e.value.hint)


@pytest.fixture
def network() -> Extractor:
    return extractors.make("fashion-mnist", device="cpu")


@pytest.fixture
def grey(pictures: Callable[..., NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return pictures(150, 28, 1)


def test_our_file_has_everything_and_says_so(tmp_path: Path, network: Extractor, grey: NDArray[np.uint8]) -> None:
    file = make_statistics(grey, tmp_path / "f.npz", extractor="fashion-mnist", features=True, device="cpu")
    (entry,) = file.entries
    assert (entry.extractor, entry.layer, entry.protocol, entry.n) == (
        "fashion-mnist",
        "features",
        "tf1-28-grey",
        150,
    )
    assert file.reference == f"images:{open_source(grey).digest(150)}"
    w = Layer(network, "features")
    ((stats,), (feats,)) = fetch(open_reference(tmp_path / "f.npz"), [w], [w], 8)
    ((direct,), (expected,)) = fetch(open_reference(grey), [w], [w], 32, cache=False)
    np.testing.assert_array_equal(feats, expected)
    np.testing.assert_array_equal(stats.covariance, direct.covariance)
    with np.load(tmp_path / "f.npz") as z:
        np.testing.assert_array_equal(z["mu"], direct.mean)  # as pytorch-fid reads it
    network.weights_sha256 = "0" * 64
    with pytest.raises(MetricError, match=r"weights \(file: [0-9a-f]{8}, asked for: 00000000\)"):
        statistics_of(open_reference(tmp_path / "f.npz"), [w], 8)
    with pytest.raises(DataError, match="exists already"):
        make_statistics(grey, tmp_path / "f.npz", extractor="fashion-mnist", device="cpu")
    with pytest.raises(ConfigError, match=r"called \.npz"):
        make_statistics(grey, tmp_path / "f.pkl", extractor="fashion-mnist", device="cpu")
    with pytest.raises(DataError, match="a file of statistics already"):
        make_statistics(tmp_path / "f.npz", tmp_path / "g.npz", extractor="fashion-mnist", device="cpu")


def test_a_file_of_several_protocols_and_layers(
    tmp_path: Path, inception_file: Path, pictures: Callable[..., NDArray[np.uint8]]
) -> None:
    images = pictures(12, 24)
    file = tmp_path / "all.npz"
    make_statistics(
        images,
        file,
        protocol=("tf", "clean"),
        layers=("64", "spatial", "2048"),
        weights=inception_file,
        device="cpu",
        features=True,
    )
    reference = open_reference(file)
    made = extractors.make_several(
        "inception", ("64", "spatial", "2048"), inception_file, "cpu", protocol=("tf", "clean")
    )
    wanted = [Layer(e, layer) for e in made for layer in e.layers]
    stored = fetch(reference, wanted, wanted, 8)
    direct = fetch(open_reference(images), wanted, wanted, 32)
    for a, b in zip(stored[0], direct[0], strict=True):
        np.testing.assert_array_equal(a.covariance, b.covariance)
        np.testing.assert_array_equal(a.features, b.features)
    for x, y in zip(stored[1], direct[1], strict=True):
        np.testing.assert_array_equal(x, y)
    with np.load(file) as z:
        assert z["mu"].shape == (2048,) and z["mu_s"].shape == (2023,)
    other = extractors.make("inception", ("64",), inception_file, "cpu", protocol="studiogan")
    with pytest.raises(MetricError, match=r"protocol \(file: tf, asked for: studiogan\)"):
        statistics_of(reference, [Layer(other, "64")], 8)

    # To ADM's form and back, and one layer to pytorch-fid's.
    adm = convert_statistics(file, "adm", tmp_path / "adm.npz", protocol="tf")
    assert read_statistics(adm).kind == "adm"
    np.testing.assert_array_equal(read_statistics(adm).statistics(made[0], "spatial").mean, stored[0][1].mean)
    with pytest.raises(MetricError, match="holds one layer, this one has several"):
        convert_statistics(file, "pytorch-fid", tmp_path / "p.npz")
    plain = convert_statistics(file, "pytorch-fid", tmp_path / "p.npz", layer="64", protocol="clean")
    with np.load(plain) as z:
        assert sorted(z) == ["mu", "sigma"] and z["sigma"].dtype == np.float64
        np.testing.assert_array_equal(z["mu"], direct[0][wanted.index(Layer(made[1], "64"))].mean)
    with pytest.raises(MetricError, match=r"ADM's form needs Inception's 2048"):
        convert_statistics(plain, "adm", tmp_path / "q.npz")
    with pytest.raises(MetricError, match="holds nothing of studiogan"):
        convert_statistics(file, "gantools", tmp_path / "q.npz", protocol="studiogan")


def test_what_a_foreign_file_does_not_say_can_be_noted(tmp_path: Path) -> None:
    mu, sigma = gaussian(2048)
    np.savez(tmp_path / "p.npz", mu=mu, sigma=sigma)
    convert_statistics(
        tmp_path / "p.npz", "gantools", tmp_path / "g.npz", extractor="inception", protocol="pytorch-fid"
    )
    file = read_statistics(tmp_path / "g.npz")
    (entry,) = file.entries
    assert (entry.extractor, entry.layer, entry.protocol, entry.n) == ("inception", "2048", "pytorch-fid", None)
    np.testing.assert_array_equal(file.statistics(fake(protocol="pytorch-fid"), "2048").covariance, sigma)
    with pytest.raises(MetricError, match="protocol"):
        file.statistics(fake(protocol="tf"), "2048")


def test_a_newer_or_damaged_note_is_named(tmp_path: Path) -> None:
    mu, sigma = gaussian(8)
    for note, message in (
        ({"format": "gantools-statistics", "version": 99}, "statistics of version 99"),
        ({"format": "gantools-statistics", "version": 2, "entries": []}, "its note is damaged"),
        ({"format": "gantools-statistics", "version": 2, "entries": [3]}, "its note is damaged"),
        ({"format": "gantools-statistics", "version": 2, "entries": [{"layer": 3}]}, "its note is damaged"),
        ({"format": "gantools-statistics", "version": 2, "entries": [{"mu": "x"}]}, "has no array 'x'"),
    ):
        np.savez(tmp_path / "x.npz", mu=mu, sigma=sigma, note=np.array(json.dumps(note)))
        with pytest.raises(DataError, match=message):
            read_statistics(tmp_path / "x.npz")


def test_features_and_statistics_come_from_one_pass_and_are_cached(
    private_cache: Path, grey: NDArray[np.uint8]
) -> None:
    network = fake("fake", {"a": 20, "b": 30})
    a, b = Layer(network, "a"), Layer(network, "b")
    totals: list[int] = []

    def started(n: int) -> Callable[[int], None]:
        totals.append(n)
        return lambda k: None

    stats, feats = fetch(open_reference(grey), [a, b], [b], 50, started=started)
    assert network.ran == 3 and totals == [150]
    np.testing.assert_allclose(stats[1].mean, feats[0].astype(np.float64).mean(0), rtol=1e-12)
    again = fetch(open_reference(grey), [b, a], [b], 50, started=started)
    assert network.ran == 3
    np.testing.assert_array_equal(again[1][0], feats[0])
    np.testing.assert_array_equal(again[0][1].covariance, stats[0].covariance)
    # Statistics follow from features that are there.
    for file in (private_cache / "statistics").iterdir():
        file.unlink()
    from_features = statistics_of(open_reference(grey), [b], 50)
    assert network.ran == 6, "statistics alone are computed anew: features are only read where they are wanted"
    np.testing.assert_array_equal(from_features[0].covariance, stats[1].covariance)
    # What is damaged is computed again.
    (entry,) = (private_cache / "features").iterdir()
    raw = bytearray(entry.read_bytes())
    raw[len(raw) // 2] ^= 1
    entry.write_bytes(raw)
    np.testing.assert_array_equal(features_of(open_reference(grey), [b], 50)[0], feats[0])
    assert network.ran == 9
    assert not list(private_cache.rglob("*.tmp"))


def test_features_above_the_limit_are_not_cached(private_cache: Path, grey: NDArray[np.uint8]) -> None:
    w = Layer(fake("fake", {"a": 20}), "a")
    fetch(open_reference(grey), [], [w], 50, cache_features=150 * 20 * 4 - 1)
    assert not (private_cache / "features").exists()
    fetch(open_reference(grey), [], [w], 50, cache_features=150 * 20 * 4)
    assert len(list((private_cache / "features").iterdir())) == 1


def test_live_references_are_not_cached(private_cache: Path, grey: NDArray[np.uint8]) -> None:
    w = Layer(fake("fake", {"a": 20}), "a")
    reference = open_reference(iter([grey[:100], grey[100:]]), 150)
    assert reference.id == "live:iterator"
    ((stats,), (feats,)) = fetch(reference, [w], [w], 40)
    ((expected,), _) = fetch(open_reference(grey), [w], [w], 40, cache=False)
    np.testing.assert_allclose(stats.covariance, expected.covariance, rtol=1e-9)
    assert feats.shape == (150, 20) and not private_cache.exists()


@pytest.mark.parametrize("name", ["arr_0", "images"])
def test_a_npz_of_images_alone_is_images(tmp_path: Path, grey: NDArray[np.uint8], name: str) -> None:
    np.savez(tmp_path / "x.npz", **{name: grey})
    reference = open_reference(tmp_path / "x.npz")
    assert reference.stored is None and reference.id == open_reference(grey).id


def test_the_first_images_are_another_reference(grey: NDArray[np.uint8]) -> None:
    w = Layer(fake("fake", {"a": 20}), "a")
    few, same = open_reference(grey, 40), open_reference(np.ascontiguousarray(grey[:40]))
    assert few.id == same.id != open_reference(grey).id
    assert statistics_of(few, [w], 16)[0].n == 40


def test_the_default_reference_is_the_training_set(make_set: Callable[..., Path], make_samples: Any) -> None:
    from gantools.data.prepared import PreparedSet

    data = PreparedSet(make_set(n=20, size=8))
    source = open_source(make_samples(data.gather(np.arange(5)), data))
    assert default_reference(source).id == f"set:blobs@{data.fingerprint}"
    with pytest.raises(DataError, match="nothing says what"):
        default_reference(open_source(data))


def test_features_that_are_not_finite_are_refused(grey: NDArray[np.uint8]) -> None:
    class Broken(Fake):
        def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            return {k: v * np.nan for k, v in super().__call__(batch).items()}

    w = Layer(Broken("fake", {"a": 20}), "a")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="features of layer a are not finite"):
        features_of(open_reference(grey), [w], 50)


def test_show_says_rank_and_trace(tmp_path: Path) -> None:
    mu, sigma = gaussian(100)  # of 64 samples
    np.savez(tmp_path / "p.npz", mu=mu, sigma=sigma)
    found = show_statistics(tmp_path / "p.npz")
    (entry,) = found["entries"]
    assert found["kind"] == "pytorch-fid" and entry["rank"] == 63 and entry["dims"] == 100 and entry["n"] is None
    assert entry["trace"] == pytest.approx(np.trace(sigma)) and entry["mean_norm"] == pytest.approx(
        float(np.linalg.norm(mu))
    )


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as e:
        main([str(a) for a in arguments])
    return int(e.value.code or 0)


def test_the_commands(
    tmp_path: Path,
    make_set: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    adm: Path,
) -> None:
    data, file = make_set(n=40, size=28, channels=1), tmp_path / "r.npz"
    make = ("ref", "make", data, "--extractor", "fashion-mnist", "--device", "cpu", "--features", "--out", file)
    assert call(*make) == 0 and capsys.readouterr().out == f"{file}\n"
    assert call(*make) == 1 and "exists already" in capsys.readouterr().err
    assert call(*make, "--overwrite", "-n", 30) == 0
    capsys.readouterr()
    assert call("ref", "show", file) == 0
    out = capsys.readouterr().out
    assert "gantools" in out and "protocol tf1-28-grey" in out and "n 30" in out and "with features" in out
    assert call("ref", "show", adm, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 20 and [e["layer"] for e in found["entries"]] == ["2048", "spatial"]
    assert call("ref", "convert", adm, "--to", "adm", "--out", tmp_path / "a.npz") == 0
    with np.load(tmp_path / "a.npz") as z, np.load(adm) as original:
        for key in ("mu", "sigma", "mu_s", "sigma_s"):
            np.testing.assert_array_equal(z[key], original[key])
    capsys.readouterr()
    assert call("ref", "convert", file, "--to", "adm", "--out", tmp_path / "b.npz") == 1
    assert "ADM's form needs" in capsys.readouterr().err
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Bomb(os.system, "true")))
    assert call("ref", "show", tmp_path / "bad.pkl") == 1
    assert "not a pickle of arrays alone" in capsys.readouterr().err


def test_pytorch_fid_reads_our_file(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    make_statistics(grey, tmp_path / "f.npz", extractor="fashion-mnist", device="cpu")
    mu, sigma = fid_score.compute_statistics_of_path(str(tmp_path / "f.npz"), None, 1, 128, "cpu")
    stored = read_statistics(tmp_path / "f.npz").entries[0].statistics
    assert stored is not None
    np.testing.assert_array_equal(mu, stored.mean)
    np.testing.assert_array_equal(sigma, stored.covariance)


def test_an_object_array_in_a_npz_is_not_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    buffer = io.BytesIO()
    bomb = np.array([Bomb(os.system, f"touch {marker}")], object)
    np.savez(buffer, mu=np.zeros(3), sigma=np.eye(3), note=bomb)
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="damaged"):
        read_statistics(tmp_path / "x.npz")
    assert not marker.exists() and references.FORMAT_VERSION == 2
