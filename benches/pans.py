"""Makes short films of photographs that move by whole large pixels, which are parts of a pixel of the smaller frames.

    python -m benches.pans PHOTOGRAPHS OUT --frames 12 --side 128

A network that enlarges films can then be shown that neighbouring frames say more than one frame: what moves by one of
four pixels is sampled elsewhere in each small frame. Nothing is interpolated: a frame is a part of the photograph, and
the next one the same part some pixels further, back and forth. Each film is a folder of frames, for `gantools prep
video OUT`; which part and how it moves depends on the seed and the photograph's name.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np

from gantools import _native
from gantools.data.sources import open_source

#: Most pixels between two frames, along each side, unless told otherwise.
FASTEST = 6


def pans(source: Path, out: Path, frames: int, side: int, seed: int, start: int, stop: int | None, fastest: int) -> int:
    """Write a film of each photograph from number `start` on, before `stop`; how many there are."""
    images = open_source(source, "all", loose=True)
    made = 0
    for name, item in list(zip(images.names, images.items, strict=True))[start:stop]:
        image = _native.decode(images.reader.read(int(item)), channels=3, alpha="drop")
        room = np.array(image.shape[:2]) - side
        if room.min() < 0:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        speed = rng.integers(-fastest, fastest + 1, 2)
        speed = np.where((speed % 4 == 0).all(), speed + 1, speed)
        at = rng.integers(0, room + 1)
        folder = out / Path(name).stem
        folder.mkdir(parents=True)
        for i in range(frames):
            y, x = at
            part = np.ascontiguousarray(image[y : y + side, x : x + side])
            (folder / f"{i:04d}.png").write_bytes(_native.encode_png(part))
            # Back from the edge of the photograph.
            speed = np.where((at + speed < 0) | (at + speed > room), -speed, speed)
            at = np.clip(at + speed, 0, room)
        made += 1
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder or archive of images")
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--frames", type=int, default=12, help="frames of each film")
    parser.add_argument("--side", type=int, default=128, help="of a frame in pixels")
    parser.add_argument("--fastest", type=int, default=FASTEST, help="most pixels between two frames")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="start", type=int, default=0, help="number of the first photograph")
    parser.add_argument("--to", dest="stop", type=int, help="number after the last one")
    asked = parser.parse_args()
    made = pans(
        asked.photographs, asked.out, asked.frames, asked.side, asked.seed, asked.start, asked.stop, asked.fastest
    )
    print(f"{made} films in {asked.out}")


if __name__ == "__main__":
    main()
