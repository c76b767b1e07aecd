"""VGG16 up to its second fully connected layer: the features of precision and recall (Kynkaanniemi et al., 2019).

Simonyan and Zisserman (arXiv:1409.1556), configuration D, with torchvision's weights of ImageNet; Kynkaanniemi et al.
(arXiv:1904.06991) measure precision and recall in the 4096 features of `fc2` after its ReLU.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from gantools.pretrained.backbones import VGG16, vgg16_features
from gantools.pretrained.frozen import Frozen, with_state
from gantools.pretrained.weights import read_state

#: Side of the images and width of the features.
SIZE, DIMS = 224, 4096


class Vgg16(Frozen):
    """Images to the features of `fc2`. Frozen: always in eval mode, without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.features = vgg16_features()
        # torchvision numbers the ReLU and the dropout between the two as well.
        self.classifier = nn.ModuleDict({"0": nn.Linear(512 * 7 * 7, DIMS), "3": nn.Linear(DIMS, DIMS)})
        self.freeze()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Normalised float32 (n, 3, 224, 224) -> float32 (n, 4096), non-negative."""
        x = self.features(x).flatten(1)
        out: Tensor = self.classifier["3"](self.classifier["0"](x).relu()).relu()
        return out


def load(file: Path, device: torch.device | str = "cpu") -> Vgg16:
    """The network with torchvision's weights.

    Raises:
        WeightsError: unreadable, or of another network; the message names the key.
    """
    # The last layer, of 1000 classes, is not needed.
    state = {k: v for k, v in read_state(file, VGG16.what).items() if not k.startswith("classifier.6.")}
    return with_state(Vgg16, state, file, VGG16.what, device)
