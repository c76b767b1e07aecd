"""Preparation: ours against the ways that other tools take, on one core, and ours on two.

    python benches/prep.py [--celeba img_align_celeba.zip] [--images 200] [--repeat 5]

Each case has its files in memory or, for whole tools, in a folder on disk that is in the page cache. Methods run in
turn, image by image lists alike, and the best of the repeats counts, so that a loaded machine slows all alike. Printed:
milliseconds of CPU for an image, and how many times ours that is. CPU time is what a core costs; the two-thread lines
are wall time. The exact methods end with the same pixels: Pillow's is compared with ours. A second table has the same
images, 1024x1024 to 256, in every format: ours and Pillow's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import os
import platform
import shutil
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantools import _native

LANCZOS = Image.Resampling.LANCZOS


def picture(side: int, seed: int) -> NDArray[np.float64]:
    """Like a photograph: a falling spectrum, edges, little noise; (side, side, 3) from 0 to 255."""
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(size=(side, side // 2 + 1, 3)) + 1j * rng.normal(size=(side, side // 2 + 1, 3))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None] * side, np.arange(side // 2 + 1)[None]) + 1
    image = np.fft.irfft2(spectrum / frequency[..., None] ** 1.5, s=(side, side), axes=(0, 1))
    # Mostly luminance; what the three channels do not share is a quarter of it.
    image = image[..., :1] + image / 4
    image = 128 + image / image.std() * 45
    y, x = np.mgrid[0:side, 0:side]
    for _ in range(6):
        cy, cx, r = *rng.uniform(0, side, 2), rng.uniform(side / 12, side / 4)
        image[(y - cy) ** 2 + (x - cx) ** 2 < r * r] += rng.uniform(-60, 60) + rng.uniform(-15, 15, 3)
    return np.clip(image + rng.normal(0, 1.5, image.shape), 0, 255)


def encoded(image: NDArray[np.float64], format: str, **options: object) -> bytes:
    """The file that Pillow makes of an image."""
    buffer = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(buffer, format, **options)
    return buffer.getvalue()


def photo(side: int, seed: int) -> bytes:
    """A JPEG of quality 90, 4:2:0, 2 to 3 bits a pixel."""
    return encoded(picture(side, seed), "JPEG", quality=90)


def deep(image: NDArray[np.float64]) -> NDArray[np.uint16]:
    return (image * 257).astype(np.uint16)


def png_16(image: NDArray[np.float64]) -> bytes:
    """A PNG of 16 bits a sample, which Pillow does not write; each row as differences to the pixel before."""
    rows = deep(image).astype(">u2").view(np.uint8).reshape(image.shape[0], -1)
    filtered = rows.copy()
    filtered[:, 6:] -= rows[:, :-6]
    data = np.concatenate([np.ones((len(rows), 1), np.uint8), filtered], axis=1).tobytes()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 16, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", zlib.compress(data, 6)) + chunk(b"IEND", b"")


def tiff_16(image: NDArray[np.float64]) -> bytes:
    """A TIFF of 16 bits a sample, which Pillow does not write: little-endian, one strip, not compressed."""
    samples = deep(image).astype("<u2").tobytes()
    short, long = 3, 4
    bits_at, data_at = 8 + 2 + 9 * 12 + 4, 8 + 2 + 9 * 12 + 4 + 6
    entries = [
        (256, long, 1, image.shape[1]),
        (257, long, 1, image.shape[0]),
        (258, short, 3, bits_at),
        (259, short, 1, 1),  # no compression
        (262, short, 1, 2),  # RGB
        (273, long, 1, data_at),
        (277, short, 1, 3),
        (278, long, 1, image.shape[0]),
        (279, long, 1, len(samples)),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + struct.pack("<I", 0)
    return head + struct.pack("<HHH", 16, 16, 16) + samples


FORMATS: dict[str, Callable[[NDArray[np.float64]], bytes]] = {
    "JPEG, baseline": lambda image: encoded(image, "JPEG", quality=90),
    "JPEG, progressive": lambda image: encoded(image, "JPEG", quality=90, progressive=True),
    "JPEG, progressive, 4:4:4": lambda image: encoded(image, "JPEG", quality=90, progressive=True, subsampling=0),
    "PNG, 8 bits": lambda image: encoded(image, "PNG"),
    "PNG, 16 bits": png_16,
    "WebP, lossy": lambda image: encoded(image, "WEBP", quality=80),
    "WebP, lossless": lambda image: encoded(image, "WEBP", lossless=True),
    "TIFF, plain": lambda image: encoded(image, "TIFF"),
    "TIFF, LZW": lambda image: encoded(image, "TIFF", compression="tiff_lzw"),
    "TIFF, Deflate": lambda image: encoded(image, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, 16 bits, plain": tiff_16,
    "BMP": lambda image: encoded(image, "BMP"),
    "GIF": lambda image: encoded(image, "GIF"),
}


def square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def square_array(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


class Case:
    """Files in a folder, to be prepared at a size."""

    def __init__(self, title: str, files: list[bytes], size: int, work: Path):
        self.title, self.size, self.work = title, size, work
        self.folder = work / "files"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.names = [f"{i:05d}.jpg" for i in range(len(files))]
        for name, data in zip(self.names, files, strict=True):
            (self.folder / name).write_bytes(data)
        self.source = _native.Source.files(self.folder, self.names)

    def ours(self, threads: int = 1, fast: bool = False) -> NDArray[np.uint8]:
        policy = _native.PixelPolicy(width=self.size, height=self.size, channels=3, fast=fast)
        items = np.arange(len(self.names), dtype=np.int64)
        _native.prepare_shard(self.source, items, policy, self.work / "ours.npy", threads)
        return np.load(self.work / "ours.npy")

    def to_npy(self, tool: str, prepared: Callable[[Path], object]) -> NDArray[np.uint8]:
        """All images as a loop of `tool` prepares them, in one file."""
        out = np.empty((len(self.names), self.size, self.size, 3), np.uint8)
        for i, name in enumerate(self.names):
            out[i] = prepared(self.folder / name)
        np.save(self.work / f"{tool}.npy", out)
        return out

    def pillow(self) -> NDArray[np.uint8]:
        def prepared(path: Path) -> NDArray[np.uint8]:
            with Image.open(path) as image:
                return np.asarray(square(image.convert("RGB")).resize((self.size, self.size), LANCZOS))

        return self.to_npy("pillow", prepared)

    def dataset_tool(self) -> None:
        """The loop of StyleGAN's dataset_tool: Pillow to numpy, crop, Pillow, resize, uncompressed PNG into a zip."""
        with zipfile.ZipFile(self.work / "tool.zip", "w", zipfile.ZIP_STORED) as z:
            for i, name in enumerate(self.names):
                with Image.open(self.folder / name) as opened:
                    img = np.array(opened.convert("RGB"))
                img = square_array(img)
                img = np.array(Image.fromarray(img).resize((self.size, self.size), LANCZOS))
                buffer = io.BytesIO()
                Image.fromarray(img).save(buffer, format="png", compress_level=0, optimize=False)
                z.writestr(f"{i // 1000:05d}/img{i:08d}.png", buffer.getbuffer())

    def opencv(self) -> None:
        """OpenCV's own resampling, the mean of areas: other pixels, but what is commonly done with it."""
        import cv2

        def prepared(path: Path) -> object:
            image = square_array(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
            return cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)

        cv2.setNumThreads(1)
        self.to_npy("opencv", prepared)

    def torchvision(self) -> None:
        """torchvision's decoder and its antialiased resampling of tensors."""
        import torch
        from torchvision.io import ImageReadMode, decode_image
        from torchvision.transforms.v2 import functional

        def prepared(path: Path) -> object:
            image = decode_image(str(path), ImageReadMode.RGB)
            image = functional.center_crop(image, [min(image.shape[1:])] * 2)
            image = functional.resize(image, [self.size, self.size], antialias=True)
            return image.permute(1, 2, 0).numpy()

        torch.set_num_threads(1)
        self.to_npy("torchvision", prepared)

    def decode_only(self) -> None:
        import simplejpeg

        for name in self.names:
            simplejpeg.decode_jpeg((self.folder / name).read_bytes())

    def datago(self) -> None:
        import datago

        config = {
            "source_type": "file",
            "source_config": {"root_path": str(self.folder), "random_sampling": False, "rank": 0, "world_size": 1},
            "image_config": {
                "crop_and_resize": True,
                "default_image_size": self.size,
                "downsampling_ratio": 1,
                "min_aspect_ratio": 1.0,
                "max_aspect_ratio": 1.0,
                "pre_encode_images": False,
            },
            "limit": len(self.names),
            "samples_buffer_size": 64,
            "num_threads": 1,
            "max_tasks": 1,
        }
        client = datago.DatagoClient(__import__("json").dumps(config))
        client.start()
        count = 0
        out = np.empty((len(self.names), self.size, self.size, 3), np.uint8)
        while count < len(self.names):
            sample = client.get_sample()
            if not sample or sample.id == "":
                break
            image = np.asarray(sample.image)
            assert image.shape == out.shape[1:], image.shape
            out[count] = image
            count += 1
        client.stop()
        assert count == len(self.names), f"datago gave {count} of {len(self.names)}"
        np.save(self.work / "datago.npy", out)


