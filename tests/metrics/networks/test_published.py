"""Published networks and networks of one's own as extractors: from image files to features, against the peers' own way.

Weights are seeded, since the published ones would have to be downloaded: what is compared is everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.metrics.networks.nets import Net
from torch import Tensor, nn
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from torchvision import models, transforms

from gantools.errors import ConfigError, DownloadError, MetricError, WeightsError
from gantools.metrics.features.passes import features
from gantools.metrics.images.open import open_source
from gantools.metrics.networks import registry as extractors
from gantools.metrics.networks.extractor import Extractor
from gantools.metrics.networks.protocols import Input
from gantools.metrics.networks.published import CLIP, IMAGENET, PUBLISHED, own_kind
from gantools.metrics.scorer import score
from gantools.pretrained import vgg as vgg16
from gantools.pretrained import vit
from gantools.pretrained.weights import sha256_of

CPU = "cpu"


def normal_state(net: nn.Module, seed: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in net.state_dict().items():
        noise = torch.randn(value.shape, generator=g)
        scale = name.endswith("gamma") or "norm" in name or "ln_" in name
        state[name] = 0.5 + 0.1 * noise if scale else noise * (value.shape[-1] ** -0.5 if value.ndim > 1 else 0.1)
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of different sizes and modes, two not square."""
    out = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i, (h, w) in enumerate([(64, 64), (218, 178), (300, 401)]):
        y, x = np.mgrid[0:h, 0:w, 0:1][:2] / 20
        wave = 127 + 90 * np.sin(x * rng.uniform(0.5, 2, 3) + y) + rng.normal(0, 20, (h, w, 3))
        Image.fromarray(np.clip(wave, 0, 255).astype(np.uint8)).save(out / f"{i}.png")
    return out


def pictures_of(folder: Path) -> list[Image.Image]:
    return [Image.open(f).convert("RGB") for f in sorted(folder.glob("*.png"))]


def ours(e: Extractor, folder: Path) -> NDArray[np.float32]:
    source = open_source(folder)
    (layer,) = e.layers
    return np.concatenate([found[layer] for (found,) in features([e], source, (0, len(source)), 2)])


def test_vgg16_equals_torch_fidelity(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.save(models.vgg16().state_dict(), tmp_path / "vgg16.pth")
    e = extractors.make("vgg16", weights=tmp_path / "vgg16.pth", device=CPU)
    peer = FeatureExtractorVGG16("vgg16", ["fc2_relu"], feature_extractor_weights_path=str(tmp_path / "vgg16.pth"))
    arrays = [torch.from_numpy(np.array(i)).permute(2, 0, 1)[None] for i in pictures_of(folder)]
    expected = torch.cat([peer(a)[0] for a in arrays]).numpy()
    got = ours(e, folder)
    assert got.shape == (3, 4096) and got.dtype == np.float32 and expected.max() > 0.1
    np.testing.assert_allclose(got, expected, atol=1e-4 * expected.max())
    assert (e.name, e.layers, e.protocol) == ("vgg16", {"fc2_relu": 4096}, "torch-fidelity")
    assert e.weights_sha256 == sha256_of(tmp_path / "vgg16.pth")


def test_vgg16_is_frozen_and_refuses_other_weights(tmp_path: Path) -> None:
    net = vgg16.Vgg16()
    assert not net.train().training and not any(p.requires_grad for p in net.parameters())
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="not the weights of VGG16"):
        vgg16.load(tmp_path / "net.pth")


@pytest.mark.parametrize("name", ["clip-vit-b-32", "clip-vit-l-14-336"])
def test_clip_sees_what_cmmd_gives_it(folder: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = vit.ARCHITECTURES[name]
    # Two blocks of the real widths: the rest is in the tests of the networks, and this is about the images.
    short = vit.Architecture(**{**vars(kind), "depth": 2})
    peer = open_clip.transformer.VisionTransformer(
        image_size=kind.size,
        patch_size=kind.patch,
        width=kind.width,
        layers=2,
        heads=kind.heads,
        mlp_ratio=4,
        output_dim=kind.out,
        act_layer=open_clip.transformer.QuickGELU,
    ).eval()
    state = normal_state(peer, 2)
    peer.load_state_dict(state)
    torch.save({f"visual.{k}": v for k, v in state.items()}, tmp_path / "clip.pth")
    plain = vit.load
    monkeypatch.setattr(vit, "load", lambda _, file, device: plain(short, file, device))
    e = extractors.make(name, weights=tmp_path / "clip.pth", device=CPU)
    tensors = []
    for image in pictures_of(folder):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((e.input.size,) * 2, Image.Resampling.BICUBIC)
        tensors.append(transforms.Normalize(*CLIP)(transforms.ToTensor()(square)))
    with torch.no_grad():
        expected = peer(torch.stack(tensors)).numpy()
    got = ours(e, folder)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert got.shape == (3, kind.out) and e.protocol == "cmmd" and e.layers == {"image_embeds": kind.out}
    # On a square image that is open_clip's own transform.
    theirs = open_clip.image_transform(kind.size, is_train=False)(pictures_of(folder)[0])
    np.testing.assert_allclose(tensors[0], theirs, atol=1e-6)


def test_dinov2_sees_what_dgm_eval_gives_it(folder: Path, tmp_path: Path) -> None:
    peer = timm.create_model("vit_small_patch14_dinov2", img_size=224, num_classes=0).eval()
    state = normal_state(peer, 3)
    peer.load_state_dict(state)
    torch.save(state, tmp_path / "dinov2.pth")
    e = extractors.make("dinov2-vit-s-14", weights=tmp_path / "dinov2.pth", device=CPU)
    resize = transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC)
    rule = transforms.Compose([resize, transforms.ToTensor(), transforms.Normalize(*IMAGENET)])
    with torch.no_grad():
        expected = peer(torch.stack([rule(i) for i in pictures_of(folder)])).numpy()
    np.testing.assert_allclose(ours(e, folder), expected, atol=1e-4)
    assert expected.std() > 0.1 and e.layers == {"cls": 384} and e.protocol == "dgm-eval"


