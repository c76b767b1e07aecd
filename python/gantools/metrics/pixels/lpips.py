"""LPIPS: how different two images look, by the features of a network that was trained to classify.

Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric" (arXiv:1801.03924), version 0.1
of the authors' weights. With y_l(x) the features of layer l, each position divided by its length over channels, and
w_l >= 0 learned weights of channels::

    d(x, x') = sum_l mean_hw sum_c w_lc (y_lc(x) - y_lc(x'))^2        (equation 1, with w_l for the squared weights)

0 for equal images, no upper bound, larger is less alike. Images enter as `v / 127.5 - 1`, then normalised by the
authors' shift and scale, at their own size: nothing is resized. Equal to the `lpips` package.

Two files of weights are needed: the classifier's, as torchvision publishes it, and the authors' linear weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.device import find_device, full_precision
from gantools.errors import ConfigError, DataError, MetricError, WeightsError, unknown_name
from gantools.metrics.images.open import Images, open_source
from gantools.pretrained import backbones
from gantools.pretrained.loaded import loaded
from gantools.pretrained.weights import WeightsFile, load_state, read_state, sha256_of

#: The network whose features are compared; papers mean `alex` for distances and `vgg` for losses.
Net = Literal["alex", "vgg", "squeeze"]
VERSION = "0.1"
# Of the authors' ScalingLayer: per channel, of values -1..1.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# Added to the length that features are divided by.
EPS = 1e-10
# Images of so many pixels together in one pass, so that memory does not grow with their size.
_PIXELS = 1 << 20

_LINEAR_URL = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/"


def _linear(net: str, sha256: str) -> WeightsFile:
    return WeightsFile(
        f"LPIPS ({net})", f"lpips-v0.1-{net}.pth", "GANTOOLS_LPIPS_WEIGHTS", f"{_LINEAR_URL}{net}.pth", sha256
    )


@dataclass(frozen=True)
class _Architecture:
    features: Any  # () -> nn.Sequential
    taps: tuple[int, ...]  # layers after which features are compared
    widths: tuple[int, ...]
    side: int  # the smallest images that reach the last tap
    backbone: WeightsFile
    linear: WeightsFile


_ARCHITECTURES: dict[str, _Architecture] = {
    "alex": _Architecture(
        backbones.alexnet_features,
        (1, 4, 7, 9, 11),
        (64, 192, 384, 256, 256),
        31,
        backbones.ALEXNET,
        _linear("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    ),
    "vgg": _Architecture(
        backbones.vgg16_features,
        (3, 8, 15, 22, 29),
        (64, 128, 256, 512, 512),
        16,
        backbones.VGG16,
        _linear("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    ),
    "squeeze": _Architecture(
        backbones.squeezenet_features,
        (1, 4, 7, 9, 10, 11, 12),
        (64, 128, 256, 384, 384, 512, 512),
        17,
        backbones.SQUEEZENET,
        _linear("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"),
    ),
}


def weights_files() -> list[WeightsFile]:
    """Every file of weights that some distance is made of."""
    return [file for kind in _ARCHITECTURES.values() for file in (kind.backbone, kind.linear)]


class Lpips:
    """The distance, with its weights loaded; frozen, in float32 without TF32.

    Args:
        net: `alex`, `vgg` or `squeeze`.
        backbone: torchvision's weights of that classifier. None: the file that `GANTOOLS_ALEXNET_WEIGHTS` (`VGG16`,
            `SQUEEZENET`) names, the cached one, or a download.
        linear: the authors' linear weights of version 0.1. None: likewise, `GANTOOLS_LPIPS_WEIGHTS`.
        device: None for CUDA where there is any, else the CPU.

    Attributes:
        net: as given.
        device: where it computes.
        protocol: net, version, and the sha256 of both files: all that decides its numbers.

    Raises:
        ConfigError: unknown network or device. WeightsError, DownloadError: weights.
    """

    def __init__(
        self,
        net: Net = "alex",
        *,
        backbone: str | Path | None = None,
        linear: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if net not in _ARCHITECTURES:
            raise unknown_name("LPIPS network", str(net), get_args(Net))
        self.net: Net = net
        self.device = find_device(device)
        self._architecture = kind = _ARCHITECTURES[net]
        # The small file first: where it is wrong, nobody should wait for 500 MB.
        linear_file = kind.linear.find(linear, "linear")
        self._linear = [w.to(self.device) for w in _read_linear(linear_file, kind)]
        file = kind.backbone.find(backbone, "backbone")
        digest = sha256_of(file)
        self._features = loaded(_load_backbone, (net, digest), self.device, net, file)
        self._shift = torch.tensor(SHIFT, device=self.device)[:, None, None]
        self._scale = torch.tensor(SCALE, device=self.device)[:, None, None]
        self.protocol = {
            "net": net,
            "version": VERSION,
            "backbone_sha256": digest,
            "linear_sha256": sha256_of(linear_file),
        }

    def __call__(self, samples: NDArray[np.uint8], targets: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Distance of each pair, float64 (n,).

        Args:
            samples, targets: uint8 (n, h, w, c) of one shape, c 1 (taken as grey RGB) or 3.

        Raises:
            DataError: other arrays, or sides too small for the network.
        """
        if samples.shape != targets.shape:
            raise DataError(f"samples {samples.shape} and targets {targets.shape} differ in shape.")
        for images in (samples, targets):
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
                raise DataError(f"images must be uint8 (n, h, w, c) with c 1 or 3, not {images.dtype} {images.shape}.")
        n, h, w = samples.shape[:3]
        out = np.empty(n)
        batch = max(1, _PIXELS // max(1, h * w))
        for start in range(0, n, batch):
            part = slice(start, start + batch)
            out[part] = self.distance(self._enter(samples[part]), self._enter(targets[part])).cpu().numpy()
        return out

    @property
    def side(self) -> int:
        """Pixels that an image's sides must have at least."""
        return self._architecture.side

    @torch.no_grad()
    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """As `compare`, without gradients."""
        return self.compare(x, y)

    def compare(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of each pair, float32 (n,), with gradients by the images where these want some.

        Args:
            x, y: float32 (n, 3, h, w), values -1..1, on `device`.

        Raises:
            DataError: sides too small for the network.
        """
        side = self._architecture.side
        if min(x.shape[2:]) < side:
            raise DataError(
                f"LPIPS ({self.net}) needs sides of at least {side} pixels, these images have "
                f"{x.shape[2]}x{x.shape[3]}.",
                "Resize both sides of the pairs alike, and say so with the number.",
            )
        total = torch.zeros(len(x), device=self.device)
        with full_precision():
            for weight, a, b in zip(self._linear, self._units(x), self._units(y), strict=True):
                total += torch.einsum("nchw,c->nhw", (a - b).square(), weight).mean((1, 2))
        return total

    def _enter(self, images: NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)
        return (x.float() / 127.5 - 1).expand(-1, 3, -1, -1)

    def _units(self, x: Tensor) -> list[Tensor]:
        """Features at the taps, of length 1 at every position."""
        x = (x - self._shift) / self._scale
        found = []
        for i, layer in enumerate(self._features):
            x = layer(x)
            if i in self._architecture.taps:
                found.append(x / (x.square().sum(1, keepdim=True).sqrt() + EPS))
                if len(found) == len(self._architecture.taps):
                    break
        return found


def _read_linear(file: Path, kind: _Architecture) -> list[Tensor]:
    what = kind.linear.what
    state = read_state(file, what)
    keys = [f"lin{i}.model.1.weight" for i in range(len(kind.widths))]
    if set(state) != set(keys):
        wrong = min(set(state) ^ set(keys))
        raise WeightsError(f"{file}: not the linear weights of {what}, {wrong!r} is unknown or missing.")
    weights = []
    for key, width in zip(keys, kind.widths, strict=True):
        if state[key].shape != (1, width, 1, 1):
            raise WeightsError(f"{file}: {key!r} has shape {tuple(state[key].shape)}, not (1, {width}, 1, 1).")
        if not bool(torch.isfinite(state[key]).all()):
            raise WeightsError(f"{file}: {key!r} has values that are not finite.")
        weights.append(state[key].float().flatten())
    return weights


def _read_backbone(file: Path, kind: _Architecture) -> nn.Sequential:
    what = kind.backbone.what
    # The classifier's last layers are in the file too; only the convolutions are needed.
    prefix = "features."
    state = {k.removeprefix(prefix): v for k, v in read_state(file, what).items() if k.startswith(prefix)}
    net: nn.Sequential = kind.features()
    load_state(net, state, file, what)
    return net.eval().requires_grad_(False)


def _load_backbone(net: str, file: Path, device: torch.device) -> nn.Sequential:
    return _read_backbone(file, _ARCHITECTURES[net]).to(device)


@dataclass(frozen=True)
class Diversity:
    """How different the images of a set look from each other.

    Attributes:
        value: mean LPIPS distance of the pairs.
        standard_error: of `value`, for the choice of pairs: standard deviation / sqrt(pairs); 0 where all were taken.
        pairs: how many were compared.
        all_pairs: whether these were all there are.
        n: images in the set.
        seed: that chose the pairs.
        lpips: how LPIPS was made.
    """

    value: float
    standard_error: float
    pairs: int
    all_pairs: bool
    n: int
    seed: int
    lpips: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def choose_pairs(n: int, pairs: int, seed: int) -> NDArray[np.int64]:
    """Pairs of different images, int64 (m, 2).

    All n (n - 1) / 2 in order where that is no more than `pairs`; else exactly `pairs`, each drawn with equal chance
    from all, independently: `rng = numpy.random.default_rng(seed)`, `i = rng.integers(n, size=pairs)`,
    `j = rng.integers(n - 1, size=pairs)`, and j raised by one where it is not below i.
    """
    if n * (n - 1) // 2 <= pairs:
        return np.stack(np.triu_indices(n, 1), 1)
    rng = np.random.default_rng(seed)
    i = rng.integers(n, size=pairs)
    j = rng.integers(n - 1, size=pairs)
    return np.stack([i, j + (j >= i)], 1)


def lpips_diversity(
    images: Images,
    *,
    pairs: int = 2000,
    seed: int = 0,
    lpips: Net | Lpips = "alex",
) -> Diversity:
    """Mean LPIPS distance of seeded random pairs of a set: 0 for a generator that always draws the same image.

    It depends on the images' size, since nothing is resized: compare it between sets of one size.

    Args:
        images: a folder, a `.npy` file, a prepared set or uint8 (n, h, w, c); all of one size.
        pairs: how many; see `choose_pairs`.
        seed: of the choice.
        lpips: the network, or a ready `Lpips`.

    Raises:
        ConfigError: fewer than one pair. DataError: unreadable images, or of different sizes.
        MetricError: fewer than 2 images. WeightsError, DownloadError: weights.
    """

    if pairs < 1:
        raise ConfigError(f"pairs must be at least 1, not {pairs}.")
    source = open_source(images)
    n = len(source)
    if n < 2:
        raise MetricError(f"{source.label}: diversity needs at least 2 images, there is {n}.")
    network = lpips if isinstance(lpips, Lpips) else Lpips(lpips)
    chosen = choose_pairs(n, pairs, seed)
    first = source.pixels(int(chosen[0, 0]))
    at_a_time = max(1, _PIXELS // (first.shape[0] * first.shape[1]))
    values = np.empty(len(chosen))
    for start in range(0, len(chosen), at_a_time):
        part = chosen[start : start + at_a_time]
        needed = {int(i): source.pixels(int(i)) for i in np.unique(part)}
        for i, image in needed.items():
            if image.shape != first.shape:
                raise DataError(
                    f"{source.label}: image {i} has {image.shape[0]}x{image.shape[1]} pixels, another one "
                    f"{first.shape[0]}x{first.shape[1]}; diversity compares images of one size.",
                    "Prepare the set to one size first: gantools prep",
                )
        a, b = (np.stack([needed[int(i)] for i in part[:, side]]) for side in (0, 1))
        values[start : start + at_a_time] = network(a, b)
    complete = n * (n - 1) // 2 <= pairs
    error = 0.0 if complete or len(values) < 2 else float(values.std(ddof=1) / np.sqrt(len(values)))
    return Diversity(float(values.mean()), error, len(values), complete, n, seed, network.protocol)
