"""How quick the studio is: from the command to the first byte and the first picture, and what it adds to a network.

    python benches/studio.py runs/00000-dcgan-fashion-28

Starts `gantools studio` on the run three times, asks as the page does, and prints seconds from the command to the first
byte of the page and to the first picture; then milliseconds from a question to its picture, quickly drawn as while a
slider moves, beside those of the generator alone in this process.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from gantools import _native
from gantools.grid import make_grid
from gantools.sampling.generator import Generator

REPEAT, IMAGES, PICTURES = 3, 16, 30


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    starts, served = [], []
    for _ in range(REPEAT):
        begun = time.perf_counter()
        words = [sys.executable, "-m", "gantools", "studio", str(run)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        link = urlsplit(process.stdout.readline().strip())
        connection = http.client.HTTPConnection(link.netloc)
        connection.request("GET", f"/?{link.query}")
        answer = connection.getresponse()
        cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
        answer.read()
        first_byte = time.perf_counter() - begun

        def ask(seed: int, connection: http.client.HTTPConnection = connection, cookie: str = cookie) -> None:
            address = f"/picture.png?run={run.absolute().name}&seed={seed}&n={IMAGES}&fast=1"
            connection.request("GET", address, headers={"Cookie": cookie})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()

        ask(0)
        starts.append((first_byte, time.perf_counter() - begun))
        for seed in range(1, PICTURES + 1):
            asked = time.perf_counter()
            ask(seed)
            served.append(1000 * (time.perf_counter() - asked))
        process.terminate()
        process.wait()
    generator, alone = Generator.load(run), []
    for seed in range(PICTURES + 1):
        asked = time.perf_counter()
        _native.encode_png(make_grid(generator.sample(IMAGES, seed, batch=IMAGES)))
        alone.append(1000 * (time.perf_counter() - asked))
    byte, picture = (statistics.median(column) for column in zip(*starts, strict=True))
    a, b = statistics.median(served), statistics.median(alone[1:])
    print("| from the command to | s |\n|---|---|")
    print(f"| the first byte of the page | {byte:.2f} |\n| the first picture | {picture:.2f} |\n")
    print(f"| picture of {IMAGES} images | ms |\n|---|---|")
    print(f"| asked for over HTTP | {a:.1f} |\n| the network and the PNG alone | {b:.1f} |\n| added | {a - b:.1f} |")


if __name__ == "__main__":
    main()
