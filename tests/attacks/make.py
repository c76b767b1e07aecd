"""Builds hostile image files: `python tests/attacks/make.py FOLDER`. The same files each time.

Each name says what is wrong with the file: `cut-` (ends early; all of these have to be refused), `late-` (ends after
what is needed), `flip-` (bits turned over, may still be an image), the rest one file each.
"""

from __future__ import annotations

import io
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(h: int = 60, w: int = 84) -> Image.Image:
    y, x = np.mgrid[0:h, 0:w]
    waves = np.stack([np.sin(x / 7) * 90, np.cos(y / 5) * 90, np.sin((x + y) / 9) * 90], -1) + 128
    return Image.fromarray(np.clip(waves + np.random.default_rng(5).normal(0, 9, waves.shape), 0, 255).astype(np.uint8))


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def whole() -> dict[str, bytes]:
    """One good file of each kind."""
    image = picture()
    grey16 = Image.fromarray(np.arange(60 * 84, dtype=np.uint16).reshape(60, 84) * 13)
    return {
        "baseline.jpg": saved(image, "JPEG", quality=90),
        "progressive.jpg": saved(image, "JPEG", quality=90, progressive=True),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
        "rgb.png": saved(image, "PNG"),
        "palette.png": saved(image.convert("P"), "PNG"),
        "deep.png": saved(grey16, "PNG"),
        "lossy.webp": saved(image, "WEBP", quality=80),
        "lossless.webp": saved(image, "WEBP", lossless=True),
        "rgb.bmp": saved(image, "BMP"),
        "still.gif": saved(image, "GIF"),
        "moving.gif": saved(image, "GIF", save_all=True, append_images=[image.rotate(90), image.rotate(180)]),
        "plain.tif": saved(image, "TIFF"),
        "lzw.tif": saved(image, "TIFF", compression="tiff_lzw"),
        "deflate.tif": saved(image, "TIFF", compression="tiff_adobe_deflate"),
        "packbits.tif": saved(image, "TIFF", compression="packbits"),
        "group4.tif": saved(image.convert("1"), "TIFF", compression="group4"),
    }


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, data: bytes, depth: int = 8, color: int = 2, more: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_of_size(data: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its header."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def jpeg_with_exif(data: bytes, exif: bytes) -> bytes:
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif + data[2:]


def exif(tag: int, kind: int, count: int, value: int) -> bytes:
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", tag, kind, count, value) + bytes(4)


def tiff(entries: dict[int, tuple[int, int, int]], body: bytes = bytes(300), following: int = 0) -> bytes:
    """A TIFF directory of tag: (type, count, value); the body lies behind it."""
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    for tag, (kind, count, value) in sorted(entries.items()):
        data += struct.pack("<HHII", tag, kind, count, value)
    return data + struct.pack("<I", following) + body


PLAIN = {
    256: (4, 1, 10),
    257: (4, 1, 10),
    258: (3, 1, 8),
    259: (3, 1, 1),
    262: (3, 1, 1),
    273: (4, 1, 150),
    277: (3, 1, 1),
    278: (4, 1, 10),
    279: (4, 1, 100),
}


def special() -> dict[str, bytes]:
    good = whole()
    jpeg, progressive, gif = good["baseline.jpg"], good["progressive.jpg"], good["still.gif"]
    zeros = zlib.compress(bytes(3 * 5000 + 1) * 5000, 9)
    files = {
        "empty.png": b"",
        "zeros.jpg": bytes(5000),
        "ones.jpg": b"\xff" * 5000,
        "text.png": b"<html>404 not found</html>",
        "noise.jpg": np.random.default_rng(0).bytes(5000),
        "really-a-png.jpg": good["rgb.png"],
        "really-a-tiff.png": good["lzw.tif"],
        "only-a-head.jpg": b"\xff\xd8\xff",
        "only-a-head.png": b"\x89PNG\r\n\x1a\n",
        "only-a-head.gif": b"GIF89a",
        "only-a-head.webp": b"RIFF\0\0\0\0WEBP",
        "only-a-head.tif": b"II*\0",
        "only-a-head.bmp": b"BM",
        "jpeg-in-jpeg.jpg": jpeg[:300] + jpeg + jpeg[300:],
        "two-jpegs.jpg": jpeg + jpeg,
        "thousand-scans.jpg": progressive[:-2] + progressive[progressive.rfind(b"\xff\xda") : -2] * 1000 + b"\xff\xd9",
        # Sizes.
        "size-65535.jpg": jpeg_of_size(jpeg, 65535, 65535),
        "size-65500-progressive.jpg": jpeg_of_size(progressive, 65500, 65500),
        "size-8000.jpg": jpeg_of_size(jpeg, 8000, 8000),
        "size-4000-progressive.jpg": jpeg_of_size(progressive, 4000, 4000),
        "size-0.jpg": jpeg_of_size(jpeg, 0, 0),
        "size-0-high.jpg": jpeg_of_size(jpeg, 84, 0),
        "size-2-31.png": png(2**31 - 1, 2**31 - 1, zlib.compress(b"")),
        "size-2-32.png": png(2**32 - 1, 2**32 - 1, zlib.compress(b"")),
        "size-13000.png": png(13000, 13000, zlib.compress(bytes(100))),
        "size-13000-deep.png": png(13000, 13000, zlib.compress(bytes(100)), 16, 6),
        "size-0.png": png(0, 10, zlib.compress(bytes(100))),
        "size-65535.gif": gif[:6] + struct.pack("<HH", 65535, 65535) + gif[10:],
        "size-0.gif": gif[:6] + struct.pack("<HH", 0, 0) + gif[10:],
        "size-3000.gif": gif[:6] + struct.pack("<HH", 3000, 3000) + gif[10:],
        "size-2-31.bmp": good["rgb.bmp"][:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + good["rgb.bmp"][26:],
        "size-negative.bmp": good["rgb.bmp"][:18] + struct.pack("<ii", -84, -(2**31)) + good["rgb.bmp"][26:],
        "size-0.bmp": good["rgb.bmp"][:18] + struct.pack("<ii", 0, 0) + good["rgb.bmp"][26:],
        "depth-3.bmp": good["rgb.bmp"][:28] + struct.pack("<H", 3) + good["rgb.bmp"][30:],
        "rle.bmp": good["rgb.bmp"][:28] + struct.pack("<HI", 8, 1) + good["rgb.bmp"][34:],
        "size-2-32.tif": tiff({**PLAIN, 256: (4, 1, 2**32 - 1), 257: (4, 1, 2**32 - 1), 278: (4, 1, 2**32 - 1)}),
        "size-13000.tif": tiff({**PLAIN, 256: (4, 1, 13000), 257: (4, 1, 13000), 278: (4, 1, 13000)}),
        "size-0.tif": tiff({**PLAIN, 256: (4, 1, 0)}),
        # Bombs: small files of many pixels.
        "bomb-5000.png": png(5000, 5000, zeros),
        "bomb-longer-than-declared.png": png(10, 10, zeros),
        "bomb-in-iccp.png": png(
            8, 8, zlib.compress(bytes(25 * 8)), more=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50 << 20), 9))
        ),
        "bomb-in-ztxt.png": png(
            8, 8, zlib.compress(bytes(25 * 8)), more=chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(50 << 20), 9))
        ),
        # Damage to structure.
        "no-palette.png": png(8, 8, zlib.compress(bytes(9 * 8)), 8, 3),
        "palette-index-beyond.png": png(8, 8, zlib.compress((b"\0" + b"\xff" * 8) * 8), 8, 3, chunk(b"PLTE", bytes(6))),
        "wrong-checksum.png": good["rgb.png"][:40] + b"\0\0\0\0" + good["rgb.png"][44:],
        "two-headers.png": good["rgb.png"][:33] + good["rgb.png"][8:],
        "chunk-of-4-gb.png": good["rgb.png"][:33] + b"\xff\xff\xff\xffIDAT" + good["rgb.png"][41:],
        "color-type-5.png": png(8, 8, zlib.compress(bytes(100)), 8, 5),
        "segment-of-length-0.jpg": jpeg[:2] + b"\xff\xe1\0\0" + jpeg[2:],
        "segment-of-length-1.jpg": jpeg[:2] + b"\xff\xe1\0\1" + jpeg[2:],
        "no-tables.jpg": jpeg[:2] + jpeg[jpeg.find(b"\xff\xc0") :],
        # As frames of Motion JPEG, for which the tables of the standard hold.
        "no-huffman-tables.jpg": (jpeg[: jpeg.find(b"\xff\xc4")] + jpeg[jpeg.find(b"\xff\xda") :]),
        "other-huffman-tables.jpg": saved(picture(), "JPEG", quality=35, optimize=True),
        "sampling-0.jpg": (lambda at: jpeg[: at + 11] + b"\0" + jpeg[at + 12 :])(jpeg.find(b"\xff\xc0")),
        "components-255.jpg": (lambda at: jpeg[: at + 9] + b"\xff" + jpeg[at + 10 :])(jpeg.find(b"\xff\xc0")),
        "frame-outside.gif": gif.replace(b",\0\0\0\0", b",\xff\xff\xff\xff", 1),
        "code-size-255.gif": (lambda at: gif[:at] + b"\xff" + gif[at + 1 :])(gif.find(b",\0\0\0\0") + 10),
        "no-frame.gif": gif[:13] + b";",
        "no-table.gif": gif[:10] + b"\0\0\0" + gif[13 + 3 * 256 :],
        "loop.tif": tiff(PLAIN, following=8),
        "strips-2-32.tif": tiff({**PLAIN, 273: (4, 2**32 - 1, 150), 279: (4, 2**32 - 1, 150)}),
        "rows-0.tif": tiff({**PLAIN, 278: (4, 1, 0)}),
        "strip-outside.tif": tiff({**PLAIN, 273: (4, 1, 2**32 - 1)}),
        "samples-65535.tif": tiff({**PLAIN, 277: (3, 1, 65535)}),
        "samples-0.tif": tiff({**PLAIN, 277: (3, 1, 0)}),
        "bits-0.tif": tiff({**PLAIN, 258: (3, 1, 0)}),
        "bits-255.tif": tiff({**PLAIN, 258: (3, 1, 255)}),
        "compression-jpeg.tif": tiff({**PLAIN, 259: (3, 1, 7)}),
        "compression-65535.tif": tiff({**PLAIN, 259: (3, 1, 65535)}),
        "group4-of-zeros.tif": tiff({**PLAIN, 258: (3, 1, 1), 259: (3, 1, 4)}),
        "planes.tif": tiff({**PLAIN, 262: (3, 1, 2), 277: (3, 1, 3), 284: (3, 1, 2)}),
        "extra-65535.tif": tiff({**PLAIN, 338: (3, 1, 65535)}),
        "tile-2-31.tif": tiff(
            {
                **{k: v for k, v in PLAIN.items() if k not in (273, 278, 279)},
                322: (4, 1, 2**31),
                323: (4, 1, 2**31),
                324: (4, 1, 150),
                325: (4, 1, 100),
            }
        ),
        "entries-65535.tif": b"II*\0\x08\0\0\0\xff\xff" + bytes(300),
        # EXIF.
        "exif-orientation-65535.jpg": jpeg_with_exif(jpeg, exif(0x112, 3, 1, 65535)),
        "exif-orientation-0.jpg": jpeg_with_exif(jpeg, exif(0x112, 3, 1, 0)),
        "exif-count-2-32.jpg": jpeg_with_exif(jpeg, exif(0x112, 3, 2**32 - 1, 2**32 - 1)),
        "exif-type-255.jpg": jpeg_with_exif(jpeg, exif(0x112, 255, 1, 6)),
        "exif-directory-outside.jpg": jpeg_with_exif(jpeg, b"II*\0\xff\xff\xff\xff"),
        "exif-empty.jpg": jpeg_with_exif(jpeg, b""),
        "exif-of-ones.jpg": jpeg_with_exif(jpeg, b"\xff" * 60000),
    }
    return files


