"""How well does a detector do on generators that it never saw? Each left out in turn; and checks of its biases.

    python benches/detect.py --real SET --fake NAME=PATH ... --out FOLDER [--network patches] [--kimg 30] [--plain]
        [--checks]

Each line is `gantools detect train`, with a network of convolutions and the linear network of the spectrum on the same
images. With `--plain` also trained on images as they are. `--checks` trains detectors where there is nothing to learn:
with labels by chance; to tell half of the real persons from the other half once written as PNG files and prepared
again; and to tell half of them saved as JPEGs of quality 75 from the other half at 95, each disturbed and plain. All
should give an AUC of 0.5 within 0.03; a detector that was trained plain on the JPEGs will not.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import gantools
from gantools.detect.detector import MANIFEST
from gantools.detect.images import read_images
from gantools.detect.train import train_detector


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return found


def row(title: str, found: dict[str, Any], condition: str, out: str | None) -> str:
    """A line of the table: AUC on the seen and the unseen of both networks, and what else is said of the unseen."""
    side = "unseen" if out else "seen"
    mine, base = found["scores"][condition], found["baseline"]["scores"][condition]
    numbers = mine[side]
    return (
        f"| {title} | {condition} | {mine['seen']['auc']:.3f} / {base['seen']['auc']:.3f} "
        f"| {mine[side]['auc']:.3f} / {base[side]['auc']:.3f} | {numbers['average_precision']:.3f} "
        f"| {numbers['tpr_at_fpr_0.01']:.3f} | {numbers['calibration_error']:.3f} | {numbers['accuracy']:.3f} "
        f"| {numbers['unsure']:.3f} |"
    )


def as_jpegs(images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Images saved and opened by Pillow, colour at half the size."""
    saved = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
        saved.append(np.asarray(Image.open(file)).reshape(image.shape))
    return np.stack(saved)


def through_files(images: NDArray[np.uint8], work: Path) -> NDArray[np.uint8]:
    """Images written as PNG files and prepared by gantools."""
    folder = work / "files"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(folder / f"{i:06d}.png")
    made = gantools.prep(folder, size=images.shape[1], channels=images.shape[3], out=work / "again", progress=False)
    return made.gather(np.arange(len(made)))


def checks(real: Path, out: Path, network: str, kimg: float, seed: int) -> None:
    """Detectors of nothing: halves of the real images, by person where the set knows persons."""
    images = read_images("real", real, None, None, seed=seed, device=None)
    one = np.isin(images.groups, np.random.default_rng(seed).permutation(np.unique(images.groups))[::2])
    halves = [images.levels[which] for which in (one, ~one)]
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        pairs = {
            "real, the other half": (halves[0], halves[1]),
            "real, the other half saved and prepared again": (halves[0], through_files(halves[1], work)),
            "real JPEGs of 75, the other half of 95": (as_jpegs(halves[0], 75), as_jpegs(halves[1], 95)),
        }
        print("| trained to tell | network | disturbed in training | AUC |\n|---|---|---|---|")
        for title, (left, right) in pairs.items():
            np.save(work / "left.npy", left)
            np.save(work / "right.npy", right)
            for plain in (False, True):
                found = record(
                    train_detector(
                        work / "left.npy", {"half": work / "right.npy"}, network=network, n=len(right), kimg=kimg,
                        plain=plain, seed=seed, out=out / "check", overwrite=True, progress=False,
                    )
                )  # fmt: skip
                for name, one_of in ((network, found), ("spectrum", found["baseline"])):
                    value = one_of["scores"]["as they are"]["seen"]["auc"]
                    print(f"| {title} | {name} | {'no' if plain else 'yes'} | {value:.3f} |", flush=True)


def main() -> None:
    """Tables as Markdown on stdout; detectors in folders below `--out`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--fake", nargs="+", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", choices=("cnn", "patches"), default="cnn")
    parser.add_argument("--kimg", type=float, default=30)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--checks", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    fake = dict(text.split("=", 1) for text in options.fake)
    if fake:
        print(
            f"| left out | test | AUC seen, {options.network} / spectrum | AUC unseen | AP | TPR at FPR 1 % | ECE "
            "| accuracy | unsure |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
    shuffles = (False, True) if options.checks else (False,)
    for out, shuffle in [*((name, False) for name in fake), *((None, s) for s in shuffles if fake)]:
        for plain in (False, True) if options.plain and not shuffle else (False,):
            title = (out or "none") + (", plain" if plain else "") + (", labels by chance" if shuffle else "")
            found = record(
                train_detector(
                    options.real, fake, leave_out=[out] if out else [], network=options.network, n=options.n,
                    kimg=options.kimg, plain=plain, shuffle=shuffle, seed=options.seed, overwrite=True, progress=False,
                    out=options.out / title.replace(", ", "-").replace(" ", "-"),
                )
            )  # fmt: skip
            for condition in found["scores"]:
                print(row(title, found, condition, out), flush=True)
            print("<!--", title, found["biases"], found["baseline"]["biases"], "-->", flush=True)
    if options.checks:
        checks(options.real, options.out, options.network, options.kimg, options.seed)


if __name__ == "__main__":
    main()
