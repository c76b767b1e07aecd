"""Every export is read by the tool it is for, and by `gantools prep`."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import gantools
from gantools.data.exports import EXPORTS
from gantools.data.exports.folder import class_folders
from gantools.errors import ConfigError, DataError

NAMES = {"stylegan-zip": "x.zip", "npz": "x.npz"}


def export(path, to, tmp_path, **options):
    if to == "parquet":
        pytest.importorskip("pyarrow")
    return gantools.export(path, to=to, out=tmp_path / "out" / NAMES.get(to, "x"), progress=False, **options)


def contents(path):
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [(p.relative_to(path.parent).as_posix(), p.read_bytes()) for p in files]


@pytest.mark.parametrize("to", EXPORTS)
@pytest.mark.parametrize(("channels", "classes"), [(3, 3), (1, 0)])
def test_prep_reads_every_export_back(make_set, tmp_path, to, channels, classes):
    path = make_set(n=130, size=8, channels=channels, classes=classes)
    before = gantools.open(path)
    out = export(path, to, tmp_path)
    after = gantools.prep(str(out), size=8, channels=channels, out=tmp_path / "again", progress=False)
    order = np.arange(130)
    if to == "folder" and classes:
        # Images lie in the folders of their classes, and come in that order.
        order = np.argsort(before.labels, kind="stable")
    np.testing.assert_array_equal(after.gather(np.arange(130)), before.gather(order))
    assert after.classes == before.classes
    if classes:
        np.testing.assert_array_equal(after.labels, before.labels[order])
    else:
        assert after.labels is None
    first = contents(out)
    assert first == contents(export(path, to, tmp_path / "second", threads=1))
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    with pytest.raises(DataError, match="exists"):
        export(path, to, tmp_path)


@pytest.fixture
def classed(make_set):
    return gantools.open(make_set(n=30, size=8, classes=3))


def test_stylegan_zip_by_the_rules_of_its_reader(classed, tmp_path):
    with zipfile.ZipFile(export(classed.path, "stylegan-zip", tmp_path)) as z:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in z.infolist())
        names = sorted(name for name in z.namelist() if name.endswith(".png"))
        labels = dict(json.loads(z.read("dataset.json"))["labels"])
        assert names[1] == "00000/img00000001.png"
        for i, name in enumerate(names):
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(z.read(name)))), classed[i])
            assert labels[name] == classed.labels[i]


def test_folder_by_torchvision(classed, tmp_path):
    datasets = pytest.importorskip("torchvision.datasets")
    read = datasets.ImageFolder(str(export(classed.path, "folder", tmp_path)))
    assert read.classes == classed.classes
    order = np.argsort(classed.labels, kind="stable")
    for (image, label), i in zip(read, order, strict=True):
        np.testing.assert_array_equal(np.asarray(image), classed[i])
        assert label == classed.labels[i]


def test_webdataset_by_its_own_reader(classed, tmp_path):
    wds = pytest.importorskip("webdataset")
    shard = export(classed.path, "webdataset", tmp_path) / "shard-000000.tar"
    samples = list(
        wds.WebDataset(str(shard), shardshuffle=False, empty_check=False).decode("rgb8").to_tuple("png", "cls")
    )
    assert len(samples) == 30
    for i, (image, label) in enumerate(samples):
        np.testing.assert_array_equal(image, classed[i])
        assert label == classed.labels[i]


@pytest.mark.parametrize("to", ["hf-imagefolder", "parquet"])
def test_hf_forms_by_datasets(classed, tmp_path, to, monkeypatch):
    datasets = pytest.importorskip("datasets")
    out = export(classed.path, to, tmp_path)
    cache = str(tmp_path / "cache")
    if to == "parquet":
        files = {"train": [str(f) for f in (out / "data").iterdir()]}
        read = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
        assert read.features["label"].names == classed.classes
    else:
        read = datasets.load_dataset("imagefolder", data_dir=str(out), split="train", cache_dir=cache)
    assert read["label"][:] == classed.labels.tolist()
    for i in range(30):
        np.testing.assert_array_equal(np.asarray(read[i]["image"]), classed[i])


def test_npz_by_numpy(classed, tmp_path):
    with np.load(export(classed.path, "npz", tmp_path)) as z:
        np.testing.assert_array_equal(z["arr_0"], classed.gather(np.arange(30)))
        np.testing.assert_array_equal(z["arr_1"], classed.labels)


def test_folders_of_classes_sort_as_their_numbers():
    assert class_folders(["cat", "dog"]) == ["cat", "dog"]
    assert class_folders(["T-shirt/top", "Bag"]) == ["0-T-shirt-top", "1-Bag"]
    assert class_folders(["a b", "a/b"]) == ["0-a-b", "1-a-b"]
    assert class_folders(["..", "b"]) == ["0-class", "1-b"]
    many = class_folders([str(i) for i in range(12)])
    assert many == sorted(many)


def test_wrong_arguments_are_named(make_set, tmp_path):
    path = make_set(n=4, size=8)
    with pytest.raises(ConfigError, match="Did you mean 'webdataset'"):
        gantools.export(path, to="webdatset", out=tmp_path / "x")
    with pytest.raises(DataError, match="no such folder"):
        gantools.export(tmp_path / "none", to="npz", out=tmp_path / "x.npz")
