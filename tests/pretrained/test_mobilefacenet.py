"""MobileFaceNet: read, framed, differentiable; and with its weights it tells people apart."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gantools.data.frontal import read_landmarks
from gantools.errors import WeightsError
from gantools.pretrained import mobilefacenet as m


@pytest.fixture
def random_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    arrays = {}
    for i, (before, after, kernel, _, alone, slope) in enumerate(m.PLAN):
        arrays[f"l{i:02d}.weight"] = 0.05 * torch.randn(after, 1 if alone else before, kernel, kernel).numpy()
        arrays[f"l{i:02d}.bias"] = 0.1 * torch.randn(after).numpy()
        if slope:
            arrays[f"l{i:02d}.slope"] = torch.rand(after).numpy()
    arrays |= {"fc.weight": torch.randn(128, 512).numpy(), "fc.bias": torch.randn(128).numpy()}
    path = tmp_path / "net.npz"
    np.savez(path, **arrays)
    return path


def by_hand(path: Path, x: Tensor) -> Tensor:
    """The network from its file, block by block."""
    given = {k: torch.from_numpy(v) for k, v in np.load(path).items()}
    number = 0

    def layer(x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        nonlocal number
        name, number = f"l{number:02d}", number + 1
        weight = given[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = F.conv2d(x, weight, given[f"{name}.bias"], stride, padding, groups=groups)
        slope = given.get(f"{name}.slope")
        return x if slope is None else x.clamp_min(0) + slope[:, None, None] * x.clamp_max(0)

    x = layer(layer(x * (127.5 / 128), 2, 1), 1, 1)
    for repeats in (4, 6, 2):
        x = layer(layer(layer(x), 2, 1))
        for _ in range(repeats):
            x = x + layer(layer(layer(x), 1, 1))
    x = layer(layer(x))
    return x.flatten(1) @ given["fc.weight"].T + given["fc.bias"]


def test_it_is_the_network_of_its_file(random_file):
    net = m.load(random_file)
    assert sum(p.numel() for p in net.parameters()) == 993_344 and len(net.sha256) == 64
    x = torch.rand(2, 3, 112, 112) * 2 - 1
    torch.testing.assert_close(net(x), by_hand(random_file, x), rtol=1e-4, atol=1e-4)
    assert sum(p.numel() for p in m.unloaded().parameters()) == 993_344


def test_gradients_flow_to_faces_and_not_to_weights(random_file):
    net = m.load(random_file).train()
    x = torch.zeros(1, 3, 64, 64, requires_grad=True)
    net(m.of_frontal(x)).sum().backward()
    assert x.grad is not None and float(x.grad.abs().sum()) > 0
    assert not net.training and all(p.grad is None for p in net.parameters())


def test_a_damaged_or_other_file_is_named(random_file, tmp_path, monkeypatch):
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match="there are no weights of MobileFaceNet"):
        m.load()
    (tmp_path / "no.npz").write_bytes(b"something")
    with pytest.raises(WeightsError, match=r"no\.npz"):
        m.load(tmp_path / "no.npz")
    arrays = dict(np.load(random_file))
    np.savez(tmp_path / "less.npz", **{k: v for k, v in arrays.items() if k != "l07.bias"})
    with pytest.raises(WeightsError, match=r"layers\.7\.bias"):
        m.load(tmp_path / "less.npz")
    np.savez(tmp_path / "more.npz", **arrays, other=np.zeros(3))
    with pytest.raises(WeightsError, match="other"):
        m.load(tmp_path / "more.npz")
    monkeypatch.setenv("GANTOOLS_MOBILEFACENET_WEIGHTS", str(random_file))
    assert m.load().sha256 == m.load(random_file).sha256


def spots(points: Tensor, size: int) -> Tensor:
    """An image (1, 1, size, size) with a soft spot at each point."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    found = [torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in points]
    return torch.stack(found).sum(0)[None, None]


@pytest.mark.parametrize("size", [64, 128])
def test_both_ways_bring_the_points_to_the_template(size):
    template = torch.tensor(m.TEMPLATE)
    frontal = torch.tensor([[42.5, 40.0], [84.5, 40], [63.5, 64], [46.5, 88], [80.5, 88]])
    here = (frontal + 0.5) * size / 128 - 0.5
    eyes = spots(here[:2], size)
    framed = m.of_frontal(eyes)[0, 0]
    y, x = np.unravel_index(int(framed[:, :56].argmax()), (112, 56))
    assert abs(x - template[0, 0]) < 3 and abs(y - template[0, 1]) < 1.5
    turned = here @ torch.tensor([[0.9, 0.3], [-0.3, 0.9]]) + torch.tensor([3.0, 2.0]) * size / 64
    for i in range(5):
        framed = m.of_marks(spots(turned[i : i + 1], size), turned[None])[0, 0]
        y, x = np.unravel_index(int(framed.argmax()), (112, 112))
        assert abs(x - template[i, 0]) < 3 and abs(y - template[i, 1]) < 3


def test_it_tells_people_apart(test_data):
    """The note's measurement, on fewer pairs: AUC 0.972 of same against different people of CelebA."""
    celeba = test_data / "data" / "celeba"
    file = test_data / "weights" / "mobilefacenet_folded.npz"
    if not file.is_file() or not (celeba / "identity_CelebA.txt").is_file():
        pytest.skip("no weights of MobileFaceNet, or no identities")
    people: dict[str, list[str]] = {}
    for line in (celeba / "identity_CelebA.txt").read_text().splitlines():
        name, person = line.split()
        people.setdefault(person, []).append(name)
    pairs = [names[:2] for names in people.values() if len(names) > 1][:40]
    points = read_landmarks(celeba / "celeba_landmarks_onet.csv")
    net, faces, marks = m.load(file), [], []
    with zipfile.ZipFile(celeba / "img_align_celeba.zip") as archive:
        for name in (name for pair in pairs for name in pair):
            image = Image.open(io.BytesIO(archive.read(f"img_align_celeba/{name}"))).convert("RGB")
            faces.append(torch.from_numpy(np.asarray(image)).permute(2, 0, 1) / 127.5 - 1)
            marks.append(points[name].reshape(5, 2))
    x = m.of_marks(torch.stack(faces), torch.from_numpy(np.stack(marks)))
    with torch.no_grad():
        vectors = F.normalize(net(x)).numpy()
    cosines = vectors[::2] @ vectors[1::2].T
    same, other = np.diag(cosines), cosines[~np.eye(len(cosines), dtype=bool)]
    auc = float((same[:, None] > other).mean())
    assert auc > 0.93, auc
    # With red and blue changed, or the zeros of padding on one side alone, it is less sure.
    with torch.no_grad():
        wrong = F.normalize(net(x.flip(1))).numpy()
    assert (wrong[::2] * wrong[1::2]).sum(1).mean() != pytest.approx(same.mean(), abs=1e-3)
