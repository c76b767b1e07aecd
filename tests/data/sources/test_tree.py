"""One tree of files is one set, as a folder, a zip and a tar; what is no image of it is counted."""

from __future__ import annotations

import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.sources.makers import png, write_files, write_tar, write_zip

import gantools
from gantools.data.sources import SOURCES, folder, recognise, report, tar
from gantools.data.sources.base import IMAGE_SUFFIXES, Source
from gantools.data.sources.tree import LOOP, NOWHERE, SAME_NAME, UNREAD_SUFFIXES, open_tree, path_of
from gantools.errors import DataError

IMAGE = png(0)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("/a/./b.jpg", "a/b.jpg"),
        (".\\a\\b.jpg", "a/b.jpg"),
        ("a/../b.jpg", "b.jpg"),
        ("../b.jpg", "../b.jpg"),
        ("a/../../b.jpg", "../b.jpg"),
        (unicodedata.normalize("NFD", "é/ü.jpg"), unicodedata.normalize("NFC", "é/ü.jpg")),
        (os.fsdecode(b"\xff.jpg"), os.fsdecode(b"\xff.jpg")),
        ("", ""),
        (".", ""),
    ],
)
def test_one_path_for_every_way_to_write_it(name, path):
    assert path_of(name) == path
    assert path_of(path) == path
    assert path_of(name, "set/x") == path_of(f"set/x/{name}")


words = st.sampled_from(["cat", "dog", "é", "ü1", "B", "a b", "x.y"])
paths = st.builds(
    lambda parts, suffix: "/".join(parts) + suffix,
    st.lists(words, min_size=1, max_size=3),
    st.sampled_from([".png", ".JPG", ".md", ".heic"]),
)


def as_seen(source: Source) -> tuple:
    """Everything that must not depend on how the tree is kept."""
    labels = None if source.labels is None else source.labels.tolist()
    data = [source.reader.read(int(item)) for item in source.items]
    return source.names, labels, source.classes, source.split, source.skipped, source.left_out, data


def opened(open_source, path: Path) -> tuple:
    try:
        return as_seen(open_source(path))
    except DataError as e:
        return ("error", e.message.replace(str(path), "SET"))
    except gantools.errors.ConfigError as e:
        return ("question", e.message.replace(str(path), "SET"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    inner=st.dictionaries(paths, st.binary(min_size=1, max_size=4), min_size=1, max_size=9),
    splits=st.sampled_from([("",), ("train/", "test/"), ("Training/", "dev/", "unlabeled/"), ("train2017/", "x/")]),
    outer=st.sampled_from(["", "set/"]),
    way=st.sampled_from(["/", "\\", "./"]),
    form=st.sampled_from(["NFC", "NFD"]),
    furniture=st.booleans(),
)
def test_a_folder_its_zip_its_tar_and_a_folder_of_links_are_one_set(
    tmp_path, inner, splits, outer, way, form, furniture
):
    # A name cannot be a file and a folder, and no two may be one path.
    inner = {n: d for n, d in inner.items() if not any(o.startswith(n + "/") for o in inner)}
    files = {f"{outer}{split}{name}": data for split in splits for name, data in inner.items()}
    base = tmp_path / f"t{len(list(tmp_path.iterdir()))}"
    plain = write_files(base / "set", files)
    odd = {unicodedata.normalize(form, n): d for n, d in files.items()}
    odd = {
        n.replace("/", "\\") if way == "\\" else way.strip("/") + ("/" if way == "./" else "") + n: d
        for n, d in odd.items()
    }
    if furniture:
        odd |= {"__MACOSX/._x.png": b"x", ".DS_Store": b"x", "Thumbs.db": b"x"}
    linked = base / "linked"
    linked.mkdir()
    for entry in plain.iterdir():
        (linked / entry.name).symlink_to(entry)
    expected = opened(folder.open_source, plain)
    assert opened(folder.open_source, linked) == expected
    assert opened(folder.open_source, write_zip(base / "set.zip", odd)) == expected
    assert opened(tar.open_source, write_tar(base / "set.tar", odd)) == expected
    copied = base / "copied"
    shutil.copytree(linked, copied)
    assert opened(folder.open_source, copied) == expected


def test_links_are_followed_and_never_in_a_circle(tmp_path):
    root = write_files(tmp_path / "set", {"a/1.png": IMAGE, "b/2.png": IMAGE})
    write_files(tmp_path / "elsewhere", {"3.png": IMAGE, "deep/4.png": IMAGE})
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "a/2.png").symlink_to(root / "b/2.png")
    whole = ["a/1.png", "a/2.png", "b/2.png", "c/3.png", "c/deep/4.png"]
    assert folder.open_source(root).names == whole
    (root / "a/up").symlink_to("..")
    (root / "a/here").symlink_to(".")
    (root / "b/top").symlink_to("/")
    (tmp_path / "elsewhere/back").symlink_to(root)
    # Two folders that hold links to one another.
    (root / "a/other").symlink_to("../b")
    (root / "b/other").symlink_to("../a")
    (root / "self").symlink_to("self")
    source = folder.open_source(root)
    assert source.names == sorted([*whole, "a/other/2.png", "b/other/1.png", "b/other/2.png"])
    (root / "a/gone").symlink_to("nowhere")
    (root / "a/gone.png").symlink_to("nowhere")
    source = folder.open_source(root)
    # The name of an image deserves a reject with the reason.
    assert source.names == sorted(
        [*whole, "a/gone.png", "a/other/2.png", "b/other/1.png", "b/other/2.png", "b/other/gone.png"]
    )
    assert source.skipped == {LOOP: 9, NOWHERE: 3}


