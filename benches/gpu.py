"""Every check that wants a GPU, in one script with a time budget that goes on where an earlier run stopped.

    python benches/gpu.py --minutes 8 --out DIR [--data SET] [--weights INCEPTION] [--device cuda] [--only STAGE,...]

Needs gantools (an installed wheel is enough), torch and numpy; it is run from a checkout, whose `benches/` and `tests/`
it uses. Stages run one after the other in a process of their own, which is ended and begun anew after a stage that
failed or took too long, so none stops another. After each, DIR has `results.json` and `results.md`. Stages that are
done there are not run again, so on a fresh machine put the earlier `results.json` into DIR first. DIR also gets the
grids and statistics of the training runs and the output of the tests, eight files at most.

--data is a prepared set for the runs, of 64 px faces for example; without it they are trained on the Fashion-MNIST
images that ship with gantools. --weights is the file of an Inception network, for the scores of images that are no
clothes. `--small`, and `--device cpu`, take tiny networks, to try the script itself; the figures then say nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import math
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

RESULTS, REPORT = "results.json", "results.md"
# A stage may take so many times its share of the time that is left, before it is ended.
PATIENCE = 3.0
# Seconds that a stage has at least, for imports and compilation.
LEAST = 150.0
# A stage that twice did not come to an end is not tried again.
TRIES = 2
# Images a second of the code of StyleGAN2's authors on an A100, as their repository gives them.
AUTHORS = {128: 147, 256: 80}
# A StyleGAN2 that a CPU trains in no time.
NARROW = {"network.max_width": 8, "network.latent": 16, "network.style": 16, "network.mapping_layers": 2}


class Skip(Exception):
    """A stage cannot run here, and why."""


def read_results(out: Path) -> dict[str, Any]:
    try:
        found = json.loads((out / RESULTS).read_text())
    except FileNotFoundError:
        return {"stages": {}}
    return found


def write_results(out: Path, results: dict[str, Any]) -> None:
    for name, text in ((RESULTS, json.dumps(results, indent=1) + "\n"), (REPORT, markdown(results))):
        temporary = out / f".{name}"
        temporary.write_text(text)
        temporary.replace(out / name)


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return "; ".join(map(shown, value))
    return str(value).replace("|", "\\|").replace("\n", " ")


def markdown(results: dict[str, Any]) -> str:
    """The results for people, a section a stage."""
    lines = ["# Results of benches/gpu.py", ""]
    for name, stage in results["stages"].items():
        on = f", {stage['on']}" if "on" in stage else ""
        lines += [f"## {name}", "", f"{stage['status']}, {stage.get('seconds', 0):.1f} s{on}"]
        if stage.get("reason"):
            lines += ["", shown(stage["reason"])]
        found = stage.get("result", {})
        plain = {k: v for k, v in found.items() if not isinstance(v, dict) and v not in ("", [])}
        rows = {k: v for k, v in found.items() if isinstance(v, dict)}
        if plain:
            lines += ["", "| what | value |", "|---|--:|", *(f"| {k} | {shown(v)} |" for k, v in plain.items())]
        if rows:
            columns = list(dict.fromkeys(c for row in rows.values() for c in row))
            lines += ["", "| | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
            lines += [f"| {k} | " + " | ".join(shown(v.get(c, "")) for c in columns) + " |" for k, v in rows.items()]
        lines.append("")
    return "\n".join(lines)


class Bench:
    """What a stage is given: the options, the time it has, and where its results go.

    Attributes:
        device: torch's.
        small: tiny networks.
        work: a folder for what is not kept.
        target: seconds that the stage should take.
    """

    def __init__(self, options: argparse.Namespace, name: str, target: float) -> None:
        import torch

        self.options, self.name, self.target = options, name, target
        self.device, self.small = torch.device(options.device), options.small
        self.out, self.work = options.out, options.work
        self.began = time.monotonic()
        self.cuda = self.device.type == "cuda"
        # Two rounds of a dozen measurements in a stage of half a minute.
        self.seconds = min(1.5, max(0.05, target / 40))
        self.rounds = 2 if self.small else 3

    def note(self, **found: Any) -> None:
        """Put results down at once: they are kept even if the stage does not end."""
        results = read_results(self.out)
        results["stages"][self.name].setdefault("result", {}).update(found)
        write_results(self.out, results)

    def left(self) -> float:
        """Seconds of the stage's share that are left."""
        return self.target - (time.monotonic() - self.began)

    def set_of(self, size: int) -> Path:
        """A prepared set of synthetic images."""
        from benches.train import make_set

        place = self.work / f"set-{size}"
        found = place / f"spots-{size}"
        return found if (found / "manifest.json").is_file() else make_set(place, 128 if self.small else 2048, size)

    @property
    def size(self) -> int:
        return 16 if self.small else 64

    @property
    def batch(self) -> int:
        return 16 if self.small else 128

    @property
    def network(self) -> dict[str, int]:
        return {"latent": 8, "width": 4} if self.small else {}

    def ours(self, **given: Any) -> Any:
        """gantools' DCGAN training."""
        from benches.train import Ours

        changes = {f"network.{k}": v for k, v in self.network.items()}
        return Ours(self.set_of(self.size), device=self.device, changes=changes, **{"batch": self.batch, **given})

    def copied(self, batch: int | None = None) -> Any:
        """The loop that people copy."""
        from benches.train import Copied

        workers = 0 if self.small else self.options.workers
        return Copied(
            self.set_of(self.size), batch=batch or self.batch, device=self.device, workers=workers, network=self.network
        )

    @contextlib.contextmanager
    def memory(self) -> Iterator[Callable[[], float]]:
        """Gives a function: GiB of GPU memory that were taken at most since."""
        import torch

        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        yield lambda: torch.cuda.max_memory_allocated() / (1 << 30) if self.cuda else 0.0


