"""`gantools quickstart`: the four steps on 10,000 images that ship with the package, offline, in a few minutes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from gantools.data.prepare import prep
from gantools.errors import DataError
from gantools.metrics.results.scores import Scores
from gantools.metrics.scorer import score
from gantools.sampling.write import GRID, sample
from gantools.training.run import train

# The test images of Fashion-MNIST (MIT licence), and a recipe small enough for a laptop's CPU.
IMAGES = Path(__file__).parent / "assets" / "fashion_mnist"
RECIPE = "dcgan-mini"
# The moments of 128 features need some thousand images; this many take two seconds to make.
SAMPLES = 5000


@dataclass(frozen=True)
class Quickstart:
    """What `quickstart` made.

    Attributes:
        data: the prepared set.
        run: the training run.
        samples: the folder of samples.
        grid: a picture of 64 of them.
        score: their Frechet distance to the prepared set in the features of the bundled classifier.
    """

    data: Path
    run: Path
    samples: Path
    grid: Path
    score: Scores


def quickstart(
    out: str | Path = "gantools-quickstart", *, kimg: float | None = None, seed: int = 0, progress: bool = True
) -> Quickstart:
    """Prepare, train, sample and score on the 10,000 Fashion-MNIST images that ship with gantools.

    Args:
        out: the folder for everything that is made; a second call trains a new run in it and replaces the samples.
        kimg: length of the training in thousands of images; None for the recipe's own (about two minutes on 2 cores).
        seed: of initialisation, order and latents.
        progress: say on stderr what is done, with progress bars.

    Returns:
        The paths of what was made, and the score.
    """
    root = Path(out)
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file.", "Choose another folder with --out.")

    def say(text: str) -> None:
        if progress:
            print(text, file=sys.stderr, flush=True)

    say(f"1/4  prepare  gantools prep fashion-mnist --split test --source {IMAGES}")
    data = prep(
        "fashion-mnist", source=IMAGES, split="test", out=root / "data" / "fashion-mnist-28-test", progress=progress
    )
    say(f"2/4  train    gantools train {RECIPE}")
    run = train(RECIPE, data=data.path, out=root / "runs", kimg=kimg, seed=seed, progress=progress)
    assert run is not None  # only a dry run has none
    say(f"3/4  sample   gantools sample -n {SAMPLES} --grid")
    samples = sample(run, n=SAMPLES, seed=seed, out=root / "samples", format="npy", grid=True, overwrite=True)
    say("4/4  score    gantools score --extractor fashion-mnist samples/")
    result = score(samples, metrics=("fd",), extractor="fashion-mnist", cache=False, progress=progress)
    return Quickstart(data.path, run, samples, samples / GRID, result)
