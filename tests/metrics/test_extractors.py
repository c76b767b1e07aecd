"""The extractors' interface: names, widths, hashes, devices, and images they cannot judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError, WeightsError
from gantools.metrics import extractors, fashion_classifier
from gantools.metrics.images import open_source
from gantools.metrics.weights import sha256_of


@pytest.mark.parametrize(
    ("dims", "layer"), [(64, "max_pool_1"), (192, "max_pool_2"), (768, "mixed_6e"), (2048, "pool3")]
)
def test_inception_gives_the_width_asked_for(
    inception_file: Path, pictures: Callable[..., NDArray[np.uint8]], dims: int, layer: str
) -> None:
    e = extractors.make("inception", dims, inception_file, "cpu")
    features = e(open_source(pictures(3)).read(0, 3, e.size))
    assert features.shape == (3, dims) and features.dtype == np.float32 and np.ptp(features) > 0
    assert (e.name, e.layer, e.dims, e.protocol) == ("inception", layer, dims, "tf")
    assert e.weights_sha256 == sha256_of(inception_file)
    assert e.device == torch.device("cpu")


def test_inception_is_2048_wide_by_default(inception_file: Path) -> None:
    assert extractors.make("inception", None, inception_file).dims == 2048


def test_fashion_features_of_its_own_images_are_those_of_the_classifier(fashion_images: NDArray[np.uint8]) -> None:
    e = extractors.make("fashion-mnist")
    few = fashion_images[:16]
    expected = fashion_classifier.load().features(torch.from_numpy(few.copy()).float()[:, None]).numpy()
    for images in (few[..., None], np.repeat(few[..., None], 3, 3)):
        got = e(open_source(images).read(0, 16, e.size))
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
        e(open_source(celeba[0]).read(0, 32, e.size))


def test_wrong_names_widths_weights_and_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'inception'"):
        extractors.make("inceptoin")
    with pytest.raises(ConfigError, match="no features of width 100"):
        extractors.make("inception", 100)
    with pytest.raises(ConfigError, match="width 128, not 64"):
        extractors.make("fashion-mnist", 64)
    with pytest.raises(WeightsError, match=r"no\.pth"):
        extractors.make("inception", weights=tmp_path / "no.pth")
    with pytest.raises(WeightsError, match=r"no\.st"):
        extractors.make("fashion-mnist", weights=tmp_path / "no.st")
    for device in ("toaster", "cuda:99"):
        with pytest.raises(ConfigError, match=device):
            extractors.make("fashion-mnist", device=device)
