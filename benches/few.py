"""200 images: from scratch, from a trained run, and with the discriminator's first layers kept; all with ADA.

    python benches/few.py --celeba img_align_celeba.zip --out FOLDER [--base-kimg 40] [--kimg 9] [--freeze 4]
                          [--seed 0]

A narrow StyleGAN2 at 32x32 is trained on CelebA's faces without glasses, then on 200 faces with glasses in three ways,
for equally many images. Faces with glasses of other people, as many as there are, are held out: scored are the Fréchet
distance (768 features of Inception) and KID of `--samples` samples to these, without the noise of layers (control
`noise`), which a training this short leaves as specks. Whether samples are copies: the distance by pixels of each
sample to the nearest of the 200, mirrored ones included, beside that of the held-out faces, which cannot be copies.
The annotation files lie beside the archive. What is in FOLDER is not made again; the table is `few.md` there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import gantools
from gantools.data.prepared import PreparedSet
from gantools.metrics.pixels.nearest import nearest_images
from gantools.runs.folders import list_runs
from gantools.training.run import train

SIZE, FEW = 32, 200
#: Identities up to this one may be among the 200, the others are held out.
LAST_IDENTITY = 4700
NARROW: dict[str, Any] = {
    "network": {"size": SIZE, "latent": 64, "style": 64, "width": 512, "max_width": 64},
    "game.path_length": 0,
    "game.r1": 0.01,
    "ema.half_life_kimg": 3,
    "compute.threads": 1,
    "compute.precision": "float32",
}
#: The strength of the augmentation may rise quickly: a training this short would not see it otherwise.
ADA: dict[str, Any] = {"game.augment": {"kind": "ada", "target": 0.6, "kimg": 25}}


def sets(celeba: Path, out: Path) -> tuple[PreparedSet, PreparedSet, PreparedSet]:
    """Faces without glasses; 200 with them; those of other people."""
    places = {
        "plain": {"where": "Eyeglasses=-1"},
        "glasses": {"where": f"Eyeglasses=1 & identity<={LAST_IDENTITY}", "limit": FEW},
        "glasses-held-out": {"where": f"Eyeglasses=1 & identity>{LAST_IDENTITY}"},
    }
    for name, chosen in places.items():
        if not (out / name).exists():
            gantools.prep(
                "celeba", source=celeba, size=SIZE, split="all", out=out / name, progress=False, **chosen  # type: ignore[arg-type]
            )  # fmt: skip
    plain, few, held = (PreparedSet(out / name) for name in places)
    return plain, few, held


def trained(place: Path, data: PreparedSet, kimg: float, seed: int, more: dict[str, Any], **options: Any) -> Path:
    """The run in `place`, made where there is none."""
    if found := list_runs(place):
        return found[0]
    run = train(
        "stylegan2-celeba", data=data.path, out=place, batch=32, kimg=kimg, tick_kimg=kimg / 8, seed=seed, device="cpu",
        overrides={**NARROW, **more}, **options,
    )  # fmt: skip
    assert run is not None
    return run


def measure(run: Path, few: PreparedSet, held: PreparedSet, samples: int, seed: int) -> dict[str, Any]:
    """Scores against the faces held out, and distances to the nearest of the 200."""
    generator = gantools.Generator.load(run, device="cpu")
    made = generator.sample(samples, seed=seed + 1, controls={"noise": 0})
    scores = gantools.score(
        made, ref=held.path, metrics=["fid", "kid"], dims=768, interval=False, seed=seed, device="cpu"
    )
    found = {score.key.split("-")[0]: float(score.value) for score in scores}
    theirs = nearest_images(held.gather(np.arange(len(held))), few, mirror=True).distance
    ours = nearest_images(made, few, mirror=True).distance
    share = float((ours < np.quantile(theirs, 0.05)).mean())
    last = json.loads((run / "stats.jsonl").read_text().splitlines()[-1])
    return {
        **found,
        "nearest": {"samples": quantiles(ours), "held out": quantiles(theirs), "share below their 5 %": share},
        "augment_p": last.get("augment_p"),
        "kimg": generator.nimg / 1000,
    }


def quantiles(distances: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Least, fifth of a hundred, middle."""
    return [round(float(np.quantile(distances, q)), 2) for q in (0, 0.05, 0.5)]


def main() -> None:
    """A line a way, as Markdown on stdout and in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--celeba", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base-kimg", type=float, default=40)
    parser.add_argument("--kimg", type=float, default=9)
    parser.add_argument("--freeze", type=int, default=4)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-scores", action="store_true", help="only train")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    plain, few, held = sets(options.celeba, options.out)
    base = trained(options.out / "base", plain, options.base_kimg, options.seed, {})
    ways: dict[str, dict[str, Any]] = {
        "scratch": {},
        "init": {"init_from": base},
        "frozen": {"init_from": base, "freeze_d": options.freeze},
    }
    runs = {
        name: trained(options.out / name, few, options.kimg, options.seed, ADA, **more) for name, more in ways.items()
    }
    if options.no_scores:
        return
    lines = [
        "| | kimg | FID (768) | KID (768) | strength of ADA | nearest of the 200: least, 5 %, middle "
        "| below the held-out 5 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, run in {"base": base, **runs}.items():
        file = options.out / f"{name}.json"
        if not file.exists():
            file.write_text(json.dumps(measure(run, few, held, options.samples, options.seed), indent=1))
        found = json.loads(file.read_text())
        near, p = found["nearest"], found["augment_p"]
        strength = "-" if p is None else f"{p:.2f}"
        lines.append(
            f"| {name} | {found['kimg']:.1f} | {found['fid']:.3f} | {found['kid']:.4f} | {strength} "
            f"| {', '.join(map(str, near['samples']))} | {near['share below their 5 %']:.1%} |"
        )
    lines.append(f"| faces held out ({len(held)}) | | | | | {', '.join(map(str, near['held out']))} | 5.0% |")
    (options.out / "few.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
