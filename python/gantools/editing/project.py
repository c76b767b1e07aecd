"""Projection: the latent whose image is nearest to a given one.

projected/
  manifest.json           of which run, how it was searched, and of each image name, distance, class and more
  latents.npy             what was found, float32 (n, latent), or styles (n, count, style)
  000000.png, ...         what the run makes of it
  000000-target.png, ...  the image itself, as it was prepared
  grid.png                both side by side, the target on the left; the first 32
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantools import _native
from gantools.device import full_precision, out_of_memory
from gantools.editing.distances import Distance, find_distance
from gantools.editing.pictures import read_pictures
from gantools.errors import ConfigError
from gantools.files import check_replaceable, whole_folder, write_json
from gantools.grid import write_grid
from gantools.models.system import classes_of
from gantools.progress import Progress
from gantools.runs.checkpoint import versions
from gantools.sampling.generator import Generator
from gantools.sampling.given import load_sampler
from gantools.sampling.images import BATCH, paint
from gantools.sampling.latents import write_array
from gantools.sampling.write import LATENTS

FORMAT = "gantools-projections"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
# Random latents that are looked at first, of which the best are where the search starts.
RANDOM = 256
GRID_PAIRS = 32
# Shares of the steps in which the rate climbs at the beginning and falls at the end.
CLIMB, FALL = 0.05, 0.25

#: Where is searched: latents z; w, one style for all layers; w+, a style of its own for each.
Where = Literal["z", "w", "w+"]


@dataclass(frozen=True)
class Found:
    """The latent found for an image.

    Attributes:
        latents: float32 (latent,), or styles (count, style).
        label: class of the image, or None.
        image: what the run makes of it, uint8 (h, w, c).
        distance: of that image from the target.
        random: that of the nearest of 256 random images.
        length: ‖z‖/√latent, about 1 for latents that the run was trained on; of styles None.
        start: which of the starts led to it, counted from 0.
        step: and at which step.
    """

    latents: NDArray[np.float32]
    label: int | None
    image: NDArray[np.uint8]
    distance: float
    random: float
    length: float | None
    start: int
    step: int


def ramp(step: int, steps: int) -> float:
    """What the rate is multiplied by: a line up in the first twentieth, half a cosine down in the last quarter.

    Source: Karras et al. 2020 (arXiv:1912.04958), appendix D.
    """
    done = step / steps
    down = min(1.0, (1 - done) / FALL)
    return (0.5 - 0.5 * math.cos(down * math.pi)) * min(1.0, (step + 1) / steps / CLIMB)


def search(
    generator: Generator,
    target: NDArray[np.uint8],
    distance: Distance,
    *,
    where: Where = "z",
    steps: int = 400,
    starts: int = 4,
    rate: float = 0.1,
    seed: int = 0,
    class_: int | str | None = None,
    controls: Mapping[str, float] | None = None,
    report: Callable[[int], None] = lambda steps: None,
) -> Found:
    """The latent whose image is nearest to `target`, by Adam from several starts at once; the same call finds the same.

    It starts from the nearest of 256 random images, in w also from the mean style; where the run knows classes and none
    is given, each start keeps that of its random image.

    Args:
        generator: makes the images.
        target: uint8 (h, w, c) of the generator's shape.
        distance: what is made smaller.
        where: z, w or w+.
        steps: of Adam, at least 1.
        starts: how many, from 1 to 256.
        rate: Adam's.
        seed: of the random latents.
        class_: class of the image, or None.
        controls: as in `Generator.sample`; they hold for every image that is looked at.
        report: called with the number of steps done.
    """
    system, networks, device = generator.system, generator.networks, generator.device
    wanted = _enter(target[None], device)
    z = generator.latents_of(0, RANDOM, seed)
    label = generator.class_number(class_)
    count = classes_of(generator.recipe.network)
    classes = np.arange(RANDOM) % max(count, 1) if label is None else np.full(RANDOM, label)
    random = _distances(distance, generator.from_latents(z, class_=label, controls=controls), wanted)
    best = np.argsort(random, kind="stable")[:starts]
    labels = torch.from_numpy(classes[best]).to(device) if count else None
    chosen = generator.controls(controls)
    begin = z[best]
    if where != "z":
        styles = generator.styles_of(z, classes, controls)
        begin = styles[best]
        if starts > 1:
            # The mean style is often nearer to what is searched than any random one is to it.
            begin[-1] = styles.mean(0)
        begin = begin[:, :1] if where == "w" else begin
    count_styles = None if generator.styles_shape is None else generator.styles_shape[0]

    def spread(rows: Tensor) -> Tensor:
        return rows if where != "w" or count_styles is None else rows.expand(-1, count_styles, -1)

    point = torch.from_numpy(begin.copy()).to(device).requires_grad_()
    nearest, least = point.detach().clone(), torch.full((len(best),), math.inf, device=device)
    at = torch.zeros(len(best), dtype=torch.int64, device=device)
    adam = torch.optim.Adam([point], lr=rate)
    with full_precision():
        for step in range(steps + 1):
            made = paint(system, networks, spread(point), labels, chosen)
            # As pixels clamp it, but what is too bright for its target still has a gradient that makes it darker.
            made = made + (made.clamp(-1, 1) - made).detach()
            values = distance.of(made, wanted.expand_as(made))
            with torch.no_grad():
                better = values < least
                least = torch.where(better, values, least)
                at = torch.where(better, step, at)
                nearest = torch.where(better.view(-1, *[1] * (point.ndim - 1)), point, nearest)
            if step == steps:
                break
            adam.param_groups[0]["lr"] = rate * ramp(step, steps)
            adam.zero_grad()
            values.sum().backward()  # type: ignore[no-untyped-call]
            adam.step()
            report(step + 1)
    start = int(least.argmin())

    def found(row: Tensor, start: int, step: int) -> Found:
        latents = spread(row[None]).detach().cpu().numpy()
        own = int(classes[best[start]]) if count else None
        image = generator.from_latents(latents, class_=own, controls=controls)
        length = float(np.linalg.norm(latents) / math.sqrt(generator.latent)) if where == "z" else None
        far = float(_distances(distance, image, wanted)[0])
        return Found(np.ascontiguousarray(latents[0]), own, image[0], far, float(random[best[0]]), length, start, step)

    # Rounded to levels, the nearest random image may be nearer: where the target is that image, to the bit.
    first = torch.from_numpy(begin[0]).to(device)
    return min(found(nearest[start], start, int(at[start])), found(first, 0, 0), key=lambda one: one.distance)


def _enter(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (n, h, w, c) as float32 (n, c, h, w) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def _distances(distance: Distance, images: NDArray[np.uint8], wanted: Tensor) -> NDArray[np.float64]:
    parts = []
    for start in range(0, len(images), BATCH):
        x = _enter(images[start : start + BATCH], wanted.device)
        with full_precision():
            parts.append(distance.of(x, wanted.expand_as(x)).double().cpu().numpy())
    return np.concatenate(parts)


def project(
    run: str | Path | None,
    images: Sequence[str | Path],
    *,
    space: Where | None = None,
    loss: str = "pixels",
    steps: int = 400,
    starts: int = 4,
    rate: float = 0.1,
    seed: int = 0,
    n: int | None = None,
    crop: str = "center",
    alpha: str = "error",
    class_: int | str | None = None,
    controls: Mapping[str, float] | None = None,
    out: str | Path = "projected",
    checkpoint: str | float = "last",
    device: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Find the latents whose images are nearest to given ones, into a folder; on a CPU the same each time.

    Args:
        run: as in `Generator.load`.
        images: image files, folders or archives of them, or prepared sets; cut and resized as `gantools prep` does.
        space: where is searched: `z`, `w` (one style) or `w+` (a style for each layer); None: w where the run has a
            mapping network, else z.
        loss: what is made smaller: `pixels` (squared differences at several scales) or `lpips` (VGG16).
        steps: of Adam.
        starts: of each image, at once; the best is taken.
        rate: Adam's, at its highest.
        seed: of the random latents that the starts are chosen from.
        n: at most so many images, the first; None: all.
        crop: `center`, `none` or `pad`, as `gantools prep` has it.
        alpha: of transparent images: `error`, `drop`, `white` or `black`.
        class_: class of the images; None: the one whose random images are nearest.
        controls: as in `Generator.sample`.
        out: the folder to make.
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace `out` when it holds projections of gantools.
        progress: show a bar.

    Returns:
        The path of the folder.

    Raises:
        CheckpointError: no such run. DataError: an image that cannot be read, or `out` exists.
        ConfigError: a wrong option, or a space that the run does not have.
    """
    for name, value, high in (("steps", steps, 1_000_000), ("starts", starts, RANDOM)):
        if not 1 <= value <= high:
            raise ConfigError(f"{name}: must be from 1 to {high:,}, not {value}.")
    if not (math.isfinite(rate) and rate > 0):
        raise ConfigError(f"rate: must be above 0, not {rate:g}.", "For example 0.1.")
    target = Path(out)
    check_replaceable(target, MANIFEST, FORMAT, "projections", overwrite)
    generator = load_sampler(run, checkpoint, device)
    where = _where(generator, space)
    chosen = generator.chosen(class_=class_, controls=controls)
    names, wanted = read_pictures(images, generator.image_shape, n=n, crop=crop, alpha=alpha)
    distance = find_distance(loss, generator.image_shape, generator.device)
    found: list[Found] = []
    with (
        Progress("projecting", steps * len(names), unit="steps", show=progress) as bar,
        out_of_memory(f"out of memory at {starts} starts.", f"Try fewer: --starts {max(1, starts // 2)}"),
    ):
        for i, picture in enumerate(wanted):
            found.append(
                search(
                    generator,
                    picture,
                    distance,
                    where=where,
                    steps=steps,
                    starts=starts,
                    rate=rate,
                    seed=seed,
                    class_=class_,
                    controls=controls,
                    report=lambda done, i=i: bar.update(i * steps + done),  # type: ignore[misc]
                )
            )
            bar.print(
                f"{names[i]}: {found[-1].distance:.4g}, the nearest of {RANDOM} random ones {found[-1].random:.4g}"
            )
    place = generator.checkpoint.absolute()
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "count": len(found),
        "shape": list(generator.image_shape),
        "run": str(generator.run.absolute()),
        "checkpoint": place.name,
        "recipe": generator.recipe.name,
        "space": where,
        "loss": {"name": distance.name, **distance.protocol},
        "steps": steps,
        "starts": starts,
        "rate": rate,
        "seed": seed,
        "random": RANDOM,
        "crop": crop,
        **({"controls": chosen.controls} if generator.system.controls else {}),
        "images": [_entry(generator, name, i, f) for i, (name, f) in enumerate(zip(names, found, strict=True))],
        "versions": versions(),
    }
    latents = np.stack([f.latents for f in found])
    # Where all are of one class, the images that `gantools sample --latents` makes, to the bit.
    same = len({f.label for f in found}) == 1
    made = (
        generator.from_latents(latents, class_=found[0].label, controls=controls)
        if same
        else np.stack([f.image for f in found])
    )
    with whole_folder(target, overwrite=target.exists()) as folder:
        write_array(folder / LATENTS, latents)
        pairs = []
        for i, (image, picture) in enumerate(zip(made, wanted, strict=True)):
            (folder / f"{i:06d}.png").write_bytes(_native.encode_png(image))
            (folder / f"{i:06d}-target.png").write_bytes(_native.encode_png(picture))
            pairs += [picture, image]
        write_grid(folder / "grid.png", np.stack(pairs[: 2 * GRID_PAIRS]), 2 if len(found) < 4 else 8)
        write_json(folder / MANIFEST, manifest)
    return target


def _where(generator: Generator, space: str | None) -> Where:
    styled = generator.system.styles is not None
    if space is None:
        return "w" if styled else "z"
    if space not in ("z", "w", "w+"):
        raise ConfigError(f"space: expected z, w or w+, found {space!r}.")
    if space != "z" and not styled:
        raise ConfigError(
            f"space {space}: {generator.recipe.model} has no mapping network, only latents.", "Use --space z."
        )
    return space  # type: ignore[return-value]


def _entry(generator: Generator, name: str, i: int, found: Found) -> dict[str, Any]:
    names = generator.classes
    return {
        "name": name,
        "file": f"{i:06d}.png",
        "distance": found.distance,
        "nearest_random": found.random,
        **({} if found.label is None or names is None else {"class": names[found.label]}),
        **({} if found.length is None else {"length": found.length}),
        "start": found.start,
        "step": found.step,
    }
