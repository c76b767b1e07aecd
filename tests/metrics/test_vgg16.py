"""VGG16 features against torch-fidelity with the same seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

from gantools import _native
from gantools.errors import WeightsError
from gantools.metrics.networks import vgg16


@pytest.fixture(scope="module")
def vgg16_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("vgg16") / "vgg16.pth"
    torch.save(torchvision.models.vgg16().state_dict(), file)
    return file


@pytest.mark.parametrize("size", [32, 224, 300])
def test_equals_torch_fidelity(vgg16_file: Path, pictures: Callable[..., NDArray[np.uint8]], size: int) -> None:
    images = pictures(2, size)
    peer = FeatureExtractorVGG16("vgg16", ["fc2_relu"], feature_extractor_weights_path=str(vgg16_file))
    expected = peer(torch.from_numpy(images).permute(0, 3, 1, 2))[0].numpy()
    x = torch.from_numpy(_native.resize_tf1(images, vgg16.SIZE)).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    net = vgg16.load(vgg16_file).train()
    assert not net.training
    got = net(x).numpy()
    assert got.shape == (2, vgg16.DIMS) and expected.max() > 0.1
    np.testing.assert_allclose(got, expected, atol=1e-4 * expected.max())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="not the weights of VGG16"):
        vgg16.load(tmp_path / "net.pth")
