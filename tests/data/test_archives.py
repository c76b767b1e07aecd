"""Archives hold what a folder holds, whichever program wrote them: compared with folders, `tarfile`, `zipfile`."""

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gantools import _native
from gantools.data.sources.tree import LOOP, SAME_NAME, open_tree
from gantools.errors import DataError

LONG = "n" * 90
# Names of every kind: plain, with spaces, of two bytes a letter, decomposed, no UTF-8, longer than a header's field.
NAMES = ["a.png", "b c.png", "é.png", "e\u0301.png", os.fsdecode(b"\xff\xfe.png"), f"{LONG}/{LONG}.png", "d/e/f.png"]

Content = dict[str, bytes | None]
"""What each name gives, None where it cannot be read."""


def in_source(source: _native.Source) -> Content:
    found: Content = {}
    for i, name in enumerate(source.names or []):
        assert name not in found
        try:
            found[name] = source.read(i)
        except DataError:
            found[name] = None
    return found


def in_folder(root: Path) -> Content:
    """All files below a folder, links followed but to folders that they are in."""
    found: Content = {}

    def walk(folder: Path, above: list[str]) -> None:
        for entry in folder.iterdir():
            real = os.path.realpath(entry)
            name = str(entry.relative_to(root))
            if not entry.exists():
                found[name] = None
            elif entry.is_file():
                found[name] = entry.read_bytes()
            elif not any(f"{folder}/".startswith(f"{real}/") for folder in above):
                walk(entry, [*above, real])

    walk(root, [os.path.realpath(root)])
    return found


def tar_source(path: Path) -> _native.Source:
    return _native.Source.tar([(path, "")])


def pack_tar(folder: Path, path: Path, form: int, names: str = "{}") -> None:
    with tarfile.open(path, "w", format=form) as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, names.format(entry.name))


def pack_zip(folder: Path, path: Path) -> None:
    """With links as links, as `zip -y` does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for base, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                entry = Path(base, name)
                info = zipfile.ZipInfo(str(entry.relative_to(folder)))
                info.create_system = 3
                if entry.is_symlink():
                    info.external_attr = (stat.S_IFLNK | 0o777) << 16
                    archive.writestr(info, str(entry.readlink()))
                elif entry.is_file():
                    archive.writestr(info, entry.read_bytes(), zipfile.ZIP_DEFLATED)


def make_tree(root: Path, links: list[tuple[str, str, str]]) -> None:
    """A file of each name, and links (kind, name, target); a link that cannot be made is left out."""
    for i, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([i]) * (300 * i))
    for kind, name, target in links:
        place = root / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if kind == "hard":
                os.link(root / target, place)
            else:
                place.symlink_to(target)
        except OSError:
            continue


# (kind, name, target): targets of hard links count from the root, those of symbolic ones from their folder.
LINKS = [
    ("hard", "hard.png", "a.png"),
    ("hard", "x/hard.png", os.fsdecode(b"\xff\xfe.png")),
    ("hard", "x/long.png", f"{LONG}/{LONG}.png"),
    ("soft", "soft.png", "b c.png"),
    ("soft", "x/soft.png", "../é.png"),
    ("soft", "x/two.png", "soft.png"),
    ("soft", "x/folder", "../d"),
    ("soft", "long.png", f"{LONG}/{LONG}.png"),
    ("soft", "x/through", "folder/e"),
    ("soft", "gone.png", "nowhere.png"),
    ("soft", "x/round.png", "about.png"),
    ("soft", "x/about.png", "round.png"),
    ("soft", "d/up", ".."),
    ("soft", "d/self", "."),
]
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree") / "set"
    root.mkdir()
    make_tree(root, LINKS)
    return root


@pytest.fixture(scope="module")
def short(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tree`, with the targets of links short enough for POSIX's first format."""
    root = tmp_path_factory.mktemp("short") / "set"
    root.mkdir()
    make_tree(root, [link for link in LINKS if LONG not in link[2]])
    return root


