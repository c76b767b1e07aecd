"""The Inception network of 2015-12-05 that FID is defined with (Szegedy et al., arXiv:1512.00567; Heusel et al.,
arXiv:1706.08500).

It differs from later Inception v3 in ways that change the score: 1008 classes, average pooling in the blocks that does
not count the padding, and a maximum pooling in the last block. State-dict keys are those of the converted weights that
PyTorch tools have settled on, so their files load as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gantools.device import full_precision
from gantools.errors import WeightsError
from gantools.pretrained.frozen import Frozen
from gantools.pretrained.weights import WeightsFile, checked_state, load_pickle

#: The conversion of the original graph that is published with pytorch-fid (Apache-2.0); the name ends in its sha256.
WEIGHTS = WeightsFile(
    "the Inception network",
    "pt_inception-2015-12-05-6726825d.pth",
    "GANTOOLS_INCEPTION_WEIGHTS",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    "6726825d",
)
#: Side of the images the network takes.
SIZE = 299
#: What `Inception` can give: four depths by the width of their pooled features, logits with or without the bias, and
#: the unpooled features of sFID.
Layer = Literal["64", "192", "spatial", "768", "2048", "logits_unbiased", "logits"]
LAYERS: tuple[Layer, ...] = get_args(Layer)
CLASSES = 1008
#: Channels of the 17x17 map that make the layer `spatial`.
SPATIAL = 7
#: Width of each layer.
WIDTHS: dict[Layer, int] = {
    "64": 64,
    "192": 192,
    "spatial": 17 * 17 * SPATIAL,
    "768": 768,
    "2048": 2048,
    "logits_unbiased": CLASSES,
    "logits": CLASSES,
}
BATCH_NORM_EPS = 1e-3
#: Images that a processor takes at a time, for each of its threads: with more, what is passed on from layer to layer
#: leaves its caches, which costs a quarter of the time.
CPU_IMAGES = 4

#: Where in the network a layer is taken, in the names of the original graph's blocks.
PLACES: dict[Layer, str] = {
    "64": "max_pool_1",
    "192": "max_pool_2",
    "spatial": "mixed_6d.branch1x1[:7]",
    "768": "mixed_6e",
    "2048": "pool3",
    "logits_unbiased": "logits_unbiased",
    "logits": "logits",
}

_Pair = tuple[int, int]


class Conv(nn.Module):
    """Convolution, batch normalisation with fixed statistics, ReLU; the first two folded into one when loaded.

    With y = (w * x - mean) gamma / sqrt(var + eps) + beta, the folded weight is w gamma / sqrt(var + eps) and the bias
    beta - mean gamma / sqrt(var + eps).
    """

    def __init__(self, i: int, o: int, kernel: int | _Pair, stride: int = 1, padding: int | _Pair = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, padding)
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, i, h, w) -> (n, o, h', w'), non-negative."""
        c = self.conv
        if not (_FUSED and x.device.type == "cpu" and x.dtype == c.weight.dtype == torch.float32):
            return F.relu(c(x), inplace=True)
        # oneDNN with the ReLU in it and weights in its own order: nn.Conv2d orders them anew in each call, and on one
        # thread takes a slow path of its own for 1x1 kernels.
        padding, stride, dilation = list(c.padding), list(c.stride), [1, 1]
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                c.weight.detach(), padding, stride, dilation, 1, list(x.shape)
            )
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, c.bias, padding, stride, dilation, 1, "relu", [], ""
        )
        return out


def _has_fused() -> bool:
    """Whether PyTorch is built with oneDNN's fused convolution; its compiler uses it, it has no public name."""
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    return bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in names)


_FUSED = _has_fused()


