"""The extractors' interface: names, widths, hashes, devices, and images they cannot judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError, WeightsError
from gantools.metrics.features.passes import features
from gantools.metrics.images.open import Array, open_source
from gantools.metrics.networks import registry as extractors
from gantools.metrics.networks.protocols import PROTOCOLS, Input
from gantools.pretrained import fashion as fashion_classifier
from gantools.pretrained.weights import sha256_of


def test_inception_gives_the_layers_asked_for(inception_file: Path, pictures: Callable[..., NDArray[np.uint8]]) -> None:
    wanted = ("logits", "64", "spatial", "2048")
    e = extractors.make("inception", wanted, inception_file, "cpu")
    assert e.layers == {"64": 64, "spatial": 2023, "2048": 2048, "logits": 1008}
    found = e(*open_source(pictures(3)).read(0, 3, [e.input]))
    assert found.keys() == set(wanted)
    for layer, values in found.items():
        assert values.shape == (3, e.layers[layer]) and values.dtype == np.float32 and np.ptp(values) > 0
    assert (e.name, e.protocol, e.input) == ("inception", "tf", Input("tf1-bilinear", 299))
    assert e.weights_sha256 == sha256_of(inception_file)
    assert e.device == torch.device("cpu")


def test_inception_gives_pool3_by_default(inception_file: Path) -> None:
    assert extractors.make("inception", None, inception_file).layers == {"2048": 2048}


def test_several_protocols_share_one_network(
    inception_file: Path, pictures: Callable[..., NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    plain = extractors.inception.load
    monkeypatch.setattr(extractors.inception, "load", lambda *a: loads.append(a) or plain(*a))
    names = ["clean", "tf", "pytorch-fid"]
    made = extractors.make_several("inception", ("64",), inception_file, "cpu", protocol=names)
    assert [e.protocol for e in made] == names and len(loads) == 1
    images = open_source(pictures(5))
    together = list(features(made, images, (0, 5), 2))
    for i, e in enumerate(made):
        alone = np.concatenate([f["64"] for (f,) in features([e], images, (0, 5), 2)])
        np.testing.assert_array_equal(np.concatenate([found[i]["64"] for found in together]), alone)
    a, b, c = (np.concatenate([found[i]["64"] for found in together]) for i in range(3))
    assert min(abs(a - b).max(), abs(b - c).max(), abs(a - c).max()) > 1e-3


def test_each_image_is_read_once_for_all_protocols(
    inception_file: Path, pictures: Callable[..., NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, tuple[Input, ...]]] = []
    plain = Array.read

    def read(self: Array, start: int, stop: int, inputs: list[Input]) -> list[NDArray[np.float32]]:
        seen.append((start, stop, tuple(inputs)))
        return plain(self, start, stop, inputs)

    monkeypatch.setattr(Array, "read", read)
    names = ["tf", "clean", "torchmetrics"]
    made = extractors.make_several("inception", ("64",), inception_file, "cpu", protocol=names)
    twice = [*made, made[0]]
    assert len(next(iter(features(twice, open_source(pictures(2)), (0, 2), 2)))) == 4
    assert seen == [(0, 2, tuple(PROTOCOLS[p].input for p in names))]


def test_fashion_features_of_its_own_images_are_those_of_the_classifier(fashion_images: NDArray[np.uint8]) -> None:
    e = extractors.make("fashion-mnist")
    few = fashion_images[:16]
    expected = fashion_classifier.load().features(torch.from_numpy(few.copy()).float()[:, None]).numpy()
    for images in (few[..., None], np.repeat(few[..., None], 3, 3)):
        got = e(*open_source(images).read(0, 16, [e.input]))["features"]
        # Grey through the 601 weights, which sum to 1 up to rounding.
        np.testing.assert_allclose(got, expected, atol=1e-3)
    assert e.weights_sha256 == sha256_of(fashion_classifier.weights_path())


def test_fashion_refuses_what_it_cannot_judge(celeba: tuple[Path, Path]) -> None:
    e = extractors.make("fashion-mnist")
    with pytest.raises(DataError, match="218x178"):
        e.check((218, 178, 3))
    with pytest.raises(DataError, match="4x4"):
        e.check((4, 4, 1))
    e.check((64, 64, 3))
    e.check(None)
    with pytest.raises(DataError, match="in colour"):
        e(*open_source(celeba[0]).read(0, 32, [e.input]))


def test_wrong_names_widths_weights_and_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'inception'"):
        extractors.make("inceptoin")
    with pytest.raises(ConfigError, match="Did you mean '2048'"):
        extractors.make("inception", ("20048",))
    with pytest.raises(ConfigError, match="at least one layer"):
        extractors.make("inception", ())
    with pytest.raises(ConfigError, match="unknown protocol of the fashion-mnist extractor 'clean'"):
        extractors.make("fashion-mnist", protocol="clean")
    with pytest.raises(ConfigError, match="different names"):
        extractors.make_several("inception", protocol=["tf", "tf"])
    with pytest.raises(ConfigError, match="no features of width 100"):
        extractors.layer_of_width("inception", 100)
    with pytest.raises(ConfigError, match="no features of width 1008"):
        extractors.layer_of_width("inception", 1008)
    with pytest.raises(ConfigError, match="no features of width 64"):
        extractors.layer_of_width("fashion-mnist", 64)
    widths = (None, 64, 192, 768, 2048)
    assert [extractors.layer_of_width("inception", d) for d in widths] == ["2048", "64", "192", "768", "2048"]
    assert extractors.layer_of_width("fashion-mnist", 128) == "features"
    with pytest.raises(WeightsError, match=r"no\.pth"):
        extractors.make("inception", weights=tmp_path / "no.pth")
    with pytest.raises(WeightsError, match=r"no\.st"):
        extractors.make("fashion-mnist", weights=tmp_path / "no.st")
    for device in ("toaster", "cuda:99"):
        with pytest.raises(ConfigError, match=device):
            extractors.make("fashion-mnist", device=device)
