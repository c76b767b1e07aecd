"""Labels in tables beside images."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from tests.data.sources.makers import png, write_files, write_tar, write_zip

import gantools
from gantools.data.sources import array, folder, tar
from gantools.data.sources.labels import labels_of
from gantools.data.sources.metadata import with_label_file
from gantools.data.sources.tables import read_table, whole_numbers
from gantools.errors import ConfigError, DataError

IMAGE = png(0)


def table(kind: str, rows: list[dict]) -> bytes:
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        return buffer.getvalue()
    separator = {"csv": ",", "semicolons": ";", "tabs": "\t"}[kind]
    lines = [separator.join(rows[0])] + [separator.join(str(v) for v in row.values()) for row in rows]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


KINDS = ["csv", "semicolons", "tabs", "jsonl", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", ["folder", "zip", "tar"])
@pytest.mark.parametrize("place", ["split", "root", "outer"])
def test_metadata_is_found_in_every_place_kind_and_archive(tmp_path, kind, keep, place):
    suffix = kind if kind in ("jsonl", "parquet") else "csv"
    outer = "set/" if place == "outer" else ""
    files = {f"{outer}{split}/{i}.png": IMAGE for split in ("train", "test") for i in range(2)}
    labels = {"train": ["dog", "cat"], "test": ["cat", "cat"]}
    if place == "root":
        rows = [{"file_name": f"{s}/{i}.png", "label": labels[s][i]} for s in labels for i in range(2)]
        files[f"metadata.{suffix}"] = table(kind, rows)
    else:
        for s in labels:
            rows = [{"file_name": f"{i}.png", "label": labels[s][i]} for i in range(2)]
            files[f"{outer}{s}/metadata.{suffix}"] = table(kind, rows)
    if keep == "folder":
        source = folder.open_source(write_files(tmp_path / "set", files))
    elif keep == "zip":
        source = folder.open_source(write_zip(tmp_path / "x.zip", {n.replace("/", "\\"): d for n, d in files.items()}))
    else:
        source = tar.open_source(write_tar(tmp_path / "x.tar", {f"./{n}": d for n, d in files.items()}))
    assert (source.split, source.left_out) == ("train", {"test": 2})
    assert (source.classes, source.labels.tolist()) == (["cat", "dog"], [1, 0])
    # What was read is not skipped.
    assert source.skipped == {}


def test_the_nearest_metadata_that_has_the_image_counts(tmp_path):
    root = write_files(
        tmp_path / "set",
        {
            "a/0.png": IMAGE,
            "a/b/1.png": IMAGE,
            "a/b/2.png": IMAGE,
            "metadata.csv": b"file_name,label\na/0.png,0\na/b/1.png,9\na/b/2.png,2\n",
            "a/b/metadata.jsonl": b'{"file_name": "./1.png", "label": 1}\n',
        },
    )
    assert folder.open_source(root).labels.tolist() == [0, 1, 2]
    (root / "a/b/3.png").write_bytes(IMAGE)
    with pytest.raises(DataError, match=r"no row for a/b/3.png"):
        folder.open_source(root)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "2.0", " 3 "], [1, 2, 3]),
        (["1", "2.5"], ["1", "2.5"]),
        (["1", "cat"], ["1", "cat"]),
        (["1", "", None], [1, None, None]),
        (["-1", "+2"], [-1, 2]),
        (["cat ", ""], ["cat", None]),
    ],
)
def test_labels_from_text(texts, values):
    assert whole_numbers(texts) == values


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_labels_of_arrays_of_any_type_and_shape(tmp_path, dtype, shape):
    labels = np.array([3, 1, 2, 0], dtype).reshape(shape)
    np.savez(tmp_path / "x.npz", x_train=np.zeros((4, 8, 8, 3), np.uint8), y_train=labels)
    assert array.open_source(tmp_path / "x.npz").labels.tolist() == [3, 1, 2, 0]


def test_labels_that_are_wrapped_are_unwrapped_and_others_refused():
    assert labels_of([[3], (1.0,), np.float32(2), 0], "x")[0].tolist() == [3, 1, 2, 0]
    assert labels_of([float("nan"), -1.0], "x") is None
    for wrong in ([1.5], [True], [[1, 2]], [2, float("nan")]):
        with pytest.raises(DataError, match="no class number"):
            labels_of(wrong, "x")


@pytest.mark.parametrize(
    ("cls", "labels", "classes"),
    [
        ([b"1", b"0\n", b" 1 "], [1, 0, 1], ["0", "1"]),
        ([b"1.0", b"0.0", b"1.0"], [1, 0, 1], ["0", "1"]),
        ([b"dog", b"cat\r\n", b"dog"], [1, 0, 1], ["cat", "dog"]),
        (["hóu".encode(), b"cat", b"cat"], [1, 0, 0], ["cat", "hóu"]),
    ],
)
def test_the_classes_of_webdataset_samples_are_numbers_or_names(tmp_path, cls, labels, classes):
    files = {}
    for i, text in enumerate(cls):
        files |= {f"{i}.png": IMAGE, f"{i}.cls": text}
    source = tar.open_source(write_tar(tmp_path / "x.tar", files))
    assert (source.labels.tolist(), source.classes) == (labels, classes)
    (tmp_path / "classes.json").write_text(json.dumps(["z", *classes]))
    numbers = labels if cls[0][:1].isdigit() else [label + 1 for label in labels]
    assert tar.open_source(tmp_path / "x.tar").labels.tolist() == numbers


@pytest.fixture
def photos(tmp_path):
    return write_files(tmp_path / "photos", {f"sub/{i}.png": png(i) for i in range(4)})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["{i}", "{i}.png", "sub/{i}.png", "sub\\{i}.png", "./sub/{i}", "{i}.jpg"])
def test_a_table_of_labels_names_images_in_any_usual_way(photos, tmp_path, kind, name):
    suffix = {"semicolons": "csv", "tabs": "tsv"}.get(kind, kind)
    rows = [{"id": name.format(i=i), "label": label} for i, label in enumerate(["b", "a", "b", "c"])]
    (tmp_path / f"labels.{suffix}").write_bytes(table(kind, rows))
    if name == "{i}.jpg":
        with pytest.raises(DataError, match="names none of the images"):
            with_label_file(folder.open_source(photos), tmp_path / f"labels.{suffix}")
        return
    source = with_label_file(folder.open_source(photos), tmp_path / f"labels.{suffix}")
    assert (source.classes, source.labels.tolist()) == (["a", "b", "c"], [1, 0, 1, 2])


def test_rows_and_images_without_each_other_are_said(photos, tmp_path, capsys):
    (tmp_path / "train.csv").write_text("id;breed\n0;pug\n2;boxer\n77;pug\n")
    s = gantools.prep(str(photos), labels=tmp_path / "train.csv", size=8, out=tmp_path / "out")
    assert s.names == ["sub/0.png", "sub/2.png"]
    assert (s.classes, s.labels.tolist()) == (["boxer", "pug"], [1, 0])
    said = capsys.readouterr().err
    assert "1 rows name no image here" in said
    assert "Left out: without a row in train.csv (2)" in said
    assert s.manifest["source"]["left_out"] == {"without a row in train.csv": 2}


def test_a_table_of_labels_that_cannot_be_used_says_why(photos, tmp_path):
    source = folder.open_source(photos)
    for name, text, error, words in (
        ("a.csv", "id,x,y\n0,1,2\n", ConfigError, "which column has the labels"),
        ("b.csv", "id\n0\n", ConfigError, "which column has the labels"),
        ("c.csv", "", DataError, "holds no row"),
        ("d.csv", "id,label\nzzz,1\n", DataError, "'zzz' is not 'sub/0.png'"),
        ("e.csv", "id,label\n0,1\n0,2\n", DataError, "0 has the labels 1 and 2"),
        ("f.txt", "id,label\n0,1\n", DataError, "not a kind of table"),
        ("g.jsonl", "{", DataError, "damaged"),
        ("h.csv", b"id,label\n\xff\xff,1\n", DataError, "no UTF-8"),
    ):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(error, match=words):
            with_label_file(source, tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        with_label_file(source, tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="unknown column"):
        with_label_file(source, tmp_path / "a.csv", "z")
    assert with_label_file(source, tmp_path / "a.csv", "y").labels.tolist() == [2]


def test_tables_from_excel(tmp_path):
    text = "id;label\n1;ä\n".encode("utf-16")
    assert read_table("x", "x.csv", text) == [{"id": "1", "label": "ä"}]


@pytest.mark.parametrize("name", ["set/metadata.jsonl", "set/train/metadata.csv"])
def test_damaged_metadata_is_an_error_that_names_it(tmp_path, name):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("set/train/1.png", IMAGE)
        archive.writestr(name, b"\xff\xfe\xff")
    with pytest.raises(DataError, match=name):
        folder.open_source(path)
