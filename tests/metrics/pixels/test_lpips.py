"""LPIPS against the authors' package, with its linear weights and seeded backbones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import lpips as peer
import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray

from gantools.errors import ConfigError, DataError, DownloadError, MetricError, WeightsError
from gantools.metrics.pixels import lpips
from gantools.metrics.pixels.lpips import Lpips, choose_pairs, lpips_diversity
from gantools.metrics.pixels.paired import paired_scores
from gantools.pretrained.weights import sha256_of

NETS: tuple[lpips.Net, ...] = ("alex", "vgg", "squeeze")
MODELS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


def linear_file(net: str) -> Path:
    return Path(peer.__file__).parent / "weights" / "v0.1" / f"{net}.pth"


@pytest.fixture(scope="session")
def backbone_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """torchvision's networks with seeded weights, saved as torchvision publishes them."""
    files = {}
    for net, model in MODELS.items():
        torch.manual_seed(len(net))
        files[net] = tmp_path_factory.mktemp(net) / f"{model}.pth"
        state = dict(getattr(torchvision.models, model)().state_dict())
        if net == "vgg":  # half a gigabyte of fully connected layers that LPIPS does not read
            state = {k: v for k, v in state.items() if k.startswith("features.")}
        torch.save(state, files[net])
    return files


@pytest.fixture(scope="session")
def networks(backbone_files: dict[str, Path]) -> dict[str, Lpips]:
    return {n: Lpips(n, backbone=backbone_files[n], linear=linear_file(n), device="cpu") for n in NETS}


@pytest.fixture(scope="session")
def peers(backbone_files: dict[str, Path]) -> dict[str, torch.nn.Module]:
    made = {}
    for net in NETS:
        made[net] = peer.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
        state = torch.load(backbone_files[net])
        own = made[net].net.state_dict()
        # The package's slices keep torchvision's layer numbers: `slice2.3.weight` is `features.3.weight`.
        loaded = {key: state["features." + key.split(".", 1)[1]] for key in own}
        made[net].net.load_state_dict(loaded)
    return made


