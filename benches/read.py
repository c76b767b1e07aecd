"""Shuffled batches of 64 px images as float tensors in [-1, 1]: ours against the ways people usually read them.

    python benches/read.py [--images 8000] [--batch 64] [--threads 2] [--repeat 5] [--few 1000] [--jpegs ZIP]

Makes a prepared set, one `.npy` file and a folder of PNGs of the same synthetic images, checks that all give the same
tensors, and prints images per second (best of the repeats, each way in turn so that a loaded machine slows all alike)
with the ratio of ours. Everything is in the page cache. The folder is read by torch's DataLoader with two workers, and
by webdataset from tars, only `--few` images of it, for that is slow; their workers' start is not counted. `--jpegs`
takes as many images out of an archive (CelebA's) and reads them in the same way as training scripts do that prepare
nothing: decode, resize and crop each time.
"""

from __future__ import annotations

import argparse
import os
import platform
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import webdataset
from numpy.typing import NDArray
from PIL import Image

import gantools
from gantools import _native

SIDE = 64


def make(folder: Path, n: int, few: int) -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    images = small.repeat(8, 1).repeat(8, 2) // 2 + rng.integers(0, 64, (n, SIDE, SIDE, 3), dtype=np.uint8)
    np.save(folder / "images.npy", images)
    (folder / "png/all").mkdir(parents=True)
    for i in range(few):
        (folder / f"png/all/{i:05d}.png").write_bytes(_native.encode_png(images[i]))
    # The set is made from pixels, of the same size, so that nothing changes them.
    from gantools.data.sources import SOURCES, Source

    def source(path: Path | None, split: str | None) -> Source:
        del path, split
        names = [str(i) for i in range(n)]
        return Source("bench", "bench", _native.Source.array(images), np.arange(n), names, 3, SIDE)

    SOURCES["bench"] = source
    gantools.prep("bench", out=folder / "set", progress=False)


def unzip(archive: Path, folder: Path, few: int) -> None:
    folder.mkdir()
    with zipfile.ZipFile(archive) as z:
        for name in [n for n in sorted(z.namelist()) if n.endswith(".jpg")][:few]:
            (folder / Path(name).name).write_bytes(z.read(name))


