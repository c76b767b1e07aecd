"""A source that holds several kinds of images or labels asks which, or says which it took."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from tests.data.sources.makers import pixels, png, write_tar

import gantools
from gantools.data.sources import Asked, folder, open_as, parquet, recognise, tar
from gantools.errors import ConfigError, DataError

ENDS = ("jpg", "seg.png", "depth.PNG")


def samples(n: int, ends=ENDS, side="cls", outer="") -> dict[str, bytes]:
    files = {}
    for i in range(n):
        files |= {f"{outer}{i:03d}.{end}": png(10 * i + at) for at, end in enumerate(ends)}
        files[f"{outer}{i:03d}.{side}"] = json.dumps({"label": i, "other": "x"}).encode() if side == "json" else b"1"
    return files


@pytest.mark.parametrize("side", ["cls", "json", "txt"])
@pytest.mark.parametrize("several", [False, True])
def test_samples_of_several_images_are_asked_about(tmp_path, side, several):
    if several:
        for i in range(2):
            write_tar(tmp_path / f"s-{i}.tar", samples(2, side=side))
        path, n = tmp_path, 4
    else:
        path, n = write_tar(tmp_path / "x.tar", samples(2, side=side, outer="set/")), 2
    with pytest.raises(ConfigError, match="which image of each sample") as error:
        tar.open_source(path)
    for end in ENDS:
        assert f"{n} {end.lower()}" in error.value.message
    key = error.value.hint.removeprefix("Say it: --key ")
    for asked in (key, *ENDS, ".jpg"):
        source = tar.open_source(path, None, Asked(key=asked))
        assert len(source) == n
        assert all(name.lower().endswith(asked.lower()) for name in source.names)
        assert source.left_out == {f"other than --key {asked}": 2 * n}
    with pytest.raises(ConfigError, match="unknown key"):
        tar.open_source(path, None, Asked(key="webp"))


def test_samples_of_one_image_of_any_kind_are_not_asked_about(tmp_path):
    files = {"0.png": png(0), "0.cls": b"1", "1.jpg": png(1), "1.cls": b"0"}
    assert tar.open_source(write_tar(tmp_path / "x.tar", files)).labels.tolist() == [1, 0]
    # Captions beside some images, as a folder may have them, too.
    files = {"0.png": png(0), "0.jpg": png(1), "0.txt": b"x", "1.png": png(2), "1.txt": b"x"}
    assert len(tar.open_source(write_tar(tmp_path / "z.tar", files))) == 3
    # Points in the names of a plain archive make no samples.
    files = {f"a/2021.01.{i}.png": png(i) for i in range(3)}
    assert len(tar.open_source(write_tar(tmp_path / "y.tar", files))) == 3


def test_the_label_of_samples_may_have_any_key(tmp_path):
    path = write_tar(tmp_path / "x.tar", samples(3, ("jpg",), "json"))
    assert tar.open_source(path).labels.tolist() == [0, 1, 2]
    assert tar.open_source(path, None, Asked(label_column="other")).classes == ["x"]
    with pytest.raises(ConfigError, match=r"no sample has a \.json"):
        tar.open_source(write_tar(tmp_path / "y.tar", {"0.png": png(0)}), None, Asked(label_column="other"))


def write_table(path, columns, names=None):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table(columns)
    if names:
        features = {name: {"names": classes, "_type": "ClassLabel"} for name, classes in names.items()}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def images(start: int):
    return [{"bytes": png(start + i), "path": None} for i in range(3)]


@pytest.mark.parametrize(
    ("columns", "taken", "said"),
    [
        ({"pixels": images(0)}, "pixels", False),
        ({"image": images(0), "mask": images(9)}, "image", True),
        ({"mask": images(9), "img": images(0)}, "img", True),
        ({"mask": images(0), "target": images(9)}, None, True),
        ({"image": images(0), "img": images(9)}, None, True),
        ({"hash": [b"a", b"b", b"c"], "photo": images(0)}, "photo", False),
        ({"raw": [png(i) for i in range(3)]}, "raw", False),
        ({"raw": [png(i) for i in range(3)], "hash": [b"a", b"b", b"c"]}, None, True),
    ],
)
def test_one_column_of_images_is_taken_others_said_or_asked_about(tmp_path, columns, taken, said):
    path = write_table(tmp_path / "x.parquet", columns)
    if taken is None:
        with pytest.raises(ConfigError, match="which column has the images") as error:
            parquet.open_source(path)
        assert all(name in error.value.message for name in columns)
        taken = error.value.hint.removeprefix("Say it: --column ")
    else:
        source = parquet.open_source(path)
        assert bool(source.notes) == said
        assert source.reader.read(1) == png(1)
    for name, values in columns.items():
        source = parquet.open_source(path, None, Asked(column=name))
        value = values[2]["bytes"] if isinstance(values[2], dict) else values[2]
        assert source.reader.read(2) == value
        assert source.notes == ()
    assert len(parquet.open_source(path, None, Asked(column=taken))) == 3
    with pytest.raises(ConfigError, match="unknown column"):
        parquet.open_source(path, None, Asked(column="nothing"))


@pytest.mark.parametrize(
    ("columns", "names", "labels", "said"),
    [
        ({"label": [2, 0, 1]}, {}, [2, 0, 1], False),
        ({"label": [[2], [0], [1]]}, {}, [2, 0, 1], False),
        ({"label": [2.0, 0.0, 1.0]}, {}, [2, 0, 1], False),
        ({"fine_label": [2, 0, 1], "coarse_label": [0, 0, 0]}, {"coarse_label": ["a"]}, [2, 0, 1], True),
        ({"species": [1, 0, 1]}, {"species": ["ant", "bee"]}, [1, 0, 1], False),
        ({"species": [1, 0, 1], "colour": [0, 0, 0]}, {"species": ["ant", "bee"], "colour": ["red"]}, None, True),
        ({"species": [1, 0, 1]}, {}, None, False),
    ],
)
def test_one_column_of_labels_is_taken_others_said(tmp_path, columns, names, labels, said):
    path = write_table(tmp_path / "x.parquet", {"image": images(0), **columns}, names)
    source = parquet.open_source(path)
    assert (None if source.labels is None else source.labels.tolist()) == labels
    assert bool(source.notes) == said
    for name, values in columns.items():
        asked = parquet.open_source(path, None, Asked(label_column=name))
        assert asked.labels.tolist() == np.array(values, int).ravel().tolist()
        assert asked.classes == names.get(name, [str(i) for i in range(max(asked.labels) + 1)])
        assert asked.notes == ()


def test_the_choice_decides_the_set(tmp_path):
    path = write_table(tmp_path / "x.parquet", {"mask": images(0), "target": images(9), "n": [1, 0, 1]})
    options = {"size": 8, "progress": False}
    s = gantools.prep(str(path), column="target", label_column="n", out=tmp_path / "a", **options)
    np.testing.assert_array_equal(s[1], pixels(10))
    assert s.labels.tolist() == [1, 0, 1]
    # Another choice is another set, which is not taken for this one.
    for other in ({"column": "mask", "label_column": "n"}, {"column": "target"}):
        with pytest.raises(DataError, match="something else"):
            gantools.prep(str(path), out=tmp_path / "a", **other, **options)


def table_of_metadata() -> bytes:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"url": ["u"], "key": ["0"], "file_name": ["0.png"], "label": [3]}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        # What img2dataset writes, as archives and as files.
        (("00000.tar", "00000.parquet", "00000_stats.json"), "tar"),
        (("00000/0.png", "00000/0.json", "00000.parquet"), "folder"),
        (("0.png", "metadata.parquet"), "folder"),
        (("data/0.png", "data/metadata.parquet"), "folder"),
        (("0.png", "shard.tar", "x.parquet"), "folder"),
        (("sub/deep/00000.tar",), "tar"),
        (("images.parquet", "thumbnail.png"), "parquet"),
        (("data/images.parquet", "assets/sample.png", "more.tar"), "parquet"),
        (("default/train/images.parquet",), "parquet"),
        (("x.parquet",), "parquet"),
    ],
)
def test_what_a_folder_is_goes_by_what_it_holds(tmp_path, files, kind):
    metadata = table_of_metadata()
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".tar"):
            write_tar(tmp_path / name, {"0.png": png(0)})
        elif name.endswith("images.parquet"):
            write_table(tmp_path / name, {"image": images(0)})
        else:
            (tmp_path / name).write_bytes(png(0) if name.endswith(".png") else metadata if "parquet" in name else b"{}")
    assert recognise(tmp_path)[0] == kind
    if files != ("x.parquet",):
        assert len(open_as(kind, tmp_path)) in (1, 3)


def test_metadata_in_parquet_has_the_labels_of_a_folder(tmp_path):
    (tmp_path / "0.png").write_bytes(png(0))
    (tmp_path / "metadata.parquet").write_bytes(table_of_metadata())
    source = folder.open_source(tmp_path)
    assert (source.labels.tolist(), source.skipped) == ([3], {})