def environment(bench: Bench) -> None:
    import torch
    from benches.train import machine

    import gantools

    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    bench.note(
        machine=machine(bench.device),
        gantools=gantools.__version__,
        place=str(Path(gantools.__file__).parent),
        commit=commit.stdout.strip() or "unknown",
        python=platform.python_version(),
        cuda=torch.version.cuda if bench.cuda else "none",
        cudnn=torch.backends.cudnn.version() if bench.cuda else "none",
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        small="yes: tiny networks, the figures say nothing" if bench.small else "no",
    )


def tests(bench: Bench) -> None:
    if not bench.cuda:
        raise Skip("tests marked gpu need CUDA")
    if not (ROOT / "tests").is_dir() or importlib.util.find_spec("pytest") is None:
        raise Skip("no tests/ beside benches/, or no pytest")
    # Modules that need a package which is not here are reported, and do not stop the others.
    files = [str(p) for p in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in p.read_text()]
    command = [sys.executable, "-m", "pytest", *files, "-m", "gpu", "-q", "-rfEs", "--continue-on-collection-errors"]
    command += ["-p", "no:cacheprovider", "-o", "addopts="]
    if importlib.util.find_spec("pytest_timeout") is None:
        command += ["-o", "timeout=0", "-W", "ignore::pytest.PytestConfigWarning"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(30.0, bench.target * 2.5))
    text = done.stdout + done.stderr
    (bench.out / "tests.txt").write_text(text)
    last = [line for line in text.strip().splitlines() if line.strip()][-1:]
    bench.note(summary=last[0] if last else "no output", exit=done.returncode)
    bench.note(failures=[line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))][:40])
    if not last or " failed" in last[0]:
        raise AssertionError(f"tests failed: {last}")


def reseeding(bench: Bench) -> None:
    """A CUDA graph draws by the seed that the generator was given before each replay, as the plain form does."""
    if not bench.cuda:
        raise Skip("CUDA graphs need CUDA")
    from gantools.training.compiled import Computed, difference, plain, untouched
    from gantools.training.seeds import reseed

    ours = bench.ours(compiled=True, graphs=True)
    try:
        with ours.settings():
            for _ in range(5):
                ours.step()
            for index, phase in enumerate(ours.work.stage.phases):
                graph, eager = ours.work.functions[index], plain(phase, ours.device, False)
                if graph.captured is None:
                    raise AssertionError(f"phase {phase.name} does not run as a graph: {ours.said}")
                worst, apart_seeds, before = 0.0, math.inf, None
                batch = ours.work.batch(ours.state.nimg)
                for seed in range(6):
                    with untouched(ours.state.networks):
                        reseed(ours.device, 1, seed)
                        given = graph(ours.state.networks, batch, ours.work.scalars)
                        kept = Computed({}, {}, tuple(None if g is None else g.clone() for g in given.gradients))
                        reseed(ours.device, 1, seed)
                        apart, scale = difference(kept, eager(ours.state.networks, batch, ours.work.scalars))
                    worst = max(worst, apart / scale)
                    if before is not None:
                        other, _ = difference(kept, before)
                        apart_seeds = min(apart_seeds, other / scale)
                    before = kept
                row = {"graph from plain, worst": worst, "another seed's gradients, least": apart_seeds}
                bench.note(**{phase.name: row})
                if not worst < 1e-2 or not apart_seeds > 10 * worst:
                    raise AssertionError(f"phase {phase.name}: {row}")
    finally:
        ours.close()


def modes(bench: Bench) -> dict[str, dict[str, bool]]:
    """How phases are computed: the compiler is asked on CUDA only, a CPU's takes too long for a budget."""
    found: dict[str, dict[str, bool]] = {"eager": {}}
    if bench.cuda:
        found |= {"compiled": {"compiled": True}, "graph": {"compiled": True, "graphs": True}}
    return found


