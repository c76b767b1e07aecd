"""Does a system learn? Each against `dcgan-mini` at equal seconds of one CPU thread, on small grey images.

    python benches/systems.py --data SET --out FOLDER [--seconds 240] [--only RECIPE ...] [--seed 0]

SET is a prepared set of Fashion-MNIST (`gantools prep fashion-mnist`) or of digits. Each training is `gantools train`
itself, in a process of its own, stopped as by Ctrl-C once it has used so many seconds of CPU since its run began: so a
machine with other work gives every system as much. Measured by `gantools score` in the features of the bundled
classifier, of 5,000 samples of what the run would be sampled from against 10,000 images of SET: the distance after the
first step and at the end, precision and recall; and where networks are told classes, the share of samples that the
classifier takes for the class asked for (clothes alone). Results are `systems.json` and `systems.md` in FOLDER, with a
grid a system; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import gantools
from gantools.data.prepared import PreparedSet
from gantools.pretrained import fashion
from gantools.runs.layout import list_checkpoints
from gantools.runs.stats import read_lines

# What makes a recipe for larger images one that learns in minutes on a CPU: narrow, few critic steps, quick schedules.
NARROW = (
    "network.width=16 network.critic_width=16 network.widest=4 game.critic_steps=1 optim.lr=0.001 ema.half_life_kimg=10"
)
GROW = "network.latent=64 network.base=512 network.widest=64"
# The last level gets most of the time; StyleGAN learned less by it.
QUICK = "game.fade_kimg=2 game.stable_kimg=2 game.batches=[32,32,32] optim.lr=0.003 ema.half_life_kimg=1"
SLOW = "game.fade_kimg=6 game.stable_kimg=6 game.batches=[64,64,32]"
STYLE = "network.style=64 network.mapping_layers=2 game.start=0"
# Recipes and what is changed of them.
TRIALS: dict[str, str] = {
    "dcgan-mini": "",
    "dcgan-fashion": "",
    "mlp-mnist": "",
    "conv-mnist-small": "",
    "lsgan-celeba": "network.width=32 batch=64",
    "wgan-celeba": "network.width=32 game.bursts=null optim.lr=0.0005",
    "cgan-mnist": "",
    "cdcgan-fashion": "",
    "acgan-fashion": "",
    "improved-fashion": "",
    "ebgan-mnist": "",
    "wgan-gp-fashion": "",
    "sngan-celeba": f"{NARROW} network.critic_halvings=2",
    "sagan-celeba": f"{NARROW} network.size=28 network.critic_halvings=2 network.attention=14",
    "biggan-cifar": "network.size=28 network.width=12 network.critic_width=12 network.latent=66 network.embedding=32 "
    "network.attention=14 game.critic_steps=1 optim.lr=0.001 ema.half_life_kimg=10 ema.start_kimg=0 ema.ramp=0.05",
    "msggan-celeba": "network.latent=64 network.width=448 network.max_width=64",
    "progan-celeba": f"{GROW} {QUICK}",
    "stylegan-celeba": f"{GROW} {SLOW} {STYLE}",
    "stylegan2-fashion": "",
    "r3gan-fashion": "",
}
# Those whose maps begin with 4x4 are trained at 32x32, and scored at 28x28 against images that went the same way.
LARGE, LARGE_SIZE, SIZE = ("progan-celeba", "stylegan-celeba"), 32, 28
SAMPLES, REFERENCE = 5_000, 10_000
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory(pid: int) -> float:
    """The most memory that a process had resident so far, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def command(recipe: str, data: Path, out: Path, seed: int, *more: str) -> list[str]:
    sets = [f"--set={change}" for change in ("compute.threads=1", *shlex.split(TRIALS[recipe]))]
    line = ["train", recipe, f"--data={data}", f"--out={out}", f"--seed={seed}", "--device=cpu", *sets, *more]
    return [sys.executable, "-m", "gantools", *line]


def only_run(out: Path) -> Path:
    (run,) = [path for path in out.iterdir() if path.is_dir()]
    return run


def train(recipe: str, data: Path, out: Path, seed: int, seconds: float) -> dict[str, Any]:
    """A run in the empty folder `out`, stopped after `seconds` of CPU: its path, seconds, images and peak memory."""
    out.mkdir(parents=True)
    with (out / "train.log").open("w") as log:
        line = command(recipe, data, out, seed, "--kimg=100000", "--tick-kimg=4")
        process = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT)
        begun, peak = None, 0.0
        try:
            while process.poll() is None:
                if begun is None and any((path / "config.yaml").exists() for path in out.iterdir() if path.is_dir()):
                    begun = cpu_seconds(process.pid)
                if begun is not None and cpu_seconds(process.pid) - begun >= seconds:
                    peak = peak_memory(process.pid)
                    process.send_signal(signal.SIGINT)
                    process.wait(120)
                time.sleep(0.2)
        finally:
            process.kill()
    if peak == 0:
        raise SystemExit(f"{recipe}: ended by itself, see {out / 'train.log'}")
    run = only_run(out)
    return {"run": str(run), "kimg": float(list_checkpoints(run)[-1].name.split("-")[1]), "memory": peak}


