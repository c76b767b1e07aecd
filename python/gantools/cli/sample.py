"""`gantools sample`."""

from __future__ import annotations

from typing import Literal

import click

from gantools.cli import options
from gantools.cli.options import one_of


@click.command()
@click.argument("run", required=False)
@click.option("-n", "n", type=int, default=1000, show_default=True, help="How many images to generate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Image i depends on seed and i, not on -n.")
@click.option("--class", "class_", metavar="NAME", help="Class of all images.  [default: each class in turn]")
@options.on_images
@click.option("--index", type=int, metavar="I", help="Only image I of those that the seed gives.")
@click.option("--seeds", metavar="LIST", help="Image 0 of each of these seeds, e.g. 1,5,9-12.")
@click.option(
    "--latents", metavar="FILE.npy", help="Images of these latents or styles; -n and --seed say nothing then."
)
@click.option("--save-latents", is_flag=True, help="Also write latents.npy, what the images were made of.")
@click.option("--grid", is_flag=True, help="Also write grid.png, the first 64 images in one.")
@one_of("--format", ["png", "npy"], "png", "Files to write.")
@click.option("--out", default="samples", show_default=True, metavar="DIR", help="Folder to make.")
@options.on_run
@click.option("--overwrite", is_flag=True, help="Replace the folder when it holds samples of gantools.")
def command(
    run: str | None,
    n: int,
    seed: int,
    checkpoint: str,
    class_: str | None,
    truncation: float | None,
    controls: tuple[str, ...],
    directions: tuple[str, ...],
    index: int | None,
    seeds: str | None,
    latents: str | None,
    save_latents: bool,
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
            controls=options.turned(controls, truncation),
            directions=options.moved(directions),
            index=index,
            seeds=options.seeds(seeds),
            latents=latents,
            save_latents=save_latents,
            grid=grid,
            batch=batch,
            device=device,
            overwrite=overwrite,
            out=out,
            format=format,
        )
    )
