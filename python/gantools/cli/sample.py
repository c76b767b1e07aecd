"""`gantools sample`."""

from __future__ import annotations

from typing import Literal

import click

from gantools.cli.options import named_numbers, one_of
from gantools.errors import ConfigError


@click.command()
@click.argument("run", required=False)
@click.option("-n", "n", type=int, default=1000, show_default=True, help="How many images to generate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Image i depends on seed and i, not on -n.")
@click.option(
    "--checkpoint", default="last", show_default=True, metavar="NAME", help="last, best or thousands of images."
)
@click.option("--class", "class_", metavar="NAME", help="Class of all images.  [default: each class in turn]")
@click.option("--truncation", type=float, metavar="PSI", help="The same as --control truncation=PSI.")
@click.option("--control", "controls", multiple=True, metavar="NAME=VALUE", help="Turn what the system lets you turn.")
@click.option("--index", type=int, metavar="I", help="Only image I of those that the seed gives.")
@click.option("--seeds", metavar="LIST", help="Image 0 of each of these seeds, e.g. 1,5,9-12.")
@click.option("--grid", is_flag=True, help="Also write grid.png, the first 64 images in one.")
@one_of("--format", ["png", "npy"], "png", "Files to write.")
@click.option("--out", default="samples", show_default=True, metavar="DIR", help="Folder to make.")
@click.option("--batch", type=int, default=64, show_default=True, help="Images computed at once.")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1.  [default: CUDA when there is one]")
@click.option("--overwrite", is_flag=True, help="Replace the folder when it holds samples of gantools.")
def command(
    run: str | None,
    n: int,
    seed: int,
    checkpoint: str,
    class_: str | None,
    truncation: float | None,
    controls: tuple[str, ...],
    index: int | None,
    seeds: str | None,
    grid: bool,
    format: Literal["png", "npy"],
    out: str,
    batch: int,
    device: str | None,
    overwrite: bool,
) -> None:
    """Generate images from a trained run into a folder with a manifest.

    RUN is a run's folder, one of its checkpoints or an exported model; without it, the newest run in ./runs is taken.
    """
    # Here, so that --help does not wait for torch.
    from gantools.sampling.write import sample

    click.echo(
        sample(
            run,
            n=n,
            seed=seed,
            checkpoint=checkpoint,
            class_=class_,
            controls={**({} if truncation is None else {"truncation": truncation}), **named_numbers(controls)},
            index=index,
            seeds=None if seeds is None else _seeds(seeds),
            grid=grid,
            batch=batch,
            device=device,
            overwrite=overwrite,
            out=out,
            format=format,
        )
    )


def _seeds(text: str) -> list[int]:
    """The seeds of a list such as 1,5,9-12."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise ConfigError(f"--seeds {text}: {part.strip()!r} is no seed and no range of seeds.", "E.g. 1,5,9-12")
        found += range(int(first), int(last or first) + 1)
    return found
