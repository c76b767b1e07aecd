"""MobileFaceNet trained with ArcFace: faces to vectors whose cosine says whether they are one person's.

Chen et al. 2018 (arXiv:1804.07573); Deng et al. 2019 (arXiv:1801.07698). The file is a `.npz` of the network with its
batch normalisation folded into the convolutions: `l00.weight`, `l00.bias` and `l00.slope` of the first layer and so on
to `l48`, then `fc.weight` and `fc.bias`; 993,344 numbers. Faces are 112x112 RGB with the points of `TEMPLATE`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import WeightsError, cause
from gantools.pretrained.frozen import Frozen, with_state
from gantools.pretrained.weights import WeightsFile, sha256_of

FILE = WeightsFile(
    "MobileFaceNet",
    "mobilefacenet_folded.npz",
    "GANTOOLS_MOBILEFACENET_WEIGHTS",
    source="a MobileFaceNet trained with ArcFace as mobilefacenet_folded.npz (its layout: docs/systems/tpgan.md)",
)
#: Side of the faces and length of the vectors.
SIZE, DIMS = 112, 128
#: Where eyes, nose and corners of the mouth are in them, x and y. Source: the alignment that ArcFace was trained with.
TEMPLATE = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))
# Of a face aligned as by gantools prep frontal, in a square of 128: the middle of the eyes, and the mouth's below it.
_SIDE, _EYES, _MOUTH = 128.0, (63.5, 40.0), 48.0

# Convolutions in order: (channels before and after, kernel, stride, by each channel alone, with a slope).
_Layer = tuple[int, int, int, int, bool, bool]


def _plan() -> list[_Layer]:
    found: list[_Layer] = [(3, 64, 3, 2, False, True), (64, 64, 3, 1, True, True)]

    def block(before: int, inner: int, after: int, stride: int) -> None:
        found.append((before, inner, 1, 1, False, True))
        found.append((inner, inner, 3, stride, True, True))
        found.append((inner, after, 1, 1, False, False))

    for before, inner, after, repeats in ((64, 128, 64, 4), (64, 256, 128, 6), (128, 512, 128, 2)):
        block(before, inner, after, 2)
        for _ in range(repeats):
            block(after, 256 if after == 128 else inner, after, 1)
    return [*found, (128, 512, 1, 1, False, True), (512, 512, 7, 1, True, False)]


PLAN = _plan()


class MobileFaceNet(Frozen):
    """Faces to vectors. Frozen: eval mode, weights without gradients; faces do get theirs.

    Attributes:
        sha256: of the file of its weights; empty for random ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sha256 = ""
        self.layers = nn.ModuleList()
        self.slopes = nn.ParameterDict()
        for i, (before, after, kernel, stride, alone, slope) in enumerate(PLAN):
            groups = after if alone else 1
            self.layers.append(
                nn.Conv2d(before, after, kernel, stride, kernel // 2 if kernel < 7 else 0, groups=groups)
            )
            if slope:
                self.slopes[str(i)] = nn.Parameter(torch.full((after,), 0.25))
        self.last = nn.Linear(512, DIMS)
        self.freeze()

    def forward(self, x: Tensor) -> Tensor:
        """Faces float (n, 3, 112, 112) in [-1, 1] -> vectors float32 (n, 128), of any length."""
        with torch.autocast(x.device.type, enabled=False):
            # The network was trained on (levels - 127.5) / 128.
            x = x.to(self.last.weight.dtype) * (127.5 / 128)
            passed = x
            for i, (_, _, kernel, _, alone, slope) in enumerate(PLAN):
                if kernel == 1 and slope:
                    passed = x
                x = self.layers[i](x)
                if slope:
                    x = F.prelu(x, self.slopes[str(i)])
                elif not alone and PLAN[i - 1][3] == 1:
                    x = x + passed
            out: Tensor = self.last(x.flatten(1))
            return out


def of_frontal(x: Tensor) -> Tensor:
    """Frontal faces aligned as by `gantools prep frontal`, float (n, c, s, s), as the network takes them.

    The same square for every face: the middles of eyes and mouth come to the template's. What is beside the image is as
    its border. Bilinear; differentiable.

    Returns:
        float32 (n, c, 112, 112).
    """
    template = torch.tensor(TEMPLATE, dtype=torch.float32, device=x.device)
    eyes, mouth = template[:2].mean(0), template[3:].mean(0)
    scale = _MOUTH / (mouth - eyes)[1]
    # Places in the square of 128 of each pixel's middle, then in those of the image.
    across = torch.stack((scale, torch.zeros_like(scale)))
    begin = torch.tensor(_EYES, device=x.device) - scale * eyes
    size = x.shape[3] / _SIDE
    return _sampled(x, (across * size).expand(len(x), 2), ((begin + 0.5) * size - 0.5).expand(len(x), 2))


def of_marks(x: Tensor, marks: Tensor) -> Tensor:
    """Faces float (n, c, s, s) with landmarks float (n, 5, 2) as the network takes them: float32 (n, c, 112, 112).

    By the similarity that brings the template nearest to the landmarks, in the sense of least squares.
    Source: Umeyama 1991 (doi:10.1109/34.88573), without reflections.
    """
    template = torch.tensor(TEMPLATE, dtype=torch.float32, device=x.device)
    middle, there = template.mean(0), marks.float().mean(1)
    a, b = template - middle, marks.float() - there[:, None]
    square = a.square().sum()
    cosine, sine = (a * b).sum((1, 2)) / square, (a[:, 0] * b[..., 1] - a[:, 1] * b[..., 0]).sum(1) / square
    across = torch.stack((cosine, sine), 1)
    moved = torch.stack((cosine * middle[0] - sine * middle[1], sine * middle[0] + cosine * middle[1]), 1)
    return _sampled(x, across, there - moved)


def _sampled(x: Tensor, across: Tensor, begin: Tensor) -> Tensor:
    """Images at places begin + column · across + row · (across turned by 90°), each float (n, 2), in pixels of `x`."""
    at = torch.arange(SIZE, dtype=torch.float32, device=x.device)
    columns, rows = at[None, None, :], at[None, :, None]
    place_x = begin[:, :1, None] + columns * across[:, :1, None] - rows * across[:, 1:, None]
    place_y = begin[:, 1:, None] + columns * across[:, 1:, None] + rows * across[:, :1, None]
    sides = torch.tensor((x.shape[3], x.shape[2]), dtype=torch.float32, device=x.device)
    grid = (torch.stack((place_x, place_y), 3) + 0.5) * (2 / sides) - 1
    return F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def load(file: str | Path | None = None, by: str = "game.identity.weights") -> MobileFaceNet:
    """The network with the weights of its file.

    Args:
        file: its path; None: named by its environment variable, or in the cache.
        by: what names it, for messages.

    Raises:
        WeightsError: there is none, or it is damaged or of another network; the message names the key.
    """
    path = FILE.find(file, by)
    try:
        with np.load(path, allow_pickle=False) as archive:
            given = {key: torch.from_numpy(archive[key]).float() for key in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as e:
        raise WeightsError(f"{path}: no .npz of {FILE.what} ({cause(e)}).", FILE.where(by)) from e
    state: dict[str, Tensor] = {}
    for i, (*_, slope) in enumerate(PLAN):
        names = {"weight": f"layers.{i}.weight", "bias": f"layers.{i}.bias"}
        names |= {"slope": f"slopes.{i}"} if slope else {}
        state |= {ours: given.pop(f"l{i:02d}.{key}") for key, ours in names.items() if f"l{i:02d}.{key}" in given}
    state |= {f"last.{key}": given.pop(f"fc.{key}") for key in ("weight", "bias") if f"fc.{key}" in given}
    # What is left is unknown, and named so.
    net = with_state(MobileFaceNet, state | given, path, FILE.what, "cpu")
    net.sha256 = sha256_of(path)
    return net


def unloaded() -> MobileFaceNet:
    """The network with random weights, for shapes alone."""
    return MobileFaceNet()