def test_constants_are_the_peers() -> None:
    assert (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD) == CLIP
    config = timm.get_pretrained_cfg("vit_large_patch14_dinov2.lvd142m")
    assert (config.mean, config.std) == IMAGENET
    weights = models.VGG16_Weights.IMAGENET1K_V1
    assert PUBLISHED["vgg16"].weights.url == weights.url
    for name in ("clip-vit-b-32", "clip-vit-l-14-336"):
        theirs = "ViT-B-32" if "b-32" in name else "ViT-L-14-336"
        assert PUBLISHED[name].weights.url == open_clip.get_pretrained_cfg(theirs, "openai")["url"]
    for letter, size in zip("sblg", ("small", "base", "large", "giant"), strict=True):
        source = PUBLISHED[f"dinov2-vit-{letter}-14"].weights.source
        assert source == timm.get_pretrained_cfg(f"vit_{size}_patch14_dinov2.lvd142m").url


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_weights_say_which_file_and_where(
    name: str, private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    file = PUBLISHED[name].weights
    with pytest.raises((DownloadError, WeightsError)) as e:
        extractors.make(name, device=CPU)
    hint = str(e.value.hint)
    assert str(private_cache / file.name) in hint and file.variable in hint and (file.url or file.source) in hint
    monkeypatch.setenv(file.variable, str(tmp_path / "no.pth"))
    with pytest.raises(WeightsError, match=rf"named by {file.variable} does not exist"):
        extractors.make(name, device=CPU)
    with pytest.raises(WeightsError, match="named by --weights"):
        extractors.make(name, weights=tmp_path / "other.pth", device=CPU)
    assert extractors.layer_of_width(name, PUBLISHED[name].dims) == PUBLISHED[name].layer


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_network_of_ones_own_is_scored_with(
    folder: Path, tmp_path: Path, pictures: Callable[..., NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net()
    torch.jit.trace(Net().eval(), torch.zeros(2, 3, 40, 40)).save(str(tmp_path / "own.pt"))
    half = (0.5, 0.5, 0.5)
    options = {"size": 40, "resize": "pillow-bilinear", "crop": "center", "mean": half, "std": half}
    monkeypatch.setitem(extractors.EXTRACTORS, "mine", own_kind(net.train(), name="mine", **options))
    monkeypatch.setitem(extractors.EXTRACTORS, "file", own_kind(tmp_path / "own.pt", name="file", **options))
    e, f = (extractors.make(name, device=CPU) for name in ("mine", "file"))
    assert e.layers == f.layers == {"features": 8} and e.input == Input("pillow-bilinear", 40, "center")
    assert f.weights_sha256 == sha256_of(tmp_path / "own.pt") != e.weights_sha256
    tensors = []
    for image in pictures_of(folder):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((40, 40), Image.Resampling.BILINEAR)
        tensors.append(transforms.Normalize(half, half)(transforms.ToTensor()(square)))
    expected = Net().eval()(torch.stack(tensors)).detach().numpy()
    np.testing.assert_allclose(ours(e, folder), expected, atol=1e-5)
    np.testing.assert_allclose(ours(f, folder), expected, atol=1e-5)
    assert net.training
    scores = [score(pictures(40, seed=1), ref=pictures(40, seed=2), extractor=n, device=CPU) for n in ("mine", "file")]
    assert scores[0].value == pytest.approx(scores[1].value, rel=1e-4) and scores[0].value > 0
    assert scores[0].only.protocol.weights_sha256 == e.weights_sha256
    for part in ("centre square, pillow-bilinear to 40x40", "mean 0.5,0.5,0.5 std 0.5,0.5,0.5"):
        assert part in scores[0].only.protocol.name
    with pytest.raises(ConfigError, match="weights in itself"):
        extractors.make("mine", weights=tmp_path / "own.pt", device=CPU)


def test_own_networks_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="std above 0"):
        own_kind(Net(), size=40, std=(1.0, 0.0, 1.0))
    with pytest.raises(ConfigError, match="unknown resize"):
        own_kind(Net(), size=40, resize="bicubic-ish")
    with pytest.raises(MetricError, match="features are one floating-point tensor"):
        own_kind(nn.Conv2d(3, 4, 3), size=40)
    with pytest.raises(WeightsError, match="no such file"):
        own_kind("no.onnx", size=40)
