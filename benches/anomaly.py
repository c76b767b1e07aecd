"""How well do anomaly scores tell one class from the rest? f-AnoGAN on a run of one class alone.

    python benches/anomaly.py --data SET --test SET --out FOLDER [--classes 0 1 8] [--kimg 60] [--encoder-kimg 30]

For each class of a labelled prepared set: its images as a set, `dcgan-mini` trained on them, an encoder for that run
(`gantools detect anomaly`), and the area under the ROC curve of the scores of the test set, that class against all
others; also of the pixels alone, and of the plain distance from the mean image, which needs no training. What is in the
folder already is not trained again.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

import gantools
from gantools.data.prepared import PreparedSet
from gantools.detect.anomaly import MANIFEST, read_anomaly, train_encoder
from gantools.detect.numbers import auc
from gantools.runs.folders import list_runs
from gantools.training.run import train


def one_class(data: PreparedSet, label: int, out: Path) -> Path:
    """A prepared set of the images of one class."""
    place = out / f"set-{label}"
    if not place.exists():
        assert data.labels is not None
        file = out / f"class-{label}.npy"
        np.save(file, data.gather(np.flatnonzero(data.labels == label)))
        gantools.prep(file, size=data.shape[1], channels=data.shape[2], out=place, progress=False)
    return place


def main() -> None:
    """A line a class, as Markdown on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--classes", type=int, nargs="+", default=[0, 1, 8])
    parser.add_argument("--kimg", type=float, default=60)
    parser.add_argument("--encoder-kimg", type=float, default=30)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data, test = PreparedSet(options.data), PreparedSet(options.test)
    images, labels = test.gather(np.arange(len(test))), test.labels
    assert labels is not None
    print("| normal class | AUC against the rest | pixels alone | distance from the mean image |\n|---|---|---|---|")
    for label in options.classes:
        normal = one_class(data, label, options.out)
        runs = options.out / f"runs-{label}"
        found = list_runs(runs)
        run = found[0] if found else train(
            "dcgan-mini", data=normal, out=runs, kimg=options.kimg, tick_kimg=20, seed=0, device="cpu", progress=False,
            overrides={"compute.threads": 1},
        )  # fmt: skip
        place = options.out / f"anomaly-{label}"
        if not (place / MANIFEST).exists():
            train_encoder(run, normal, kimg=options.encoder_kimg, out=place, device="cpu", progress=False)
        anomaly = read_anomaly(place, device="cpu")
        usual = labels == label
        mean = PreparedSet(normal).gather(np.arange(len(PreparedSet(normal)))).mean(0)
        by = {
            "both": anomaly.scores(images),
            "pixels": dataclasses.replace(anomaly, kappa=0.0).scores(images),
            "mean": np.square(images - mean).mean((1, 2, 3)),
        }
        print(f"| {label} | " + " | ".join(f"{auc(v[~usual], v[usual]):.3f}" for v in by.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
