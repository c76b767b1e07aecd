"""`gantools sample`."""

from __future__ import annotations

from typing import Literal

import click

from gantools.cli.options import one_of


@click.command()
@click.argument("run", required=False)
@click.option("-n", "n", type=int, default=1000, show_default=True, help="How many images to generate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Image i depends on seed and i, not on -n.")
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
    grid: bool,
    format: Literal["png", "npy"],
    out: str,
    batch: int,
    device: str | None,
    overwrite: bool,
) -> None:
    """Generate images from a trained run into a folder with a manifest.

    RUN is a run's folder or one of its checkpoints; without it, the newest run in ./runs is taken.
    """
    # Here, so that --help does not wait for torch.
    from gantools.sampling.write import sample

    options = {"n": n, "seed": seed, "grid": grid, "batch": batch, "device": device, "overwrite": overwrite}
    click.echo(sample(run, out=out, format=format, **options))  # type: ignore[arg-type]
