"""Every protocol against the tool it is named after: the tool's own reading and resizing, with the same weights.

Images are made up, of several sizes, grey and RGB, PNG and JPEG. Weights are the real ones where there are test data,
else seeded ones.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_tensor

from gantools.metrics.features.passes import features
from gantools.metrics.images.stored import Stored
from gantools.metrics.networks import registry as extractors
from gantools.metrics.networks.protocols import PROTOCOLS
from gantools.metrics.scorer import score
from gantools.pretrained import inception

#: Images to pooled features: (files, layer) -> (n, width).
Peer = Callable[[list[Path], str], NDArray[np.float32]]
CASES = {
    "32x32-rgb.png": (32, 32, 3),
    "64x64-grey.png": (64, 64, 1),
    "178x218-rgb.jpg": (178, 218, 3),
    "512x384-rgb.jpg": (512, 384, 3),
    "512x384-grey.jpg": (512, 384, 1),
}


def make_images(folder: Path, suffix: str, width: int, height: int, channels: int, n: int, seed: int = 0) -> list[Path]:
    """Waves with edges and noise, each of its own colours."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width, 0:1][:2] / max(width, height)
    for i in range(n):
        fx, fy, phase = rng.uniform(1, 40, (3, 1, 1, channels))
        waves = np.sin(fx * x + fy * y + phase) + 0.5 * np.sign(np.sin(fy * x - fx * y))
        image = np.round(127.5 + 70 * waves + rng.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(image.squeeze()).save(folder / f"{i:03d}{suffix}", quality=90)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if data := os.environ.get("GANTOOLS_TEST_DATA"):
        return Path(data) / "weights" / "inception-parity.pth"
    from pytorch_fid.inception import fid_inception_v3

    # Without weights of its own: each convolution keeps the variance of what goes through it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytorch_fid.inception.load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(nn.Module, "load_state_dict", lambda self, *a, **k: None)
        net = fid_inception_v3()
    torch.manual_seed(0)
    state = net.state_dict()
    for name, value in state.items():
        if value.ndim == 4:
            nn.init.normal_(value, std=math.sqrt(2 / value[0].numel()))
        elif name.endswith("running_mean"):
            nn.init.normal_(value, std=0.1)
    path = tmp_path_factory.mktemp("weights") / "seeded.pth"
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)
    return path


def rgb(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def pixels(path: Path) -> Tensor:
    """uint8 (1, 3, h, w)."""
    return torch.from_numpy(np.array(rgb(path))).permute(2, 0, 1)[None].contiguous()


@pytest.fixture(scope="module")
def peers(weights: Path) -> dict[str, Peer]:
    """(protocol, tool) -> its features; the networks are the tools', too, where they can be made without a download."""
    from cleanfid.resize import build_resizer
    from pytorch_fid import inception as pytorch_fid
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torchmetrics.image.fid import NoTrainInceptionV3

    state = torch.load(weights, weights_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *a, **k: state)
        blocks = list(pytorch_fid.InceptionV3.BLOCK_INDEX_BY_DIM.values())
        resizing = pytorch_fid.InceptionV3(blocks).eval()
        plain = pytorch_fid.InceptionV3(blocks, resize_input=False, normalize_input=False).eval()
    names = {"64": 0, "192": 1, "768": 2, "2048": 3}
    fidelity = {
        layer: FeatureExtractorInceptionV3("fid", [layer], feature_extractor_weights_path=str(weights)).eval()
        for layer in ("64", "2048")
    }
    metrics = {layer: NoTrainInceptionV3("fid", [layer], str(weights)) for layer in ("64", "2048")}

    @torch.no_grad()
    def of(net: pytorch_fid.InceptionV3, x: Tensor, layer: str) -> Tensor:
        net.last_needed_block = names[layer]
        return net(x)[names[layer]].mean((2, 3))

    def clean_fid(mode: str, path: Path) -> Tensor:
        # What ResizeDataset does: the resizer gets the array; its network gets 0..255.
        resized = build_resizer(mode)(np.array(rgb(path)))
        return torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1)[None].float().contiguous()

    one: dict[str, Callable[[Path, str], Tensor]] = {
        "tf torch-fidelity": lambda p, at: fidelity[at](pixels(p))[0],
        # legacy_tensorflow resizes inside the network, by the rule that torch-fidelity states and tests.
        "pytorch-fid pytorch-fid": lambda p, at: of(resizing, to_tensor(rgb(p))[None], at),
        "pytorch-fid clean-fid": lambda p, at: of(plain, 2 * (clean_fid("legacy_pytorch", p) / 255) - 1, at),
        "clean clean-fid": lambda p, at: of(plain, (clean_fid("clean", p) - 128) / 128, at),
        "torchmetrics torchmetrics": lambda p, at: metrics[at](pixels(p)),
        "tf torchmetrics": lambda p, at: without_antialias(metrics[at], pixels(p)),
        "studiogan studiogan": lambda p, at: of(plain, friendly(p) / 127.5 - 1, at),
    }

    def without_antialias(net: NoTrainInceptionV3, x: Tensor) -> Tensor:
        net.use_antialias = False
        try:
            return net(x)
        finally:
            net.use_antialias = True

    def friendly(path: Path) -> Tensor:
        # StudioGAN is no package; its rule in a line: each channel as an image of mode F, bilinear.
        planes = np.moveaxis(np.array(rgb(path), np.float32), 2, 0)
        size, bilinear = (299, 299), Image.Resampling.BILINEAR
        return torch.from_numpy(
            np.stack([np.array(Image.fromarray(np.ascontiguousarray(p)).resize(size, bilinear)) for p in planes])
        )[None]

    def batched(single: Callable[[Path, str], Tensor]) -> Peer:
        def run(files: list[Path], layer: str) -> NDArray[np.float32]:
            with torch.no_grad():
                return torch.cat([single(p, layer) for p in files]).numpy()

        return run

    return {name: batched(single) for name, single in one.items()}


