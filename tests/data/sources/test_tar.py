"""Tar archives and WebDataset shards."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image
from tests.data.sources.makers import pixels, png, write_tar

import gantools
from gantools.data.sources import tar
from gantools.data.sources.recognise import recognise
from gantools.errors import ConfigError, DataError


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_bytes_are_those_of_pythons_tarfile(tmp_path, format):
    long = "d" * 90 + "/" + "e" * 80 + "/1.png"
    files = {"b/2.png": png(1), "a/1.png": png(2), "a/readme.txt": b"x", "a/.1.png": b"", long: png(3)}
    path = write_tar(tmp_path / "x.tar", files, format=format)
    source = tar.open_source(path)
    assert source.names == ["a/1.png", "b/2.png", long]
    assert source.classes == ["a", "b", "d" * 90]
    with tarfile.open(path) as archive:
        for item, name in zip(source.items, source.names, strict=True):
            assert source.reader.read(int(item)) == archive.extractfile(name).read()


def test_pixels_of_a_tar_are_those_of_its_files(tmp_path):
    path = write_tar(tmp_path / "set.tar", {f"{i}.png": png(i) for i in (2, 0, 1)})
    s = gantools.prep("tar", source=path, size=8, out=tmp_path / "set", progress=False)
    for i in range(3):
        np.testing.assert_array_equal(s[i], pixels(i))
    assert s.classes is None


def test_a_real_tar_of_class_folders_and_splits(test_data, tmp_path):
    path = test_data / "data/cifar10/cifar10_jpg.tar"
    source = tar.open_source(path)
    assert (len(source), source.split, source.classes[9]) == (10_000, "train", "truck")
    assert np.bincount(source.labels).tolist() == [1000] * 10
    assert len(tar.open_source(path, "all")) == 12_000
    with pytest.raises(ConfigError, match="no split 'val'"):
        tar.open_source(path, "val")
    s = gantools.prep(str(path), split="test", size=32, limit=40, out=tmp_path / "set", progress=False)
    with tarfile.open(path) as archive:
        for i in range(0, 40, 7):
            image = Image.open(io.BytesIO(archive.extractfile(s.names[i]).read())).convert("RGB")
            np.testing.assert_array_equal(s[i], np.asarray(image))


@pytest.mark.parametrize("how", ["folder", "pattern"])
def test_webdataset_shards_as_their_own_writer_writes_them(tmp_path, how):
    wds = pytest.importorskip("webdataset")
    with wds.ShardWriter(str(tmp_path / "s-%02d.tar"), maxcount=3, verbose=0) as sink:
        for i in range(7):
            sink.write({"__key__": f"{i:04d}", "png": pixels(i), "cls": i % 3})
    source = tar.open_source(tmp_path if how == "folder" else tmp_path / "s-*.tar")
    assert source.names[:4] == ["s-00.tar/0000.png", "s-00.tar/0001.png", "s-00.tar/0002.png", "s-01.tar/0003.png"]
    assert source.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert source.classes == ["0", "1", "2"]
    (tmp_path / "classes.json").write_text('["ant", "bee", "cat", "dog"]')
    assert tar.open_source(tmp_path).classes == ["ant", "bee", "cat", "dog"]


def test_labels_in_json_are_numbers_or_names(tmp_path):
    def labelled(*labels):
        files = {}
        for i, label in enumerate(labels):
            files |= {f"{i}.jpg": png(i), f"{i}.json": json.dumps(label).encode()}
        return tar.open_source(write_tar(tmp_path / "x.tar", files))

    assert labelled({"label": 2}, {"cls": 0}).labels.tolist() == [2, 0]
    named = labelled({"label": "b"}, {"label": "a"}, {"label": "b"})
    assert (named.labels.tolist(), named.classes) == ([1, 0, 1], ["a", "b"])
    # Captions, sizes and so on are no labels; nor is the -1 of unlabelled sets.
    assert labelled({"caption": "x"}, {"caption": "y"}).labels is None
    assert labelled({"label": -1}, {"label": -1}).labels is None
    for wrong in ({"caption": "x"}, {"label": -2}, {"label": 1.5}, {"label": True}, {"label": 10**9}, ["x"]):
        with pytest.raises(DataError, match="no class number"):
            labelled({"label": 1}, wrong)


def test_damage_names_the_file_and_what_to_do(tmp_path):
    good = write_tar(tmp_path / "good.tar", {"1.png": png(1), "1.cls": b"3"}).read_bytes()
    path = tmp_path / "x.tar"
    for data, words, hint in (
        (bz2.compress(good), r"x.tar: is compressed by bzip2", "Uncompress"),
        (gzip.compress(good)[:-9], r"x.tar: its gzip stream is damaged or cut off", "again"),
        (good[:700], r"x.tar: the archive is cut off", "again"),
        (good[:512] + b"x" * 2000, "damaged|cut off", "again"),
        (b"hello" * 200, "not a tar archive", "again"),
        (b"", "not a tar archive", "again"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=words) as error:
            tar.open_source(path)
        assert hint in error.value.hint
    write_tar(path, {"1.png": png(1), "1.cls": b"\xff\xfe\x00"})
    with pytest.raises(DataError, match=r"1.cls holds .* neither a class number nor a name"):
        tar.open_source(path)
    write_tar(path, {"1.png": png(1), "1.json": b"{"})
    with pytest.raises(DataError, match=r"1.json is damaged"):
        tar.open_source(path)
    write_tar(path, {"1.png": png(1), "1.cls": b"1", "2.png": png(2)})
    with pytest.raises(DataError, match="no class number"):
        tar.open_source(path)
    write_tar(path, {"readme": b""})
    with pytest.raises(DataError, match="no image in it"):
        tar.open_source(path)
    with pytest.raises(DataError, match="no such archive"):
        tar.open_source(tmp_path / "none-*.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no .tar in it"):
        tar.open_source(tmp_path / "empty")
    with pytest.raises(ConfigError, match="which archive"):
        tar.open_source(None)
    write_tar(path, {"1.png": png(1), "1.cls": b"1"})
    with pytest.raises(ConfigError, match="no splits"):
        tar.open_source(path, "train")
    (tmp_path / "classes.json").write_text("[1]")
    with pytest.raises(DataError, match="not a list of class names"):
        tar.open_source(path)


def test_an_archive_that_is_cut_after_its_index_was_read_ends_in_rejects(tmp_path):
    path = write_tar(tmp_path / "x.tar", {"1.png": png(1), "2.png": png(2)})
    source = tar.open_source(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"2.png: cannot be read from .*x.tar"):
        source.reader.read(1)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".TAR.GZ", ".tar.zst"])
def test_a_compressed_archive_is_what_it_holds(tmp_path, suffix):
    plain = write_tar(tmp_path / "x.tar", {f"{c}/{i}.png": png(i) for c in "ab" for i in range(2)})
    packed = gzip.compress(plain.read_bytes())
    if suffix.endswith("zst"):
        packed = pytest.importorskip("pyarrow").compress(plain.read_bytes(), codec="zstd", asbytes=True)
    (tmp_path / "one").mkdir()
    path = tmp_path / f"one/x{suffix}"
    path.write_bytes(packed)
    expected = tar.open_source(plain)
    assert recognise(path)[0] == recognise(path.parent)[0] == "tar"
    for found in (tar.open_source(path), tar.open_source(path.parent)):
        assert (found.names, found.classes) == (expected.names, expected.classes)
        assert found.labels.tolist() == expected.labels.tolist()
        assert found.reader.read(int(found.items[3])) == png(1)
    assert tar.open_source(path).name == "x"