def installed(module: str) -> bool:
    try:
        importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def run(case: Case, repeat: int) -> None:
    methods: dict[str, Callable[[], object]] = {
        "gantools": lambda: case.ours(),
        "gantools --fast": lambda: case.ours(fast=True),
        "Pillow -> npy": case.pillow,
        "dataset_tool loop -> zip": case.dataset_tool,
    }
    if installed("opencv-python-headless"):
        methods["OpenCV, area -> npy"] = case.opencv
    if installed("torchvision"):
        methods["torchvision, bilinear -> npy"] = case.torchvision
    if installed("datago"):
        methods["datago"] = case.datago
    if installed("simplejpeg"):
        methods["libjpeg-turbo decode alone (simplejpeg)"] = case.decode_only
    np.testing.assert_array_equal(case.ours(), case.pillow())
    best = dict.fromkeys(methods, float("inf"))
    for _ in range(repeat):
        for name, method in methods.items():
            began = time.process_time()
            method()
            best[name] = min(best[name], time.process_time() - began)
    count, ours = len(case.names), best["gantools"]
    print(f"\n{case.title}, {count} images\n{'method':42}{'CPU ms/image':>13}{'x gantools':>12}{'x fast':>8}")
    for name, seconds in best.items():
        fast = best["gantools --fast"]
        print(f"{name:42}{seconds / count * 1e3:13.3f}{seconds / ours:12.2f}{seconds / fast:8.2f}")
    wall = {threads: float("inf") for threads in (1, 2)}
    for _ in range(repeat):
        for threads in wall:
            began = time.perf_counter()
            case.ours(threads)
            wall[threads] = min(wall[threads], time.perf_counter() - began)
    print(
        f"wall, 1 and 2 threads: {wall[1] / count * 1e3:.3f} and {wall[2] / count * 1e3:.3f} ms/image, "
        f"{wall[1] / wall[2]:.2f} times"
    )