def table(bench: Bench, bfloat16: bool, channels_last: bool) -> None:
    from benches.train import alternate, ratio

    contenders: dict[str, Any] = {"the copied loop": bench.copied()}
    said: dict[str, list[str]] = {}
    memories: dict[str, float] = {}
    try:
        for name, how in modes(bench).items():
            ours = bench.ours(bfloat16=bfloat16, channels_last=channels_last, **how)
            with bench.memory() as peak, ours.settings():
                for _ in range(6 if bench.cuda else 1):  # compiles, and captures
                    ours.step()
                memories[name] = peak()
            contenders[name], said[name] = ours, ours.said
            bench.note(said=[f"{n}: {line}" for n, lines in said.items() for line in lines])
        found = alternate(contenders, bench.rounds, bench.seconds, warm=5 if bench.cuda else 1)
    finally:
        for c in contenders.values():
            c.close()
    for name, rates in found.items():
        times = ratio(found, name, "the copied loop")
        row: dict[str, Any] = {"images/s": median(rates), "times the copied loop": times}
        if bench.cuda and name in memories:
            row["GiB at most"] = memories[name]
        bench.note(**{name: row})


def batches(bench: Bench) -> None:
    """The best setting and the copied loop at larger batches."""
    from benches.train import alternate

    best: dict[str, tuple[float, int]] = {}
    how = {"compiled": True, "graphs": True} if bench.cuda else {}
    for batch in (16, 32) if bench.small else (128, 256, 512, 1024, 2048):
        if bench.left() < 0 and best:
            bench.note(left_out=f"batch {batch} and more: no time")
            break
        both = {"copied": bench.copied(batch), "ours": bench.ours(batch=batch, bfloat16=True, **how)}
        try:
            found = alternate(both, bench.rounds, bench.seconds, warm=6 if bench.cuda else 1)
        finally:
            for c in both.values():
                c.close()
        rates = {name: median(values) for name, values in found.items()}
        bench.note(**{f"batch {batch}": {"copied": rates["copied"], "ours": rates["ours"]}})
        for name, rate in rates.items():
            best[name] = max(best.get(name, (0.0, 0)), (rate, batch))
    bench.note(
        ours_at_best=f"{best['ours'][0]:.0f} images/s at batch {best['ours'][1]}",
        copied_at_best=f"{best['copied'][0]:.0f} images/s at batch {best['copied'][1]}",
        best_to_best=best["ours"][0] / best["copied"][0],
    )


def loop_cost(bench: Bench) -> None:
    """What a step costs in which nothing is computed."""
    from benches import empty
    from benches.train import Ours, alternate

    nothing = Ours(bench.set_of(bench.size), empty.RECIPE, batch=bench.batch, device=bench.device)
    both = {"empty": nothing, "dcgan": bench.ours()}
    try:
        found = alternate(both, bench.rounds, bench.seconds, warm=10)
    finally:
        for c in both.values():
            c.close()
    step = {name: bench.batch / median(rates) * 1e3 for name, rates in found.items()}
    bench.note(empty_ms=step["empty"], dcgan_float32_eager_ms=step["dcgan"], share=step["empty"] / step["dcgan"])


def penalties(bench: Bench) -> None:
    if not bench.cuda:
        raise Skip("compiled on CUDA here; on a CPU: benches/train.py --compile")
    from benches.train import penalty, ratio

    for bfloat16 in (False, True):
        found, said = penalty(
            bench.set_of(bench.size), "wgan-gp-celeba", device=bench.device, bfloat16=bfloat16, graphs=True,
            rounds=bench.rounds, seconds=bench.seconds,
        )  # fmt: skip
        for name, rates in found.items():
            row = {"images/s": median(rates), "times eager": ratio(found, name, "eager")}
            bench.note(**{f"{name}, {'bfloat16' if bfloat16 else 'float32'}": row})
        bench.note(**{f"said {'bfloat16' if bfloat16 else 'float32'}": said})


def recipe_like(prefix: str) -> list[str]:
    from gantools.recipes import recipe_names

    names = [name for name in recipe_names() if name.startswith(prefix)]
    if not names:
        raise Skip(f"there is no recipe {prefix}* yet")
    return names


def stylegan2(bench: Bench, size: int) -> None:
    """Images a second over whole rounds of the seldom phases."""
    names = recipe_like("stylegan2")
    name = "stylegan2-256" if "stylegan2-256" in names else names[0]
    side = 32 if bench.small else size
    bench.note(recipe=name, pixels=side, authors_on_an_a100=AUTHORS[size])
    given = {"batch": 4, "changes": NARROW} if bench.small else {"batch": None}
    speeds(bench, bench.set_of(side), name, given)