def enlarged(data: Path, out: Path) -> tuple[Path, Path]:
    """The set at 32x32, and that again at 28x28: made of `data`, once."""
    large, again = out / f"set-{LARGE_SIZE}", out / f"set-{LARGE_SIZE}-{SIZE}"
    if not again.exists():
        images = out / "images.npy"
        for source, size, target in ((data, LARGE_SIZE, large), (large, SIZE, again)):
            given = PreparedSet(source)
            np.save(images, given.gather(np.arange(len(given))))
            gantools.prep(images, size=size, out=target, progress=False, overwrite=True)
        images.unlink()
    return large, again


def measure(run: Path, data: Path, *metrics: str) -> dict[str, float]:
    """Scores by their first words: fd, and of prc precision and recall."""
    samples, generator = run, gantools.Generator.load(run, device="cpu")
    if generator.image_shape[0] != SIZE:
        images = run.parent / "samples.npy"
        np.save(images, generator.sample(SAMPLES, seed=1))
        place = run.parent / "samples"
        samples = gantools.prep(images, size=SIZE, out=place, progress=False, overwrite=True).path
    scores = gantools.score(
        samples, ref=data, metrics=metrics, extractor="fashion-mnist", n=SAMPLES, n_ref=REFERENCE, interval=False,
        seed=1, device="cpu",
    )  # fmt: skip
    return {score.key.split("-")[0]: float(score.value) for score in scores}


def recognised(run: Path) -> float | None:
    """The share of samples that the bundled classifier takes for the class asked for; None: no class is asked for."""
    generator = gantools.Generator.load(run, device="cpu")
    if generator.classes is None:
        return None
    images = generator.sample(SAMPLES, seed=2)
    return fashion.accuracy(fashion.load(), images[..., 0], (np.arange(SAMPLES) % 10).astype(np.uint8))


def trial(recipe: str, data: Path, out: Path, seed: int, seconds: float) -> dict[str, Any]:
    place = out / f"{recipe}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    trained, reference = enlarged(data, out) if recipe in LARGE else (data, data)
    subprocess.run(command(recipe, trained, place / "first", seed, "--kimg=0.001", "--quiet"), check=True)
    found = train(recipe, trained, place / "run", seed, seconds)
    run = Path(found["run"])
    generator = gantools.Generator.load(run, device="cpu")
    clothes = "fashion" in str(PreparedSet(data).manifest["source"]["kind"])
    found |= {
        "recipe": recipe,
        "seed": seed,
        "seconds": seconds,
        "images_per_s": 1000 * found["kimg"] / seconds,
        "generator": sum(p.numel() for network in generator.networks.values() for p in network.parameters()),
        "first": measure(only_run(place / "first"), reference, "fd")["fd"],
        **measure(run, reference, "fd", "prc"),
        "class": recognised(run) if clothes else None,
        "loss": {key: value for key, value in read_lines(run / "stats.jsonl")[-1].items() if key.startswith("loss")},
    }
    grids = sorted((run / "grids").glob("*.png"))
    shutil.copy(grids[-1], out / f"{recipe}-{seed}.png")
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Markdown, the best distance first."""
    lines = [
        "| recipe | seed | CPU s | kimg | images per CPU s | parameters G | peak MiB | distance, first step "
        "| at the end | precision / recall | class |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(found, key=lambda row: float(row["fd"])):
        half = "" if row["fd"] < 0.5 * row["first"] else " (not below half)"
        known = "-" if row["class"] is None else f"{row['class']:.1%}"
        lines.append(
            f"| `{row['recipe']}` | {row['seed']} | {row['seconds']:.0f} | {row['kimg']:.1f} "
            f"| {row['images_per_s']:.0f} | {row['generator']:,} | {row['memory']:.0f} "
            f"| {row['first']:.1f} | {row['fd']:.2f}{half} | {row['precision']:.2f} / {row['recall']:.2f} | {known} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs what is not there yet, and writes the table anew after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "systems.json"
    found = json.loads(file.read_text()) if file.exists() else []
    for recipe in options.only:
        if any(
            (row["recipe"], row["seed"], row["seconds"]) == (recipe, options.seed, options.seconds) for row in found
        ):
            continue
        found.append(trial(recipe, options.data.resolve(), options.out, options.seed, options.seconds))
        file.write_text(json.dumps(found, indent=1) + "\n")
        (options.out / "systems.md").write_text(table(found))
        print(table(found[-1:]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
