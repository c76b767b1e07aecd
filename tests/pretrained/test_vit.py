"""CLIP's and DINOv2's transformers against open_clip and timm with the same seeded weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gantools.errors import WeightsError
from gantools.pretrained import vit
from gantools.pretrained.vit import ARCHITECTURES

CLIP = {"clip-vit-b-32": "ViT-B-32-quickgelu", "clip-vit-l-14-336": "ViT-L-14-336-quickgelu"}
DINOV2 = {f"dinov2-vit-{name[0]}-14": f"vit_{name}_patch14_dinov2" for name in ("small", "base", "large", "giant")}


def seeded(state: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Weights under which every layer matters: the initial ones leave scales at 1e-5 and biases at 0."""
    g = torch.Generator().manual_seed(seed)

    def draw(name: str, like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=g)
        if name.endswith(("gamma", "norm1.weight", "norm2.weight", "norm.weight")) or ".ln_" in name:
            return 0.5 + 0.1 * noise
        return noise * (like.shape[-1] ** -0.5 if like.ndim > 1 else 0.1)

    return {k: draw(k, v) if v.is_floating_point() else v for k, v in state.items()}


def images(n: int, size: int) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(9))


def small_clip(kind: vit.Architecture, depth: int = 3) -> nn.Module:
    return open_clip.transformer.VisionTransformer(
        image_size=kind.size,
        patch_size=kind.patch,
        width=kind.width,
        layers=depth,
        heads=kind.heads,
        mlp_ratio=kind.hidden / kind.width,
        output_dim=kind.out,
        act_layer=open_clip.transformer.QuickGELU,
    ).eval()


@pytest.mark.parametrize("name", CLIP)
def test_clip_equals_open_clip(name: str, tmp_path: Path) -> None:
    kind = replace(ARCHITECTURES[name], depth=3)
    peer = small_clip(kind)
    peer.load_state_dict(seeded(peer.state_dict()))
    extra = {"logit_scale": torch.tensor(1.0), "transformer.resblocks.0.ln_1.weight": torch.zeros(3)}
    torch.save({f"visual.{k}": v for k, v in peer.state_dict().items()} | extra, tmp_path / "clip.pth")
    net = vit.load(kind, tmp_path / "clip.pth")
    x = images(2, kind.size)
    with torch.no_grad():
        expected = peer(x)
    assert expected.shape == (2, kind.out) and expected.std() > 0.1
    np.testing.assert_allclose(net(x), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", DINOV2)
@pytest.mark.parametrize("published", [True, False])
def test_dinov2_equals_timm(name: str, published: bool, tmp_path: Path) -> None:
    depth = 1 if "-g-" in name else 3
    kind = replace(ARCHITECTURES[name], depth=depth)
    peer = timm.create_model(DINOV2[name], img_size=224, num_classes=0, depth=depth).eval()
    state = seeded(peer.state_dict())
    positions = torch.randn(1, 37 * 37 + 1, kind.width, generator=torch.Generator().manual_seed(4))
    state["pos_embed"] = vit.interpolate_positions(positions[0], 16)[None]
    peer.load_state_dict(state)
    state["pos_embed"] = positions
    if published:  # as Meta's file has it
        state["mask_token"] = torch.zeros(1, kind.width)
        gated = {"mlp.fc1": "mlp.w12", "mlp.fc2": "mlp.w3"} if kind.gated else {}
        for old, new in gated.items():
            state = {k.replace(old, new): v for k, v in state.items()}
        torch.save(state, tmp_path / "net.pth")
    else:
        save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "net.safetensors")
    net = vit.load(kind, next(tmp_path.glob("net.*")))
    x = images(2, 224)
    with torch.no_grad():
        expected = peer(x)  # timm pools the class token
    assert expected.shape == (2, kind.out) and expected.std() > 0.1
    np.testing.assert_allclose(net(x), expected, atol=2e-5, rtol=1e-5)


