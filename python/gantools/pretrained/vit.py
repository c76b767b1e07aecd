"""Vision transformers that score images: the image half of CLIP, and DINOv2.

Dosovitskiy et al. (arXiv:2010.11929): patches and one class token through blocks of attention and a feed-forward layer,
each after a layer norm and added to what came in. Radford et al. (CLIP, arXiv:2103.00020) norm once more before the
blocks, use the quick GELU and project the class token; Oquab et al. (DINOv2, arXiv:2304.07193) scale each addition by
channel, and the largest model's feed-forward is gated (SwiGLU). Weights load from the files the authors publish.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gantools.errors import WeightsError
from gantools.pretrained.frozen import Frozen, with_state
from gantools.pretrained.weights import WeightsFile, read_state


@dataclass(frozen=True)
class Architecture:
    """What kind of transformer.

    Attributes:
        width: of a token. depth: blocks. heads: of attention.
        patch: side of a patch in pixels. size: side of the images.
        family: `clip` or `dinov2`, which is the differences the module names.
        out: width of the features.
        hidden: width inside the feed-forward layers.
        gated: whether these are SwiGLU.
        weights: the published file.
    """

    width: int
    depth: int
    heads: int
    patch: int
    size: int
    family: Literal["clip", "dinov2"]
    out: int
    hidden: int
    weights: WeightsFile
    gated: bool = False

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return (self.size // self.patch) ** 2 + 1


def _clip(name: str, file: str, sha256: str) -> WeightsFile:
    # The address of OpenAI's files has their sha256 in it.
    url = f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}"
    return WeightsFile(name, f"clip-{file}", f"GANTOOLS_{name.upper().replace('-', '_')}_WEIGHTS", url, sha256)


def _dinov2(name: str, letter: str) -> WeightsFile:
    file = f"dinov2_vit{letter}14_pretrain.pth"
    return WeightsFile(
        name,
        file,
        f"GANTOOLS_{name.upper().replace('-', '_')}_WEIGHTS",
        # Published without a hash, so nothing is downloaded that cannot be checked.
        source=f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{letter}14/{file}",
    )


#: By the extractor's name.
ARCHITECTURES: dict[str, Architecture] = {
    "clip-vit-b-32": Architecture(
        768,
        12,
        12,
        32,
        224,
        "clip",
        512,
        3072,
        _clip("clip-vit-b-32", "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    ),
    "clip-vit-l-14-336": Architecture(
        1024,
        24,
        16,
        14,
        336,
        "clip",
        768,
        4096,
        _clip(
            "clip-vit-l-14-336", "ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
        ),
    ),
    "dinov2-vit-s-14": Architecture(384, 12, 6, 14, 224, "dinov2", 384, 1536, _dinov2("dinov2-vit-s-14", "s")),
    "dinov2-vit-b-14": Architecture(768, 12, 12, 14, 224, "dinov2", 768, 3072, _dinov2("dinov2-vit-b-14", "b")),
    "dinov2-vit-l-14": Architecture(1024, 24, 16, 14, 224, "dinov2", 1024, 4096, _dinov2("dinov2-vit-l-14", "l")),
    "dinov2-vit-g-14": Architecture(
        1536, 40, 24, 14, 224, "dinov2", 1536, 4096, _dinov2("dinov2-vit-g-14", "g"), gated=True
    ),
}


class Block(nn.Module):
    """Attention and a feed-forward layer, each added to its input."""

    def __init__(self, kind: Architecture) -> None:
        super().__init__()
        dino = kind.family == "dinov2"
        width, eps = kind.width, 1e-6 if dino else 1e-5
        self.heads = kind.heads
        self.kind = kind
        self.norm1 = nn.LayerNorm(width, eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps)
        self.up = nn.Linear(width, (2 if kind.gated else 1) * kind.hidden)
        self.down = nn.Linear(kind.hidden, width)
        self.scale1 = nn.Parameter(torch.ones(width)) if dino else None
        self.scale2 = nn.Parameter(torch.ones(width)) if dino else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, width) -> the same shape."""
        y = self._attend(self.norm1(x))
        x = x + (y if self.scale1 is None else y * self.scale1)
        y = self.down(self._activate(self.up(self.norm2(x))))
        out: Tensor = x + (y if self.scale2 is None else y * self.scale2)
        return out

    def _attend(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width))
        return y

    def _activate(self, x: Tensor) -> Tensor:
        if self.kind.gated:
            gate, value = x.chunk(2, -1)
            gated: Tensor = F.silu(gate) * value
            return gated
        if self.kind.family == "clip":
            quick: Tensor = x * torch.sigmoid(1.702 * x)  # quick GELU
            return quick
        return F.gelu(x)


class VisionTransformer(Frozen):
    """Images to the features of their class token. Frozen: always in eval mode, without gradients."""

    def __init__(self, kind: Architecture) -> None:
        super().__init__()
        dino = kind.family == "dinov2"
        eps = 1e-6 if dino else 1e-5
        self.kind = kind
        self.patches = nn.Conv2d(3, kind.width, kind.patch, stride=kind.patch, bias=dino)
        self.token = nn.Parameter(torch.zeros(kind.width))
        self.position = nn.Parameter(torch.zeros(kind.tokens, kind.width))
        self.norm_before = None if dino else nn.LayerNorm(kind.width, eps)
        self.blocks = nn.ModuleList(Block(kind) for _ in range(kind.depth))
        self.norm = nn.LayerNorm(kind.width, eps)
        self.head = None if dino else nn.Parameter(torch.zeros(kind.width, kind.out))
        self.freeze()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Normalised float32 (n, 3, size, size) -> float32 (n, out)."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), 1, -1), x], 1) + self.position
        if self.norm_before is not None:
            x = self.norm_before(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x[:, 0])
        return out if self.head is None else out @ self.head


