"""The networks of this folder as feature extractors: what an image becomes before each, and which features it gives.

Every one computes in float32 without TF32, in eval mode whatever is asked, and takes images by its own rule:

==================== ============================================== ================= =========================
extractor            images come to its size by                     normalised by     features
==================== ============================================== ================= =========================
vgg16                TF1 bilinear, squeezed to 224x224              ImageNet          4096 of fc2 after ReLU
clip-vit-b-32        centre crop, Pillow bicubic to 224x224         CLIP              512, projected class token
clip-vit-l-14-336    centre crop, Pillow bicubic to 336x336         CLIP              768, projected class token
dinov2-vit-{s,b,l,g} Pillow bicubic, squeezed to 224x224            ImageNet          384, 768, 1024, 1536: class
                                                                                      token after the last norm
==================== ============================================== ================= =========================

VGG16 is torch-fidelity's `vgg16` (layer `fc2_relu`), CLIP that of CMMD (Jayasumana et al., arXiv:2401.09603), DINOv2
that of dgm-eval (Stein et al., arXiv:2306.04675). Pillow's bicubic here means on uint8, with antialiasing and rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantools.metrics.inception import _full_precision

Triple = tuple[float, float, float]
#: Mean and standard deviation of values 0..1 by channel.
IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def normalise(batch: NDArray[np.float32], mean: Triple, std: Triple, device: torch.device) -> Tensor:
    """Float32 (n, size, size, 3) of values 0..255 -> (x / 255 - mean) / std as float32 (n, 3, size, size)."""
    x = torch.from_numpy(batch).to(device, non_blocking=True)
    scale = torch.tensor(std, device=device) * 255
    shift = torch.tensor(mean, device=device) * 255
    return ((x - shift) / scale).permute(0, 3, 1, 2).contiguous()


def features_of(
    network: Callable[[Tensor], Tensor],
    batch: NDArray[np.float32],
    mean: Triple,
    std: Triple,
    device: torch.device,
) -> NDArray[np.float32]:
    """Features float32 (n, d) that `network` gives for float32 (n, size, size, 3) of values 0..255."""
    with _full_precision(device), torch.no_grad():
        out: NDArray[np.float32] = network(normalise(batch, mean, std, device)).float().cpu().numpy()
    return out
