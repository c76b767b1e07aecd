"""`gantools project`."""

from __future__ import annotations

from typing import Literal

import click

from gantools.cli import options
from gantools.cli.options import one_of


@click.command()
@click.argument("run")
@click.argument("images", nargs=-1, required=True)
@click.option(
    "--space",
    type=click.Choice(["z", "w", "w+"]),
    help="Search latents, one style, or a style a layer.  [default: w where there is a mapping network, else z]",
)
@one_of("--loss", ["pixels", "lpips"], "pixels", "Squared differences at several scales, or LPIPS by VGG16.")
@click.option("--steps", type=int, default=400, show_default=True, help="Steps of Adam for each image.")
@click.option(
    "--starts", type=int, default=4, show_default=True, help="Starts for each image, of which the best counts."
)
@click.option("--rate", type=float, default=0.1, show_default=True, help="Learning rate of Adam at its highest.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the latents that starts are chosen from.")
@click.option("-n", "n", type=int, help="Only the first N images.  [default: all]")
@one_of("--crop", ["center", "none", "pad"], "center", "How images become square, as prep does it.")
@one_of("--alpha", ["error", "drop", "white", "black"], "error", "Transparent images: refused, or so.")
@click.option("--class", "class_", metavar="NAME", help="Class of the images.  [default: that of the nearest samples]")
@click.option("--truncation", type=float, metavar="PSI", help="The same as --control truncation=PSI.")
@click.option("--control", "controls", multiple=True, metavar="NAME=VALUE", help="Turn what the system lets you turn.")
@click.option("--out", default="projected", show_default=True, metavar="DIR", help="Folder to make.")
@options.on_run
@click.option("--overwrite", is_flag=True, help="Replace the folder when it holds projections of gantools.")
def command(
    run: str,
    images: tuple[str, ...],
    space: Literal["z", "w", "w+"] | None,
    loss: str,
    steps: int,
    starts: int,
    rate: float,
    seed: int,
    n: int | None,
    crop: str,
    alpha: str,
    class_: str | None,
    truncation: float | None,
    controls: tuple[str, ...],
    out: str,
    checkpoint: str,
    device: str | None,
    overwrite: bool,
) -> None:
    """Find the latents of a trained run whose images are nearest to given ones.

    RUN is a run's folder or one of its checkpoints. IMAGES are image files, folders or archives of them, or prepared
    sets; they are cut and resized as prep does it. The folder has latents.npy, which sample --latents reads.
    """
    # Here, so that --help does not wait for torch.
    from gantools.editing.project import project

    click.echo(
        project(
            run,
            images,
            space=space,
            loss=loss,
            steps=steps,
            starts=starts,
            rate=rate,
            seed=seed,
            n=n,
            crop=crop,
            alpha=alpha,
            class_=class_,
            controls=options.turned(controls, truncation),
            out=out,
            checkpoint=checkpoint,
            device=device,
            overwrite=overwrite,
        )
    )
