"""Does a loss learn? A ring of 8 and a grid of 25 heaps of points, by loss, with the system of docs/examples.

    python benches/learn.py --out FOLDER [--sets ring grid] [--seeds 0 1 2] [--kimg 800] [--only LOSS ...]

Each run is `gantools train` itself on a prepared set of points. Of 10,000 samples of the averaged generator a sample
is good when it lies within 3 standard deviations of its nearest heap, and a heap is covered when it has at least a
tenth of its fair share as good samples (as in Srivastava et al. 2017, arXiv:1705.07761, with a stricter count). `no
penalty` is a Wasserstein critic that nothing holds back, for comparison; short trainings of it can still succeed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gantools
from gantools.training.run import train

EXAMPLES = Path(__file__).parents[1] / "docs/examples"
DEVIATION = 0.03
SAMPLES = 10_000

GAMES: dict[str, dict[str, Any]] = {
    "non_saturating": {"loss": {"name": "non_saturating"}, "penalties": {}},
    "least_squares": {"loss": {"name": "least_squares"}, "penalties": {}},
    "hinge": {"loss": {"name": "hinge"}, "penalties": {}},
    "wasserstein + gradient": {
        "loss": {"name": "wasserstein"},
        "penalties": {"gradient": {"weight": 1}},
        "critic_steps": 2,
    },
    "relativistic + r1 + r2": {
        "loss": {"name": "relativistic"},
        "penalties": {"r1": {"weight": 0.1}, "r2": {"weight": 0.1}},
    },
    "relativistic": {"loss": {"name": "relativistic"}, "penalties": {}},
    "relativistic_average": {"loss": {"name": "relativistic_average"}, "penalties": {}},
    "non_saturating + dragan": {"loss": {"name": "non_saturating"}, "penalties": {"dragan": {"weight": 1}}},
    "wasserstein + clip": {"loss": {"name": "wasserstein"}, "penalties": {}, "critic_steps": 5, "clip": 0.05},
    "no penalty": {"loss": {"name": "wasserstein"}, "penalties": {}, "critic_steps": 2},
}


def heaps(kind: str) -> NDArray[np.float64]:
    """The middles of the heaps, (k, 2) in [-1, 1]."""
    if kind == "ring":
        angles = 2 * math.pi * np.arange(8) / 8
        return 0.7 * np.stack([np.cos(angles), np.sin(angles)], 1)
    return 0.35 * np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), -1).reshape(-1, 2)


def write_points(kind: str, path: Path, n: int = 50_000) -> None:
    """`n` points as grey images of 2x2 pixels, uint8 (n, 2, 2), into a file that `gantools prep` reads."""
    rng = np.random.default_rng(5)
    middles = heaps(kind)
    points = middles[rng.integers(len(middles), size=n)] + DEVIATION * rng.standard_normal((n, 2))
    pixels = np.clip(np.round(points * 127.5 + 127.5), 0, 255).astype(np.uint8)
    np.save(path, np.stack([pixels, pixels], 1))


def judge(points: NDArray[np.float64], kind: str) -> tuple[int, float]:
    """Heaps covered, and the share of good samples, of `points` (n, 2) in [-1, 1]."""
    middles = heaps(kind)
    distance = np.linalg.norm(points[:, None] - middles, axis=2)
    nearest = distance.argmin(1)
    good = distance.min(1) < 3 * DEVIATION
    shares = np.bincount(nearest[good], minlength=len(middles)) * len(middles) / len(points)
    return int((shares >= 0.1).sum()), float(good.mean())


def learn(kind: str, game: str, seed: int, kimg: float, out: Path) -> tuple[int, float, float]:
    """Trains and samples once: heaps covered, share of good samples, seconds."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    data = out / f"{kind}-set"
    if not data.exists():
        write_points(kind, out / f"{kind}.npy")
        gantools.prep(str(out / f"{kind}.npy"), out=data, size=2, crop="none", progress=False)
    changes = {"game": GAMES[game], "ema.half_life_kimg": 20, "tick_kimg": kimg, "compute.threads": 1}
    begun = time.perf_counter()
    run = train(
        EXAMPLES / "points.yaml", data=data, out=out / "runs", kimg=kimg, seed=seed, overrides=changes, progress=False,
        device="cpu",
    )  # fmt: skip
    assert run is not None
    seconds = time.perf_counter() - begun
    images = gantools.Generator.load(run).sample(SAMPLES, seed=1)
    return *judge((images[:, 0, :, 0].astype(np.float64) - 127.5) / 127.5, kind), seconds


def main() -> None:
    """The tables, as Markdown on stdout and as `learn.json` in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=["ring", "grid"], default=["ring", "grid"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--kimg", type=float, default=800)
    parser.add_argument("--only", nargs="+", choices=GAMES, default=list(GAMES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = []
    print(f"| set | loss | heaps covered, seeds {' '.join(map(str, options.seeds))} | good samples | s |")
    print("|---|---|---|---|---|")
    for kind in options.sets:
        for game in options.only:
            rows = [learn(kind, game, seed, options.kimg, options.out) for seed in options.seeds]
            found += [
                dict(zip(("set", "loss", "seed", "covered", "good", "seconds"), (kind, game, seed, *row), strict=True))
                for seed, row in zip(options.seeds, rows, strict=True)
            ]
            covered, good, seconds = zip(*rows, strict=True)
            of = len(heaps(kind))
            print(
                f"| {kind} | {game} | {', '.join(f'{c}/{of}' for c in covered)} "
                f"| {', '.join(f'{g:.0%}' for g in good)} | {sum(seconds) / len(seconds):.0f} |",
                flush=True,
            )
    (options.out / "learn.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