NAMES = [
    "tf torch-fidelity",
    "tf torchmetrics",
    "pytorch-fid pytorch-fid",
    "pytorch-fid clean-fid",
    "clean clean-fid",
    "torchmetrics torchmetrics",
    "studiogan studiogan",
]


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, weights: Path
) -> tuple[list[Path], dict[str, NDArray[np.float32]]]:
    """Two images, and their pool3 features by every protocol from one pass."""
    name = request.param
    files = make_images(tmp_path_factory.mktemp("case"), Path(name).suffix, *CASES[name], n=2)
    made = extractors.make_several("inception", ("2048",), weights, "cpu", protocol=tuple(PROTOCOLS))
    (found,) = features(made, Stored.of_files(files[0].parent, [f.name for f in files]), (0, 2), 2)
    return files, {e.protocol: f["2048"] for e, f in zip(made, found, strict=True)}


@pytest.mark.parametrize("name", NAMES)
def test_pool3_features_are_the_tools(
    name: str, case: tuple[list[Path], dict[str, NDArray[np.float32]]], peers: dict[str, Peer]
) -> None:
    files, ours = case
    expected = peers[name](files, "2048")
    assert np.ptp(expected) > 0.1, "features must not be trivially equal"
    np.testing.assert_allclose(ours[name.split()[0]], expected, rtol=0, atol=1e-4)


def test_protocols_differ_where_they_say_so(case: tuple[list[Path], dict[str, NDArray[np.float32]]]) -> None:
    _, ours = case
    for other in ("pytorch-fid", "clean", "torchmetrics"):
        assert abs(ours["tf"] - ours[other]).max() > 1e-3


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """72 PNGs of 48x40 and 72 JPEGs of 330x310: more than the 64 features, so covariances have full rank."""
    root = tmp_path_factory.mktemp("sets")
    return (
        make_images(root / "a", ".png", 48, 40, 3, n=72),
        make_images(root / "b", ".jpg", 330, 310, 3, n=72, seed=1),
    )


@pytest.fixture(scope="module")
def ours(two_sets: tuple[list[Path], list[Path]], weights: Path) -> dict[str, float]:
    a, b = two_sets
    scores = score(
        a[0].parent, ref=b[0].parent, protocol=list(PROTOCOLS), dims=64, weights=weights, device="cpu", cache=False
    )
    assert all(s.details["rank"] == 64 for s in scores)
    return {s.protocol.name: s.value for s in scores}


@pytest.mark.parametrize("name", NAMES)
def test_fid_of_full_rank_is_the_tools(
    name: str, two_sets: tuple[list[Path], list[Path]], ours: dict[str, float], peers: dict[str, Peer]
) -> None:
    from cleanfid.fid import frechet_distance
    from pytorch_fid.fid_score import calculate_frechet_distance

    a, b = (peers[name](files, "64").astype(np.float64) for files in two_sets)
    distance = frechet_distance if name.endswith("clean-fid") else calculate_frechet_distance
    expected = distance(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    assert ours[name.split()[0]] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["tf torch-fidelity", "clean clean-fid"])
def test_fid_of_deficient_rank_is_the_tools(
    name: str, two_sets: tuple[list[Path], list[Path]], weights: Path, peers: dict[str, Peer], tmp_path: Path
) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    folders, found = [], []
    for k, files in enumerate(two_sets):
        folder = tmp_path / str(k)
        folder.mkdir()
        for path in files[:6]:
            (folder / path.name).write_bytes(path.read_bytes())
        folders.append(folder)
        found.append(fid_features_to_statistics(torch.from_numpy(peers[name](files[:6], "2048"))))
    value = score(folders[0], ref=folders[1], protocol=name.split()[0], weights=weights, device="cpu").value
    expected = fid_statistics_to_metric(*found, verbose=False)["frechet_inception_distance"]
    assert value == pytest.approx(expected, abs=1e-4, rel=1e-6)


def test_spatial_features_are_the_first_channels_of_the_branch(weights: Path) -> None:
    """ADM's layer by an independent network: pytorch-fid's, run up to Mixed_6d's first branch."""
    from pytorch_fid import inception as pytorch_fid

    state = torch.load(weights, weights_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *a, **k: state)
        net = pytorch_fid.fid_inception_v3().eval()
    x = torch.rand(2, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 255
    kept: list[Tensor] = []
    net.Mixed_6d.branch1x1.register_forward_hook(lambda module, given, out: kept.append(out))
    net.Mixed_6e.register_forward_hook(lambda module, given, out: kept.append(out))
    with torch.no_grad():
        stem = [net.Conv2d_1a_3x3, net.Conv2d_2a_3x3, net.Conv2d_2b_3x3, nn.MaxPool2d(3, 2), net.Conv2d_3b_1x1]
        blocks = ["Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"]
        nn.Sequential(*stem, net.Conv2d_4a_3x3, nn.MaxPool2d(3, 2), *(getattr(net, b) for b in blocks))((x - 128) / 128)
    expected = np.moveaxis(kept[0].numpy(), 1, 3)[..., :7].reshape(2, -1)
    spatial, deep = inception.load(weights)(x, ("spatial", "768"))
    assert spatial.shape == (2, 2023) and expected.max() > 0.1 and (expected >= 0).all()
    np.testing.assert_allclose(spatial.numpy(), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(deep.numpy(), kept[1].mean((2, 3)).numpy(), rtol=0, atol=1e-4)