def load(kind: Architecture, file: Path, device: torch.device | str = "cpu") -> VisionTransformer:
    """The network with published weights, in float32.

    Args:
        kind: an entry of `ARCHITECTURES`.
        file: OpenAI's `.pt`, or a state dict of open_clip (CLIP); Meta's `.pth` or timm's `.safetensors` (DINOv2).
        device: where it is put.

    Raises:
        WeightsError: unreadable, or of another network; the message names the key.
    """
    what = kind.weights.what
    state = _read(file, what)
    translated = (_from_clip if kind.family == "clip" else _from_dinov2)(state, kind, file)
    floats = {k: v.float() for k, v in translated.items()}
    return with_state(lambda: VisionTransformer(kind), floats, file, what, device)


def _read(file: Path, what: str) -> dict[str, Tensor]:
    # OpenAI's files are TorchScript archives, known by the code in them; only their tensors are used.
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            script = any("/code/" in name for name in archive.namelist())
        if script:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FutureWarning)  # the format is older than its deprecation
                    return dict(torch.jit.load(file, map_location="cpu").state_dict())  # type: ignore[no-untyped-call]
            except RuntimeError as e:
                raise WeightsError(f"{file}: damaged ({str(e).splitlines()[0]}).") from e
    return read_state(file, what)


_CLIP_NAMES = {
    "conv1": "patches",
    "ln_pre": "norm_before",
    "ln_post": "norm",
    "class_embedding": "token",
    "positional_embedding": "position",
    "proj": "head",
}
_CLIP_BLOCK = {
    "ln_1.": "norm1.",
    "ln_2.": "norm2.",
    "attn.in_proj_": "qkv.",
    "attn.out_proj.": "proj.",
    "mlp.c_fc.": "up.",
    "mlp.c_proj.": "down.",
}
_DINOV2_NAMES = {"patch_embed.proj": "patches", "cls_token": "token", "pos_embed": "position", "norm": "norm"}
_DINOV2_BLOCK = {
    "attn.qkv.": "qkv.",
    "attn.proj.": "proj.",
    "ls1.gamma": "scale1",
    "ls2.gamma": "scale2",
    # The gated layer has other names in Meta's file than in timm's.
    "mlp.fc1.": "up.",
    "mlp.fc2.": "down.",
    "mlp.w12.": "up.",
    "mlp.w3.": "down.",
}


def _rename(key: str, names: Mapping[str, str], block: Mapping[str, str], prefix: str) -> str:
    if key.startswith(prefix):
        number, rest = key.removeprefix(prefix).split(".", 1)
        for old, new in block.items():
            if rest.startswith(old):
                rest = new + rest.removeprefix(old)
                break
        return f"blocks.{number}.{rest}"
    for old, new in names.items():
        if key == old or key.startswith(old + "."):
            return new + key.removeprefix(old)
    return key


def _from_clip(state: Mapping[str, Tensor], kind: Architecture, file: Path) -> dict[str, Tensor]:
    del kind, file
    # The text half and the temperature are in the same file.
    image = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    return {_rename(k, _CLIP_NAMES, _CLIP_BLOCK, "transformer.resblocks."): v for k, v in image.items()}


def _from_dinov2(state: Mapping[str, Tensor], kind: Architecture, file: Path) -> dict[str, Tensor]:
    # The mask token is for training.
    found = {_rename(k, _DINOV2_NAMES, _DINOV2_BLOCK, "blocks."): v for k, v in state.items() if k != "mask_token"}
    if "token" in found and "position" in found:
        found["token"] = found["token"].flatten()
        position = found["position"].float().flatten(0, -2)
        side = math.isqrt(max(0, len(position) - 1))
        if position.shape[1] != kind.width or side * side + 1 != len(position):
            raise WeightsError(
                f"{file}: not the weights of {kind.weights.what}, pos_embed has shape {tuple(position.shape)}."
            )
        found["position"] = interpolate_positions(position, kind.size // kind.patch)
    return found


def interpolate_positions(position: Tensor, side: int) -> Tensor:
    """Position embeddings of DINOv2 for another number of patches, exactly as its authors' code has it.

    They were learned for 37x37 patches (518 pixels) and are resized by PyTorch's bicubic (a = -0.75, no antialiasing)
    with the scale (side + 0.1) / 37: the tenth, meant against rounding, shifts every sample. The published distances
    have it in them; a resize by the true ratio gives other features.

    Args:
        position: float32 (1 + s * s, width), the class token's first.
        side: patches along a side.

    Returns:
        float32 (1 + side * side, width).
    """
    before = math.isqrt(len(position) - 1)
    if before == side:
        return position
    grid = position[1:].view(1, before, before, -1).permute(0, 3, 1, 2)
    scale = (side + 0.1) / before
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([position[:1], grid.permute(0, 2, 3, 1).reshape(side * side, -1)])