def test_the_published_sizes_are_those_of_the_peers() -> None:
    """Whole models, without memory for their weights."""
    with torch.device("meta"):
        for name, peer in CLIP.items():
            config = open_clip.get_model_config(peer)
            theirs = open_clip.transformer.VisionTransformer(
                image_size=config["vision_cfg"]["image_size"],
                patch_size=config["vision_cfg"]["patch_size"],
                width=config["vision_cfg"]["width"],
                layers=config["vision_cfg"]["layers"],
                heads=config["vision_cfg"]["width"] // config["vision_cfg"].get("head_width", 64),
                mlp_ratio=4,
                output_dim=config["embed_dim"],
            )
            assert ARCHITECTURES[name].heads == theirs.transformer.resblocks[0].attn.num_heads
            _same_shapes(ARCHITECTURES[name], {f"visual.{k}": v for k, v in theirs.state_dict().items()})
        for name, peer in DINOV2.items():
            theirs = timm.create_model(peer, num_classes=0, img_size=224)
            assert ARCHITECTURES[name].heads == theirs.blocks[0].attn.num_heads
            _same_shapes(ARCHITECTURES[name], theirs.state_dict())


def _same_shapes(kind: vit.Architecture, state: dict[str, Tensor]) -> None:
    translate = vit._from_clip if kind.family == "clip" else vit._from_dinov2
    ours = vit.VisionTransformer(kind).state_dict()
    theirs = translate(state, kind, Path("x"))
    assert {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in ours.items()}


def test_positions_are_sampled_where_the_authors_code_does() -> None:
    """Samples at (i + 1/2) 37 / 16.1 - 1/2 with the cubic of a = -0.75, border values repeated."""
    grid = torch.randn(37, 37, 5, generator=torch.Generator().manual_seed(1))
    weights = np.zeros((16, 37))
    for i in range(16):
        at = (i + 0.5) * 37 / 16.1 - 0.5
        for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            t = abs(at - tap)
            near, far = 1.25 * t**3 - 2.25 * t**2 + 1, -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            weights[i, min(max(tap, 0), 36)] += near if t <= 1 else far
    expected = np.einsum("ia,jb,abc->ijc", weights, weights, grid.numpy())
    got = vit.interpolate_positions(torch.cat([torch.full((1, 5), -5.0), grid.view(-1, 5)]), 16)
    assert got.shape == (257, 5) and (got[0] == -5).all()
    np.testing.assert_allclose(got[1:].view(16, 16, 5), expected, atol=1e-5)
    same = torch.randn(1 + 16 * 16, 3)
    assert vit.interpolate_positions(same, 16) is same


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_torchscript_archive_gives_its_tensors(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2)).half()
    torch.jit.script(module).save(str(tmp_path / "ViT.pt"))
    state = vit._read(tmp_path / "ViT.pt", "clip")
    assert torch.equal(state["0.weight"], module[0].weight)
    whole = (tmp_path / "ViT.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"cut\.pt"):
        vit._read(tmp_path / "cut.pt", "clip")


def test_fp16_weights_are_computed_in_float32(tmp_path: Path) -> None:
    kind = replace(ARCHITECTURES["clip-vit-b-32"], depth=1)
    peer = small_clip(kind, 1)
    state = {f"visual.{k}": v.half() for k, v in seeded(peer.state_dict()).items()}
    torch.save(state, tmp_path / "half.pth")
    net = vit.load(kind, tmp_path / "half.pth")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert net(images(1, 224)).dtype == torch.float32


def test_frozen_and_wrong_files(tmp_path: Path) -> None:
    kind = replace(ARCHITECTURES["dinov2-vit-s-14"], depth=1)
    peer = timm.create_model("vit_small_patch14_dinov2", img_size=224, num_classes=0, depth=1)
    torch.save(peer.state_dict(), tmp_path / "small.pth")
    net = vit.load(kind, tmp_path / "small.pth")
    assert not net.train().training and not any(m.training for m in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    with pytest.raises(WeightsError, match=r"dinov2-vit-b-14, pos_embed has shape \(257, 384\)"):
        vit.load(ARCHITECTURES["dinov2-vit-b-14"], tmp_path / "small.pth")
    with pytest.raises(WeightsError, match=r"the key 'blocks\.1\.down\.bias' is missing"):
        vit.load(ARCHITECTURES["dinov2-vit-s-14"], tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="not the weights of clip-vit-b-32"):
        vit.load(ARCHITECTURES["clip-vit-b-32"], tmp_path / "small.pth")
