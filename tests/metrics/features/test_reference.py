"""References and the cache of their statistics: keyed by content, safe against damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gantools.data.prepared import PreparedSet
from gantools.errors import DataError, MetricError
from gantools.metrics.features import reference as references
from gantools.metrics.features.files import read_statistics, write_statistics
from gantools.metrics.features.reference import Layer, Reference, entry_of, open_reference
from gantools.metrics.networks import registry as extractors
from gantools.metrics.networks.extractor import Extractor
from gantools.metrics.networks.protocols import PROTOCOLS
from gantools.metrics.numbers.frechet import Statistics

Pictures = Callable[..., NDArray[np.uint8]]


def statistics_of(reference: Reference, network: Extractor, batch: int, **kwargs: Any) -> Statistics:
    """The statistics of the extractor's only layer."""
    (layer,) = network.layers
    (found,) = references.statistics_of(reference, [Layer(network, layer)], batch, **kwargs)
    return found


@pytest.fixture
def network() -> Extractor:
    return extractors.make("fashion-mnist", device="cpu")


@pytest.fixture
def grey(make_set: Callable[..., Path]) -> Path:
    return make_set(n=40, size=32, channels=1)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever features are really computed."""
    calls: list[int] = []
    plain = references.collect

    def collect(*args: object, **kwargs: object) -> object:
        calls.append(1)
        return plain(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(references, "collect", collect)
    return calls


def test_statistics_are_those_of_numpy(network: Extractor, grey: Path) -> None:
    found = statistics_of(open_reference(grey), network, batch=7)
    source = open_reference(grey).source
    assert source is not None
    features = network(*source.read(0, 40, [network.input]))["features"].astype(np.float64)
    assert found.n == 40
    np.testing.assert_allclose(found.mean, features.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.covariance, np.cov(features, rowvar=False), atol=1e-5)
    assert found.features is not None and found.features.shape == (40, 128)


def test_the_second_time_they_come_from_the_cache(network: Extractor, grey: Path, computed: list[int]) -> None:
    first = statistics_of(open_reference(grey), network, batch=8)
    second = statistics_of(open_reference(grey), network, batch=8)
    assert len(computed) == 1
    np.testing.assert_array_equal(first.covariance, second.covariance)
    np.testing.assert_array_equal(first.features, second.features)
    statistics_of(open_reference(grey), network, batch=8, cache=False)
    assert len(computed) == 2


def test_equal_images_elsewhere_hit_and_a_changed_image_misses(
    network: Extractor,
    tmp_path: Path,
    pictures: Pictures,
    write_pngs: Callable[..., Path],
    computed: list[int],
) -> None:
    images = pictures(30, 28, 1)
    a = write_pngs(tmp_path / "a", images)
    statistics_of(open_reference(a), network, batch=8)
    shutil.copytree(a, tmp_path / "moved")
    statistics_of(open_reference(tmp_path / "moved"), network, batch=8)
    assert len(computed) == 1
    images[3] = 255 - images[3]
    write_pngs(a, images)
    statistics_of(open_reference(a), network, batch=8)
    assert len(computed) == 2


def test_other_weights_are_another_key(network: Extractor, grey: Path) -> None:
    reference = open_reference(grey)
    before = references.cache_key(reference, Layer(network, "features"))
    network.weights_sha256 = "0" * 64
    assert references.cache_key(reference, Layer(network, "features")) != before


def test_other_protocols_and_layers_are_other_keys(inception_file: Path, grey: Path) -> None:
    reference = open_reference(grey)
    made = extractors.make_several("inception", ("64", "2048"), inception_file, "cpu", protocol=tuple(PROTOCOLS))
    keys = {references.cache_key(reference, Layer(e, layer)) for e in made for layer in e.layers}
    assert len(keys) == 2 * len(PROTOCOLS)


def test_only_what_the_cache_lacks_is_computed(
    inception_file: Path, grey: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = open_reference(grey)
    tf, clean = extractors.make_several("inception", ("64",), inception_file, "cpu", protocol=("tf", "clean"))
    alone = references.statistics_of(reference, [Layer(tf, "64")], 8)[0]
    ran: list[str] = []
    for e in (tf, clean):
        plain = type(e).__call__
        monkeypatch.setattr(type(e), "__call__", lambda self, x, run=plain: ran.append(self.protocol) or run(self, x))
    both = references.statistics_of(reference, [Layer(clean, "64"), Layer(tf, "64")], 8)
    assert len(computed) == 2 and set(ran) == {"clean"}
    np.testing.assert_array_equal(both[1].covariance, alone.covariance)
    assert abs(both[0].mean - alone.mean).max() > 1e-4
    references.statistics_of(reference, [Layer(clean, "64"), Layer(tf, "64")], 8)
    assert len(computed) == 2


def test_a_file_of_statistics_stands_for_one_protocol(inception_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "stats.npz"
    np.savez(file, mu=np.zeros(64), sigma=np.eye(64))
    both = extractors.make_several("inception", ("64",), inception_file, "cpu", protocol=("tf", "clean"))
    with pytest.raises(MetricError, match="one protocol and layer, 2 were asked for"):
        references.statistics_of(open_reference(file), [Layer(e, "64") for e in both], 8)


def test_a_layer_that_is_not_given_is_refused(network: Extractor) -> None:
    with pytest.raises(ValueError, match="the extractor gives features, not 2048"):
        Layer(network, "2048")


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other-width", "wrong-count", "nan"])
def test_a_damaged_cache_entry_is_computed_again(
    network: Extractor, grey: Path, private_cache: Path, computed: list[int], damage: str
) -> None:
    expected = statistics_of(open_reference(grey), network, batch=8)
    (entry,) = (private_cache / "statistics").iterdir()
    raw = entry.read_bytes()
    if damage == "cut":
        entry.write_bytes(raw[: len(raw) // 2])
    elif damage == "empty":
        entry.write_bytes(b"")
    elif damage == "text":
        entry.write_text("not a zip")
    elif damage == "other-width":
        np.savez(entry, mu=np.zeros(3), sigma=np.eye(3), n=np.array(40))
    elif damage == "wrong-count":
        np.savez(entry, mu=expected.mean, sigma=expected.covariance, n=np.array(39))
    else:
        np.savez(entry, mu=expected.mean * np.nan, sigma=expected.covariance, n=np.array(40))
    again = statistics_of(open_reference(grey), network, batch=8)
    assert len(computed) == 2
    np.testing.assert_array_equal(again.covariance, expected.covariance)
    statistics_of(open_reference(grey), network, batch=8)
    assert len(computed) == 2, "the damaged entry was not replaced"
    assert len(list((private_cache / "statistics").iterdir())) == 1, "a temporary file was left behind"


def test_a_cache_that_cannot_be_written_does_not_cost_the_score(
    network: Extractor, grey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "file"))
    assert statistics_of(open_reference(grey), network, batch=8).n == 40


def test_statistics_of_other_tools_are_read(tmp_path: Path, network: Extractor) -> None:
    file = tmp_path / "fid_stats.npz"
    np.savez(file, mu=np.arange(128.0), sigma=np.eye(128))
    reference = open_reference(file)
    assert reference.id.startswith("file:") and reference.source is None
    found = statistics_of(reference, network, batch=8)
    assert found.n is None and found.features is None
    np.testing.assert_array_equal(found.mean, np.arange(128.0))


def test_our_own_statistics_are_read_back_to_the_last_bit(tmp_path: Path, network: Extractor, grey: Path) -> None:
    reference = open_reference(grey)
    computed = statistics_of(reference, network, batch=8)
    file = tmp_path / "deep" / "grey.npz"
    write_statistics(file, [entry_of(Layer(network, "features"), computed)], None, reference.id)
    back = read_statistics(file).entries[0].statistics
    assert back is not None
    assert back.n == 40
    np.testing.assert_array_equal(back.mean, computed.mean)
    np.testing.assert_array_equal(back.covariance, computed.covariance)
    np.testing.assert_array_equal(back.features, computed.features)


def test_bad_statistics_files_are_named(tmp_path: Path, network: Extractor) -> None:
    file = tmp_path / "stats.npz"
    with pytest.raises(DataError, match=r"stats\.npz: no such file"):
        open_reference(file)
    file.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(DataError, match="damaged"):
        open_reference(file)
    np.savez(file, mean=np.zeros(3))
    with pytest.raises(DataError, match="no array 'mu'"):
        open_reference(file)
    np.savez(file, mu=np.zeros(3), sigma=np.eye(4))
    with pytest.raises(DataError, match="do not go together"):
        open_reference(file)
    np.savez(file, mu=np.zeros(3), sigma=np.full((3, 3), np.nan))
    with pytest.raises(DataError, match="not finite"):
        open_reference(file)
    np.savez(file, mu=np.array([{}], dtype=object), sigma=np.eye(1))
    with pytest.raises(DataError, match="damaged"):
        open_reference(file)
    np.savez(file, mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(MetricError, match="width 3"):
        statistics_of(open_reference(file), network, batch=8)


def test_the_set_that_the_samples_name_is_found_and_checked(
    make_samples: Callable[..., Path], grey: Path, pictures: Pictures
) -> None:
    data = PreparedSet(grey)
    manifest = {"data": {"path": str(grey), "name": data.name, "fingerprint": data.fingerprint}}
    assert references.reference_of_samples(manifest, Path("samples")).id == f"set:blobs@{data.fingerprint}"
    manifest["data"]["fingerprint"] = "f" * 32
    with pytest.raises(DataError, match="not the images that samples was trained on") as e:
        references.reference_of_samples(manifest, Path("samples"))
    assert "--ref" in str(e.value.hint)
    manifest["data"]["path"] = str(grey / "gone")
    with pytest.raises(DataError, match="is not there"):
        references.reference_of_samples(manifest, Path("samples"))
    with pytest.raises(DataError, match="names no training data"):
        references.reference_of_samples({}, Path("samples"))
