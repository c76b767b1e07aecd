"""Spectral normalisation: a layer's weights divided by their largest singular value, as a matrix.

The largest singular value is followed by power iteration, whose vector is a buffer. A forward pass only reads it, so a
loss stays a function that writes nothing, a batch may be cut, and a network is the same one for real and for generated
images; `iterate` moves it, once for each change of the weights (`Phase.after`).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, register_parametrization

from gantools.layers.precision import wide

# Iterations before the first pass, and the least length that a vector is divided by.
START, EPSILON = 15, 1e-12
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)


class SpectralNorm(nn.Module):
    """Weights W -> W / σ, σ = ‖Wᵀu‖₂, where u follows the left singular vector of the largest singular value.

    With v = Wᵀu / ‖Wᵀu‖ this is σ = uᵀWv, whose gradient is that with u and v held fixed, uvᵀ. W is the weight as a
    matrix with a row an output channel.

    Source: Miyato et al. 2018 (arXiv:1802.05957), section 2.1 and algorithm 1: one iteration for each update. Its code,
    and most that followed, iterate in each forward pass in training, so several times for one change of the weights.

    Attributes:
        u: float (rows,), of length 1.
        axis: of the weight that the rows of W are.
    """

    u: Tensor

    def __init__(self, weight: Tensor, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis
        start = torch.randn(weight.shape[axis], dtype=weight.dtype, device=weight.device)
        self.register_buffer("u", F.normalize(start, dim=0, eps=EPSILON))
        if not weight.is_meta:
            self.iterate(weight, START)

    def matrix(self, weight: Tensor) -> Tensor:
        """W, float (rows, columns)."""
        return weight.transpose(0, self.axis).flatten(1)

    def sigma(self, weight: Tensor) -> Tensor:
        """The estimate of the largest singular value: never above it, a scalar in float32 at least."""
        with torch.autocast(weight.device.type, enabled=False):
            product = self.matrix(wide(weight)).t().mv(wide(self.u))
            return (product.square().sum() + EPSILON**2).sqrt()

    def forward(self, weight: Tensor) -> Tensor:
        """W / σ, of the shape of `weight`."""
        return weight / self.sigma(weight).to(weight.dtype)

    @torch.no_grad()
    def iterate(self, weight: Tensor, times: int = 1) -> None:
        """u <- W Wᵀ u / ‖W Wᵀ u‖, `times` times."""
        matrix = self.matrix(weight.detach())
        for _ in range(times):
            v = F.normalize(matrix.t().mv(self.u), dim=0, eps=EPSILON)
            self.u.copy_(F.normalize(matrix.mv(v), dim=0, eps=EPSILON))


def spectral(network: nn.Module, besides: Iterable[nn.Module] = ()) -> None:
    """Normalise every convolution, dense layer and embedding of `network` but those in `besides`, in place.

    Call it once the weights are initialised: afterwards `layer.weight` is the normalised one, and what is trained is
    `layer.parametrizations.weight.original`.
    """
    left = set(besides)
    for layer in list(network.modules()):
        if isinstance(layer, LAYERS) and layer not in left:
            axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            # Unchecked, because the check computes the weight, and on the meta device there is no autocast.
            register_parametrization(layer, "weight", SpectralNorm(layer.weight, axis), unsafe=True)


def iterate(network: nn.Module) -> None:
    """Move the vectors of all spectral norms of `network` by one iteration; nothing where there are none."""
    for module in network.modules():
        if isinstance(module, ParametrizationList):
            for norm in module:
                if isinstance(norm, SpectralNorm):
                    norm.iterate(module.original)
