"""Archives with `dataset.json`, and folders with `metadata.jsonl`: labels that lie in a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.data.sources.makers import png, write_files, write_zip

from gantools.data.sources import folder, stylegan
from gantools.errors import ConfigError, DataError

NAMES = ["00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png"]


def write(path, document, as_folder=False):
    text = document if isinstance(document, str) else json.dumps(document)
    files = {name: png(i) for i, name in enumerate(NAMES)} | {"dataset.json": text.encode()}
    return write_files(path, files) if as_folder else write_zip(path, files)


@pytest.mark.parametrize("as_folder", [True, False])
def test_labels_are_numbers_vectors_or_none(tmp_path, as_folder):
    def source(labels, **more):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.zip"
        return stylegan.open_source(write(path, {"labels": labels, **more}, as_folder))

    # In any order; backslashes as dataset_tool.py wrote them on Windows.
    numbers = source([[NAMES[2], 0], [NAMES[0].replace("/", "\\"), 4], [NAMES[1], 1]])
    assert numbers.names == NAMES
    assert numbers.labels.tolist() == [4, 1, 0]
    assert numbers.classes == ["0", "1", "2", "3", "4"]
    assert source([[n, i] for i, n in enumerate(NAMES)], classes=["a", "b", "c"]).classes == ["a", "b", "c"]
    none = source(None)
    assert none.labels is None and not none.annotations
    vectors = source([[n, [0.5, i]] for i, n in enumerate(NAMES)])
    assert vectors.labels is None
    np.testing.assert_array_equal(
        vectors.annotations["label_vectors"].values, np.float32([[0.5, 0], [0.5, 1], [0.5, 2]])
    )


def test_a_wrong_dataset_json_is_an_error(tmp_path):
    for document, words in (
        ("{", "is damaged"),
        ([], "has no 'labels'"),
        ({"labels": 7}, r"not a list of \[name, label\]"),
        ({"labels": [[NAMES[0], 1]]}, "no label for 00000/img00000001.png"),
        ({"labels": [[n, "x" if n == NAMES[0] else 1] for n in NAMES]}, "no class number"),
        ({"labels": [[n, [1.0] * (1 + i)] for i, n in enumerate(NAMES)]}, "not all of one length"),
        ({"labels": [[n, [float("nan")]] for n in NAMES]}, "finite"),
        ({"labels": [[n, 3] for n in NAMES], "classes": ["a"]}, "1 class names"),
    ):
        with pytest.raises(DataError, match=words):
            stylegan.open_source(write(tmp_path / "x.zip", document))
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/1.png").write_bytes(png(1))
    with pytest.raises(DataError, match=r"no dataset\.json"):
        stylegan.open_source(tmp_path / "plain")
    with pytest.raises(ConfigError, match="no splits"):
        stylegan.open_source(tmp_path / "plain", "train")


def with_metadata(path, name, text, as_zip=False):
    files = {"x/1.png": png(1), "x/2.png": png(2), "y/3.png": png(3)}
    if as_zip:
        content = {**files, name: text.encode()}
        return write_zip(path.with_suffix(".zip"), {f"out/{file}": data for file, data in content.items()})
    write_files(path, files)
    (path / name).write_text(text)
    return path


ROWS = [("y/3.png", 0), ("x/1.png", 2), ("x/2.png", 1)]
JSONL = "".join(json.dumps({"file_name": n, "label": i}) + "\n" for n, i in ROWS)


@pytest.mark.parametrize("as_zip", [True, False])
def test_metadata_beside_the_images_has_the_labels(tmp_path, as_zip):
    source = folder.open_source(with_metadata(tmp_path / "a", "metadata.jsonl", JSONL, as_zip))
    assert source.labels.tolist() == [2, 1, 0]
    csv = "file_name,label\n" + "".join(f"{n},{i}\n" for n, i in ROWS)
    assert folder.open_source(with_metadata(tmp_path / "b", "metadata.csv", csv, as_zip)).labels.tolist() == [2, 1, 0]
    named = csv.replace(",0", ",zebra").replace(",1", ",ant").replace(",2", ",bee")
    source = folder.open_source(with_metadata(tmp_path / "c", "metadata.csv", named, as_zip))
    assert (source.labels.tolist(), source.classes) == ([1, 0, 2], ["ant", "bee", "zebra"])
    # With metadata the folders mean nothing, as for HF datasets.
    captions = '{"file_name": "x/1.png", "text": "hello"}\n'
    assert folder.open_source(with_metadata(tmp_path / "d", "metadata.jsonl", captions, as_zip)).labels is None


def test_wrong_metadata_is_an_error(tmp_path):
    for text, words in (
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("", "has no file_name|no file_name"),
        ('{"label": 1}', "no file_name"),
        (JSONL.splitlines()[0], "no row for x/1.png"),
        (JSONL.replace('"label": 1', '"label": null'), "no class number"),
    ):
        with pytest.raises(DataError, match=words):
            folder.open_source(with_metadata(tmp_path / "m", "metadata.jsonl", text))
    with pytest.raises(ConfigError, match="no splits"):
        folder.open_source(with_metadata(tmp_path / "m", "metadata.jsonl", JSONL), "train")


def test_folders_train_and_test_are_splits(tmp_path):
    names = ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")
    write_files(tmp_path / "s", {name: png(i) for i, name in enumerate(names)})
    source = folder.open_source(tmp_path / "s")
    assert (source.names, source.classes) == (["train/a/1.png", "train/b/2.png"], ["a", "b"])
    assert folder.open_source(tmp_path / "s", "test").names == ["test/a/3.png", "test/b/4.png"]
    assert folder.open_source(tmp_path / "s", "all").labels.tolist() == [0, 1, 0, 1]
