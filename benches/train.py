"""Training against the loop that people copy: images a second, the cost of the loop itself, a compiled penalty step.

    python benches/train.py [--device cpu] [--threads 2] [--rounds 5] [--seconds 4] [--batch 128] [--compile]
                            [--clock wall|cpu] [--json FILE]

One process, all contenders in turn in every round, so that a loaded machine slows all alike; figures are medians over
the rounds, ratios medians of the rounds' own ratios. The copied loop is the one of pytorch/examples' dcgan, written
anew around the same networks: eager, NCHW, float32, torch's DataLoader over a Dataset that makes floats of bytes image
by image, a BCELoss after a sigmoid, the discriminator's fakes used again for the generator, five `.item()` a step. It
computes about as much as ours, whose generator step draws fresh latents (one forward of the generator more) and asks
for no gradients of the discriminator's weights (which the copied loop computes and throws away).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches import empty

import gantools
from gantools.data.prepared import PreparedSet
from gantools.models.dcgan import DCGANConfig, build
from gantools.recipes.recipe import load_recipe, recipe_from_dict
from gantools.training import health
from gantools.training.compiled import Compiled, plain, untouched
from gantools.training.distributed import Processes
from gantools.training.job import Job, fitted
from gantools.training.loop import CHECK_STEPS, open_feeds
from gantools.training.precision import _has_bfloat16
from gantools.training.run import _torch_settings
from gantools.training.seeds import reseed
from gantools.training.stages import Compute, Work, enter
from gantools.training.state import TrainingState

# As many as CelebA has: a small set is shown as if it were so long, so that no epoch ends while the clock runs.
CELEBA = 202_599


def make_set(place: Path, n: int = 1024, size: int = 64) -> Path:
    """A prepared set of smooth colour images, made by `gantools prep`."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size] / size
    cx, cy, r = rng.uniform(0.2, 0.8, (3, n, 1, 1)).astype(np.float32)
    spots = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.05 + 0.2 * r**2))
    tint = rng.uniform(0.3, 1.0, (n, 1, 1, 3))
    place.mkdir(parents=True, exist_ok=True)
    np.save(place / "images.npy", np.round(spots[..., None] * tint * 255).astype(np.uint8))
    made = gantools.prep(str(place / "images.npy"), size=size, out=place / f"spots-{size}", progress=False)
    return made.path


class Ours:
    """gantools' loop, a step at a time: reading, phases, optimizers, statistics, the look at the losses.

    Args:
        data: a prepared set.
        recipe: a name, or a recipe's values.
        batch: images a step; None: the recipe's own.
        device: where.
        bfloat16, compiled, graphs: how phases are computed.
        channels_last: memory layout.
        changes: further overrides of the recipe.
        inputs: the second set of a training without pairs.
    """

    def __init__(
        self,
        data: Path,
        recipe: str | Mapping[str, Any] = "dcgan",
        *,
        batch: int | None = 128,
        device: str | torch.device = "cpu",
        bfloat16: bool = False,
        channels_last: bool = True,
        compiled: bool = False,
        graphs: bool = False,
        changes: Mapping[str, Any] | None = None,
        inputs: Path | None = None,
    ) -> None:
        asked: dict[str, Any] = {"compute.channels_last": channels_last, **(changes or {})}
        if batch is not None:
            asked["batch"] = batch
        if isinstance(recipe, str):
            loaded = load_recipe(recipe, asked)
        else:
            loaded = recipe_from_dict(recipe, "benches/train.py", overrides=asked)
        dataset, self.device = PreparedSet(data), torch.device(device)
        loaded, _ = fitted(loaded, dataset, asked)
        second = None if inputs is None else PreparedSet(inputs)
        self.job = Job(loaded, dataset, self.device, Path("runs"), second)
        self.said: list[str] = []
        with self.settings():
            self.state = TrainingState(loaded, self.device, pretrained=False)
            self.feeds = open_feeds(self.job, Processes())
            enter(self.state, self.feeds)
            compute = Compute(bfloat16=bfloat16, compiled=compiled or graphs, graphs=graphs)
            self.work = Work(self.state, self.feeds, compute, Processes(), self.said.append)
        self.images = self.work.whole

    def settings(self) -> contextlib.AbstractContextManager[None]:
        """torch's global settings, as in a training."""
        return _torch_settings(self.job)

    def step(self) -> None:
        """One step, as `gantools.training.loop` does it."""
        self.work.step()
        if self.state.total_steps % CHECK_STEPS == 1:
            health.check_finite(
                self.state.meter.means(), {name: self.state.networks[name] for name in self.state.saved}
            )

    def close(self) -> None:
        """Stop the reading threads."""
        for feed in self.feeds.values():
            feed.close()


