"""LMDB and parquet: stores that a library reads; and how a path is recognised."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from tests.data.sources.makers import pixels, png, write_files, write_tar

import gantools
from gantools import _native
from gantools.data.sources import lmdb, parquet, recognise
from gantools.errors import ConfigError, DataError


def write_lmdb(path, values):
    package = pytest.importorskip("lmdb")
    with package.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key, value)
    return path


def write_parquet(path, n=7, *, labels=None, names=None, group=3, extra=None):
    pa = pytest.importorskip("pyarrow")
    import json

    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(n)]
    columns = {"image": pa.array(images), **({} if labels is None else {"label": labels}), **(extra or {})}
    table = pa.table(columns)
    if names:
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path, row_group_size=group)
    return path


@pytest.mark.parametrize("threads", [1, 4])
def test_pixels_of_an_lmdb_are_in_the_order_of_its_keys(tmp_path, threads):
    values = {b"b": png(1), b"a": png(0), b"c": png(2), b"broken": b"nothing"}
    path = write_lmdb(tmp_path / "bedroom_train_lmdb", values)
    s = gantools.prep("lmdb", source=path, size=8, out=tmp_path / "set", progress=False, threads=threads)
    assert s.names == ["a", "b", "c"]
    assert (s.path / "rejects.jsonl").read_text().startswith('{"name": "broken"')
    np.testing.assert_array_equal(s.gather([0, 1, 2]), [pixels(0), pixels(1), pixels(2)])
    assert lmdb.open_source(path).name == "bedroom_train"


def test_a_wrong_lmdb_is_an_error(tmp_path):
    pytest.importorskip("lmdb")
    with pytest.raises(DataError, match=r"no data\.mdb"):
        lmdb.open_source(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"nothing" * 2000)
    with pytest.raises(DataError, match="not a readable LMDB"):
        lmdb.open_source(tmp_path)
    with pytest.raises(DataError, match="holds nothing"):
        lmdb.open_source(write_lmdb(tmp_path / "empty", {}))
    with pytest.raises(ConfigError, match="no splits"):
        lmdb.open_source(tmp_path, "train")


@pytest.mark.parametrize("threads", [1, 4])
def test_pixels_and_labels_of_parquet_files(tmp_path, threads):
    labels = [2, 0, 1, 0, 1, 2, 0]
    write_parquet(tmp_path / "p/data/train-00000-of-00002.parquet", labels=labels, names=["ant", "bee", "cat"])
    write_parquet(tmp_path / "p/data/train-00001-of-00002.parquet", 2, labels=[0, 1], names=["ant", "bee", "cat"])
    write_parquet(tmp_path / "p/data/test-00000-of-00001.parquet", 1, labels=[2], names=["ant", "bee", "cat"])
    options = {"size": 8, "progress": False, "threads": threads}
    s = gantools.prep("parquet", source=tmp_path / "p", out=tmp_path / "set", **options)
    assert s.labels.tolist() == [*labels, 0, 1]
    assert s.classes == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(s.gather(np.arange(9)), [pixels(i) for i in (*range(7), 0, 1)])
    assert s.names[:2] == ["0.png", "1.png"]
    test = parquet.open_source(tmp_path / "p", "test")
    assert (len(test), test.labels.tolist()) == (1, [2])
    assert len(parquet.open_source(tmp_path / "p", "all")) == 10
    with pytest.raises(ConfigError, match="has no split"):
        parquet.open_source(tmp_path / "p", "val")


def test_parquet_without_labels_paths_or_images(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"n": [1, 2], "jpeg": [png(0), png(1)]}), tmp_path / "b.parquet")
    source = parquet.open_source(tmp_path / "b.parquet")
    assert source.labels is None
    assert source.names == ["b/000000", "b/000001"]
    assert source.reader.read(1) == png(1)
    rows = pa.array([{"bytes": None, "path": "x.png"}, {"bytes": png(1), "path": "x.png"}])
    pq.write_table(pa.table({"image": rows}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"c/000000: .*no image bytes"):
        parquet.open_source(tmp_path / "c.parquet").reader.read(0)
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "d.parquet")
    with pytest.raises(DataError, match="no column of images; it has n"):
        parquet.open_source(tmp_path / "d.parquet")
    (tmp_path / "e.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="not readable as parquet"):
        parquet.open_source(tmp_path / "e.parquet")
    with pytest.raises(ConfigError, match="not named after splits"):
        parquet.open_source(tmp_path / "b.parquet", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.parquet"):
        parquet.open_source(tmp_path / "empty")


def test_the_content_of_a_store_is_in_its_fingerprint(tmp_path):
    a = parquet.open_source(write_parquet(tmp_path / "a.parquet")).reader.fingerprint()
    b = parquet.open_source(write_parquet(tmp_path / "b.parquet", extra={"n": list(range(7))})).reader.fingerprint()
    again = parquet.open_source(write_parquet(tmp_path / "a.parquet")).reader.fingerprint()
    assert a == again != b


def test_an_error_in_the_reader_of_a_store_is_a_reject(tmp_path):
    def fetch(i):
        return {0: png(0), 1: "text"}[i]

    reader = _native.Source.fetched(["a", "b", "c"], "x", fetch)
    policy = _native.PixelPolicy(width=8, height=8, channels=3)
    count, _, rejects, *_ = _native.prepare_shard(reader, np.arange(3), policy, tmp_path / "x.npy", 2)
    assert (count, [reject[:2] for reject in rejects]) == (1, [(1, "unreadable"), (2, "unreadable")])
    assert "gave no bytes" in rejects[0][2]


def test_a_path_is_recognised(tmp_path):
    places = {}

    def folder(kind, name, *files):
        write_files(tmp_path / name, dict.fromkeys(files, b""))
        places[tmp_path / name] = kind

    def file(kind, name):
        (tmp_path / name).write_bytes(b"")
        places[tmp_path / name] = kind

    folder("folder", "photos", "1.jpg", "backup.tar")
    folder("tar", "shards", "0.tar", "1.tar", "classes.json")
    folder("stylegan", "sg", "00000/img00000000.png", "dataset.json")
    folder("lmdb", "church_lmdb", "data.mdb", "lock.mdb")
    folder("parquet", "hub", "README.md", "data/train-00000-of-00001.parquet")
    folder("cifar10", "c10", "test_batch", "batches.meta")
    folder("cifar10", "c10b", "cifar-10-batches-bin/test_batch.bin", "cifar-10-batches-bin/batches.meta.txt")
    folder("cifar100", "c100", "train", "test", "meta")
    folder("folder", "mine", "train/a/1.png", "test/a/1.png", "meta")
    folder("mnist", "digits", "train-images-idx3-ubyte.gz")
    folder("fashion-mnist", "FashionMNIST/raw", "train-images-idx3-ubyte.gz")
    folder("fashion-mnist", "FashionMNIST", "raw/train-images-idx3-ubyte.gz")
    for kind, name in (
        ("tar", "x.tar"),
        ("tar", "y.tar.gz"),
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar-100-binary.tar.gz"),
        ("array", "x.npy"),
        ("array", "x.npz"),
        ("parquet", "x.parquet"),
        ("folder", "broken.zip"),
    ):
        file(kind, name)
    for kind, name in (("stylegan", "dataset.json"), ("folder", "1.png")):
        with zipfile.ZipFile(tmp_path / f"{kind}.zip", "w") as z:
            z.writestr(name, "")
        places[tmp_path / f"{kind}.zip"] = kind
    assert {path: recognise(path)[0] for path in places} == places
    assert recognise(tmp_path / "shards/*.tar")[0] == "tar"
    with pytest.raises(DataError, match="no such file"):
        recognise(tmp_path / "nothing")


def test_prep_says_what_it_took_a_path_for(tmp_path):
    write_tar(tmp_path / "x.tar", {"a/1.png": png(1), "b/2.png": png(2)})
    command = [sys.executable, "-m", "gantools", "prep", "x.tar", "--size", "8"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "x.tar is taken for a tar archive (source tar)." in done.stderr
    assert done.stdout == "data/x-8\n"
    assert gantools.open(tmp_path / "data/x-8").classes == ["a", "b"]