def pix2pix(bench: Bench, size: int) -> None:
    """Images a second of pairs of an image and its edges: of 286 px, of which crops are shown, for 256."""
    import gantools

    name, side = f"pix2pix-{size}", 286 if size == 256 else size
    place = bench.work / f"edges-{side}"
    if not (place / "manifest.json").is_file():
        images = bench.set_of(side).parent / "images.npy"
        gantools.prep(images, operation="edges", size=side, out=place, progress=False)
    bench.note(recipe=name, pixels=size)
    narrow = {"network.width": 4, "network.judge_width": 4}
    # The recipe's batch of one, and one that keeps a GPU busy.
    for batch in (None, 16):
        given = {"batch": batch, "changes": narrow if bench.small else {}}
        speeds(bench, place, name, given, f"batch {batch or 1}, ")


def tpgan(bench: Bench, size: int) -> None:
    """Images a second of turned faces; what is turned here is no face, which costs the same."""
    import gantools
    from gantools.data.frontal import COLUMNS

    name, place = f"tpgan-{size}", bench.work / f"faces-{size}"
    if not (place / "manifest.json").is_file():
        images, table = bench.set_of(size).parent / "images.npy", bench.work / "points.csv"
        names = gantools.open(bench.set_of(size)).names
        points = ",".join(f"{v * size / 128:.1f}" for v in (43, 40, 84, 40, 63, 64, 47, 88, 82, 88))
        table.write_text("\n".join([f"image_id,{','.join(COLUMNS)}", *(f"{one},{points}" for one in names)]))
        gantools.prep(images, faces="frontal", landmarks=table, size=size, out=place, progress=False)
    bench.note(recipe=name, pixels=size)
    changes: dict[str, Any] = {"game.identity.weight": 0.0}
    if bench.small:
        changes |= {"network.width": 8, "network.judge_width": 4}
    for batch in (None, 32):
        speeds(bench, place, name, {"batch": batch, "changes": changes}, f"batch {batch or 10}, ")


def placing(bench: Bench) -> None:
    """Images a second in each stage of SF-GAN, with drawn foregrounds."""
    place = bench.set_of(32 if bench.small else 128)
    narrow = {"network.width": 4, "network.halvings": 3, "network.canvas": 16, "network.translator_width": 4}
    narrow |= {"network.blocks": 1, "network.judge_width": 4, "network.judge_halvings": 2}
    lengths = {"geometry": {}, "appearance": {"game.geometry_kimg": 0.0}}
    lengths["joint"] = {"game.geometry_kimg": 0.0, "game.appearance_kimg": 0.0}
    for stage, length in lengths.items():
        given = {"batch": None, "inputs": place, "changes": {**(narrow if bench.small else {}), **length}}
        speeds(bench, place, "sfgan-glasses", given, f"{stage}, ")


def speeds(bench: Bench, data: Path, name: str, given: dict[str, Any], label: str = "") -> None:
    """A row of results for each way to compute a recipe's steps."""
    from benches.train import Ours, steps_per_second, wait

    hows: dict[str, dict[str, bool]] = {"eager float32": {}, "eager bfloat16": {"bfloat16": True}}
    if bench.cuda:
        hows["graph bfloat16"] = {"bfloat16": True, "compiled": True, "graphs": True}
        hows["graph float32"] = {"compiled": True, "graphs": True}
    for way, how in hows.items():
        row_of = label + way
        if bench.left() < 0:
            bench.note(**{row_of: {"images/s": "no time left"}})
            continue
        ours = Ours(data, name, device=bench.device, **given, **how)
        try:
            cycle = math.lcm(*(phase.every for phase in ours.work.stage.phases))
            with bench.memory() as peak, ours.settings():
                # Each phase is compiled at its first use and captured at its third.
                for _ in range(cycle * 3 if how.get("graphs") else 1 if bench.small else cycle):
                    ours.step()
                wait(ours.device)
                rate = ours.images * steps_per_second(ours.step, ours.device, bench.seconds, cycle)
                row = {"images/s": rate, "batch": ours.images, "GiB at most": peak()}
            bench.note(**{row_of: row})
            if ours.said:
                bench.note(**{f"said {row_of}": ours.said})
        finally:
            ours.close()


def fashion_set(bench: Bench, size: int) -> Path:
    import gantools
    from gantools.quickstart import IMAGES

    place = bench.work / f"fashion-{size}"
    if not (place / "manifest.json").is_file():
        given = {} if size == 28 else {"size": size}
        gantools.prep("fashion-mnist", source=IMAGES, split="test", out=place, progress=False, **given)
    return place


