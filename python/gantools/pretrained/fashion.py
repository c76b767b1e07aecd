"""The classifier that ships with gantools: features for grey 28x28 images, with no download.

Four convolutions trained on the 60,000 training images of Fashion-MNIST (Xiao et al., arXiv:1708.07747); its 128
features before the last layer serve as a light extractor. It gets 92.86 % of the 10,000 test images right.

`tools/train_fashion_classifier.py` in the repository makes the weights.
"""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from gantools.errors import WeightsError

#: Width of the features.
FEATURES = 128
#: Side of the images the network was trained on.
SIZE = 28
#: Share of the 10,000 Fashion-MNIST test images that the shipped weights classify correctly.
ACCURACY = 0.9286
# Mean and standard deviation of the training pixels in [0, 1].
MEAN, STD = 0.2860, 0.3530
ASSET = "fashion_classifier.safetensors"


class FashionClassifier(nn.Module):
    """Grey images to 10 logits, by way of 128 features.

    Four stages of 3x3 convolution, batch normalisation and ReLU; a 2x2 max pooling after the first and the third, the
    average over the 7x7 positions after the last.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 32, 64, 64, FEATURES)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])
        self.head = nn.Linear(FEATURES, 10)

    def features(self, x: Tensor) -> Tensor:
        """float32 (n, 1, 28, 28) of values 0..255 -> float32 (n, 128), non-negative."""
        x = (x / 255 - MEAN) / STD
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = F.relu(norm(conv(x)))
            if i in (0, 2):
                x = F.max_pool2d(x, 2)
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """float32 (n, 1, 28, 28) of values 0..255 -> logits float32 (n, 10)."""
        out: Tensor = self.head(self.features(x))
        return out


def weights_path() -> Path:
    """Where the shipped weights lie."""
    return Path(str(resources.files("gantools") / "assets" / ASSET))


def load(path: str | Path | None = None) -> FashionClassifier:
    """The trained classifier in eval mode, without gradients.

    Args:
        path: a `.safetensors` file; the shipped one when None.

    Raises:
        WeightsError: no such file, damaged, or of another network.
    """
    file = weights_path() if path is None else Path(path)
    hint = "Install gantools again."
    try:
        with safe_open(file, framework="pt") as f:
            state = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - safe_open is not a dict
        net = FashionClassifier()
        net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file.", hint) from None
    except (SafetensorError, RuntimeError, OSError) as e:
        raise WeightsError(f"{file}: not the weights of the Fashion-MNIST classifier ({e}).", hint) from e
    return net.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(net: FashionClassifier, images: NDArray[np.uint8], labels: NDArray[np.uint8], batch: int = 500) -> float:
    """Share of uint8 (n, 28, 28) `images` whose largest logit is their label."""
    net.eval()
    right = 0
    for start in range(0, len(images), batch):
        x = torch.from_numpy(images[start : start + batch].copy()).float().unsqueeze(1)
        y = torch.from_numpy(labels[start : start + batch].copy())
        right += int((net(x).argmax(1) == y).sum())
    return right / len(images)
