"""AlexNet, VGG16 and SqueezeNet 1.1 as torchvision defines them, with its keys, so that its weights load as they are.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (arXiv:1404.5997); Simonyan and Zisserman,
"Very deep convolutional networks" (arXiv:1409.1556), configuration D; Iandola et al., "SqueezeNet" (arXiv:1602.07360).
All take RGB that has been normalised as their user says; here are only the layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gantools.pretrained.weights import WeightsFile

_MODELS = "https://download.pytorch.org/models/"
ALEXNET = WeightsFile(
    "AlexNet", "alexnet-owt-7be5be79.pth", "GANTOOLS_ALEXNET_WEIGHTS", _MODELS + "alexnet-owt-7be5be79.pth", "7be5be79"
)
VGG16 = WeightsFile("VGG16", "vgg16-397923af.pth", "GANTOOLS_VGG16_WEIGHTS", _MODELS + "vgg16-397923af.pth", "397923af")
SQUEEZENET = WeightsFile(
    "SqueezeNet 1.1",
    "squeezenet1_1-b8a52dc0.pth",
    "GANTOOLS_SQUEEZENET_WEIGHTS",
    _MODELS + "squeezenet1_1-b8a52dc0.pth",
    "b8a52dc0",
)


def alexnet_features() -> nn.Sequential:
    """Layers 0..11: five convolutions with ReLU, two poolings between them; the last pooling is left out."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def vgg16_features() -> nn.Sequential:
    """Layers 0..30: thirteen 3x3 convolutions with ReLU in five blocks, each ended by a 2x2 maximum."""
    layers: list[nn.Module] = []
    width = 3
    for out, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
            width = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 ones side by side, each with ReLU."""

    def __init__(self, i: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(i, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, i, h, w) -> (n, 2 expand, h, w), non-negative."""
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()


def squeezenet_features() -> nn.Sequential:
    """Layers 0..12: a convolution with ReLU and eight fire modules, three poolings between them."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )
