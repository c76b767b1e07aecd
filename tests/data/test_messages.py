"""What people read of bad input: plain words, without names of Python or of a library, and a hint that fits."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import pickle
import re
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

import gantools
from gantools.data import advice
from gantools.errors import GantoolsError, cause

#: Names of code that a reader of a message has no use for.
CODE = re.compile(
    r"\w(Error|Exception|Warning)\b|[Ee]rrno|numpy\.(?!save|isfinite|unique)|allow_pickle|pickle|zipfile|tarfile|pyarrow|(?<!dataset_tool)\.py\b"
    r"|<class|object at 0x|Traceback|0x[0-9a-f]{6}|EOCD|zune|image-webp|\bstd::|\bio::|Utf8|unwrap|Decoding|usize|u32"
)


def encoded(form="PNG", mode="RGB", size=(20, 16), seed=0, **options):
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], bands), dtype=np.uint8)
    image = Image.merge(mode, [Image.fromarray(pixels[..., i]) for i in range(bands)])
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def damaged():
    """Files that look like images and are none: name -> bytes."""
    found = {
        "empty.png": b"",
        "text.jpg": b"hello",
        "page.png": b"<!DOCTYPE html><html></html>",
        "zeros.jpg": bytes(999),
    }
    found["pointer.jpg"] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    for form, end in (
        ("PNG", "png"),
        ("JPEG", "jpg"),
        ("WEBP", "webp"),
        ("BMP", "bmp"),
        ("GIF", "gif"),
        ("TIFF", "tif"),
    ):
        data = encoded(form)
        found[f"cut-header.{end}"] = data[:14]
        found[f"cut-half.{end}"] = data[: len(data) // 2]
        for at in range(4, len(data) - 4, max(1, len(data) // 12)):
            found[f"changed-{at:05d}.{end}"] = (
                data[:at] + bytes([data[at] ^ 0xA5, data[at + 1] ^ 0xFF]) + data[at + 2 :]
            )
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = encoded("TIFF", compression=compression)
        found[f"{compression}.tif"] = data[:40] + b"\xff" * 40 + data[80:]
    return found


def test_reasons_of_rejects_are_plain_words(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, data in damaged().items():
        (folder / name).write_bytes(data)
    (folder / "good.png").write_bytes(encoded())
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    gantools.prep("folder", source=folder, size=8, out=tmp_path / "s", progress=False)
    rejects = [json.loads(line) for line in (tmp_path / "s/rejects.jsonl").read_text().splitlines()]
    assert len(rejects) > 30
    assert not [r for r in rejects if CODE.search(r["reason"])]
    assert not [r for r in rejects if "\n" in r["reason"] or len(r["reason"]) > 200]


def sources(place):
    """Bad sources: (what to call, with what)."""
    place.mkdir()

    def file(name, data):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", encoded())
    whole = buffer.getvalue()
    for name, data in (("cut.zip", whole[:-9]), ("text.zip", b"hello"), ("empty.zip", b""), ("none.zip", bytes(64))):
        yield "folder", file(name, data)
    for name, data in (("cut.tar", bytes(100) + whole), ("text.tar", b"hello"), ("empty.tar", b"")):
        yield "tar", file(name, data)
    for end, pack in ((".gz", gzip.compress), (".xz", lzma.compress)):
        yield "tar", file(f"x.tar{end}", pack(b"hello" * 999))
        yield "tar", file(f"cut.tar{end}", pack(bytes(9999))[:-12])
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 4, 4), np.uint8))
    array = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    for i, data in enumerate(
        (
            b"",
            b"hello",
            array[:20],
            array[:-1],
            array[:9] + b"{{{" + array[12:],
            pickle.dumps([1]),
            buffer.getvalue(),
            whole,
        )
    ):
        yield "array", file(f"{i}.npy", data)
        yield "array", file(f"{i}.npz", data)
    for i, data in enumerate((b"", b"hello", b"PAR1" + bytes(40) + b"PAR1", b"PAR1" + b"\xff" * 99 + b"PAR1")):
        yield "parquet", file(f"{i}.parquet", data)
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    for i, data in enumerate((b"", b"hello", gzip.compress(bytes(99))[:-9], lzma.compress(bytes(99))[:-9], bytes(99))):
        for name in names:
            yield "mnist", file(f"mnist{i}/{name}", data).parent
    for i, data in enumerate(
        (b"", b"hello", pickle.dumps(OSError("x")), pickle.dumps({"data": 3}), b"\x80\x05" + b"\xff" * 9)
    ):
        file(f"cifar{i}/data_batch_1", data)
        yield "cifar10", place / f"cifar{i}"
    yield "cifar10", file("cifar.tar.gz", b"hello")
    for i, data in enumerate(
        (b"", b"{", b"[1]", b"\xff\xfe", b'{"labels": 3}', b'{"labels": [["a.png"]]}', b"[" * 9999)
    ):
        file(f"style{i}/a.png", encoded())
        file(f"style{i}/dataset.json", data)
        yield "stylegan", place / f"style{i}"
    for i, data in enumerate(
        (b"{", b"\xff", b"[1]", b'{"file_name": 3}', b'{"file_name": "a.png", "label": 1.5}', b"[" * 9999)
    ):
        file(f"meta{i}/a.png", encoded())
        file(f"meta{i}/metadata.jsonl", data)
        yield "folder", place / f"meta{i}"
    file("lmdb/data.mdb", b"hello")
    yield "lmdb", place / "lmdb"
    for kind in gantools.data.sources.SOURCES:
        yield kind, place / "not there"
        yield kind, file("a file", b"hello")


def test_messages_about_bad_sources_are_plain_words_with_a_hint(tmp_path):
    seen = {}
    for i, (kind, path) in enumerate(sources(tmp_path / "bad")):
        try:
            gantools.prep(kind, source=path, size=8, out=tmp_path / f"out{i}", progress=False)
        except GantoolsError as e:
            seen[kind, path.name] = e
    assert len(seen) > 90
    # Where a file lies is no part of the words.
    texts = {key: str(e).replace(str(tmp_path), "") for key, e in seen.items()}
    assert not {key: text for key, text in texts.items() if CODE.search(text)}
    assert not {key: text for key, text in texts.items() if "\n" in seen[key].message}
    assert not {key: text for key, text in texts.items() if not seen[key].hint}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), "no such file or directory"),
        (zlib.error("Error -3 while decompressing data: incorrect header check"), "its compressed data are damaged"),
        (lzma.LZMAError("Corrupt input data"), "its compressed data are damaged"),
        (EOFError(), "it ends early"),
        (json.JSONDecodeError("Expecting value", "x", 0), "no JSON at line 1, column 1"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "byte 0 is no UTF-8"),
        (ValueError("Object arrays cannot be loaded when allow_pickle=False"), "its content is damaged"),
        (RecursionError(), "nested too deeply"),
        (MemoryError(), "larger than the memory"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (ValueError("the row has no image bytes"), "the row has no image bytes"),
    ],
)
def test_the_cause_of_an_error_in_words(error, words):
    assert cause(error) == words


def test_many_rejects_of_one_policy_name_the_option_that_takes_them(tmp_path, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i:02d}.png").write_bytes(encoded(mode="RGBA", seed=i) if i else encoded())
    gantools.prep("folder", source=folder, size=8, out=tmp_path / "s")
    assert "11 are transparent: --alpha drop, white or black takes them." in capsys.readouterr().err
    for alpha in ("drop", "white", "black"):
        assert len(gantools.prep("folder", source=folder, size=8, alpha=alpha, out=tmp_path / alpha)) == 12
        assert "transparent" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "options", "hint"),
    [
        (b"no image", {}, "Check that --source holds images."),
        (encoded(mode="RGBA"), {}, "1 is transparent: --alpha drop, white or black takes them."),
        (encoded("JPEG")[:200], {}, "Fetch or make the files again; they are cut off or damaged."),
        (encoded(), {"crop": "celeba-108"}, "--crop center or another takes any size"),
        (encoded(), {"crop": "center-wide", "size": (64, 32)}, "a smaller --size or --crop center takes them"),
    ],
)
def test_where_no_image_is_left_the_hint_is_that_of_the_reason(tmp_path, data, options, hint):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.png").write_bytes(data)
    with pytest.raises(GantoolsError) as error:
        gantools.prep("folder", source=tmp_path / "set", out=tmp_path / "s", progress=False, **{"size": 8, **options})
    assert hint in error.value.hint


def test_a_few_odd_files_among_many_are_only_listed():
    transparent = "has transparency; choose --alpha drop, white or black"
    assert advice.worth_saying([transparent], 1000) == []
    assert advice.worth_saying([transparent], 20)
    assert advice.worth_saying([transparent] * 10, 10**6)
    assert advice.worth_saying(["damaged PNG: x"] * 20, 20) == []
