"""What can be prepared can be scored: the same images, names, labels and order, from every kind of source."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.data.sources.makers import write_files, write_tar, write_zip

import gantools
from gantools.errors import ConfigError, DataError
from gantools.metrics.images.open import open_source
from gantools.metrics.images.stored import Stored
from gantools.metrics.pixels.paired import paired_scores

Images = NDArray[np.uint8]
LABELS = [1, 0, 2, 1, 0, 2, 2]


def images(size: int = 8, channels: int = 3) -> Images:
    shape = (len(LABELS), size, size, channels)
    return np.random.default_rng(size).integers(0, 256, shape, dtype=np.uint8)


def png(image: Images) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


def files(names: Callable[[int], str]) -> dict[str, bytes]:
    return {names(i): png(image) for i, image in enumerate(images())}


def classes() -> dict[str, bytes]:
    return files(lambda i: f"{'abc'[LABELS[i]]}/{i}.png")


def flat_folder(at: Path) -> Path:
    return write_files(at / "flat", files(lambda i: f"{9 - i}.png"))


def class_folder(at: Path) -> Path:
    return write_files(at / "classes", classes())


def class_zip(at: Path) -> Path:
    return write_zip(at / "classes.zip", {f"outer/{name}": data for name, data in classes().items()})


def class_tar(at: Path) -> Path:
    return write_tar(at / "classes.tar", classes())


def split_folder(at: Path) -> Path:
    parts = {f"{part}/{name}": data for part in ("train", "test") for name, data in classes().items()}
    return write_files(at / "splits", parts)


def webdataset(at: Path) -> Path:
    content = {}
    for i, (name, data) in enumerate(files(lambda i: f"{i:04d}.png").items()):
        content |= {name: data, f"{i:04d}.cls": str(LABELS[i]).encode()}
    return write_tar(at / "shard-000000.tar", content)


def stylegan(at: Path) -> Path:
    content = files(lambda i: f"00000/img{i:08d}.png")
    document = {"labels": [[name, label] for name, label in zip(content, LABELS, strict=True)]}
    return write_zip(at / "stylegan.zip", {**content, "dataset.json": json.dumps(document).encode()})


def imagefolder(at: Path) -> Path:
    content = files(lambda i: f"{i}.png")
    rows = [json.dumps({"file_name": name, "label": label}) for name, label in zip(content, LABELS, strict=True)]
    return write_files(at / "imagefolder", {**content, "metadata.jsonl": "\n".join(rows).encode()})


def parquet(at: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    rows = [{"bytes": data, "path": name} for name, data in files(lambda i: f"{9 - i}.png").items()]
    pq.write_table(pa.table({"image": rows, "label": LABELS}), at / "set.parquet")
    return at / "set.parquet"


def lmdb(at: Path) -> Path:
    package = pytest.importorskip("lmdb")
    with package.open(str(at / "set_lmdb"), map_size=1 << 24) as environment, environment.begin(write=True) as t:
        for name, data in files(lambda i: f"key{9 - i}").items():
            t.put(name.encode(), data)
    return at / "set_lmdb"


def idx(at: Path) -> Path:
    grey = images(28, 1)[..., 0]
    content = {}
    for part in ("train", "t10k"):
        head = b"\x00\x00\x08\x03" + struct.pack(">3I", *grey.shape)
        content[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(head + grey.tobytes())
        head = b"\x00\x00\x08\x01" + struct.pack(">I", len(grey))
        content[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(head + bytes(LABELS))
    return write_files(at / "mnist", content)


def cifar(at: Path) -> Path:
    x = images(32).transpose(0, 3, 1, 2).reshape(len(LABELS), -1)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    data = pickle.dumps({"data": x, "labels": LABELS})
    return write_files(at / "cifar-10-batches-py", {**dict.fromkeys(names, data), "batches.meta": b""})


def npz(at: Path) -> Path:
    np.savez(at / "set.npz", images(), np.array(LABELS))
    return at / "set.npz"


def npy(at: Path) -> Path:
    np.save(at / "set.npy", images())
    return at / "set.npy"


KINDS = (
    *(flat_folder, class_folder, class_zip, class_tar, split_folder, webdataset, stylegan, imagefolder),
    *(parquet, lmdb, idx, cifar, npz, npy),
)
# Those without classes.
PLAIN = (flat_folder, lmdb, npy)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_scoring_sees_what_preparing_sees(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    scored = open_source(path)
    first = scored.pixels(0).shape
    prepared = gantools.prep(
        str(path), size=first[0], crop="none", split="all", out=tmp_path / "prepared", progress=False
    )
    assert len(scored) == len(prepared) >= len(LABELS)
    assert scored.names is None or scored.names == prepared.names
    if make in PLAIN:
        assert scored.labels is None and prepared.labels is None
    else:
        assert scored.labels is not None and prepared.labels is not None
        assert scored.labels.tolist() == prepared.labels.tolist()
        assert sorted(set(scored.labels.tolist())) == [0, 1, 2] and scored.classes == prepared.classes
    # At their own size nothing is resized, so no pixel differs; greys of files are compared as colours.
    found = paired_scores(path, prepared, ("psnr",))
    assert found.n == len(scored) and np.isinf(found.values["psnr"]).all()


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_digest_is_one_of_the_content(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "one").mkdir()
    path, again = make(tmp_path / "one"), make(tmp_path / "again")
    one, two = open_source(path), open_source(again)
    assert one.digest(len(one)) == two.digest(len(two)) != one.digest(len(one) - 1)


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    folder = class_folder(tmp_path)
    write_files(folder, {"a/x.txt": b"notes", "a/y.psd": b"layers", "b/z.psd": b"layers"})
    source = open_source(folder)
    assert isinstance(source, Stored) and len(source.notes) == 1
    assert "3 files skipped" in source.notes[0] and "2 .psd" in source.notes[0]
    (folder / "c/more.jp2").write_bytes(b"x")
    with pytest.raises(DataError, match=r"7 images and 1 files of other kinds \(1 \.jp2\)"):
        open_source(folder)


def test_pairs_are_of_names_wherever_both_sides_have_them(tmp_path: Path) -> None:
    folder, archive = class_folder(tmp_path), class_zip(tmp_path)
    with pytest.raises(DataError, match="have no partner of that name"):
        paired_scores(folder, archive, ("psnr",))  # the archive's names begin with its outer folder
    same = write_zip(tmp_path / "same.zip", dict(reversed(list(classes().items()))))
    assert paired_scores(folder, same, ("psnr",)).identical == len(LABELS)
    with pytest.raises(ConfigError, match="has only positions"):
        paired_scores(folder, images(), ("psnr",))
