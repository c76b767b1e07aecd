"""Does SF-GAN's generator put things where they belong? A task with a known truth, and glasses on eyes.

    python benches/placing.py unit [--steps 1000] [--seed 0]
    python benches/placing.py eyes RUN... --faces SET --landmarks CSV [--n 500] [--crop 148]

`unit`: a bright square is to be put on a dark disc in a texture of 48x48 pixels, by `model: sfgan`'s first stage alone;
the distance of their centres in pixels is printed as the training goes.

`eyes`: of runs of `sfgan-glasses` on CelebA prepared with `--crop celeba-N`, the distance between the centres of the
lenses and the eyes, where the glasses begin (N(0, 0.1), seed 0) and where the run puts them; what is folded, and what
is outside of the frame. The file of landmarks has the columns image_id, lefteye_x, lefteye_y, righteye_x, righteye_y in
pixels of the aligned images of 178x218.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gantools.layers.placing import Placer
from gantools.layers.warp import homography_matrix, lay, sample
from gantools.models.sfgan import SFGANConfig, SFGANGame, build, pick, put, stages
from gantools.models.system import Batch
from gantools.objectives.penalties import Penalties

SIDE = 48
#: Centres of the lenses of ST-GAN's glasses on their canvas.
LENSES = ((-0.42, -0.02), (0.42, -0.02))


def scenes(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Textures float (n, 1, 48, 48) with a dark disc, and its centres (n, 2), x and y in half sides of the frame."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, 1, SIDE, SIDE, generator=random)
    texture = torch.nn.functional.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)
    centres = 0.45 * (2 * torch.rand(n, 2, generator=random) - 1)
    at = (2 * torch.arange(SIDE) + 1) / SIDE - 1
    far = (at[None, None] - centres[:, :1, None]).square() + (at[None, :, None] - centres[:, 1:, None]).square()
    disc = (far < 0.3**2).float()[:, None]
    return ((1 - disc) * 0.5 * texture - 0.8 * disc).clamp(-1, 1), centres


def landed(placer: Placer, p: Tensor, points: Tensor) -> Tensor:
    """Where points (k, 2) of the canvas are on the frame, float (n, k, 2), by homographies `p` float (n, 8)."""
    inner = points * placer.scale + torch.tensor(placer.shift)
    found = torch.cat((inner, torch.ones(len(points), 1)), 1) @ homography_matrix(-p).transpose(1, 2)
    return found[..., :2] / found[..., 2:]


def unit(steps: int = 1000, seed: int = 0, every: int = 50, batch: int = 32) -> list[tuple[int, float, float]]:
    """(steps of the generator, median distance in pixels at the start, and after) as the training goes."""
    config = SFGANConfig(
        size=SIDE, channels=1, foregrounds=1, canvas=SIDE, bound=0.7, width=8, halvings=3, hidden=64,
        translator_width=1, blocks=0, judge_width=1, judge_halvings=1, pool=0, scale=0.25,
    )  # fmt: skip
    game = SFGANGame(grey=False, blur=0.0, displacement=0.02, penalties=Penalties.from_plain({"r1": 1.0}))
    torch.manual_seed(seed)
    networks = build(config)
    networks["foregrounds"].rgba.fill_(1.0)  # type: ignore[union-attr, operator]
    placer = networks["generator"]
    assert isinstance(placer, Placer)
    judge, generator = stages(config, game)[0].phases
    names = {"judge_place": (judge, 2e-4), "generator": (generator, 1e-4)}
    adams = {k: torch.optim.Adam(networks[k].parameters(), lr, (0.5, 0.9)) for k, (_, lr) in names.items()}
    held, truth = scenes(512, 1_000_000)
    start = game.jitter * torch.randn(512, 8, generator=torch.Generator().manual_seed(1))
    middle = torch.zeros(1, 2)
    lines = []

    @torch.no_grad()
    def measure(step: int) -> None:
        p = placer(pick(networks, 0, 1).expand(512, -1, -1, -1), held, start).parameters
        far = [(landed(placer, q, middle)[:, 0] - truth).norm(dim=1).median().item() * SIDE / 2 for q in (start, p)]
        lines.append((step, *far))

    def real(n: int, seed: int) -> Tensor:
        images, centres = scenes(n, seed)
        square = pick(networks, 0, 1).expand(n, -1, -1, -1)
        grid = placer.warp(torch.zeros(n, 8), SIDE, SIDE) - centres[:, None, None]
        return lay(sample(square, grid / placer.scale), images).images

    for step in range(steps + 1):
        if step % every == 0:
            measure(step)
        for turn in range(game.critic_steps):
            number = 10 * step + 2 * turn
            given = Batch(real(batch, 2 * number + 1 + seed), inputs=scenes(batch, 2 * number + seed)[0])
            for name in ("judge_place", "generator") if turn == 1 else ("judge_place",):
                out = names[name][0].loss(networks, given, {})
                gradients = torch.autograd.grad(out.value, list(networks[name].parameters()))
                for parameter, gradient in zip(networks[name].parameters(), gradients, strict=True):
                    parameter.grad = gradient
                adams[name].step()
    return lines


@torch.no_grad()
def eyes(run: str, faces: Path, landmarks: Path, n: int, crop: float, jitter: float = 0.1) -> dict[str, float]:
    """Medians over images and foregrounds: distance of lenses and eyes in pixels, at the start and after; faults."""
    from gantools.data.prepared import PreparedSet
    from gantools.sampling.generator import Generator

    data = PreparedSet(faces)
    with landmarks.open() as f:
        known = {row["image_id"]: row for row in csv.DictReader(f)}
    wanted = [i for i, name in enumerate(data.names) if Path(name).name in known][-n:]
    rows = [known[Path(data.names[i]).name] for i in wanted]
    middle = np.array([89.0, 109.0])
    points = [[[float(r[f"{s}eye_{a}"]) for a in "xy"] for s in ("left", "right")] for r in rows]
    truth = torch.from_numpy((np.array(points) - middle) / (crop / 2)).float()
    networks = dict(Generator.load(run, device="cpu").networks)
    placer = networks["generator"]
    assert isinstance(placer, Placer)
    torch.manual_seed(0)
    distances: dict[str, list[Tensor]] = {"start": [], "after": [], "folded": [], "outside": []}
    for at in range(0, len(wanted), 100):
        part = np.array(wanted[at : at + 100])
        images = torch.from_numpy(data.gather(part)).permute(0, 3, 1, 2).float() / 127.5 - 1
        batch = Batch(images, inputs=images)
        place, foreground = put(networks, batch, jitter)
        lenses = torch.tensor(LENSES)
        for name, p in (("start", place.parameters - place.moved), ("after", place.parameters)):
            far = (landed(placer, p, lenses) - truth[at : at + 100]).norm(dim=2).mean(1)
            distances[name].append(far * data.shape[0] / 2)
        fold, out = placer.faults(foreground, place.parameters)
        distances["folded"].append(fold)
        distances["outside"].append(out)
    found = {name: torch.cat(values) for name, values in distances.items()}
    return {
        "start": float(found["start"].median()),
        "after": float(found["after"].median()),
        "folded": float((found["folded"] > 0).float().mean()),
        "outside": float(found["outside"].mean()),
    }


def main() -> None:
    """Lines of figures on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    task = kinds.add_parser("unit")
    task.add_argument("--steps", type=int, default=1000)
    task.add_argument("--seed", type=int, default=0)
    face = kinds.add_parser("eyes")
    face.add_argument("runs", nargs="+")
    face.add_argument("--faces", type=Path, required=True)
    face.add_argument("--landmarks", type=Path, required=True)
    face.add_argument("--n", type=int, default=500)
    face.add_argument("--crop", type=float, default=148)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.kind == "unit":
        begin = time.process_time()
        for step, start, after in unit(options.steps, options.seed):
            print(f"{step} steps: {start:.2f} px at the start, {after:.2f} px after")
        print(f"{time.process_time() - begin:.0f} s of CPU")
        return
    for run in options.runs:
        found = eyes(run, options.faces, options.landmarks, options.n, options.crop)
        print(run, " ".join(f"{name} {value:.3f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
