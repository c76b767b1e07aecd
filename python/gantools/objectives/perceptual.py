"""The perceptual loss of a recipe: which frozen network, which of its layers, how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.objectives.content import DIFFERENCES, perceptual
from gantools.pretrained import vgg19

#: The layer where none is named: SRGAN's.
LAYER = "relu5_4"


@dataclass(frozen=True)
class LayerWeights:
    """Layers and the weight of each."""

    weights: Mapping[str, float]

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> LayerWeights:
        """From a recipe's section; ConfigError: a weight is no number."""
        for layer, weight in values.items():
            if not isinstance(weight, int | float) or isinstance(weight, bool):
                raise ConfigError(f"game.perceptual.layers.{layer}: expected a number, found {weight!r}.")
        return cls({layer: float(weight) for layer, weight in values.items()})

    def to_plain(self) -> dict[str, float]:
        """The inverse of `from_plain`."""
        return dict(self.weights)


@dataclass(frozen=True)
class PerceptualConfig:
    """The section `game.perceptual`.

    Attributes:
        weight: of the loss; 0: none, and no network is loaded.
        network: `vgg19` (torchvision's file) or `vgg19-normalised` (style transfer's, up to conv3_1).
        layer: `conv5_4` before the ReLU, `relu5_4` after it; null: `layers`, or where there are none `relu5_4`.
        difference: of features: `l1`, `l2` or `charbonnier`.
        weights: the file; null: looked for, then downloaded where it can be.
        layers: several, each with its own weight, instead of `layer`.
    """

    weight: float = 0.006
    network: Literal["vgg19", "vgg19-normalised"] = "vgg19"
    layer: str | None = None
    difference: Literal["l1", "l2", "charbonnier"] = "l2"
    weights: str | None = None
    layers: LayerWeights | None = None

    def __post_init__(self) -> None:
        if self.layer is not None and self.layers is not None:
            raise ConfigError(
                "game.perceptual: layer and layers both say what is compared.",
                "Give one of them, and null for the other: gantools train --set game.perceptual.layers=null",
            )
        place = "game.perceptual.layer" if self.layers is None else "game.perceptual.layers"
        for layer in self.compared:
            vgg19.check_layer(self.network, layer, place)
        if self.weight < 0:
            raise ConfigError(f"game.perceptual.weight: must not be negative, not {self.weight}.")
        if self.layers is not None and not (self.compared and min(self.compared.values()) > 0):
            raise ConfigError("game.perceptual.layers: needs a layer, and weights above 0.")

    @property
    def compared(self) -> Mapping[str, float]:
        """The layers that are compared, with their weights."""
        return {self.layer or LAYER: 1.0} if self.layers is None else self.layers.weights

    def loaded(self, pretrained: bool) -> nn.Module:
        """The frozen network, up to the last layer that is compared; with random weights where not `pretrained`.

        Raises:
            WeightsError, DownloadError: its file is not to be had, or damaged.
        """
        layers = list(self.compared)
        return vgg19.load(self.network, layers, self.weights) if pretrained else vgg19.unloaded(self.network, layers)

    def of(self, features: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """`weight` times the loss of generated images `x` that should be `y`, by the network that `loaded` gave.

        Grey images are shown to it as colour.
        """
        if x.shape[1] == 1:
            x, y = x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)
        return self.weight * perceptual(features, self.compared, x, y, DIFFERENCES[self.difference])