class Bytes(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """What ImageFolder with ToTensor and Normalize gives, its files decoded already: NCHW floats, an image a call."""

    def __init__(self, data: Path) -> None:
        dataset = PreparedSet(data)
        self.images = dataset.gather(np.arange(len(dataset)))

    def __len__(self) -> int:
        return CELEBA

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.images[index % len(self.images)]).permute(2, 0, 1).contiguous()
        return image.float().div(255).sub_(0.5).div_(0.5), 0


class Copied:
    """The loop of pytorch/examples' dcgan, written anew."""

    def __init__(
        self,
        data: Path,
        *,
        batch: int = 128,
        device: str | torch.device = "cpu",
        workers: int = 2,
        network: Mapping[str, int] | None = None,
    ) -> None:
        self.device, self.images = torch.device(device), batch
        dataset = Bytes(data)
        size, channels = dataset.images.shape[2:]
        self.config = DCGANConfig(**{"size": size, "channels": channels, "latent": 100, **(network or {})})
        torch.manual_seed(0)
        networks = build(self.config)
        self.generator = networks["generator"].to(self.device)
        self.discriminator = networks["discriminator"].to(self.device)
        self.criterion = nn.BCELoss()
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.loader = torch.utils.data.DataLoader(dataset, batch_size=batch, shuffle=True, num_workers=workers)
        self.batches = iter(self.loader)

    @contextlib.contextmanager
    def settings(self) -> Iterator[None]:
        """`cudnn.benchmark`, which the example sets; all else as torch has it."""
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = before

    def step(self) -> str:
        """One step; returns the line that the example prints at each."""
        discriminator, generator = self.discriminator, self.generator
        discriminator.zero_grad()
        real = next(self.batches)[0].to(self.device)
        n = real.size(0)
        label = torch.full((n,), 1.0, device=self.device)
        output = torch.sigmoid(discriminator(real))
        loss_real = self.criterion(output, label)
        loss_real.backward()
        d_x = output.mean().item()
        fake = generator(torch.randn(n, self.config.latent, device=self.device))
        label.fill_(0.0)
        output = torch.sigmoid(discriminator(fake.detach()))
        loss_fake = self.criterion(output, label)
        loss_fake.backward()
        d_g_z1 = output.mean().item()
        loss_d = loss_real + loss_fake
        self.adam_d.step()

        generator.zero_grad()
        label.fill_(1.0)
        output = torch.sigmoid(discriminator(fake))
        loss_g = self.criterion(output, label)
        loss_g.backward()
        d_g_z2 = output.mean().item()
        self.adam_g.step()
        losses = f"Loss_D: {loss_d.item():.4f} Loss_G: {loss_g.item():.4f}"
        return f"{losses} D(x): {d_x:.4f} D(G(z)): {d_g_z1:.4f} / {d_g_z2:.4f}"

    def close(self) -> None:
        """Stop the workers."""
        del self.batches


def wait(device: torch.device) -> None:
    """Until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def steps_per_second(
    step: Callable[[], object],
    device: torch.device,
    seconds: float,
    cycle: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How many times a second of `clock` a step runs, over whole cycles and at least `seconds`."""
    wait(device)
    start, done = clock(), 0
    while True:
        for _ in range(cycle):
            step()
        done += cycle
        if clock() - start >= seconds:
            wait(device)
            return done / (clock() - start)


