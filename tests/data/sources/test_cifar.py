"""CIFAR in its published forms, and pickles that are up to something."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

import gantools
from gantools.data.sources import cifar
from gantools.errors import ConfigError, DataError, DownloadError

N = 4


def batch(file: str, classes: int, seed: int):
    rng = np.random.default_rng([seed, len(file)])
    return rng.integers(0, 256, (N, 3072), dtype=np.uint8), rng.integers(0, classes, N).tolist()


def files_of(form, kind, protocol=2):
    """The files of a set by name, small but in the published form."""
    made = {}
    names = [name for part in form.files.values() for name in part]
    for i, name in enumerate(names):
        x, y = batch(name, len(form.classes), i)
        if kind == "python":
            content = {form.key: y, "data": x, "filenames": ["a.png"] * N}
            if form is cifar.CIFAR100:
                content["coarse_labels"] = [0] * N
            made[name] = pickle.dumps(content, protocol=protocol)
        else:
            coarse = [b"\x13"] if form.label_bytes == 2 else []
            made[name + ".bin"] = b"".join(
                b"".join([*coarse, bytes([label]), row.tobytes()]) for row, label in zip(x, y, strict=True)
            )
    return made


def expected(form, split):
    names = [(i, name) for i, name in enumerate(n for part in form.files.values() for n in part)]
    names = [(i, name) for i, name in names if split == "all" or name in form.files[split]]
    batches = [batch(name, len(form.classes), i) for i, name in names]
    x = np.concatenate([b[0] for b in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return x, np.concatenate([b[1] for b in batches])


@pytest.mark.parametrize("form", [cifar.CIFAR10, cifar.CIFAR100])
@pytest.mark.parametrize("kind", ["python", "binary"])
@pytest.mark.parametrize("place", ["folder", "inner", "archive"])
def test_every_form_gives_the_same_images(tmp_path, form, kind, place):
    inner = cifar._folders(form, tmp_path)[1 if kind == "python" else 2].name
    made = files_of(form, kind)
    if place == "archive":
        path = tmp_path / f"cifar-{len(form.classes)}-{kind}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, data in made.items():
                info = tarfile.TarInfo(f"{inner}/{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        path = tmp_path
        folder = tmp_path / inner if place == "inner" else tmp_path
        folder.mkdir(exist_ok=True)
        for name, data in made.items():
            (folder / name).write_bytes(data)
    for split in ("train", "test", "all"):
        s = gantools.prep(form.kind, source=path, split=split, out=tmp_path / "sets" / split, progress=False)
        x, y = expected(form, split)
        np.testing.assert_array_equal(s.gather(np.arange(len(s))), x)
        assert s.labels.tolist() == y.tolist()
        assert s.classes == form.classes


def test_a_pickle_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    class Sly:
        def __reduce__(self):
            return getattr, ("x", "upper")

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, data in files_of(cifar.CIFAR10, "python").items():
        (folder / name).write_bytes(data)
    x, _ = batch("test_batch", 10, 5)
    for content in ({"data": Evil()}, {"data": x, "labels": Sly()}, Evil(), {"data": x.astype(object)}):
        (folder / "test_batch").write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match="test_batch is damaged, or holds more than arrays"):
            cifar.open_cifar10(tmp_path, "test")
    assert not (tmp_path / "ran").exists()


def test_damage_and_wrong_places_are_errors(tmp_path):
    with pytest.raises(DataError, match="no data_batch_1 or data_batch_1"):
        cifar.open_cifar10(tmp_path)
    with pytest.raises(ConfigError, match="no split 'val'"):
        cifar.open_cifar10(tmp_path, "val")
    (tmp_path / "test_batch.bin").write_bytes(b"x" * 3072)
    with pytest.raises(DataError, match="cut off"):
        cifar.open_cifar10(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" + b"x" * 3072)
    with pytest.raises(DataError, match="labels go from 10 to 10"):
        cifar.open_cifar10(tmp_path, "test")
    for content in ({"data": 1}, [1], {"data": batch("x", 10, 0)[0], "labels": [1]}, {"data": batch("x", 10, 0)[0]}):
        (tmp_path / "test_batch").write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match="no 10-class images"):
            cifar.open_cifar10(tmp_path, "test")
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(DataError, match="not a readable archive"):
        cifar.open_cifar10(tmp_path / "x.tar.gz")
    with pytest.raises(DataError, match="no such file"):
        cifar.open_cifar10(tmp_path / "none.tar.gz")


def test_without_a_source_it_is_downloaded_once_into_the_cache(tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    calls = []

    def download(root, train, download):
        calls.append(root)
        folder = Path(root) / "cifar-10-batches-py"
        folder.mkdir()
        for name, data in files_of(cifar.CIFAR10, "python").items():
            (folder / name).write_bytes(data)

    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path))
    monkeypatch.setattr(datasets, "CIFAR10", download)
    assert len(cifar.open_cifar10(None)) == 5 * N
    assert len(cifar.open_cifar10(None, "test")) == N
    assert len(calls) == 1

    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(datasets, "CIFAR100", no_network)
    with pytest.raises(DownloadError, match="no network") as error:
        cifar.open_cifar100(None)
    assert "cs.toronto.edu" in error.value.hint
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["CIFAR10"]
