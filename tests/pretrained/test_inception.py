"""The Inception network against torch-fidelity's, and what it refuses as weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gantools.errors import WeightsError
from gantools.metrics.images.stored import Stored
from gantools.metrics.networks.protocols import Input
from gantools.pretrained import inception

# What torch-fidelity's network gives too.
SHARED: list[inception.Layer] = [name for name in inception.LAYERS if name != "spatial"]


@pytest.fixture(scope="module")
def net(inception_file: Path) -> inception.Inception:
    return inception.load(inception_file)


@pytest.fixture(scope="module")
def mixed_images(celeba: tuple[Path, Path], cifar: Path) -> list[Path]:
    """16 images of three sizes: 178x218 JPEG, 32x32 PNG and one grey."""
    return [*sorted(celeba[0].iterdir())[:10], *sorted(cifar.iterdir())[:6]]


def read(paths: list[Path]) -> Tensor:
    (images,) = Stored.of_files(Path("/"), [str(p).lstrip("/") for p in paths]).read(
        0, len(paths), [Input("tf1-bilinear", inception.SIZE)]
    )
    return torch.from_numpy(images)


def test_features_equal_torch_fidelitys(
    net: inception.Inception, inception_file: Path, mixed_images: list[Path]
) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat", SHARED, feature_extractor_weights_path=str(inception_file)
    ).eval()
    ours = net(read(mixed_images), SHARED)
    for i, path in enumerate(mixed_images):
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None]
        with torch.no_grad():
            expected = theirs(pixels)
        for layer, a, b in zip(SHARED, ours, expected, strict=True):
            assert b.abs().max() > 0.1, "features must not be trivially equal"
            torch.testing.assert_close(a[i], b[0], rtol=0, atol=1e-4, msg=lambda m, at=layer: f"{at}: {m}")


def test_features_do_not_depend_on_the_batch(net: inception.Inception, mixed_images: list[Path]) -> None:
    x = read(mixed_images)
    together = net(x, ("768", "2048"))
    single = [net(x[i : i + 1], ("768", "2048")) for i in range(len(x))]
    for k in range(2):
        torch.testing.assert_close(together[k], torch.cat([s[k] for s in single]), rtol=0, atol=1e-4)


def test_the_fused_convolution_gives_what_the_plain_one_gives(
    inception_file: Path, mixed_images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not inception._FUSED:
        pytest.skip("this build of PyTorch has no fused convolution")
    x = read(mixed_images[:3])
    fused = inception.load(inception_file)
    of_one = fused(x[:1], inception.LAYERS)  # packs the weights for another size of batch than the next
    together = fused(x, inception.LAYERS)
    assert all(m._packed is not None for m in fused.modules() if isinstance(m, inception.Conv))
    monkeypatch.setattr(inception, "_FUSED", False)
    plain = inception.load(inception_file)
    expected = plain(x, inception.LAYERS)
    assert all(m._packed is None for m in plain.modules() if isinstance(m, inception.Conv))
    for a, b, c in zip(of_one, together, expected, strict=True):
        torch.testing.assert_close(b, c, rtol=0, atol=2e-5)
        torch.testing.assert_close(a[0], b[0], rtol=0, atol=2e-5)


def test_both_layouts_and_any_order_of_layers(net: inception.Inception, mixed_images: list[Path]) -> None:
    x = read(mixed_images[:2])
    deep, shallow = net(x, ("192", "64"))
    assert deep.shape == (2, 192) and shallow.shape == (2, 64)
    again = net(x.permute(0, 3, 1, 2).contiguous(), ("64",))[0]
    torch.testing.assert_close(again, shallow, rtol=0, atol=0)


def test_it_stops_at_the_deepest_layer_asked_for(net: inception.Inception) -> None:
    ran: list[str] = []
    hooks = [net.Mixed_5b.register_forward_hook(lambda *_: ran.append("5b"))]
    try:
        net(torch.zeros(1, 3, 299, 299), ("192",))
    finally:
        for h in hooks:
            h.remove()
    assert ran == []


def test_it_stays_in_eval_mode_and_keeps_no_gradients(net: inception.Inception) -> None:
    net.train()
    assert not any(m.training for m in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(torch.zeros(1, 3, 299, 299), ("64",))[0].requires_grad


def test_wrong_images_and_layers_are_refused(net: inception.Inception) -> None:
    with pytest.raises(ValueError, match="299"):
        net(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="layers must be among"):
        net(torch.zeros(1, 3, 299, 299), ("pool3",))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def state(inception_file: Path) -> dict[str, Tensor]:
    return inception.read_state(inception_file)


def _drop(s: dict[str, Tensor]) -> None:
    del s["Mixed_6b.branch7x7_2.bn.running_var"]


def _reshape(s: dict[str, Tensor]) -> None:
    s["Mixed_5b.branch1x1.conv.weight"] = torch.zeros(64, 192, 3, 3)


def _poison(s: dict[str, Tensor]) -> None:
    s["fc.bias"] = torch.full((1008,), float("nan"))


def _torchvision(s: dict[str, Tensor]) -> None:
    s["AuxLogits.fc.weight"] = torch.zeros(1000, 768)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop, "'Mixed_6b.branch7x7_2.bn.running_var' is missing"),
        (_reshape, r"'Mixed_5b.branch1x1.conv.weight' has shape \(64, 192, 3, 3\), not \(64, 192, 1, 1\)"),
        (_poison, "'fc.bias' has values that are not finite"),
        (_torchvision, "unknown keys, the first is 'AuxLogits.fc.weight'"),
    ],
)
def test_wrong_weights_are_refused_by_the_name_of_the_key(
    state: dict[str, Tensor], tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    wrong = dict(state)
    change(wrong)
    path = tmp_path / "wrong.pth"
    torch.save(wrong, path)
    with pytest.raises(WeightsError, match=message):
        inception.load(path)


def test_batch_counters_of_newer_state_dicts_are_accepted(
    net: inception.Inception, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "counted.pth"
    torch.save({**state, "Mixed_5b.branch1x1.bn.num_batches_tracked": torch.tensor(0)}, path)
    torch.testing.assert_close(inception.load(path).fc.weight, net.fc.weight)


class Unpickled:
    """Would leave a mark if its pickle were run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_files_that_are_no_weights_are_refused_and_run_no_code(tmp_path: Path) -> None:
    text, empty, hostile, numbers = (tmp_path / n for n in ("a.txt", "b.pth", "c.pth", "d.pth"))
    text.write_text("these are not weights\n")
    empty.write_bytes(b"")
    torch.save({"fc.weight": Unpickled(tmp_path / "mark")}, hostile)
    torch.save([1, 2, 3], numbers)
    for path in (text, empty, hostile, numbers, tmp_path / "missing.pth"):
        with pytest.raises(WeightsError, match=path.name):
            inception.load(path)
    assert not (tmp_path / "mark").exists()
