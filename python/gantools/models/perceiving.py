"""What systems share that compare images by the features of a network that was trained elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.models.system import Networks
from gantools.objectives.content import DIFFERENCES, perceptual
from gantools.pretrained import vgg19


@dataclass(frozen=True)
class PerceptualConfig:
    """The perceptual loss of a stage: the section `game.perceptual`.

    Attributes:
        weight: of the loss; 0: none, and no network is loaded.
        network: `vgg19` (torchvision's file) or `vgg19-normalised` (style transfer's, up to conv3_1).
        layer: `conv5_4` before the ReLU, `relu5_4` after it.
        difference: of features: `l1`, `l2` or `charbonnier`.
        weights: the file; null: looked for, then downloaded where it can be.
    """

    weight: float = 0.006
    network: Literal["vgg19", "vgg19-normalised"] = "vgg19"
    layer: str = "relu5_4"
    difference: Literal["l1", "l2", "charbonnier"] = "l2"
    weights: str | None = None

    def __post_init__(self) -> None:
        vgg19.check_layer(self.network, self.layer, "game.perceptual.layer")
        if self.weight < 0:
            raise ConfigError(f"game.perceptual.weight: must not be negative, not {self.weight}.")


def feature_networks(config: PerceptualConfig, pretrained: bool) -> dict[str, nn.Module]:
    """The frozen network `features` of the loss; none where its weight is 0, random where not `pretrained`."""
    if config.weight == 0:
        return {}
    kind, layers = config.network, [config.layer]
    network = vgg19.load(kind, layers, config.weights) if pretrained else vgg19.unloaded(kind, layers)
    return {"features": network}


def perceived(networks: Networks, config: PerceptualConfig, x: Tensor, y: Tensor) -> Tensor:
    """The weighted loss of features of images `x` against `y`; grey ones are shown to the network as colour."""
    if x.shape[1] == 1:
        x, y = x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)
    difference = DIFFERENCES[config.difference]
    return config.weight * perceptual(networks["features"], {config.layer: 1.0}, x, y, difference)