def alternate(
    contenders: Mapping[str, Any],
    rounds: int,
    seconds: float,
    warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Images a second of each contender in each round."""
    for c in contenders.values():
        with c.settings():
            for _ in range(warm):
                c.step()
            wait(c.device)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        # Forth and back, so that none is always measured behind the same other.
        for name, c in list(contenders.items())[:: 1 if turn % 2 == 0 else -1]:
            with c.settings():
                found[name].append(c.images * steps_per_second(c.step, c.device, seconds, clock=clock))
    return found


def ratio(found: Mapping[str, list[float]], name: str, to: str) -> float:
    """The median over the rounds of how many times as fast `name` is as `to`."""
    return median(a / b for a, b in zip(found[name], found[to], strict=True))


def penalty(
    data: Path,
    recipe: str,
    *,
    device: str | torch.device,
    batch: int | None = None,
    bfloat16: bool = False,
    graphs: bool = False,
    rounds: int = 3,
    seconds: float = 2.0,
    changes: Mapping[str, Any] | None = None,
) -> tuple[dict[str, list[float]], list[str]]:
    """Images a second of loss and gradients of a critic with a gradient penalty, plain and compiled (and as a graph);
    with the lines that say what ran."""
    ours = Ours(data, recipe, batch=batch, device=device, changes=changes)
    phase = ours.work.stage.phases[0]
    functions: dict[str, Any] = {"eager": plain(phase, ours.device, bfloat16)}
    functions["compiled"] = Compiled(phase, ours.device, bfloat16, False, ours.said.append)
    if graphs:
        functions["graph"] = Compiled(phase, ours.device, bfloat16, True, ours.said.append)
    rows, found = ours.work.batch(0), {name: [] for name in functions}

    def step(function: Any) -> None:
        reseed(ours.device, 0)
        function(ours.state.networks, rows, ours.work.scalars)

    try:
        with ours.settings(), untouched(ours.state.networks):
            for function in functions.values():
                for _ in range(4):  # a graph is captured at the third
                    step(function)
            for _ in range(rounds):
                for name, function in functions.items():
                    found[name].append(ours.images * steps_per_second(lambda f=function: step(f), ours.device, seconds))
    finally:
        ours.close()
    return found, ours.said


def machine(device: torch.device) -> str:
    """In a line."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if not name else ():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    return (
        f"{name or platform.machine()}, {cores} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each contender in each round")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2, help="of the copied loop's DataLoader; the example has 2")
    parser.add_argument("--compile", action="store_true", help="also a compiled penalty step against a plain one")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: seconds of this process's own work, for a loaded machine, with --threads 1 (the DataLoader's "
        "workers are then not counted)",
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    device, result = torch.device(options.device), {}
    result["machine"] = machine(device)
    print(result["machine"])
    with tempfile.TemporaryDirectory() as place:
        data = make_set(Path(place) / "64")
        shared: dict[str, Any] = {"batch": options.batch, "device": device}
        contenders: dict[str, Any] = {
            "the copied loop": Copied(data, workers=options.workers, **shared),
            "gantools, float32": Ours(data, **shared),
            "gantools, float32, NCHW": Ours(data, channels_last=False, **shared),
        }
        if _has_bfloat16(device):
            contenders["gantools, bfloat16"] = Ours(data, bfloat16=True, **shared)
        else:
            print("no bfloat16: this processor does not multiply it itself")
        found = alternate(contenders, options.rounds, options.seconds, clock=clock)
        nothing = Ours(data, empty.RECIPE, **shared)
        bare = alternate({"empty": nothing}, options.rounds, min(1.0, options.seconds), 20, clock)["empty"]
        for c in (*contenders.values(), nothing):
            c.close()
        print(f"\n{'64 px, batch ' + str(options.batch):28} {'images/s':>9} {'times':>6}  rounds")
        result["images_per_second"] = found
        result["times"] = {name: ratio(found, name, "the copied loop") for name in found}
        for name, rates in found.items():
            print(
                f"{name:28} {median(rates):9.1f} {result['times'][name]:5.2f}x  {' '.join(f'{r:.0f}' for r in rates)}"
            )
        step, whole = options.batch / median(bare), options.batch / median(found["gantools, float32"])
        result["loop"] = {"empty_step_ms": step * 1e3, "dcgan_step_ms": whole * 1e3, "share": step / whole}
        print(f"\nthe loop itself: {step * 1e3:.2f} ms, {step / whole:.2%} of a float32 step of {whole * 1e3:.0f} ms")
        if options.compile:
            small = make_set(Path(place) / "28", 256, 28)
            found, said = penalty(
                small, "wgan-gp-fashion", device=device, rounds=options.rounds, seconds=options.seconds,
                graphs=device.type == "cuda", changes={"network.classes": 0},
            )  # fmt: skip
            result["penalty"] = {"images_per_second": found, "said": said}
            print("\na critic's step with a gradient penalty (wgan-gp-fashion), images/s; " + "; ".join(said))
            for name, rates in found.items():
                print(f"{name:28} {median(rates):9.1f} {ratio(found, name, 'eager'):5.2f}x")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