# A recipe a system that starts from latents: the first whose images are those of the set.
SYSTEMS = {
    "mlp": ("mlp-mnist",),
    "conditional gan": ("cdcgan-fashion", "cgan-mnist"),
    "ac-gan": ("acgan-fashion",),
    "improved": ("improved-fashion",),
    "ebgan": ("ebgan-mnist",),
    "conv-mnist": ("conv-mnist-small",),
    "keras dcgan": ("dcgan-keras", "dcgan-fashion"),
    "lsgan": ("lsgan-celeba",),
    "wgan": ("wgan-celeba",),
    "wgan-gp": ("wgan-gp-celeba", "wgan-gp-fashion"),
    "sngan": ("sngan-celeba", "sngan-cifar"),
    "sagan": ("sagan-celeba",),
    "biggan": ("biggan-cifar",),
    "progan": ("progan-celeba",),
    "msg-gan": ("msggan-celeba",),
    "stylegan": ("stylegan-celeba",),
    "r3gan": ("r3gan-celeba", "r3gan-cifar", "r3gan-fashion"),
}
# Recipes that enlarge images.
ENLARGERS = ("srgan-x4", "esrgan-x4", "ranksrgan-x4", "realesrgan-x4", "vsrgan-x2", "vsrgan-x4")
# Samples of each in its row of `systems.png`, and their side there.
ROW, SIDE = 16, 64


