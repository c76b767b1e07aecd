"""CelebA's annotation files in both forms."""

from __future__ import annotations

import numpy as np
import pytest

from gantools.data.annotations import TABLES, find_annotations, read_table
from gantools.errors import DataError

NAMES = ["000001.jpg", "000002.jpg"]
# The known rows of the data set.
LANDMARKS = [[69, 109, 106, 113, 77, 142, 73, 152, 108, 154], [69, 110, 107, 112, 81, 135, 70, 151, 108, 153]]
BOXES = [[95, 71, 226, 313], [72, 94, 221, 306]]
LANDMARK_COLUMNS = (
    "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
)


def as_txt(header, rows):
    lines = [f"{name} " + "  ".join(map(str, row)) for name, row in zip(NAMES, rows, strict=True)]
    return "\n".join([*header, *lines]) + "\n"


def as_csv(columns, rows):
    lines = [f"{name}," + ",".join(map(str, row)) for name, row in zip(NAMES, rows, strict=True)]
    return "\n".join([f"image_id,{','.join(columns)}", *lines]) + "\n"


def write(folder, form):
    columns = LANDMARK_COLUMNS.split()
    if form == "txt":
        files = {
            "list_landmarks_align_celeba.txt": as_txt(["2", LANDMARK_COLUMNS], LANDMARKS),
            "list_bbox_celeba.txt": as_txt(["2", "image_id x_1 y_1 width height"], BOXES),
            "list_attr_celeba.txt": as_txt(["2", "Bald Smiling"], [[-1, 1], [1, -1]]),
            "list_eval_partition.txt": as_txt([], [[0], [2]]),
            "identity_CelebA.txt": as_txt([], [[2880], [2937]]),
        }
    else:
        files = {
            "list_landmarks_align_celeba.csv": as_csv(columns, LANDMARKS),
            "list_bbox_celeba.csv": as_csv(["x_1", "y_1", "width", "height"], BOXES),
            "list_attr_celeba.csv": as_csv(["Bald", "Smiling"], [[-1, 1], [1, -1]]),
            "list_eval_partition.csv": as_csv(["partition"], [[0], [2]]),
            "identity_CelebA.csv": as_csv(["identity"], [[2880], [2937]]),
        }
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_both_forms_give_the_known_rows(tmp_path, form):
    write(tmp_path, form)
    found = find_annotations([tmp_path], [f"img_align_celeba/{name}" for name in reversed(NAMES)])
    np.testing.assert_array_equal(found["landmarks"].values, LANDMARKS[::-1])
    np.testing.assert_array_equal(found["boxes"].values, BOXES[::-1])
    np.testing.assert_array_equal(found["attributes"].values, [[1, -1], [-1, 1]])
    np.testing.assert_array_equal(found["partition"].values, [2, 0])
    np.testing.assert_array_equal(found["identity"].values, [2937, 2880])
    assert found["landmarks"].columns == LANDMARK_COLUMNS.split()
    assert found["attributes"].columns == ["Bald", "Smiling"]
    assert found["partition"].columns is None


def test_the_forms_of_the_real_files_agree(test_data):
    folder = test_data / "data/celeba"
    names = [line.split()[0] for line in (folder / "list_eval_partition.txt").read_text().splitlines()]
    for key in ("attributes", "partition"):
        table = TABLES[key]
        a = read_table(folder / f"{table.stem}.txt", table, names)
        b = read_table(folder / f"{table.stem}.csv", table, names)
        np.testing.assert_array_equal(a.values, b.values)
        assert a.columns == b.columns
    assert len(names) == 8000
    assert np.bincount(a.values).tolist() == [6500, 700, 800]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("list_eval_partition.txt", "000001.jpg 0\n000002.jpg x\n", r"line 2: expected an image name and 1 whole"),
        ("list_eval_partition.txt", "000001.jpg 0 1\n", r"line 1"),
        ("list_eval_partition.txt", "000001.jpg 0\n", "no row for 000002.jpg"),
        ("list_eval_partition.txt", "000001.jpg 0\n000002.jpg 300\n", "out of range"),
        ("list_attr_celeba.txt", "Bald Smiling\n", "line 1: expected the number of rows"),
        ("list_attr_celeba.txt", "", "line 1"),
        ("list_attr_celeba.csv", "name,Bald\n", "line 1: expected column names that begin with image_id"),
        ("list_bbox_celeba.csv", "image_id,x,y,w,h\n", "expected x_1, y_1, width, height"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, file, text, words):
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=words) as error:
        find_annotations([tmp_path], NAMES)
    assert file in error.value.message


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "list_eval_partition.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="cannot be read"):
        find_annotations([tmp_path], NAMES)
