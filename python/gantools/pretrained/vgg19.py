"""VGG19 as the network of a perceptual loss: features of images, through which gradients flow to the images.

Simonyan and Zisserman (arXiv:1409.1556), configuration E. Two published files are read: torchvision's of ImageNet, and
the first layers of the network that Gatys et al. 2016 rescaled so that every channel has mean activation 1
(`vgg_normalised`, of style transfer; Huang and Belongie, arXiv:1703.06868, use it so).

A layer is named with its block and place: `conv5_4` is the output of the convolution, before its ReLU, and `relu5_4`
what comes after it. SRGAN compares `relu5_4`, ESRGAN `conv5_4`; one letter of an index apart in the usual code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import unknown_name
from gantools.pretrained.frozen import Frozen, with_state
from gantools.pretrained.weights import WeightsFile, read_state, sha256_of

TORCHVISION = WeightsFile(
    "VGG19",
    "vgg19-dcbb9e9d.pth",
    "GANTOOLS_VGG19_WEIGHTS",
    "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    "dcbb9e9d",
)
NORMALISED = WeightsFile(
    "VGG19 with normalised activations",
    "vgg_normalised_conv3_1.pth",
    "GANTOOLS_VGG19_NORMALISED_WEIGHTS",
    source="vgg_normalised_conv3_1.pth, a state dict of style transfer's network up to conv3_1 or further",
)
#: Which file, by the name it has in a recipe.
FILES = {"vgg19": TORCHVISION, "vgg19-normalised": NORMALISED}
Kind = Literal["vgg19", "vgg19-normalised"]

# Convolutions and channels of the five blocks.
_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _layers() -> list[str]:
    names = []
    for block, (convolutions, _) in enumerate(_BLOCKS, 1):
        for i in range(1, convolutions + 1):
            names += [f"conv{block}_{i}", f"relu{block}_{i}"]
        names.append(f"pool{block}")
    return names


#: All layers in order; a layer's place is torchvision's number of it.
LAYERS = _layers()


def check_layer(kind: Kind, layer: str, place: str) -> None:
    """ConfigError: the file of `kind` has no `layer`; `place` says what named it."""
    known = [name for name in LAYERS if not name.startswith("pool")]
    if kind == "vgg19-normalised":
        known = known[: known.index("relu3_1") + 1]
    if layer not in known:
        raise unknown_name(f"layer of {kind} ({place})", layer, known)


class Vgg19(Frozen):
    """Images to features by layer. Frozen: eval mode, weights without gradients; images do get theirs.

    Args:
        layers: that are wanted; there are no weights behind the last of them.
        reflect: whether borders are reflected, as the normalised network has it, or black.

    Attributes:
        sha256: of the file of its weights; empty for random ones.
    """

    def __init__(self, layers: Sequence[str], *, reflect: bool = False) -> None:
        super().__init__()
        self.wanted, self.reflect, self.sha256 = tuple(layers), reflect, ""
        last = max(LAYERS.index(name) for name in layers)
        self.features = nn.ModuleDict()
        width = 3
        for i, name in enumerate(LAYERS[: last + 1]):
            if name.startswith("conv"):
                out = _BLOCKS[int(name[4]) - 1][1]
                self.features[str(i)] = nn.Conv2d(width, out, 3)
                width = out
        # What the first convolution gets of RGB in [0, 1], as a 1x1 convolution.
        self.entry = nn.Conv2d(3, 3, 1)
        self.freeze()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """float (n, 3, h, w) in [-1, 1] -> features by layer; h and w from 16 on where block 5 is wanted."""
        # In float32 also under autocast: in bfloat16 the 256 levels of an image are not told apart here.
        with torch.autocast(x.device.type, enabled=False):
            x = F.conv2d((x.to(self.entry.weight.dtype) + 1) / 2, self.entry.weight, self.entry.bias)
        found: dict[str, Tensor] = {}
        for i, name in enumerate(LAYERS):
            if name.startswith("conv"):
                x = self.features[str(i)](F.pad(x, (1, 1, 1, 1), "reflect" if self.reflect else "constant"))
            elif name.startswith("relu"):
                x = F.relu(x)  # a new tensor: the convolution's output may be wanted too
            else:
                x = F.max_pool2d(x, 2, ceil_mode=self.reflect)
            if name in self.wanted:
                found[name] = x
                if len(found) == len(self.wanted):
                    break
        return found


def load(kind: Kind, layers: Sequence[str], file: str | Path | None = None) -> Vgg19:
    """The network with the weights of its file, up to the last of `layers`.

    Args:
        kind: which file, a key of `FILES`.
        layers: that are wanted.
        file: its path; None: named by its environment variable, in the cache, or downloaded where it can be.

    Raises:
        WeightsError, DownloadError: there is none, or it is damaged or of another network; the message names the key.
    """
    path = FILES[kind].find(file, "game.perceptual.weights")
    what = FILES[kind].what
    given = read_state(path, what)
    numbers = [i for i, name in enumerate(LAYERS) if name.startswith("conv") and i <= _last(layers)]
    state = _of_torchvision(given, numbers) if kind == "vgg19" else _of_normalised(given, numbers)
    # What is missing is named by `with_state`.
    state = {key: value.float() for key, value in state.items()}
    net = with_state(lambda: Vgg19(layers, reflect=kind == "vgg19-normalised"), state, path, what, "cpu")
    net.sha256 = sha256_of(path)
    return net


def unloaded(kind: Kind, layers: Sequence[str]) -> Vgg19:
    """The network with random weights, for shapes alone."""
    return Vgg19(layers, reflect=kind == "vgg19-normalised")


def _last(layers: Sequence[str]) -> int:
    return max(LAYERS.index(name) for name in layers)


def _of_torchvision(given: dict[str, Tensor], numbers: list[int]) -> dict[str, Tensor]:
    std = torch.tensor(_STD)
    entry = {"entry.weight": torch.diag(1 / std)[:, :, None, None], "entry.bias": -torch.tensor(_MEAN) / std}
    wanted = {f"features.{i}.{part}" for i in numbers for part in ("weight", "bias")}
    return entry | {key: value for key, value in given.items() if key in wanted}


def _of_normalised(given: dict[str, Tensor], numbers: list[int]) -> dict[str, Tensor]:
    # Its layers are in one row, with a padding before every convolution: the convolutions follow each other as ours do.
    theirs = sorted({int(key.split(".")[0]) for key in given if key.split(".")[0].isdigit()})
    names = zip(["entry", *(f"features.{i}" for i in numbers)], theirs, strict=False)
    parts = ("weight", "bias")
    return {
        f"{ours}.{part}": given[f"{place}.{part}"]
        for ours, place in names
        for part in parts
        if f"{place}.{part}" in given
    }
