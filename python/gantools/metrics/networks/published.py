"""The networks of this folder as feature extractors: what an image becomes before each, and which features it gives.

Every one computes in float32 without TF32, in eval mode whatever is asked, and takes images by its own rule:

==================== =================================== ========== ============================================
extractor            images come to its size by          normalised features
==================== =================================== ========== ============================================
vgg16                TF1 bilinear, squeezed to 224x224   ImageNet   fc2_relu: 4096
clip-vit-b-32        centre square, Pillow bicubic, 224  CLIP       image_embeds: 512, the projected class token
clip-vit-l-14-336    centre square, Pillow bicubic, 336  CLIP       image_embeds: 768, the projected class token
dinov2-vit-?-14      Pillow bicubic, squeezed to 224x224 ImageNet   cls: the class token after the last norm;
(? = s, b, l, g)                                                    384, 768, 1024 or 1536
==================== =================================== ========== ============================================

VGG16 is torch-fidelity's `vgg16`, CLIP that of CMMD (Jayasumana et al., arXiv:2401.09603, which also divides each
feature by its length: that is the metric's part), DINOv2 that of dgm-eval (Stein et al., arXiv:2306.04675). Pillow's
bicubic is the one on 8 bits, antialiased and rounded to whole levels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.device import full_precision, to_device
from gantools.errors import ConfigError, MetricError
from gantools.metrics.networks.custom import OnnxNetwork, TorchNetwork, check_file, last_line, open_network
from gantools.metrics.networks.extractor import Extractor, ExtractorSpec
from gantools.metrics.networks.protocols import Input
from gantools.pretrained import vgg as vgg16
from gantools.pretrained import vit
from gantools.pretrained.backbones import VGG16
from gantools.pretrained.loaded import loaded
from gantools.pretrained.weights import WeightsFile, sha256_of

Triple = tuple[float, float, float]
#: Mean and standard deviation of values 0..1 by channel.
IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Published:
    """A published network as an extractor.

    Attributes:
        name: of the extractor.
        layer: what its features are called.
        dims: how wide they are.
        protocol: name of the rule that `input`, `mean` and `std` are.
        input: how images come to its size.
        mean: and `std`: it gets (x / 255 - mean) / std.
        std: see there.
        weights: where they are found.
        load: makes the network from the file, on a device.
    """

    name: str
    layer: str
    dims: int
    protocol: str
    input: Input
    mean: Triple
    std: Triple
    weights: WeightsFile
    load: Callable[[Path, torch.device], Network]


def _transformer(name: str, kind: vit.Architecture) -> Published:
    clip = kind.family == "clip"
    return Published(
        name,
        "image_embeds" if clip else "cls",
        kind.out,
        "cmmd" if clip else "dgm-eval",
        Input("pillow-bicubic", kind.size, "center" if clip else "none"),
        *(CLIP if clip else IMAGENET),
        kind.weights,
        lambda file, device: vit.load(kind, file, device),
    )


_ALL = (
    Published(
        "vgg16",
        "fc2_relu",
        vgg16.DIMS,
        "torch-fidelity",
        Input("tf1-bilinear", vgg16.SIZE),
        *IMAGENET,
        VGG16,
        vgg16.load,
    ),
    *(_transformer(name, kind) for name, kind in vit.ARCHITECTURES.items()),
)

#: name -> published network.
PUBLISHED: dict[str, Published] = {network.name: network for network in _ALL}


class NetworkFeatures:
    """A network with one layer of features as an `Extractor`; its attributes and methods are described there."""

    def __init__(
        self,
        network: Network,
        *,
        name: str,
        protocol: str,
        input: Input,
        mean: Triple,
        std: Triple,
        layers: dict[str, int],
        weights_sha256: str,
        device: torch.device,
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.input = input
        self.layers = layers
        self.weights_sha256 = weights_sha256
        self.device = device
        self._network = network
        self._shift = torch.tensor(mean, device=device) * 255
        self._scale = torch.tensor(std, device=device) * 255

    def check(self, shape: tuple[int, int, int] | None) -> None:
        """Takes images of any size, grey or colour."""

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """As `Extractor.__call__`."""
        x = to_device(torch.from_numpy(batch), self.device)
        x = ((x - self._shift) / self._scale).permute(0, 3, 1, 2).contiguous()
        with full_precision(), torch.no_grad():
            found: NDArray[np.float32] = self._network(x).float().cpu().numpy()
        return dict.fromkeys(self.layers, found)


def load(
    published: Published, layers: Sequence[str], weights: str | Path | None, device: torch.device
) -> NetworkFeatures:
    """The extractor with its weights, from the file given or as `WeightsFile.find` looks for them.

    Raises:
        WeightsError, DownloadError: weights; the hint says which file to put where.
    """
    file = published.weights.find(weights)
    digest = sha256_of(file)
    return NetworkFeatures(
        loaded(published.load, digest, device, file),
        name=published.name,
        protocol=published.protocol,
        input=published.input,
        mean=published.mean,
        std=published.std,
        layers=dict.fromkeys(layers, published.dims),
        weights_sha256=digest,
        device=device,
    )


def kind_of(published: Published) -> ExtractorSpec:
    """Its entry for `EXTRACTORS`; weights are looked for when one is made."""

    def make(
        layers: Sequence[str], weights: str | Path | None, device: torch.device, protocols: Sequence[str]
    ) -> list[Extractor]:
        del protocols  # it has one
        return [load(published, layers, weights, device)]

    return ExtractorSpec({published.layer: published.dims}, published.layer, (published.protocol,), make)


#: Sides that networks are made for, tried when one refuses the side that was given.
SIDES = (224, 299, 256, 128, 64, 32, 28, 96, 112, 160, 240, 288, 336, 384, 448, 512)


def _width(network: TorchNetwork | OnnxNetwork, size: int) -> int:
    """How wide its features of images of that side are. MetricError: it takes none; says which side it does take."""

    def tried(side: int) -> int:
        return network(torch.zeros(2, 3, side, side)).shape[1]

    refusals = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)
    try:
        return tried(size)
    except (MetricError, *refusals) as e:
        # What it gives may be wrong as well: that has its own words.
        if isinstance(e, MetricError) and "cannot be run" not in e.message:
            raise
        cause = e.__cause__ if isinstance(e, MetricError) and e.__cause__ is not None else e
        taken = None
        for side in SIDES:
            with contextlib.suppress(MetricError, *refusals):
                tried(side)
                taken = side
                break
        hint = "Give the side of the images that it was made for: --extractor-size N (in Python size=N)."
        if taken is not None:
            hint = f"It takes images of {taken}x{taken}: --extractor-size {taken} (in Python size={taken})."
        raise MetricError(f"{network.label}: cannot take images of {size}x{size} ({last_line(cause)}).", hint) from e


def own_kind(
    network: nn.Module | str | Path,
    *,
    size: int,
    name: str | None = None,
    resize: str = "pillow-bicubic",
    crop: str = "none",
    mean: Triple = IMAGENET[0],
    std: Triple = IMAGENET[1],
) -> ExtractorSpec:
    """A network of one's own for `EXTRACTORS`.

    It can then be named like any other extractor: ::

        extractors.EXTRACTORS["mine"] = own_kind("mine.pt", name="mine", size=224)
        gantools.score("samples", ref="data/celeba-64", extractor="mine")

    It is run once on two black images to see how wide its features are.

    Args:
        network: a torch module, or a TorchScript (`.pt`, `.ts`, `.torchscript`) or ONNX (`.onnx`) file. It takes
            float32 (n, 3, size, size) and gives (n, d). TorchScript is a program: only open what you trust.
        size: side of the images it takes.
        name: of the extractor; None for `own`, which is part of the keys of cached statistics, as is the fingerprint.
        resize: how images come to that size, a name in `gantools._native.RESIZE_RULES`.
        crop: `none` (squeezed) or `center` (the largest centred square first).
        mean: and `std`: it gets (x / 255 - mean) / std of values 0..255.
        std: see there.

    Raises:
        ConfigError: size, resize, crop or std, or onnxruntime is missing. WeightsError: no such network.
        MetricError: its output is not one finite (n, d).
    """
    geometry = Input(resize, size, crop)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ConfigError(f"mean and std are three numbers each, std above 0, not {mean} and {std}.")
    called = name or "own"
    # Whatever decides the features and is not in the network is in the protocol's name.
    numbers = "mean " + ",".join(map(repr, map(float, mean))) + " std " + ",".join(map(repr, map(float, std)))
    protocol = f"own: {geometry}, {numbers}"

    def opened(device: torch.device) -> TorchNetwork | OnnxNetwork:
        if isinstance(network, nn.Module):
            return TorchNetwork(network, device)
        # The path is part of what it is called in messages.
        path = check_file(network)
        return loaded(open_network, (str(path), sha256_of(path)), device, path)

    dims = _width(opened(torch.device("cpu")), size)

    def make(
        layers: Sequence[str], weights: str | Path | None, device: torch.device, protocols: Sequence[str]
    ) -> list[Extractor]:
        del protocols
        if weights is not None:
            raise ConfigError(
                f"the {called} extractor has its weights in itself.", "Leave out --weights (in Python weights=)."
            )
        net = opened(device)
        made = NetworkFeatures(
            net,
            name=called,
            protocol=protocol,
            input=geometry,
            mean=mean,
            std=std,
            layers=dict.fromkeys(layers, dims),
            weights_sha256=net.sha256,
            device=device,
        )
        return [made]

    return ExtractorSpec({"features": dims}, "features", (protocol,), make)