@pytest.mark.parametrize("prefix", ["{}", "./{}", "/{}", ".//./{}"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_tar_is_its_folder(tree: Path, short: Path, tmp_path: Path, form: str, prefix: str) -> None:
    tree = short if form == "ustar" else tree
    pack_tar(tree, tmp_path / "x.tar", FORMATS[form], prefix)
    assert in_source(tar_source(tmp_path / "x.tar")) == in_folder(tree)


@pytest.mark.parametrize("form", ["ustar", "gnu", "pax", "posix", "oldgnu"])
def test_what_gnu_tar_writes_is_its_folder(tree: Path, short: Path, tmp_path: Path, form: str) -> None:
    tree = short if form == "ustar" else tree
    if shutil.which("tar") is None:
        pytest.skip("no tar")
    subprocess.run(["tar", "cf", tmp_path / "x.tar", f"--format={form}", "-C", tree, "."], check=True)
    source = tar_source(tmp_path / "x.tar")
    assert in_source(source) == in_folder(tree)
    names = source.names or []
    for name, words in (("gone.png", "not in the archive"), ("x/round.png", "leads back to itself")):
        with pytest.raises(DataError, match=words):
            source.read(names.index(name))
    assert {name for name, what in source.faults if what == LOOP} == {"d/up", "d/self", "x/folder/up", "x/folder/self"}


def test_a_zip_with_links_is_its_folder(tree: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(tree, plain, symlinks=True)
    # zipfile cannot write such a name.
    (plain / os.fsdecode(b"\xff\xfe.png")).unlink()
    (plain / "x/hard.png").unlink()
    pack_zip(plain, tmp_path / "x.zip")
    assert in_source(_native.Source.zip(tmp_path / "x.zip")) == in_folder(plain)


PART = st.sampled_from(["a.png", "b", "d", "e", "x", "..", ".", "l", "m"])
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join)
OWN = st.lists(st.sampled_from(["d", "l", "m", "x"]), min_size=1, max_size=2).map("/".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=st.lists(st.tuples(st.sampled_from(["hard", "soft"]), OWN, PATH), max_size=7))
def test_any_links_are_those_of_the_folder(
    links: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("links")
    root = base / "set"
    root.mkdir()
    make_tree(root, links)
    expected = in_folder(root)
    # What links lead out to is no part of a set; where they might, the archive is another one.
    real = os.path.realpath(root)
    links_in = [entry for entry in root.rglob("*") if entry.is_symlink()]
    assume(all(os.path.realpath(entry).startswith(real) for entry in links_in))
    for form in FORMATS.values():
        pack_tar(root, base / "x.tar", form)
        assert in_source(tar_source(base / "x.tar")) == expected


MEMBER = st.tuples(
    st.sampled_from(["file", "hard", "soft", "folder"]),
    st.sampled_from(["a", "b", "c/d", "c/e", "./a", "c//d", "é", "n" * 120]),
    st.sampled_from(["a", "b", "./a", "c/d", "gone"]),
)


@settings(max_examples=150, deadline=None)
@given(members=st.lists(MEMBER, max_size=8), form=st.sampled_from(list(FORMATS)), cut=st.integers(0, 8))
def test_the_names_and_bytes_are_those_of_tarfile(members: list[tuple[str, str, str]], form: str, cut: int) -> None:
    """Sequences of members, in one archive and in two in a row: what a name has is its last file."""
    last: dict[str, bytes | None] = {}
    parts = []
    if form == "ustar":
        members = [m for m in members if len(m[1]) < 100]
    for some in (members[:cut], members[cut:]):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=FORMATS[form]) as archive:
            for i, (kind, name, target) in enumerate(some):
                info = tarfile.TarInfo(name)
                path = os.path.normpath(name)
                if kind == "file":
                    data = f"{len(parts)} {i}".encode() * i
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
                    last[path] = data
                elif kind == "hard":
                    info.type, info.linkname = tarfile.LNKTYPE, target
                    archive.addfile(info)
                    if os.path.normpath(target) != path or path not in last:
                        last[path] = last.get(os.path.normpath(target))
        parts.append(buffer.getvalue())
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        file.write(b"".join(parts))
        file.flush()
        assert in_source(tar_source(Path(file.name))) == last
        if not members[cut:]:
            with tarfile.open(file.name) as archive:
                assert {os.path.normpath(m.name) for m in archive if not m.isdir()} == set(last)


@pytest.mark.parametrize("pack", ["gzip", "gzip in members", "zstd"])
def test_a_compressed_tar_is_its_folder(tree: Path, tmp_path: Path, pack: str) -> None:
    pack_tar(tree, tmp_path / "x.tar", tarfile.PAX_FORMAT)
    data = (tmp_path / "x.tar").read_bytes()
    if pack == "zstd":
        pa = pytest.importorskip("pyarrow")
        packed = pa.compress(data, codec="zstd", asbytes=True)
    elif pack == "gzip":
        packed = gzip.compress(data)
    else:
        packed = b"".join(gzip.compress(data[i : i + 999]) for i in range(0, len(data), 999))
    path = tmp_path / "x.tar.packed"
    path.write_bytes(packed)
    source = tar_source(path)
    assert in_source(source) == in_folder(tree)
    assert source.fingerprint() == tar_source(tmp_path / "x.tar").fingerprint()
    for cut in (len(packed) // 2, len(packed) - 3):
        path.write_bytes(packed[:cut])
        with pytest.raises(DataError, match=r"stream is damaged or cut off|cut off") as error:
            tar_source(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(("mode", "word"), [("w:bz2", "bzip2"), ("w:xz", "xz")])
def test_other_compressions_are_named(tree: Path, tmp_path: Path, mode: str, word: str) -> None:
    with tarfile.open(tmp_path / "x.tar", mode) as archive:  # type: ignore[call-overload]
        archive.add(tree / "a.png", "a.png")
    with pytest.raises(DataError, match=word) as error:
        tar_source(tmp_path / "x.tar")
    assert ".tar.gz" in str(error.value)


def test_no_room_to_unpack_is_said_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(2048)))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere") as error:
        tar_source(tmp_path / "x.tar.gz")
    assert "TMPDIR" in str(error.value)


def test_what_comes_twice_is_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a.png", "b.png", "./a.png"):
            archive.addfile(tarfile.TarInfo(name))
    assert tar_source(tmp_path / "x.tar").faults == [("a.png", SAME_NAME)]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as written, pytest.warns(UserWarning, match="Duplicate"):
        for name in ("a.png", "b.png", "a.png"):
            written.writestr(name, name)
    assert _native.Source.zip(tmp_path / "x.zip").faults == [("a.png", SAME_NAME)]
    assert open_tree(tmp_path / "x.zip").skipped(()) == {SAME_NAME: 1}


ZIP_NAMES = ["a.png", "d/b.png", "é.png", "e\u0301.png", "日本.png", "d\\c.png", "./e.png", "ü/\\x.png"]


@pytest.mark.parametrize("system", [0, 3, 10, 19])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_what_zipfile_reads(tmp_path: Path, system: int, method: int) -> None:
    expected: Content = {}
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        for i, name in enumerate(ZIP_NAMES):
            info = zipfile.ZipInfo()
            info.filename, info.create_system, info.compress_type = name, system, method
            archive.writestr(info, bytes([i]) * 100 * i)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        for name in archive.namelist():
            expected[name.removeprefix("./")] = archive.read(name)
    assert in_source(_native.Source.zip(tmp_path / "x.zip")) == expected


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(st.characters(codec="cp437", exclude_characters="/\\\0"), min_size=1), unique=True),
    system=st.sampled_from([0, 10, 11, 14]),
)
def test_names_of_dos_are_those_of_zipfile(names: list[str], system: int) -> None:
    names = [n for n in names if n not in (".", "..")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, _ in enumerate(names):
            info = zipfile.ZipInfo(f"{i:0{max(1, len(names[i].encode('cp437')))}}")
            info.create_system = system
            archive.writestr(info, b"")
    data = bytearray(buffer.getvalue())
    expected = set()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        places = [(i.orig_filename.encode(), names[k].encode("cp437")) for k, i in enumerate(archive.infolist())]
        start = archive.start_dir
    for old, new in places:
        if len(old) != len(new):
            return
        at = data.index(b"PK\x01\x02", start)
        assert data[at + 46 : at + 46 + len(old)] == old
        data[at + 46 : at + 46 + len(new)] = new
        start = at + 46
        try:
            expected.add(new.decode())  # it is UTF-8 as well, and that is likelier
        except UnicodeDecodeError:
            expected.add(new.decode("cp437"))
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(data)
        file.flush()
        assert set(_native.Source.zip(file.name).names or []) == expected


def test_a_zip_of_many_entries_and_a_large_comment(tmp_path: Path) -> None:
    """More than 65535 entries need zip64; what stands before the archive and its comment do not matter."""
    with (tmp_path / "x.zip").open("wb") as file:
        file.write(b"#!/bin/sh\n" * 100)
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b"PK\x05\x06" * 1000
            for i in range(66_000):
                archive.writestr(str(i), b"")
            archive.writestr("last.png", b"123")
    source = _native.Source.zip(tmp_path / "x.zip")
    assert len(source) == 66_001
    assert source.read((source.names or []).index("last.png")) == b"123"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    names = ["pipe.png", "link.png", "device.png", "folder.png"]
    source = _native.Source.files(tmp_path, names)
    for i, word in enumerate(["named pipe", "named pipe", "device", "folder"]):
        with pytest.raises(DataError, match=word):
            source.read(i)
    for make in (_native.Source.zip, tar_source):
        with pytest.raises((DataError, OSError), match="named pipe"):
            make(tmp_path / "pipe.png")


def test_names_that_are_no_utf8_come_back_as_they_were_given(tmp_path: Path) -> None:
    names = [os.fsdecode(raw) for raw in (b"\xff.png", b"a\x80b", "é".encode())]
    for name in names:
        (tmp_path / name).write_bytes(os.fsencode(name))
    source = _native.Source.files(tmp_path, names)
    assert source.names == names
    assert [source.read(i) for i in range(3)] == [os.fsencode(name) for name in names]
    (tmp_path / names[0]).unlink()
    with pytest.raises(DataError, match=r"\\xff\.png"):
        source.read(0)