def add_row(bench: Bench, samples: Path) -> None:
    """The first samples of a system below those of the systems before it, in one picture."""
    import numpy as np

    from gantools._native import decode, encode_png

    images = np.load(samples / "samples.npy", mmap_mode="r")[:ROW]
    at = np.arange(SIDE) * images.shape[1] // SIDE
    row = np.concatenate([np.broadcast_to(i[at][:, at], (SIDE, SIDE, 3)) for i in images], 1)
    row = np.pad(row, ((0, 0), (0, ROW * SIDE - row.shape[1]), (0, 0)))
    picture = bench.out / "systems.png"
    if picture.exists():
        row = np.concatenate([decode(picture.read_bytes()), row])
    picture.write_bytes(encode_png(np.ascontiguousarray(row)))
    bench.note(row_of_systems_png=len(row) // SIDE)


def a_run(bench: Bench, prefix: str, recipes: tuple[str, ...] = ()) -> None:
    """A whole training, as long as the time allows, with its grid, its curve and a distance.

    Of `recipes` the first that fits the set; without any, of those that begin with `prefix`.
    """
    from benches.train import Ours, steps_per_second

    import gantools
    from gantools.data.prepared import PreparedSet
    from gantools.recipes.recipe import load_recipe
    from gantools.runs.stats import read_lines
    from gantools.training.job import fitted

    names = list(recipes) or recipe_like(prefix)
    if prefix == "dcgan":
        names = ["dcgan"] if bench.options.data else ["dcgan-mini"]
    elif not bench.options.data:
        names = [n for n in names if n.endswith("-fashion")] or names
    data = bench.options.data
    reason = "no recipe"
    tries = [(name, data) for name in names] if data else []
    if recipes or not data:
        tries += [(name, None) for name in names]  # of the clothes that come with gantools
    for name, asked in tries:
        recipe = load_recipe(name)
        place = asked or fashion_set(bench, recipe.image_shape[0])
        try:
            fitted(recipe, PreparedSet(place), {})
            break
        except gantools.errors.GantoolsError as e:
            reason = str(e)
    else:
        raise Skip(f"no recipe {prefix}* fits the set: {reason}")
    bench.note(
        recipe=name, data=f"{PreparedSet(place).name} ({len(PreparedSet(place))} images)", published=recipe.target
    )
    changes: dict[str, Any] = {}
    if bench.small:
        changes = {"dcgan": {"network.width": 4}, "stylegan2": NARROW}.get(prefix, {})
    ours = Ours(place, name, batch=None, device=bench.device, bfloat16=bench.cuda, changes=changes)
    try:
        with ours.settings():
            ours.step()
            rate = ours.images * steps_per_second(ours.step, ours.device, 0.1 if bench.small else 2.0)
        batch = ours.images
    finally:
        ours.close()
    # Half of the time that is left: compiling, grids and the score need the rest.
    kimg = max(2 * batch, rate * max(0.0, bench.left()) * 0.5) / 1000
    kimg = min(kimg, 0.2) if bench.small else kimg
    bench.note(kimg=kimg, eager_images_per_second=rate)
    precision = "bfloat16" if bench.cuda else "float32"
    start = time.monotonic()
    run = gantools.train(
        name, data=place, out=bench.work / f"runs-{prefix}", kimg=kimg, tick_kimg=kimg / (1 if bench.small else 5),
        device=str(bench.device), precision=precision, overrides=changes, progress=False,
    )  # fmt: skip
    assert run is not None
    seconds = time.monotonic() - start
    if not recipes:
        shutil.copyfile(run / "stats.jsonl", bench.out / f"{prefix}.jsonl")
    lines = read_lines(run / "stats.jsonl")
    bench.note(precision=precision, seconds=seconds, whole_images_per_second=kimg * 1000 / seconds)
    keys = ("kimg", "img_per_s", "loss_d", "loss_g")
    bench.note(**{f"tick {i}": {k: line[k] for k in keys if k in line} for i, line in enumerate(lines)})
    n = 64 if bench.small else min(5000, len(PreparedSet(place)))
    samples = gantools.sample(
        run, n=n, out=bench.work / f"samples-{prefix}", format="npy", grid=True, overwrite=True,
        device=str(bench.device),
    )  # fmt: skip
    if recipes:
        add_row(bench, samples)
    else:
        shutil.copyfile(samples / "grid.png", bench.out / f"{prefix}.png")
    # Clothes, whether the set is one of them or was made here.
    if PreparedSet(place).shape[2] == 1:
        given: dict[str, Any] = {"extractor": "fashion-mnist"}
    elif bench.options.weights is not None:
        given = {"extractor": "inception", "dims": 768, "weights": bench.options.weights}
    else:
        bench.note(fd="not measured: --weights names no Inception network")
        return
    scores = gantools.score(
        samples, ref=place, metrics=("fd",), device=str(bench.device), cache=False, interval=False, n=n, **given
    )
    bench.note(fd=float(scores.value), fd_of=shown([f"{k}={v}" for k, v in given.items() if k != "weights"]), n=n)


def enlarging(bench: Bench, recipe: str) -> None:
    """Images a second in both stages of a system that enlarges, of pairs made here and features of random weights."""
    from benches.train import Ours, steps_per_second

    import gantools
    from gantools.recipes.recipe import load_recipe

    changes: dict[str, Any] = {"network.size": 32, "data.crop": 32, "network.width": 4, "network.blocks": 1}
    changes |= {"network.judge_width": 4, "batch": 2}
    changes |= {} if recipe.startswith("vsrgan") else {"network.judge_hidden": 8}
    changes = changes if bench.small else {}
    if recipe.startswith("rank"):  # its own stages are those of the others; the ranker's is left out
        changes |= {"data.feed": "crops", "network.ranker": 0, "game.rank.weight": 0.0, "optim.ranker": None}
        changes |= {"game.pretrain_kimg": 1.0}
    if recipe.startswith("real"):  # it computes its inputs
        changes |= {"data.degrade.around": 8} if bench.small else {}
    loaded = load_recipe(recipe, changes)
    size, scale = bench.size if bench.small else 320, loaded.network.scale
    computed = loaded.data.degrade is not None
    size = max(size, loaded.network.size, loaded.data.read_side or 0)
    plain = bench.set_of(size)
    channels = loaded.network.channels
    films = loaded.data.feed == "frames"
    pairs = plain if computed else bench.work / f"{'films' if films else 'pairs'}-{size}-{scale}-{channels}"
    if not (pairs / "manifest.json").is_file():
        images = bench.work / f"set-{size}" / "images.npy"
        if films:
            film_set(images, pairs, size, scale, channels)
        else:
            gantools.prep(str(images), size=size, scale=scale, out=pairs, progress=False)
    hows: dict[str, dict[str, bool]] = {"eager float32": {}}
    if bench.cuda:
        hows["graph bfloat16"] = {"bfloat16": True, "compiled": True, "graphs": True}
    for stage, given in (("first stage", {}), ("gan", {"game.pretrain_kimg": 0.0})):
        for label, how in hows.items():
            ours = Ours(pairs, recipe, batch=None, device=bench.device, changes={**changes, **given}, **how)
            try:
                with bench.memory() as peak, ours.settings():
                    for _ in range(6 if how.get("graphs") else 1):
                        ours.step()
                    rate = ours.images * steps_per_second(ours.step, ours.device, bench.seconds)
                    row = {"images/s": rate, "batch": ours.images, "GiB at most": peak()}
                bench.note(**{f"{stage}, {label}": row})
            finally:
                ours.close()


def film_set(images: Path, out: Path, size: int, scale: int, channels: int) -> None:
    """The first images of an array as the frames of a film, and of that a set."""
    import numpy as np

    from gantools._native import encode_png
    from gantools.data.video import prep_video

    frames = out.with_name(out.name + "-frames")
    frames.mkdir(exist_ok=True)
    for i, image in enumerate(np.load(images, mmap_mode="r")[:64]):
        (frames / f"{i:04d}.png").write_bytes(encode_png(np.ascontiguousarray(image)))
    prep_video([frames], out=out, size=size, scale=scale, channels=channels, progress=False)


def scoring(bench: Bench) -> None:
    """Two folders to a number: by gantools here and on the CPU, and by torch-fidelity where it is installed."""
    weights = bench.options.weights
    if weights is None:
        raise Skip("--weights names no Inception network")
    import numpy as np

    import gantools
    from gantools._native import encode_png
    from gantools.data.prepared import PreparedSet

    dataset = PreparedSet(bench.options.data or bench.set_of(64))
    n = min(len(dataset) // 2, 4 if bench.small else 2048)
    folders = []
    for index in range(2):
        folder = bench.work / f"score-{index}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for i, image in enumerate(dataset.gather(np.arange(index * n, (index + 1) * n))):
            (folder / f"{i:06d}.png").write_bytes(encode_png(image))
        folders.append(folder)

    def ours(device: str) -> float:
        found = gantools.score(
            folders[0], ref=folders[1], metrics=("fd",), extractor="inception", protocol="tf", weights=weights,
            device=device, cache=False, interval=False, batch=64,
        )  # fmt: skip
        return float(found.value)

    ways: dict[str, Callable[[], float]] = {"gantools": lambda: ours(str(bench.device))}
    if importlib.util.find_spec("torch_fidelity") is not None:
        import torch_fidelity

        def fidelity() -> float:
            found = torch_fidelity.calculate_metrics(
                input1=str(folders[0]), input2=str(folders[1]), fid=True, cuda=bench.cuda, cache=False, verbose=False,
                save_cpu_ram=True, batch_size=64, feature_extractor_weights_path=str(weights),
            )  # fmt: skip
            return float(found["frechet_inception_distance"])

        ways["torch-fidelity"] = fidelity
    else:
        bench.note(torch_fidelity="not installed")
    for name, way in ways.items():
        if bench.cuda:
            way()  # libraries choose their kernels
        start = time.perf_counter()
        value = way()
        seconds = time.perf_counter() - start
        bench.note(**{name: {"value": value, "seconds": seconds, "images/s": 2 * n / seconds}})


@dataclass(frozen=True)
class Stage:
    """A check: what it is called, its share of the time, and what does it."""

    name: str
    weight: float
    do: Callable[[Bench], None]


# In the order of how much would be missed if the time ran out.
STAGES = (
    Stage("environment", 0.2, environment),
    Stage("re-seeding between replays", 1.0, reseeding),
    *(
        Stage(
            f"dcgan {'bfloat16' if bfloat16 else 'float32'} {'NHWC' if last else 'NCHW'}",
            1.5,
            functools.partial(table, bfloat16=bfloat16, channels_last=last),
        )
        for bfloat16, last in ((True, True), (False, False), (False, True), (True, False))
    ),
    Stage("larger batches", 2.0, batches),
    Stage("the loop itself", 0.5, loop_cost),
    Stage("penalty, compiled", 2.0, penalties),
    Stage("tests", 3.0, tests),
    Stage("stylegan2 256", 3.0, functools.partial(stylegan2, size=256)),
    Stage("stylegan2 128", 3.0, functools.partial(stylegan2, size=128)),
    *(Stage(f"pix2pix {size}", 1.5, functools.partial(pix2pix, size=size)) for size in (256, 64)),
    *(Stage(f"tpgan {size}", 1.5, functools.partial(tpgan, size=size)) for size in (128, 64)),
    Stage("sfgan", 1.5, placing),
    Stage("dcgan run", 3.0, functools.partial(a_run, prefix="dcgan")),
    Stage("stylegan2 run", 4.0, functools.partial(a_run, prefix="stylegan2")),
    Stage("score", 1.0, scoring),
    *(Stage(recipe, 1.0, functools.partial(enlarging, recipe=recipe)) for recipe in ENLARGERS),
    *(Stage(f"{name} run", 1.5, functools.partial(a_run, prefix=name, recipes=of)) for name, of in SYSTEMS.items()),
)


def open_stages(results: dict[str, Any], only: list[str] | None) -> list[Stage]:
    """Those that are still to do."""
    found = []
    for stage in STAGES:
        entry = results["stages"].get(stage.name, {})
        tried = entry.get("status") in ("failed", "running") and entry.get("tries", 0) >= TRIES
        if entry.get("status") != "done" and not tried and (only is None or stage.name in only):
            found.append(stage)
    return found


def run_stages(options: argparse.Namespace) -> None:
    """The worker: stages in order until one fails; the process is then no longer to be trusted."""
    todo = open_stages(read_results(options.out), options.only)
    todo = [stage for stage in todo if stage.name not in options.leave]
    import torch

    # With each stage: a run that goes on may have got another card.
    card = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else "cpu"
    while todo:
        stage, left = todo[0], options.deadline - time.time()
        if left < (0 if options.small else 10):
            return
        target = left * stage.weight / sum(s.weight for s in todo)
        results = read_results(options.out)
        tries = results["stages"].get(stage.name, {}).get("tries", 0) + 1
        limit = min(left, max(LEAST, PATIENCE * target))
        entry: dict[str, Any] = {"status": "running", "tries": tries, "began": time.time(), "limit": limit, "on": card}
        results["stages"][stage.name] = entry
        write_results(options.out, results)
        print(f"{stage.name}: {target:.0f} s", flush=True)
        status, reason = "done", ""
        try:
            stage.do(Bench(options, stage.name, target))
        except Skip as e:
            status, reason = "skipped", str(e)
        except Exception as e:
            status = "failed"
            reason = f"{type(e).__name__}: {e}"[:2000]
            traceback.print_exc()
        finish(options.out, stage.name, status, reason)
        if status == "failed":
            sys.exit(3)
        todo = todo[1:]


def finish(out: Path, name: str, status: str, reason: str) -> None:
    results = read_results(out)
    entry = results["stages"][name]
    entry.pop("limit", None)
    entry.update(status=status, reason=reason, seconds=round(time.time() - entry.pop("began"), 2))
    write_results(out, results)
    print(f"{name}: {status}{': ' + reason if reason else ''}", flush=True)


def supervise(options: argparse.Namespace) -> None:
    """Start workers until no stage is left to do or no time; end the one whose stage takes too long."""
    deadline = time.time() + options.minutes * 60
    # What failed or was skipped now is not tried again by this call.
    leave: list[str] = []
    results = read_results(options.out)
    if any(entry["status"] == "running" for entry in results["stages"].values()):
        print("an earlier run was ended within a stage; it is tried again", flush=True)
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", *sys.argv[1:]]
    with tempfile.TemporaryDirectory() as work:
        while time.time() < deadline:
            todo = [s.name for s in open_stages(read_results(options.out), options.only) if s.name not in leave]
            if not todo:
                break
            more = ["--work", work, "--deadline", str(deadline), "--leave", json.dumps(leave)]
            worker = subprocess.Popen([*command, *more])
            try:
                why = attend(worker, options.out, deadline)
            finally:
                if worker.poll() is None:
                    worker.kill()
                    worker.wait()
            before = len(leave)
            for name, entry in read_results(options.out)["stages"].items():
                if name in todo and entry["status"] == "running":
                    finish(options.out, name, "failed", why or f"its process ended with {worker.returncode}")
                    entry = read_results(options.out)["stages"][name]
                if name in todo and entry["status"] in ("failed", "skipped"):
                    leave.append(name)
            if worker.returncode == 0 or len(leave) == before:
                break
    results = read_results(options.out)
    for stage in STAGES:
        if stage.name not in results["stages"] and (options.only is None or stage.name in options.only):
            results["stages"][stage.name] = {"status": "not run", "reason": "no time left", "seconds": 0.0}
    write_results(options.out, results)


def attend(worker: subprocess.Popen[bytes], out: Path, deadline: float) -> str:
    """Wait for a worker; why it had to be ended, or nothing."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(0.25)
            return ""
        now = time.time()
        for entry in read_results(out)["stages"].values():
            if entry["status"] == "running" and now > entry["began"] + entry["limit"]:
                return f"ended: it took longer than its limit of {entry['limit']:.0f} s"
        if now > deadline + 5:
            return "ended: the time was up"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="for everything")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; an earlier one is gone on with")
    parser.add_argument("--data", type=Path, help="prepared set for the runs")
    parser.add_argument("--weights", type=Path, help="file of an Inception network")
    parser.add_argument("--device", help="[default: cuda]")
    parser.add_argument("--workers", type=int, default=2, help="of the copied loop's DataLoader; the example has 2")
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of stages, with commas between")
    parser.add_argument("--small", action="store_true", help="tiny networks, to try the script itself")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--deadline", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--leave", type=json.loads, default=[], help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.only or []) - {stage.name for stage in STAGES}
    if unknown:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}. Stages: {', '.join(s.name for s in STAGES)}")
    for path in (options.data, options.weights):
        if path is not None and not path.exists():
            parser.error(f"{path}: not there")
    options.device = options.device or "cuda"
    options.small = options.small or options.device == "cpu"
    options.out.mkdir(parents=True, exist_ok=True)
    if options.worker:
        run_stages(options)
        return
    supervise(options)
    results = read_results(options.out)
    counts: dict[str, int] = {}
    for entry in results["stages"].values():
        counts[entry["status"]] = counts.get(entry["status"], 0) + 1
    print(", ".join(f"{n} {status}" for status, n in counts.items()) + f": {options.out / REPORT}")


if __name__ == "__main__":
    main()