def build(folder: Path) -> list[str]:
    """Writes all files; returns their names, sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    files = special()
    for name, data in whole().items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        for end in np.linspace(1, len(data) * 0.9, 10).astype(int):
            # Of an animation of three frames the first is all that is needed.
            kind = "late" if name == "moving.gif" and end > len(data) / 4 else "cut"
            files[f"{kind}-{end:06d}-{name}"] = data[:end]
        for i in range(14):
            flipped = bytearray(data)
            # Half of them in the header, where the numbers are.
            for at in rng.integers(0, len(data) if i % 2 else min(200, len(data)), 1 + i // 2):
                flipped[at] ^= 1 << int(rng.integers(0, 8))
            files[f"flip-{i:02d}-{name}"] = bytes(flipped)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return sorted(files)


def archive(path: Path) -> list[str]:
    """A zip archive of names that want out of their folder, archives in it, and entries that lie about their size."""
    jpeg = whole()["baseline.jpg"]
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as z:
        z.writestr("a.jpg", jpeg)
    entries = {
        "../outside.jpg": jpeg,
        "../../../../../../tmp/outside.jpg": jpeg,
        "/absolute/outside.jpg": jpeg,
        "a/../../outside.jpg": jpeg,
        "a/C:\\outside.jpg": jpeg,
        "a/control\x01character.jpg": jpeg,
        "a/nested.zip.jpg": inner.getvalue(),
        "a/good.jpg": jpeg,
        "a/deflated-bomb.png": bytes(20 << 20),
        "a/lies.jpg": jpeg + b"x" * 1000,
        "a/" + "b" * 5000 + ".jpg": jpeg,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in entries.items():
            z.writestr(name, data)
    # One entry declares, in the directory, that it is larger than it is.
    data = bytearray(path.read_bytes())
    at = data.rfind(b"a/lies.jpg") - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = struct.pack("<I", 1 << 29)
    path.write_bytes(bytes(data))
    return list(entries)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(f"{len(build(target / 'files'))} files in {target / 'files'}")
    archive(target / "archive.zip")