def test_the_last_of_entries_of_one_name_counts_and_it_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for seed in (1, 2):
            archive.writestr("a.png", png(seed))
            archive.writestr("b.png", png(0))
    source = folder.open_source(tmp_path / "x.zip")
    assert source.names == ["a.png", "b.png"]
    assert source.reader.read(int(source.items[0])) == png(2)
    assert source.skipped == {SAME_NAME: 2}


def test_two_files_that_are_one_path_are_both_there_and_it_is_said(tmp_path):
    root = write_files(tmp_path / "set", {unicodedata.normalize(form, "é.png"): IMAGE for form in ("NFC", "NFD")})
    source = folder.open_source(root)
    assert source.names == ["é.png"] * 2
    assert any("stand for several images" in line for line in report(source))


@pytest.mark.parametrize("keep", ["folder", "zip", "tar"])
def test_what_is_no_image_is_counted_where_it_matters(tmp_path, keep):
    files = {
        **{f"cat/{i}.png": IMAGE for i in range(2)},
        "dog/0.jfif": IMAGE,
        "dog/1.JPE": IMAGE,
        "cat/IMG_1.HEIC": b"x",
        "cat/IMG_2.heic": b"x",
        "cat/notes.txt": b"x",
        "cat/noname": b"x",
        # Not where images stand, but they look like some, or hold some.
        "more/raw.cr2": b"x",
        "more.zip": b"x",
        # Nobody means these.
        "README.md": b"x",
        "docs/readme.txt": b"x",
        "cat/.DS_Store": b"x",
        "cat/Thumbs.db": b"x",
        "__MACOSX/cat/._0.png": b"x",
    }
    if keep == "folder":
        source = folder.open_source(write_files(tmp_path / "set", files))
    elif keep == "zip":
        source = folder.open_source(write_zip(tmp_path / "set.zip", files))
    else:
        source = tar.open_source(write_tar(tmp_path / "set.tar", files))
    assert source.skipped == {".heic": 2, ".txt": 1, "without a suffix": 1, ".cr2": 1, ".zip": 1}
    assert (
        report(source) == ["6 files skipped: 2 .heic, 1 .txt, 1 without a suffix, 1 .cr2, 1 .zip."] or len(source) == 4
    )
    assert next(iter(source.skipped)) == ".heic"


