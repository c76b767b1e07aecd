"""Networks of one's own: modules, TorchScript and ONNX give the same features, whatever the batch or mode."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from tests.metrics.networks.nets import Net
from torch import Tensor, nn

from gantools.errors import ConfigError, MetricError, WeightsError
from gantools.metrics.networks import custom
from gantools.metrics.networks.custom import OnnxNetwork, TorchNetwork, open_network
from gantools.metrics.networks.published import own_kind
from gantools.pretrained import inception
from gantools.pretrained import vgg as vgg16
from gantools.pretrained.weights import kind_of_file, sha256_of

CPU = torch.device("cpu")


def images(n: int = 5, size: int = 20) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(3))


def scripted(path: Path, net: nn.Module) -> Path:
    torch.jit.trace(net.eval(), images()).save(str(path))
    return path


def as_onnx(path: Path, net: Net, batch: int | str = "n") -> Path:
    """The network written by hand: exporting would need another package."""
    arrays = {
        "w": net.conv.weight,
        "b": net.conv.bias,
        "gamma": net.norm.weight,
        "beta": net.norm.bias,
        "mean": net.norm.running_mean,
        "var": net.norm.running_var,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["d"], epsilon=1e-5),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 20, 20])],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, [batch, 8, 1, 1])],
        [numpy_helper.from_array(a.detach().numpy(), name) for name, a in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


@pytest.fixture
def networks(tmp_path: Path) -> dict[str, Any]:
    return {
        "module": TorchNetwork(Net(), CPU),
        "script": open_network(scripted(tmp_path / "net.pt", Net()), CPU),
        "onnx": open_network(as_onnx(tmp_path / "net.onnx", Net()), CPU),
        "onnx of 2": open_network(as_onnx(tmp_path / "two.onnx", Net(), 2), CPU),
    }


def test_all_forms_agree_and_no_batch_shows(networks: dict[str, Any]) -> None:
    expected = Net().eval()(images()).detach().numpy()
    assert expected.std() > 0.05
    for network in networks.values():
        got = network(images())
        assert got.dtype == torch.float32 and got.shape == (5, 8) and not got.requires_grad
        np.testing.assert_allclose(got, expected, atol=1e-6)
        one_by_one = torch.cat([network(x[None]) for x in images()])
        np.testing.assert_allclose(one_by_one, got, atol=1e-6)


def test_train_mode_has_no_effect_and_is_given_back() -> None:
    net = Net()
    expected = net.eval()(images()).detach()
    network = TorchNetwork(net, CPU)
    net.train()
    net.drop.eval()
    mean = net.norm.running_mean.clone()
    assert torch.equal(network(images()), expected)
    assert net.training and net.norm.training and not net.drop.training
    assert torch.equal(net.norm.running_mean, mean)
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 1, 2, 2))
    assert net.training


def test_a_scripted_network_in_train_mode_is_evaluated(tmp_path: Path) -> None:
    net = Net()
    expected = net.eval()(images()).detach()
    torch.jit.script(net.train()).save(str(tmp_path / "train.pt"))
    network = open_network(tmp_path / "train.pt", CPU)
    np.testing.assert_allclose(network(images()), expected, atol=1e-6)
    torch.jit.freeze(torch.jit.script(net.eval())).save(str(tmp_path / "frozen.pt"))
    np.testing.assert_allclose(open_network(tmp_path / "frozen.pt", CPU)(images()), expected, atol=1e-6)


def test_fingerprints_tell_weights_apart(networks: dict[str, Any], tmp_path: Path) -> None:
    assert networks["script"].sha256 == sha256_of(tmp_path / "net.pt")
    assert networks["onnx"].sha256 == sha256_of(tmp_path / "net.onnx")
    base = custom.state_sha256(Net())
    assert base == custom.state_sha256(Net()) == networks["module"].sha256 and len(base) == 64
    other = Net()
    with torch.no_grad():
        other.conv.weight[0, 0, 0, 0] += 1e-6
    assert custom.state_sha256(other) != base
    assert custom.state_sha256(Net().half()) != base
    assert custom.state_sha256(Net().eval()) == base


def test_pooled_maps_and_single_outputs_are_taken() -> None:
    class Pooled(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor]:
            return (x.mean((2, 3), keepdim=True).double(),)

    got = TorchNetwork(Pooled(), CPU)(images())
    assert got.shape == (5, 3) and got.dtype == torch.float32


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda x: x, r"torch.float32 \(5, 3, 20, 20\) for 5 images"),
        (lambda x: x.mean((2, 3))[:2], r"\(2, 3\) for 5 images"),
        (lambda x: (x.mean((2, 3)), x), "gives tuple"),
        (lambda x: x.mean((2, 3)).int(), "torch.int32"),
        (lambda x: x.mean((2, 3)) / 0, "not finite"),
    ],
)
def test_other_outputs_are_refused(give: Any, message: str) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return give(x)

    with pytest.raises(MetricError, match=message):
        TorchNetwork(Odd(), CPU)(images())


def test_files_that_are_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        open_network(tmp_path / "no.pt", CPU)
    torch.save(Net().state_dict(), tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="not a TorchScript file") as e:
        open_network(tmp_path / "state.pt", CPU)
    assert "torch.jit.trace" in str(e.value.hint)
    (tmp_path / "net.h5").touch()
    with pytest.raises(ConfigError, match="suffixes"):
        open_network(tmp_path / "net.h5", CPU)
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not a readable ONNX file"):
        OnnxNetwork(tmp_path / "net.onnx", CPU)
    as_onnx(tmp_path / "net.onnx", Net())
    network = open_network(tmp_path / "net.onnx", CPU)
    with pytest.raises(MetricError, match="cannot be run"):
        network(images(2, 31))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="needs onnxruntime") as e:
        open_network(tmp_path / "net.onnx", CPU)
    assert e.value.hint == "pip install 'gantools[onnx]'"


def _whole(path: Path) -> None:
    torch.save(Net(), path)


def _checkpoint(path: Path) -> None:
    torch.save({"epoch": 3, "model": Net().state_dict()}, path)


#: What people take for weights or for a network: how it is made, and what it is called.
KINDS: dict[str, tuple[Any, str]] = {
    "script": (lambda p: scripted(p, Net()), "a TorchScript file"),
    "onnx": (lambda p: as_onnx(p, Net()), "an ONNX file"),
    "state": (lambda p: torch.save(Net().state_dict(), p), "a PyTorch file of weights"),
    "old state": (
        lambda p: torch.save(Net().state_dict(), p, _use_new_zipfile_serialization=False),
        "a PyTorch file of weights",
    ),
    "module": (_whole, "a PyTorch file of weights"),
    "checkpoint": (_checkpoint, "a PyTorch file of weights"),
    "safetensors": (lambda p: save_file(Net().state_dict(), p), "a safetensors file of weights"),
    "lfs": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a git-lfs pointer"),
    "page": (lambda p: p.write_text("\n<!DOCTYPE html><title>404</title>"), "an HTML page"),
    "empty": (lambda p: p.touch(), "an empty file"),
    "zip": (lambda p: zipfile.ZipFile(p, "w").close(), "a zip archive"),
    "hdf5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
    "numpy": (lambda p: np.save(p.open("wb"), np.zeros(3)), "a numpy array"),
    "text": (lambda p: p.write_text("weights"), "a file of another kind"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_called_what_it_is(tmp_path: Path, kind: str) -> None:
    make, words = KINDS[kind]
    for suffix in (".pt", ".pth", ".onnx"):
        make(tmp_path / f"x{suffix}")
        assert kind_of_file(tmp_path / f"x{suffix}").startswith(words)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_another_kind_are_called_by_it(tmp_path: Path, kind: str) -> None:
    """No advice of torch's to run what is in the file, and no line more than one."""
    file = tmp_path / "x.pth"
    KINDS[kind][0](file)
    for load in (inception.load, lambda path: vgg16.load(path, CPU)):
        with pytest.raises(WeightsError) as e:
            load(file)
        assert "weights_only" not in str(e.value) and "\n" not in e.value.message
        assert str(file) in e.value.message
        if kind in ("state", "old state"):
            assert "key" in e.value.message  # a state dict, of another network
        elif kind == "checkpoint":
            assert "a checkpoint with the keys 'epoch', 'model'" in e.value.message and "['model']" in str(e.value.hint)
        elif kind == "module":
            assert "more than tensors" in e.value.message
        elif kind in ("script", "onnx"):
            assert KINDS[kind][1] in e.value.message and f"--extractor {file}" in str(e.value.hint)
        elif kind != "safetensors":
            assert KINDS[kind][1] in e.value.message