def run_formats(count: int, work: Path, repeat: int) -> None:
    """The table of formats."""
    pictures = [picture(1024, seed) for seed in range(min(count, 4))]
    print(f"\n1024x1024 -> 256 by format, {count} images")
    print(f"{'format':28}{'KiB':>7}{'gantools':>11}{'Pillow':>9}{'times':>8}")
    for name, encode in FORMATS.items():
        distinct = [encode(image) for image in pictures]
        case = Case(name, [distinct[i % len(distinct)] for i in range(count)], 256, work)
        np.testing.assert_array_equal(case.ours(), case.pillow(), err_msg=name)
        methods: list[Callable[[], object]] = [case.ours, case.pillow]
        best = [float("inf")] * 2
        for _ in range(repeat):
            for i, method in enumerate(methods):
                began = time.process_time()
                method()
                best[i] = min(best[i], time.process_time() - began)
        ours, pillow = (seconds / count * 1e3 for seconds in best)
        print(f"{name:28}{len(distinct[0]) / 1024:7.0f}{ours:11.2f}{pillow:9.2f}{pillow / ours:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--celeba", type=Path, help="CelebA's img_align_celeba.zip")
    parser.add_argument(
        "--images", type=int, default=200, help="images of the CelebA case; a fifth of it of the others"
    )
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    names = ("pillow", "numpy", "simplejpeg", "datago", "opencv-python-headless", "torchvision")
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names if installed(n))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; gantools {_native.__version__}, "
    )
    print(versions)
    with tempfile.TemporaryDirectory() as work:
        if args.celeba:
            with zipfile.ZipFile(args.celeba) as z:
                inside = sorted(n for n in z.namelist() if n.endswith(".jpg"))[: args.images]
                files = [z.read(n) for n in inside]
            run(Case("CelebA 178x218 -> 64", files, 64, Path(work)), args.repeat)
        else:
            print("CelebA is left out: --celeba names no archive.", file=sys.stderr)
        few = max(1, args.images // 5)
        for side, size in ((512, 256), (512, 64), (1024, 256), (1024, 64)):
            distinct = [photo(side, seed) for seed in range(min(few, 4))]
            files = [distinct[i % len(distinct)] for i in range(few)]
            run(Case(f"photo-like {side}x{side} -> {size}", files, size, Path(work)), args.repeat)
        run_formats(few, Path(work), args.repeat)


if __name__ == "__main__":
    main()
