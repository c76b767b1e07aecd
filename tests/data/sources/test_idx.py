"""The relatives of MNIST: EMNIST, KMNIST and QMNIST under the names of their published files."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import struct
import zipfile

import numpy as np
import pytest

import gantools
from gantools.data.sources import SOURCES, recognise
from gantools.data.sources.idx import EMNIST, KINDS
from gantools.errors import ConfigError, DataError, DownloadError

PACK = {"": lambda data: data, ".gz": gzip.compress, ".xz": lzma.compress}


def idx(array: np.ndarray) -> bytes:
    kind, order = (8, "u1") if array.dtype == np.uint8 else (12, ">i4")
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.astype(order).tobytes()


def images(n: int, seed: int = 0) -> np.ndarray:
    """uint8 (n, 28, 28); no image is its own transpose."""
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28), dtype=np.uint8)


def files(kind: str) -> dict[str, np.ndarray]:
    """What the published files of a set are called, with 12 images each, and in them every class where 12 suffice."""
    if kind == "qmnist":
        found = {}
        for seed, stem in enumerate(("qmnist-train", "qmnist-test", "xnist")):
            found[f"{stem}-images-idx3-ubyte"] = images(12, seed)
            columns = np.arange(12 * 8).reshape(12, 8) * 1000 - 5
            columns[:, 0] = np.arange(12) % 10
            found[f"{stem}-labels-idx2-int"] = columns
        return found
    stems = ("train", "t10k")
    first, count = 0, 10
    if kind.startswith("emnist-"):
        stems = (f"{kind}-train", f"{kind}-test")
        first, count = int(kind.endswith("letters")), len(EMNIST[kind.removeprefix("emnist-")])
    found = {}
    for seed, stem in enumerate(stems):
        found[f"{stem}-images-idx3-ubyte"] = images(12, seed)
        found[f"{stem}-labels-idx1-ubyte"] = (first + np.arange(12) * (count - 1) // 11).astype(np.uint8)
    return found


def write(folder, kind, end=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in files(kind).items():
        (folder / (name + end)).write_bytes(PACK[end](idx(array)))
    return folder


@pytest.mark.parametrize("end", PACK)
@pytest.mark.parametrize("kind", KINDS)
def test_every_set_is_read_under_its_published_names(tmp_path, kind, end):
    # KMNIST and Fashion-MNIST are told from MNIST by the name of their folder alone.
    folder = write(tmp_path / f"my-{kind}", kind, end)
    assert recognise(folder)[0] == kind
    source = SOURCES[kind](folder, None)
    stored = next(iter(files(kind).values()))
    upright = stored.transpose(0, 2, 1) if kind.startswith("emnist") else stored
    assert (source.kind, source.split, source.size, source.channels, len(source)) == (kind, "train", 28, 1, 12)
    assert b"".join(source.reader.read(i) for i in range(12)) == upright.tobytes()
    classes = len(source.classes)
    expected = np.arange(12) % 10 if kind == "qmnist" else np.arange(12) * (classes - 1) // 11
    assert source.labels.tolist() == expected.tolist()
    assert len(SOURCES[kind](folder, "all")) == 24
    assert SOURCES[kind](folder, "test").reader.fingerprint() != source.reader.fingerprint()
    with pytest.raises(ConfigError, match="Splits: train, test"):
        SOURCES[kind](folder, "val")


def test_classes_are_those_of_torchvision():
    datasets = pytest.importorskip("torchvision.datasets")
    for name, classes in EMNIST.items():
        theirs = datasets.EMNIST.classes_split_dict[name]
        assert classes == [c for c in theirs if c != "N/A"]
    assert [c.split(" - ")[0] for c in datasets.QMNIST.classes] == [str(i) for i in range(10)]


@pytest.mark.parametrize("kind", ["emnist-letters", "emnist-byclass", "kmnist", "qmnist"])
def test_pixels_and_labels_are_those_of_torchvision(tmp_path, kind):
    datasets = pytest.importorskip("torchvision.datasets")
    title = {"kmnist": "KMNIST", "qmnist": "QMNIST"}.get(kind, "EMNIST")
    write(tmp_path / title / "raw", kind)
    options = {"split": kind.removeprefix("emnist-")} if title == "EMNIST" else {}
    theirs = getattr(datasets, title)(tmp_path, train=False, **options)
    ours = SOURCES[kind](tmp_path, "test")
    for i, (image, label) in enumerate(theirs):
        # torchvision leaves EMNIST as it lies in the files, on its side and mirrored.
        pixels = np.asarray(image).T if title == "EMNIST" else np.asarray(image)
        assert ours.reader.read(i) == pixels.tobytes()
        assert ours.labels[i] == label - (kind == "emnist-letters")


def test_what_qmnist_knows_of_a_digit_can_be_asked_for(tmp_path):
    folder = write(tmp_path / "q", "qmnist", ".gz")
    options = {"source": folder, "progress": False, "out": tmp_path / "set"}
    s = gantools.prep("qmnist", where="writer>=40000", **options)
    assert s.annotations["qmnist"].shape == (7, 7)
    assert s.annotations["qmnist"][:, 1].min() == 42 * 1000 - 5
    assert s.labels.tolist() == [5, 6, 7, 8, 9, 0, 1]


def test_parts_of_qmnist(tmp_path):
    folder = tmp_path / "q"
    folder.mkdir()
    pixels, columns = images(10_004), np.zeros((10_004, 8), np.int64)
    columns[:, 0] = np.arange(10_004) % 10
    (folder / "qmnist-test-images-idx3-ubyte").write_bytes(idx(pixels))
    (folder / "qmnist-test-labels-idx2-int").write_bytes(idx(columns))
    first, rest = (SOURCES["qmnist"](folder, split) for split in ("test10k", "test50k"))
    assert (len(first), len(rest), rest.labels.tolist()) == (10_000, 4, [0, 1, 2, 3])
    assert rest.reader.read(0) == pixels[10_000].tobytes()
    write(folder, "qmnist")
    assert SOURCES["qmnist"](folder, "nist").reader.read(3) == images(12, 2)[3].tobytes()


@pytest.mark.parametrize("kind", ["emnist-letters", "mnist", "qmnist"])
def test_the_files_may_lie_in_a_zip(tmp_path, kind):
    path = tmp_path / "gzip.zip"
    # Packed once: gzip writes the second of its making into its head.
    packed = {name: gzip.compress(idx(array)) for name, array in files(kind).items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in packed.items():
            archive.writestr(f"__MACOSX/gzip/{name}.gz", b"no idx file")
            archive.writestr(f"gzip/{name}.gz", data)
    assert len(SOURCES[kind](path, "all")) == 24
    whole, first = path.read_bytes(), next(iter(packed.values()))[:200]
    assert first in whole
    path.write_bytes(whole.replace(first, bytes(200)))
    with pytest.raises(DataError, match="damaged or encrypted zip"):
        SOURCES[kind](path, None)


def test_several_sets_in_one_folder_are_asked_about(tmp_path):
    write(tmp_path, "emnist-letters")
    write(tmp_path, "emnist-digits")
    with pytest.raises(ConfigError, match=r"holds emnist-letters, emnist-digits.*\n.*prep emnist-letters --source"):
        recognise(tmp_path)


def test_labels_of_another_set_are_an_error(tmp_path):
    write(tmp_path, "emnist-byclass")
    for file in list(tmp_path.iterdir()):
        shutil.move(file, tmp_path / file.name.replace("byclass", "digits"))
    with pytest.raises(DataError, match=r"go from 0 to 61; emnist-digits has 0 to 9"):
        SOURCES["emnist-digits"](tmp_path, None)
    write(tmp_path, "qmnist")
    (tmp_path / "qmnist-train-labels-idx2-int").write_bytes(idx(np.zeros(12, np.uint8)))
    with pytest.raises(DataError, match=r"not an idx file of 2-dimensional whole numbers"):
        SOURCES["qmnist"](tmp_path, None)


@pytest.mark.parametrize(
    ("kind", "title", "calls"),
    [
        ("kmnist", "KMNIST", [{"train": True}, {"train": False}]),
        ("emnist-letters", "EMNIST", [{"split": "mnist"}]),
        ("qmnist", "QMNIST", [{"train": True}, {"train": False}]),
    ],
)
def test_without_a_source_torchvision_fetches_the_files(tmp_path, monkeypatch, kind, title, calls):
    datasets = pytest.importorskip("torchvision.datasets")
    made = []

    class Fake:
        def __init__(self, root, download, **options):
            assert download
            made.append(options)
            write(root_of(root), kind)

    def root_of(root):
        from pathlib import Path

        return Path(root) / title / "raw"

    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, title, Fake)
    assert len(SOURCES[kind](None, None)) == len(SOURCES[kind](None, "test")) == 12
    assert made == calls


def test_the_digits_of_nist_are_fetched_only_when_asked_for(tmp_path, monkeypatch, file_server):
    datasets = pytest.importorskip("torchvision.datasets")
    root, url = file_server
    write(root, "qmnist", ".gz")
    for file in root.glob("xnist*"):
        file.with_suffix(".xz").write_bytes(lzma.compress(gzip.decompress(file.read_bytes())))
    resources = {
        part: [
            (url + file.name, hashlib.md5(file.read_bytes()).hexdigest())
            for file in (root / f"{stem}-images-idx3-ubyte{end}", root / f"{stem}-labels-idx2-int{end}")
        ]
        for part, stem, end in (
            ("train", "qmnist-train", ".gz"),
            ("test", "qmnist-test", ".gz"),
            ("nist", "xnist", ".xz"),
        )
    }
    monkeypatch.setattr(datasets.QMNIST, "resources", resources)
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    assert len(SOURCES["qmnist"](None, None)) == 12
    kept = tmp_path / "cache/data"
    assert [folder.name for folder in kept.iterdir()] == ["QMNIST"]
    assert len(SOURCES["qmnist"](None, "nist")) == 12
    assert sorted(folder.name for folder in kept.iterdir()) == ["QMNIST", "QMNIST-nist"]
    resources["train"][0] = (url + "gone", "0" * 32)
    shutil.rmtree(kept)
    with pytest.raises(DownloadError, match="qmnist: the download failed"):
        SOURCES["qmnist"](None, None)
    assert not list(kept.iterdir())