def _wide(i: int, o: int, k: int) -> Conv:
    return Conv(i, o, (1, k), padding=(0, k // 2))


def _tall(i: int, o: int, k: int) -> Conv:
    return Conv(i, o, (k, 1), padding=(k // 2, 0))


def _average(x: Tensor) -> Tensor:
    # The graph divides by the number of real pixels under the window, at the border fewer than 9.
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


class MixedA(nn.Module):
    """35x35 blocks (Mixed_5b, 5c, 5d)."""

    def __init__(self, i: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(i, 64, 1)
        self.branch5x5_1 = Conv(i, 48, 1)
        self.branch5x5_2 = Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Conv(i, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(i, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, i, 35, 35) -> (n, 224 + pool, 35, 35)."""
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(_average(x))], 1)


class MixedB(nn.Module):
    """35x35 to 17x17 (Mixed_6a)."""

    def __init__(self, i: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(i, 384, 3, stride=2)
        self.branch3x3dbl_1 = Conv(i, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, i, 35, 35) -> (n, 480 + i, 17, 17)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class MixedC(nn.Module):
    """17x17 blocks with 7x7 convolutions in two steps (Mixed_6b to 6e)."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(768, 192, 1)
        self.branch7x7_1 = Conv(768, c, 1)
        self.branch7x7_2 = _wide(c, c, 7)
        self.branch7x7_3 = _tall(c, 192, 7)
        self.branch7x7dbl_1 = Conv(768, c, 1)
        self.branch7x7dbl_2 = _tall(c, c, 7)
        self.branch7x7dbl_3 = _wide(c, c, 7)
        self.branch7x7dbl_4 = _tall(c, c, 7)
        self.branch7x7dbl_5 = _wide(c, 192, 7)
        self.branch_pool = Conv(768, 192, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 768, 17, 17) -> the same shape, and the first branch of it, (n, 192, 17, 17)."""
        one = self.branch1x1(x)
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([one, seven, double, self.branch_pool(_average(x))], 1), one


class MixedD(nn.Module):
    """17x17 to 8x8 (Mixed_7a)."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Conv(768, 192, 1)
        self.branch3x3_2 = Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Conv(768, 192, 1)
        self.branch7x7x3_2 = _wide(192, 192, 7)
        self.branch7x7x3_3 = _tall(192, 192, 7)
        self.branch7x7x3_4 = Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 768, 17, 17) -> (n, 1280, 8, 8)."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, stride=2)], 1)


class MixedE(nn.Module):
    """8x8 blocks (Mixed_7b with average pooling, Mixed_7c with maximum pooling)."""

    def __init__(self, i: int, *, maximum: bool) -> None:
        super().__init__()
        self.pool = _maximum if maximum else _average
        self.branch1x1 = Conv(i, 320, 1)
        self.branch3x3_1 = Conv(i, 384, 1)
        self.branch3x3_2a = _wide(384, 384, 3)
        self.branch3x3_2b = _tall(384, 384, 3)
        self.branch3x3dbl_1 = Conv(i, 448, 1)
        self.branch3x3dbl_2 = Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _wide(384, 384, 3)
        self.branch3x3dbl_3b = _tall(384, 384, 3)
        self.branch_pool = Conv(i, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, i, 8, 8) -> (n, 2048, 8, 8)."""
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(self.pool(x)),
            ],
            1,
        )


class Inception(Frozen):
    """The network, frozen: always in eval mode, without gradients. `load` makes one with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b = MixedA(192, 32)
        self.Mixed_5c = MixedA(256, 64)
        self.Mixed_5d = MixedA(288, 64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b = MixedC(128)
        self.Mixed_6c = MixedC(160)
        self.Mixed_6d = MixedC(160)
        self.Mixed_6e = MixedC(192)
        self.Mixed_7a = MixedD()
        self.Mixed_7b = MixedE(1280, maximum=False)
        self.Mixed_7c = MixedE(2048, maximum=True)
        self.fc = nn.Linear(2048, CLASSES)
        self.freeze()

    @torch.no_grad()
    def forward(
        self, x: Tensor, layers: Sequence[Layer] = ("2048",), *, offset: float = 128.0, scale: float = 128.0
    ) -> list[Tensor]:
        """Features of images; computes no further than the deepest layer asked for.

        Args:
            x: float (n, 3, 299, 299), or (n, 299, 299, 3), values 0..255.
            layers: names among `LAYERS`.
            offset: the first convolution gets (x - offset) / scale.
            scale: see there.

        Returns:
            float32 (n, width) each, in the order of `layers`: 64, 192, 768 and 2048 are averages over all positions;
            `spatial` is, without averaging, the first 7 channels of Mixed_6d's 1x1 branch after its ReLU, flattened
            row by row with the channel last (the graph's `mixed_6/conv:0` of ADM's sFID: guided-diffusion,
            evaluations/evaluator.py).

        Raises:
            ValueError: another shape, or an unknown layer.
        """
        unknown = set(layers) - set(LAYERS)
        if unknown or not layers:
            raise ValueError(f"layers must be among {LAYERS}, not {sorted(unknown)}")
        if x.ndim == 4 and x.shape[1:] == (SIZE, SIZE, 3):
            x = x.permute(0, 3, 1, 2)
        if x.ndim != 4 or x.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(f"images must be (n, 3, {SIZE}, {SIZE}) or (n, {SIZE}, {SIZE}, 3), not {tuple(x.shape)}")
        weight = self.fc.weight
        few = CPU_IMAGES * torch.get_num_threads()
        if weight.device.type == "cpu" and len(x) > few:
            parts = [self.forward(x[i : i + few], layers, offset=offset, scale=scale) for i in range(0, len(x), few)]
            return [torch.cat(found) for found in zip(*parts, strict=True)]
        x = x.to(device=weight.device, dtype=weight.dtype).contiguous(memory_format=torch.channels_last)
        found: dict[Layer, Tensor] = {}
        with full_precision():
            for name, value in self._stages((x - offset) / scale):
                if name in layers:
                    found[name] = value.float()
                if len(found) == len(set(layers)):
                    break
        return [found[name] for name in layers]

    def _stages(self, x: Tensor) -> Iterator[tuple[Layer, Tensor]]:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        yield "64", x.mean((2, 3))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)
        yield "192", x.mean((2, 3))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6a(x)
        x, _ = self.Mixed_6c(self.Mixed_6b(x)[0])
        x, one = self.Mixed_6d(x)
        yield "spatial", one[:, :SPATIAL].permute(0, 2, 3, 1).flatten(1)
        x, _ = self.Mixed_6e(x)
        yield "768", x.mean((2, 3))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        pooled = x.mean((2, 3))
        yield "2048", pooled
        logits = pooled @ self.fc.weight.T
        yield "logits_unbiased", logits
        yield "logits", logits + self.fc.bias


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` state dict, read without running code from it.

    Raises:
        WeightsError: missing, not a state dict, or with anything but tensors in it.
    """
    return checked_state(path, load_pickle(path, "Inception"))


_HINT = "Give the Inception weights of 2015-12-05 as a PyTorch state dict (pt_inception-2015-12-05-6726825d.pth)."


def load(path: str | Path, device: torch.device | str = "cpu") -> Inception:
    """The network with the weights of a state dict in the usual key names (`Mixed_5b.branch1x1.conv.weight`, ...).

    Args:
        path: the `.pth` file; any floating-point dtype, computed in float32.
        device: where the network is put.

    Raises:
        WeightsError: unreadable, or a key is missing, unknown, of another shape or not finite; the message names it.
    """
    path = Path(path)
    state = read_state(path)
    net = Inception()
    used = {"fc.weight", "fc.bias"}
    net.fc.weight.copy_(_take(path, state, "fc.weight", net.fc.weight.shape))
    net.fc.bias.copy_(_take(path, state, "fc.bias", net.fc.bias.shape))
    for name, module in net.named_modules():
        if not isinstance(module, Conv):
            continue
        weight, bias = module.conv.weight, module.conv.bias
        assert bias is not None
        w = _take(path, state, f"{name}.conv.weight", weight.shape)
        gamma, beta, mean, var = (
            _take(path, state, f"{name}.bn.{part}", bias.shape)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        if bool((var < 0).any()):
            raise WeightsError(f"{path}: {name}.bn.running_var has negative values.", _HINT)
        scale = gamma / torch.sqrt(var + BATCH_NORM_EPS)
        weight.copy_(w * scale[:, None, None, None])
        bias.copy_(beta - mean * scale)
        used |= {f"{name}.conv.weight"} | {
            f"{name}.bn.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        }
    extra = sorted(state.keys() - used)
    if extra:
        raise WeightsError(f"{path}: has {len(extra)} unknown keys, the first is {extra[0]!r}.", _HINT)
    return net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _take(path: Path, state: dict[str, Tensor], key: str, shape: torch.Size) -> Tensor:
    """float64, so that folding rounds only once."""
    if key not in state:
        raise WeightsError(f"{path}: the key {key!r} is missing.", _HINT)
    value = state[key]
    if value.shape != shape:
        raise WeightsError(f"{path}: {key!r} has shape {tuple(value.shape)}, not {tuple(shape)}.", _HINT)
    value = value.double()
    if not bool(torch.isfinite(value).all()):
        raise WeightsError(f"{path}: {key!r} has values that are not finite.", _HINT)
    return value
