"""A network from images to images of the same size, by residual blocks at a quarter of it."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from gantools.layers.norm import Norm, make_norm

#: Sides have to be multiples of this: the network halves them twice.
MULTIPLE = 4


def reach(blocks: int) -> int:
    """Pixels beyond a block of `MULTIPLE` that the outputs of `ResNetTranslator` in it see, without a normalisation.

    3 for either 7x7 convolution, 2 and 4 for the transposed ones, 1 and 2 for those of stride 2, 4 and 4 a block of the
    two; rounded up to a multiple.
    """
    seen = 3 + 2 + 4 + 8 * blocks + 2 + 1 + 3
    return seen + -seen % MULTIPLE


class TranslationBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), 3x3 convolutions with reflected borders; no activation after the sum."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=norm != "batch"),
            make_norm(norm, width),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=norm != "batch"),
            make_norm(norm, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float (n, width, h, w) -> the same shape."""
        return x + cast(Tensor, self.layers(x))


class ResNetTranslator(nn.Module):
    """Images float (n, inputs, h, w), h and w multiples of 4 -> images float (n, outputs, h, w) in [-1, 1].

    7x7 convolution, two of stride 2, `blocks` residual blocks, two transposed ones, 7x7 convolution, tanh; borders are
    reflected. 9 blocks for 256 px, 6 for 128 and less. Source: Zhu et al. 2017 (arXiv:1703.10593), appendix 7.2, after
    Johnson et al. 2016 (arXiv:1603.08155).
    """

    def __init__(self, inputs: int, outputs: int, width: int = 64, blocks: int = 9, norm: Norm = "instance") -> None:
        super().__init__()
        bias = norm != "batch"
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias)]
        layers += [make_norm(norm, width), nn.ReLU()]
        for w in (width, 2 * width):
            layers += [nn.Conv2d(w, 2 * w, 3, 2, 1, bias=bias), make_norm(norm, 2 * w), nn.ReLU()]
        layers += [TranslationBlock(4 * width, norm) for _ in range(blocks)]
        for w in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1, bias=bias)]
            layers += [make_norm(norm, w // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Images of images `x`."""
        return cast(Tensor, self.layers(x))
