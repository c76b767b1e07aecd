"""Do generated images help a classifier whose classes are unequal? Against oversampling, on real test images.

    python benches/augment.py --data SET --test SET --out FOLDER [--minority Pullover Sandal Shirt] [--few 60]
                              [--many 500] [--recipe cdcgan-fashion] [--kimg 40] [--steps 600] [--seeds 0 1 2 3 4]

SET is `gantools prep fashion-mnist`, the test set its split `test`. For each seed: `--few` images of the minority
classes and `--many` of the others are drawn, a conditional GAN is trained on these alone (each class shown as often),
its images fill up the minority classes (`gantools sample --augment --per-class fill`), and a small CNN is trained for
`--steps` steps on the images as they are, with the minority classes repeated, the same with random mirroring and
shifts of up to two pixels, and with the generated images in place of the repetition. Macro-F1 on all test images, the
mean of the classes' F1; differences by seed with the 95 % interval of Student's t, and "no gain" where it contains 0.
What is in FOLDER is not made again; the table is `augment.md` there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

import gantools
from gantools.data.prepared import PreparedSet
from gantools.pretrained import fashion
from gantools.runs.folders import list_runs
from gantools.training.run import train

BATCH, SHIFT = 64, 2
#: Ways to train the classifier: on which images, and whether each is mirrored and shifted at random.
WAYS = {
    "no balancing": ("real", False),
    "oversampled": ("repeated", False),
    "oversampled, mirrored and shifted": ("repeated", True),
    "generated added": ("generated", False),
    "generated added, mirrored and shifted": ("generated", True),
}
PAIRS = (
    ("oversampled", "no balancing"),
    ("generated added", "oversampled"),
    ("generated added", "oversampled, mirrored and shifted"),
    ("generated added, mirrored and shifted", "oversampled, mirrored and shifted"),
)


def unequal(data: PreparedSet, out: Path, minority: Sequence[str], few: int, many: int, seed: int) -> PreparedSet:
    """A prepared set of `few` images of some classes and `many` of the others, drawn at random."""
    place = out / f"set-{seed}"
    if not place.exists():
        assert data.labels is not None and data.classes is not None
        rng, rows = np.random.default_rng([seed, 17]), []
        for number, name in enumerate(data.classes):
            there = np.flatnonzero(data.labels == number)
            rows.append(rng.choice(there, few if name in minority else many, replace=False))
        chosen = np.sort(np.concatenate(rows))
        file = out / "images.npz"
        np.savez(file, images=data.gather(chosen), labels=data.labels[chosen], classes=np.array(data.classes))
        gantools.prep(file, size=data.shape[0], channels=data.shape[2], out=place, progress=False)
        file.unlink()
    return PreparedSet(place)


def filled(few: PreparedSet, out: Path, recipe: str, kimg: float, seed: int) -> PreparedSet:
    """The set with generated images of a GAN trained on it, so that all classes have equally many."""
    runs = list_runs(out / f"runs-{seed}")
    run = runs[0] if runs else train(
        recipe, data=few.path, out=out / f"runs-{seed}", kimg=kimg, tick_kimg=kimg / 4, seed=seed, device="cpu",
        progress=False, overrides={"compute.threads": 1, "data.balance": True},
    )  # fmt: skip
    return gantools.augment_set(
        run, few, per_class="fill", seed=seed, out=out / f"filled-{seed}", device="cpu", progress=False
    )


class Classifier(nn.Module):
    """Grey images float (n, 1, 28, 28) in [-1, 1] to logits: two convolutions, two dense layers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits float (n, classes)."""
        found: Tensor = self.layers(x)
        return found


def varied(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Each image mirrored or not, and shifted by up to SHIFT pixels; black comes in."""
    n, side = len(x), x.shape[-1]
    x = torch.where(torch.from_numpy(rng.random(n) < 0.5)[:, None, None, None], x.flip(3), x)
    padded = F.pad(x, (SHIFT, SHIFT, SHIFT, SHIFT), value=-1.0)
    corners = rng.integers(0, 2 * SHIFT + 1, (n, 2))
    return torch.stack([padded[i, :, a : a + side, b : b + side] for i, (a, b) in enumerate(corners)])