def test_suffixes_are_read_or_known_not_both():
    assert not UNREAD_SUFFIXES & set(IMAGE_SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in (*UNREAD_SUFFIXES, *IMAGE_SUFFIXES))


def test_what_was_skipped_and_left_out_is_in_the_manifest_and_the_shares(tmp_path, capsys):
    root = write_files(
        tmp_path / "set", {"train/a.png": IMAGE, "train/b.heic": b"x", "train/c.heic": b"x", "test/d.png": IMAGE}
    )
    s = gantools.prep(str(root), size=8, out=tmp_path / "out")
    assert s.manifest["source"]["skipped"] == {".heic": 2}
    assert s.manifest["source"]["left_out"] == {"test": 1}
    said = capsys.readouterr().err
    assert "2 files skipped: 2 .heic." in said
    assert "Split train; left out: test (1)." in said
    from gantools.data.prepare import merge, prep_share

    prep_share(str(root), "1/1", size=8, out=tmp_path / "shares/out", progress=False)
    merged = merge(tmp_path / "shares/out", progress=False)
    assert (merged.path / "manifest.json").read_bytes() == (s.path / "manifest.json").read_bytes()


def test_a_place_without_an_image_says_what_it_has(tmp_path):
    root = write_files(tmp_path / "set", {"a/1.heic": b"x", "a/2.heic": b"x", "b/x.dat": b"x"})
    with pytest.raises(DataError, match="no image in it") as error:
        folder.open_source(root)
    assert "2 .heic, 1 .dat" in error.value.hint


def test_a_tree_reads_its_files_by_path(tmp_path):
    root = write_files(tmp_path / "set", {"a/x.csv": b"1", "y.png": IMAGE})
    for path in (root, write_zip(tmp_path / "x.zip", {"a\\x.csv": b"1", "y.png": IMAGE})):
        tree = open_tree(path)
        assert tree.names == ["a/x.csv", "y.png"]
        assert "a/x.csv" in tree
        assert tree.read("a/x.csv") == b"1"
        reader, items, names = tree.images()
        assert names == ["y.png"]
        assert reader.read(int(items[0])) == IMAGE


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_every_source_takes_all_for_a_split(kind, tmp_path):
    """What has no splits is wholly in `all`: the listing of scores asks for it whatever the source is."""
    if kind in ("celeba", "folder", "stylegan", "tar"):
        files = {"a.png": IMAGE, "dataset.json": b'{"labels": [["a.png", 0]]}'}
        root = write_files(tmp_path / "set", files)
        path = write_tar(tmp_path / "x.tar", files) if kind == "tar" else root
        assert SOURCES[kind](path, "all").names == ["a.png"]
    elif kind == "array":
        np.save(tmp_path / "x.npy", np.zeros((2, 8, 8, 3), np.uint8))
        assert len(SOURCES[kind](tmp_path / "x.npy", "all")) == 2


@pytest.mark.parametrize("outer", ["", "set/", "a/b/"])
def test_a_stylegan_set_is_recognised_below_outer_folders(tmp_path, outer):
    labels = b'{"labels": [["0\\\\a.png", 1], ["./0/b.png", 0]]}'
    files = {f"{outer}0/a.png": png(1), f"{outer}0/b.png": png(2), f"{outer}dataset.json": labels}
    for path in (write_files(tmp_path / "set", files), write_zip(tmp_path / "x.zip", files)):
        assert recognise(path)[0] == "stylegan"
        source = SOURCES["stylegan"](path)
        assert source.labels.tolist() == [1, 0]
        assert source.skipped == {}
    assert tar.open_source(write_tar(tmp_path / "x.tar", files)).labels.tolist() == [1, 0]