def floats(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div_(127.5).sub_(1)


class Folder(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, folder: Path) -> None:
        self.files = sorted(file for file in folder.rglob("*.*g") if file.is_file())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        with Image.open(self.files[i]) as opened:
            image = opened.convert("RGB")
            if image.size != (SIDE, SIDE):
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                image = image.resize((SIDE, SIDE), box=(left, top, left + side, top + side))
            pixels = np.array(image)
        return floats(pixels)


def web(folder: Path, batch: int) -> Iterable[object]:
    """The PNGs as four shards for webdataset, shuffled by shards and in a buffer, as its documentation has it."""
    files = sorted((folder / "png").rglob("*.png"))
    for shard in range(4):
        with tarfile.open(folder / f"web-{shard}.tar", "w") as archive:
            for file in files[shard::4]:
                archive.add(file, file.name)
    shards = [str(folder / f"web-{shard}.tar") for shard in range(4)]
    data = webdataset.WebDataset(shards, shardshuffle=4, workersplitter=webdataset.split_by_worker)
    data = data.shuffle(1000).decode("rgb8").to_tuple("png").map_tuple(floats).batched(batch)
    return webdataset.WebLoader(data, batch_size=None, num_workers=2, persistent_workers=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--jpegs", type=Path, help="zip archive of JPEGs")
    args = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, args.images, args.few)
        data = gantools.open(folder / "set")
        mapped = np.load(folder / "images.npy", mmap_mode="r")
        order = np.random.default_rng(1).permutation(args.images)
        parts = [order[i : i + args.batch] for i in range(0, args.images, args.batch)]
        buffer = torch.empty((args.batch, 3, SIDE, SIDE))

        def planes(pixels: NDArray[np.uint8]) -> torch.Tensor:
            return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)

        def numpy_way(index: NDArray[np.int64]) -> torch.Tensor:
            return planes(mapped[index])

        def numpy_last(index: NDArray[np.int64]) -> torch.Tensor:
            return torch.from_numpy(mapped[index]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

        def numpy_only(index: NDArray[np.int64]) -> NDArray[np.float32]:
            return (mapped[index].astype(np.float32) / np.float32(127.5) - np.float32(1)).transpose(0, 3, 1, 2)

        def ours_last(index: NDArray[np.int64]) -> torch.Tensor:
            return torch.from_numpy(data.gather_float(index, layout="nhwc")).permute(0, 3, 1, 2)

        def ours_reused(index: NDArray[np.int64]) -> torch.Tensor:
            out = buffer[: len(index)]
            data.gather_float(index, out.numpy())
            return out

        flips = np.random.default_rng(2).random(args.batch) < 0.5

        def ours_mirrored(index: NDArray[np.int64]) -> torch.Tensor:
            return torch.from_numpy(data.gather_float(index, flip=flips[: len(index)]))

        def numpy_mirrored(index: NDArray[np.int64]) -> torch.Tensor:
            pixels, flip = mapped[index], flips[: len(index)]
            pixels[flip] = pixels[flip, :, ::-1]
            return planes(pixels)

        assert torch.equal(ours_mirrored(parts[0]), numpy_mirrored(parts[0]))
        ways: dict[str, Callable[[NDArray[np.int64]], object]] = {
            "gantools gather_float": lambda index: torch.from_numpy(data.gather_float(index)),
            "gantools gather_float, channels_last": ours_last,
            "gantools gather_float, reused buffer": ours_reused,
            "numpy fancy index + torch": numpy_way,
            "numpy fancy index + torch, channels_last": numpy_last,
            "numpy fancy index + numpy": numpy_only,
            "gantools gather_float, half mirrored": ours_mirrored,
            "numpy fancy index + torch, half mirrored": numpy_mirrored,
            "gantools gather, bytes only": data.gather,
            "numpy fancy index, bytes only": lambda index: mapped[index],
        }
        reference = numpy_way(parts[0])
        for title, way in ways.items():
            if "bytes" not in title and "mirrored" not in title:
                assert torch.equal(torch.as_tensor(way(parts[0])), reference), title
        speed = dict.fromkeys(ways, 0.0)
        for _ in range(args.repeat):
            for title, way in ways.items():
                began = time.perf_counter()
                for part in parts:
                    way(part)
                speed[title] = max(speed[title], args.images / (time.perf_counter() - began))
        speed["gantools loader"] = 0.0
        for _ in range(args.repeat):
            began = time.perf_counter()
            for _ in data.loader(args.batch):
                pass
            speed["gantools loader"] = max(speed["gantools loader"], args.images / (time.perf_counter() - began))
        folders = {"DataLoader over PNGs, 2 workers": folder / "png"}
        if args.jpegs:
            unzip(args.jpegs, folder / "jpeg", args.few)
            folders["DataLoader over JPEGs, resized, 2 workers"] = folder / "jpeg"
        loaders: dict[str, Iterable[object]] = {
            title: torch.utils.data.DataLoader(
                Folder(place), batch_size=args.batch, shuffle=True, num_workers=2, persistent_workers=True
            )
            for title, place in folders.items()
        }
        loaders["webdataset over tars of PNGs, 2 workers"] = web(folder, args.batch)
        for title, loader in loaders.items():
            for _ in loader:  # starts the workers
                pass
            speed[title] = 0.0
            for _ in range(args.repeat):
                began = time.perf_counter()
                for _ in loader:
                    pass
                speed[title] = max(speed[title], args.few / (time.perf_counter() - began))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, ", end="")
    print(f"numpy {np.__version__}, torch {torch.__version__}, batches of {args.batch}")
    ours = speed["gantools gather_float"]
    print(f"{'way':42}{'images/s':>12}{'ours is':>10}")
    for title, rate in speed.items():
        print(f"{title:42}{rate:12,.0f}{ours / rate:9.2f}x")


if __name__ == "__main__":
    main()