def images(n: int, h: int, w: int, seed: int, c: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, h, w, c), np.uint8)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("h", "w"), [(31, 31), (32, 48), (64, 64), (97, 61), (128, 128)])
def test_equals_the_package(
    networks: dict[str, Lpips], peers: dict[str, torch.nn.Module], net: str, h: int, w: int
) -> None:
    a, b = images(2, h, w, 0), images(2, h, w, 1)
    b[1] = np.clip(a[1].astype(int) + 20, 0, 255)
    with torch.no_grad():
        x, y = (torch.from_numpy(i).permute(0, 3, 1, 2).float() / 127.5 - 1 for i in (a, b))
        expected = peers[net](x, y).flatten().numpy()
    got = networks[net](a, b)
    assert (expected > 1e-3).all()
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_is_a_distance_and_does_not_depend_on_the_batch(networks: dict[str, Lpips], net: str) -> None:
    a, b = images(5, 40, 36, 2), images(5, 40, 36, 3)
    d = networks[net](a, b)
    np.testing.assert_array_equal(networks[net](a, a), 0)
    np.testing.assert_allclose(networks[net](b, a), d, rtol=1e-6)
    one_by_one = [networks[net](a[i : i + 1], b[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(one_by_one, d, rtol=1e-5)


def test_grey_is_grey_rgb(networks: dict[str, Lpips]) -> None:
    a, b = images(2, 40, 40, 4, 1), images(2, 40, 40, 5, 1)
    colour = networks["alex"](np.repeat(a, 3, 3), np.repeat(b, 3, 3))
    np.testing.assert_allclose(networks["alex"](a, b), colour, rtol=1e-6)


@pytest.mark.parametrize(("net", "side"), [("alex", 31), ("vgg", 16), ("squeeze", 17)])
def test_the_smallest_images(networks: dict[str, Lpips], net: str, side: int) -> None:
    assert np.isfinite(networks[net](images(1, side, side, 0), images(1, side, side, 1))).all()
    with pytest.raises(DataError, match=f"at least {side} pixels"):
        networks[net](images(1, side - 1, side, 0), images(1, side - 1, side, 1))
    with pytest.raises(RuntimeError):  # what the limit saves from
        networks[net]._features(torch.zeros(1, 3, side - 1, side - 1))


def test_wrong_images_and_names(networks: dict[str, Lpips]) -> None:
    a = images(2, 40, 40, 0)
    with pytest.raises(DataError, match="differ in shape"):
        networks["alex"](a, a[:1])
    with pytest.raises(DataError, match="uint8"):
        networks["alex"](a.astype(np.float32), a.astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Did you mean 'alex'"):
        Lpips("alexx")  # type: ignore[arg-type]


def test_the_protocol_names_both_files(networks: dict[str, Lpips], backbone_files: dict[str, Path]) -> None:
    assert networks["alex"].protocol == {
        "net": "alex",
        "version": "0.1",
        "backbone_sha256": sha256_of(backbone_files["alex"]),
        "linear_sha256": sha256_of(linear_file("alex")),
    }


@pytest.mark.parametrize("net", NETS)
def test_a_download_would_be_held_to_the_hash_of_the_authors_file(net: str) -> None:
    assert lpips._ARCHITECTURES[net].linear.sha256 == sha256_of(linear_file(net))
    urls = {
        torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url,
        torchvision.models.VGG16_Weights.IMAGENET1K_V1.url,
        torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url,
    }
    file = lpips._ARCHITECTURES[net].backbone
    assert file.url in urls and file.sha256 in file.name


def test_weights_are_found_by_variable_and_cache(
    backbone_files: dict[str, Path], private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTOOLS_ALEXNET_WEIGHTS", str(backbone_files["alex"]))
    private_cache.mkdir(parents=True)
    cached = private_cache / "lpips-v0.1-alex.pth"
    cached.write_bytes(linear_file("alex").read_bytes())
    assert Lpips("alex").protocol["linear_sha256"] == sha256_of(cached)
    cached.write_bytes(b"cut off")
    with pytest.raises(WeightsError, match="damaged") as e:
        Lpips("alex")
    assert "Delete it" in str(e.value.hint)


def test_wrong_weights_are_named(backbone_files: dict[str, Path], tmp_path: Path) -> None:
    good = linear_file("alex")
    with pytest.raises(WeightsError, match=r"the file of LPIPS \(alex\) named by linear does not exist"):
        Lpips("alex", linear=tmp_path / "no.pth")
    with pytest.raises(WeightsError, match=r"not the linear weights of LPIPS \(alex\), 'lin5"):
        Lpips("alex", linear=linear_file("squeeze"))
    with pytest.raises(WeightsError, match="has shape"):
        Lpips("alex", linear=linear_file("vgg"))
    with pytest.raises(WeightsError, match="not the weights of AlexNet, the key"):
        Lpips("alex", linear=good, backbone=backbone_files["vgg"])
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"PK nothing")
    with pytest.raises(WeightsError, match="not a PyTorch weights file"):
        Lpips("alex", linear=broken)


def test_no_network_says_which_file_to_put_where(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with pytest.raises(DownloadError, match=r"v0\.1/alex\.pth: cannot be downloaded") as e:
        Lpips("alex")
    assert str(private_cache / "lpips-v0.1-alex.pth") in str(e.value.hint)
    assert "GANTOOLS_LPIPS_WEIGHTS" in str(e.value.hint)


def test_pairs_are_different_images_and_all_of_few() -> None:
    np.testing.assert_array_equal(choose_pairs(3, 3, 0), [[0, 1], [0, 2], [1, 2]])
    pairs = choose_pairs(5, 9, 0)
    assert pairs.shape == (9, 2)
    many = choose_pairs(40, 700, 1)
    assert many.shape == (700, 2) and (many[:, 0] != many[:, 1]).all()
    assert many.min() == 0 and many.max() == 39
    np.testing.assert_array_equal(many, choose_pairs(40, 700, 1))
    assert (many != choose_pairs(40, 700, 2)).any()
    # Every ordered pair has the same chance: 1/12 of 60,000, within six standard deviations.
    counts = np.zeros((4, 4))
    np.add.at(counts, tuple(choose_pairs(4, 5, 0).T), 1)
    assert counts.sum() == 5
    big = np.concatenate([choose_pairs(4, 5, seed) for seed in range(12000)])
    np.add.at(counts := np.zeros((4, 4)), tuple(big.T), 1)
    assert (np.diag(counts) == 0).all()
    off = counts[~np.eye(4, dtype=bool)]
    assert np.abs(off - 5000).max() < 6 * np.sqrt(5000)


def test_diversity_is_the_mean_over_pairs(
    networks: dict[str, Lpips], tmp_path: Path, write_pngs: Callable[..., Path]
) -> None:
    x = images(6, 32, 32, 6)
    full = lpips_diversity(x, pairs=15, lpips=networks["alex"])
    by_hand = [networks["alex"](x[i : i + 1], x[j : j + 1])[0] for i in range(6) for j in range(i + 1, 6)]
    assert full.all_pairs and full.pairs == 15 and full.n == 6 and full.standard_error == 0
    assert full.value == pytest.approx(np.mean(by_hand), rel=1e-6)
    some = lpips_diversity(x, pairs=10, seed=3, lpips=networks["alex"])
    chosen = [networks["alex"](x[i : i + 1], x[j : j + 1])[0] for i, j in choose_pairs(6, 10, 3)]
    assert not some.all_pairs and some.value == pytest.approx(np.mean(chosen), rel=1e-6)
    assert some.standard_error == pytest.approx(np.std(chosen, ddof=1) / np.sqrt(10), rel=1e-4)
    folder = write_pngs(tmp_path / "x", x)
    assert lpips_diversity(folder, pairs=10, seed=3, lpips=networks["alex"]) == some
    assert json.loads(json.dumps(some.to_dict()))["lpips"]["net"] == "alex"
    same = np.repeat(x[:1], 4, 0)
    assert lpips_diversity(same, lpips=networks["alex"]).value == 0


def test_diversity_refuses(networks: dict[str, Lpips], tmp_path: Path, write_pngs: Callable[..., Path]) -> None:
    x = images(3, 32, 32, 7)
    with pytest.raises(MetricError, match="at least 2 images"):
        lpips_diversity(x[:1], lpips=networks["alex"])
    with pytest.raises(ConfigError, match="at least 1"):
        lpips_diversity(x, pairs=0, lpips=networks["alex"])
    folder = write_pngs(tmp_path / "x", x)
    write_pngs(tmp_path / "x" / "y", images(1, 40, 32, 0))
    with pytest.raises(DataError, match="images of one size"):
        lpips_diversity(folder, lpips=networks["alex"])


def test_lpips_among_paired_scores(networks: dict[str, Lpips], tmp_path: Path, write_pngs: Callable[..., Path]) -> None:
    a, b = images(4, 40, 44, 8), images(4, 40, 44, 9)
    folders = write_pngs(tmp_path / "a", a), write_pngs(tmp_path / "b", b)
    scores = paired_scores(*folders, ["lpips", "psnr"], crop=3, channel="y", lpips=networks["alex"])
    expected = networks["alex"](a[:, 3:-3, 3:-3], b[:, 3:-3, 3:-3])
    np.testing.assert_allclose(scores.values["lpips"], expected, rtol=1e-6)
    assert scores.worst("lpips", 1)[0][0] == f"{int(expected.argmax()):06d}.png"
    assert scores.lpips == networks["alex"].protocol and json.loads(scores.to_json())["lpips"]["version"] == "0.1"