@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".pth", ".safetensors", ".bin"])
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "text"])
def test_an_extractor_of_another_kind_is_called_by_it(tmp_path: Path, kind: str, suffix: str) -> None:
    file = tmp_path / f"x{suffix}"
    KINDS[kind][0](file)
    assert custom.is_file_of_a_network(str(file))
    if (kind, suffix) in (("script", ".pt"), ("onnx", ".onnx")):
        assert custom.check_file(file) == file
        return
    with pytest.raises((WeightsError, ConfigError)) as e:
        open_network(file, CPU)
    assert KINDS[kind][1] in e.value.message and "\n" not in e.value.message
    if "weights" in KINDS[kind][1]:
        assert f"--weights NAME={file}" in str(e.value.hint)


class Fixed(nn.Module):
    """Takes one side alone, as networks with a head of fixed width do."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.head = nn.Linear(3 * side * side, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


@pytest.mark.parametrize("form", ["script", "traced", "module"])
@pytest.mark.parametrize(("side", "given", "known"), [(32, 64, True), (64, 299, True), (20, 32, False)])
def test_a_size_that_a_network_cannot_take_is_one_line(
    tmp_path: Path, form: str, side: int, given: int, known: bool
) -> None:
    net = Fixed(side).eval()
    file = tmp_path / "net.pt"
    if form != "module":
        made = torch.jit.script(net) if form == "script" else torch.jit.trace(net, torch.zeros(2, 3, side, side))
        made.save(str(file))
    own = net if form == "module" else file
    with pytest.raises(
        MetricError, match=rf"cannot take images of {given}x{given} \(.*shapes cannot be multiplied"
    ) as e:
        own_kind(own, size=given)
    assert "\n" not in e.value.message and "Traceback" not in str(e.value)
    assert (f"--extractor-size {side}" in str(e.value.hint)) == known
    assert own_kind(own, size=side).layers == {"features": 5}


def test_an_onnx_network_of_another_size_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="cannot take images of 32x32") as e:
        own_kind(as_onnx(tmp_path / "net.onnx", Net()), size=32)
    assert "\n" not in e.value.message


def test_a_script_that_fails_while_scoring_is_one_line(tmp_path: Path) -> None:
    scripted(tmp_path / "net.pt", Fixed(20))
    with pytest.raises(MetricError, match=r"cannot be run on 2 images of 31x31 \(.*cannot be multiplied") as e:
        open_network(tmp_path / "net.pt", CPU)(images(2, 31))
    assert "\n" not in e.value.message


def test_names_and_files_are_told_apart() -> None:
    assert custom.is_file_of_a_network("net.PT") and custom.is_file_of_a_network("a/b.onnx")
    assert not custom.is_file_of_a_network("vgg16") and not custom.is_file_of_a_network("clip-vit-b-32")