def classify(
    images: NDArray[np.uint8], labels: NDArray[np.int64], even: bool, vary: bool, steps: int, seed: int, classes: int
) -> Classifier:
    """The classifier, trained; `even`: every class as often as any other."""
    torch.manual_seed(seed)
    net, rng = Classifier(classes), np.random.default_rng([seed, 29])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    y = torch.from_numpy(labels)
    weights = 1 / np.bincount(labels, minlength=classes)[labels] if even else np.ones(len(labels))
    for _ in range(steps):
        rows = torch.from_numpy(rng.choice(len(labels), BATCH, p=weights / weights.sum()))
        batch = varied(x[rows], rng) if vary else x[rows]
        optimizer.zero_grad()
        F.cross_entropy(net(batch), y[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net


@torch.no_grad()
def f1(net: Classifier, test: PreparedSet) -> NDArray[np.float64]:
    """F1 of each class: 2 tp / (2 tp + fp + fn)."""
    assert test.labels is not None
    batches = [net(torch.from_numpy(b).permute(0, 3, 1, 2).float() / 127.5 - 1).argmax(1) for b in test.batches(1000)]
    guess, classes = torch.cat(batches).numpy(), len(test.classes or ())
    table = np.bincount(test.labels * classes + guess, minlength=classes**2).reshape(classes, classes)
    found: NDArray[np.float64] = 2 * table.diagonal() / (table.sum(0) + table.sum(1))
    return found


def trial(data: PreparedSet, test: PreparedSet, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Macro-F1 of each way by one seed, and of the minority classes; the share of generated images that look right."""
    few = unequal(data, options.out, options.minority, options.few, options.many, seed)
    full = filled(few, options.out, options.recipe, options.kimg, seed)
    made = full.annotations["generated"] == 1
    pixels, labels = full.gather(np.arange(len(full))), full.labels
    assert labels is not None and full.classes is not None
    of_minority = [full.classes.index(name) for name in options.minority]
    found: dict[str, Any] = {"recognised": fashion.accuracy(fashion.load(), pixels[made][..., 0], labels[made])}
    for way, (images, vary) in WAYS.items():
        rows = np.flatnonzero(~made) if images != "generated" else np.arange(len(full))
        net = classify(pixels[rows], labels[rows], images == "repeated", vary, options.steps, seed, len(full.classes))
        by_class = f1(net, test)
        found[way] = {"macro": float(by_class.mean()), "minority": float(by_class[of_minority].mean())}
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval, by Student's t."""
    n = len(values)
    return float(np.mean(values)), float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)


def main() -> None:
    """Two tables, as Markdown on stdout and in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minority", nargs="+", default=["Pullover", "Sandal", "Shirt"])
    parser.add_argument("--few", type=int, default=60)
    parser.add_argument("--many", type=int, default=500)
    parser.add_argument("--recipe", default="cdcgan-fashion")
    parser.add_argument("--kimg", type=float, default=40)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    if len(options.seeds) < 2:
        parser.error("--seeds: an interval needs two of them.")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    data, test = PreparedSet(options.data), PreparedSet(options.test)
    found = []
    for seed in options.seeds:
        file = options.out / f"seed-{seed}.json"
        if not file.exists():
            file.write_text(json.dumps(trial(data, test, options, seed), indent=1))
        found.append(json.loads(file.read_text()))
    share = np.mean([result["recognised"] for result in found])
    lines = ["| classifier trained | macro-F1 | F1 of the minority classes |", "|---|---|---|"]
    for way in WAYS:
        cells = ["{:.3f} ± {:.3f}".format(*interval([r[way][what] for r in found])) for what in ("macro", "minority")]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    lines += ["", "| difference of macro-F1 | mean and 95 % interval | |", "|---|---|---|"]
    for one, other in PAIRS:
        mean, half = interval([r[one]["macro"] - r[other]["macro"] for r in found])
        verdict = "no gain" if abs(mean) <= half else "gain" if mean > 0 else "loss"
        lines.append(f"| {one} - {other} | {mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f}) | {verdict} |")
    lines += [
        "",
        f"Of the generated images {share:.1%} are taken for the class asked for, by a classifier of all real images.",
    ]
    (options.out / "augment.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
