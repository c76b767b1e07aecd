"""How each source finds its files and what it makes of them."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from tests.data.sources.makers import write_files

from gantools.data.sources import CHOICES, SOURCES, Asked, celeba, folder, idx, open_as
from gantools.errors import ConfigError, DataError, DownloadError


def jpeg(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(path, n=6, gz=True, dot="-"):
    path.mkdir(parents=True, exist_ok=True)
    for stem, offset in (("train", 0), ("t10k", 100)):
        images = (np.arange(n * 28 * 28).reshape(n, 28, 28) + offset).astype(np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        for what, array in (("images", images), ("labels", labels)):
            name = f"{stem}-{what}{dot}idx{array.ndim}-ubyte"
            data = idx_bytes(array)
            (path / (name + ".gz" * gz)).write_bytes(gzip.compress(data) if gz else data)


# --- folder -------------------------------------------------------------------------------------------------------


def test_a_folder_is_read_in_the_order_of_bytes_and_other_files_are_left_out(tmp_path):
    for name in ("b.jpg", "a.JPEG", "Z.png", "ä.webp", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).write_bytes(jpeg())
    source = folder.open_source(tmp_path)
    assert source.names == ["Z.png", "a.JPEG", "b.jpg", "ä.webp"]
    assert source.labels is None
    assert source.name == tmp_path.name


def test_sub_folders_are_classes(tmp_path):
    write_files(tmp_path, dict.fromkeys(("cats/1.jpg", "cats/deep/2.jpg", "dogs/1.jpg", "ants/9.jpg"), jpeg()))
    source = folder.open_source(tmp_path)
    assert source.classes == ["ants", "cats", "dogs"]
    assert source.labels.tolist() == [0, 1, 1, 2]


def test_an_outer_folder_in_a_zip_is_no_class(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as z:
        for name in ("set/x/2.png", "set/y/1.png", "__MACOSX/set/x/._2.png"):
            z.writestr(name, jpeg())
    source = folder.open_source(path)
    assert source.classes == ["x", "y"]
    assert source.names == ["set/x/2.png", "set/y/1.png"]


def test_one_folder_in_a_folder_is_no_class(tmp_path):
    (tmp_path / "only").mkdir()
    (tmp_path / "only/1.jpg").write_bytes(jpeg())
    assert folder.open_source(tmp_path).classes is None


def test_loose_images_beside_classes_are_an_error(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats/1.jpg").write_bytes(jpeg())
    (tmp_path / "2.jpg").write_bytes(jpeg())
    with pytest.raises(DataError, match=r"some images are in sub-folders, some are not .*2.jpg"):
        folder.open_source(tmp_path)


def test_a_wrong_place_says_what_is_there(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="no such file") as error:
        folder.open_source(tmp_path / "foto/x")
    assert "photos" in error.value.hint
    with pytest.raises(DataError, match="no image in it"):
        folder.open_source(tmp_path / "photos")
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(DataError, match="neither a folder nor a"):
        folder.open_source(tmp_path / "x.tar")
    (tmp_path / "x.zip").write_bytes(b"PK not really")
    with pytest.raises(DataError, match="not a readable zip"):
        folder.open_source(tmp_path / "x.zip")
    with pytest.raises(ConfigError, match="which folder"):
        folder.open_source(None)
    (tmp_path / "photos/1.jpg").write_bytes(jpeg())
    with pytest.raises(ConfigError, match="no splits"):
        folder.open_source(tmp_path, "train")


# --- idx ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("below", [".", "raw", "FashionMNIST/raw"])
def test_idx_files_are_found_in_every_usual_form(tmp_path, gz, dot, below):
    write_idx(tmp_path / below, gz=gz, dot=dot)
    source = idx.open_fashion_mnist(tmp_path)
    assert (len(source), source.size, source.channels, source.split) == (6, 28, 1, "train")
    assert source.classes[9] == "Ankle boot"
    assert source.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(idx.open_mnist(tmp_path, "test")) == 6 if below != "FashionMNIST/raw" else True
    assert len(idx.open_fashion_mnist(tmp_path, "all")) == 12


def test_real_idx_files_have_their_published_counts(test_data):
    for open_source, place in ((idx.open_mnist, "mnist"), (idx.open_fashion_mnist, "fashion")):
        source = open_source(test_data / "data" / place, "all")
        assert len(source) == 70_000
    # Fashion-MNIST is balanced: 6,000 + 1,000 of each class.
    assert np.bincount(source.labels).tolist() == [7000] * 10


def test_a_damaged_idx_file_is_an_error(tmp_path):
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    raw = gzip.decompress(whole)
    for data, words in (
        (whole[: len(whole) // 2], "damaged gzip"),
        (gzip.compress(raw[:-1]), "truncated"),
        (gzip.compress(raw + b"x"), "longer"),
        (gzip.compress(b"hello"), "not an idx file"),
        (b"", "not an idx file"),
        (raw[:4] + struct.pack(">3I", 2**31, 2**10, 2**10), "more than 4 GiB"),
        (
            whole[:-8] + bytes([whole[-8] ^ 255]) + whole[-7:],
            "damaged gzip or xz file .its compressed data are damaged",
        ),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=words):
            idx.open_mnist(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"no train-images-idx3-ubyte\[.gz\]"):
        idx.open_mnist(tmp_path)
    with pytest.raises(ConfigError, match="no split 'val'"):
        idx.open_mnist(tmp_path, "val")


def test_without_a_source_mnist_is_downloaded_once_into_the_cache(tmp_path, file_server, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    root, url = file_server
    write_idx(root)
    resources = [(f.name, hashlib.md5(f.read_bytes()).hexdigest()) for f in sorted(root.iterdir())]
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    assert len(idx.open_mnist(None)) == 6
    for file in list(root.iterdir()):
        file.unlink()
    assert len(idx.open_mnist(None, "test")) == 6  # from the cache


def test_a_failed_download_says_what_to_fetch_and_leaves_nothing(tmp_path, file_server, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    root, url = file_server
    write_idx(root)
    resources = [(f.name, "0" * 32) for f in sorted(root.iterdir())]
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DownloadError, match="download failed") as error:
        idx.open_mnist(None)
    assert "gantools prep mnist --source" in error.value.hint
    assert not list((tmp_path / "cache/data").iterdir())


# --- celeba -------------------------------------------------------------------------------------------------------

NAMES = ["000001.jpg", "000002.jpg", "000003.jpg"]


def write_annotations(place):
    place.mkdir(parents=True, exist_ok=True)
    (place / "list_eval_partition.txt").write_text("".join(f"{n} {i}\n" for i, n in enumerate(NAMES)))


def write_images(place):
    place.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (place / name).write_bytes(jpeg())


@pytest.mark.parametrize(
    ("images", "annotations"),
    [
        ("img_align_celeba", "."),
        ("img_align_celeba", "img_align_celeba"),
        ("img_align_celeba/img_align_celeba", "."),
        ("celeba/img_align_celeba", "celeba"),
        (".", "."),
        ("Img/img_align_celeba", "Eval"),
        ("Img/img_align_celeba", "Anno"),
        ("CelebA/Img/img_align_celeba", "CelebA/Eval"),
        ("Img/img_align_celeba_png", "Eval"),
        ("img_align_celeba_png", "."),
        ("faces", "."),
    ],
)
def test_celeba_is_found_in_every_usual_layout(tmp_path, images, annotations):
    write_images(tmp_path / images)
    write_annotations(tmp_path / annotations)
    source = celeba.open_source(tmp_path)
    assert len(source) == 3
    assert source.annotations["partition"].values.tolist() == [0, 1, 2]
    assert source.skipped == {}
    assert any("annotations: partition; not found: attributes, identity" in line for line in source.notes)
    assert celeba.open_source(tmp_path, "val").names == [name for name in source.names if name.endswith("2.jpg")]
    # The folder of the images itself is a source too.
    assert "partition" in celeba.open_source(tmp_path / images).annotations


def test_celeba_from_a_zip_with_annotations_beside_it(tmp_path):
    write_annotations(tmp_path)
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as z:
        for name in reversed(NAMES):
            z.writestr(f"img_align_celeba/{name}", jpeg())
    for path in (tmp_path, tmp_path / "img_align_celeba.zip"):
        source = celeba.open_source(path, "test")
        assert source.names == ["img_align_celeba/000003.jpg"]
        assert source.annotations["partition"].values.tolist() == [2]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".JPG"])
@pytest.mark.parametrize("outer", ["", "img_align_celeba/img_align_celeba/", "faces/"])
@pytest.mark.parametrize("form", ["txt", "csv"])
def test_celeba_as_one_zip_with_its_annotations_in_it(tmp_path, suffix, outer, form):
    """As Kaggle packs it; the annotations name .jpg, whatever the images are."""
    rows = [("image_id,partition\n", ",") if form == "csv" else ("", " ")][0]
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as z:
        for name in NAMES:
            z.writestr(f"{outer}{name.removesuffix('.jpg')}{suffix}", jpeg())
        z.writestr(f"list_eval_partition.{form}", rows[0] + "".join(f"{n}{rows[1]}{i}\n" for i, n in enumerate(NAMES)))
    source = celeba.open_source(tmp_path / "archive.zip", "val")
    assert source.names == [f"{outer}000002{suffix}"]
    assert source.skipped == {}
    assert celeba.open_source(tmp_path / "archive.zip").annotations["partition"].values.tolist() == [0, 1, 2]


def test_celeba_without_annotations_says_so(tmp_path):
    write_images(tmp_path / "img_align_celeba")
    (line,) = celeba.open_source(tmp_path).notes
    assert line.startswith("CelebA's annotations: none; not found: attributes, partition")


def test_celeba_without_a_source_looks_here_then_at_the_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "elsewhere")
    monkeypatch.setenv(celeba.VARIABLE, str(tmp_path / "elsewhere"))
    assert len(celeba.open_source(None)) == 3
    write_images(tmp_path / "celeba/img_align_celeba")
    (tmp_path / "celeba/img_align_celeba/000001.jpg").unlink()
    assert len(celeba.open_source(None)) == 2
    monkeypatch.setenv(celeba.VARIABLE, str(tmp_path / "gone"))
    assert len(celeba.open_source(None)) == 2
    (tmp_path / "celeba").rename(tmp_path / "other")
    with pytest.raises(DataError, match="which is not there"):
        celeba.open_source(None)


def test_celeba_that_cannot_be_downloaded_says_where_it_is_to_be_had(tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    import torchvision.datasets

    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(celeba.VARIABLE, raising=False)
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torchvision.datasets, "CelebA", no_network)
    with pytest.raises(DownloadError, match="no network") as error:
        celeba.open_source(None)
    assert "mmlab.ie.cuhk.edu.hk" in error.value.hint
    assert "./celeba" in error.value.hint


def test_a_celeba_split_without_its_file_is_an_error(tmp_path):
    write_images(tmp_path)
    with pytest.raises(DataError, match="needs list_eval_partition"):
        celeba.open_source(tmp_path, "train")
    with pytest.raises(ConfigError, match="no split 'valid'"):
        celeba.open_source(tmp_path, "valid")


def test_every_source_has_the_same_signature():
    for kind, open_source in SOURCES.items():
        further = ["asked"] if kind in CHOICES else []
        assert list(inspect.signature(open_source).parameters) == ["path", "split", *further], kind


def test_what_a_source_cannot_be_asked_is_refused():
    for kind in SOURCES:
        for name in vars(Asked()):
            if name not in CHOICES.get(kind, ()):
                with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} is not for the source {kind}"):
                    open_as(kind, None, None, Asked(**{name: "x"}))
