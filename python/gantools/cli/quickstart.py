"""`gantools quickstart`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("quickstart", short_help="The four steps on data that ships with gantools.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("gantools-quickstart"),
    show_default=True,
    help="Folder for everything that is made.",
)
@click.option("--kimg", type=click.FloatRange(min=0, min_open=True), help="Length of training [the recipe's own].")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random.")
def command(out: Path, kimg: float | None, seed: int) -> None:
    """Prepare, train, sample and score on 10,000 Fashion-MNIST images that ship with gantools.

    Needs no network and takes a few minutes on two CPU cores. It ends with a grid of generated clothes and their
    distance to the real ones.
    """
    from gantools.quickstart import quickstart

    done = quickstart(out, kimg=kimg, seed=seed)
    click.echo(done.score)
    click.echo(f"grid       {done.grid}")
    click.echo(f"samples    {done.samples}")
    click.echo(f"run        {done.run}")
    click.echo("Next, on your own images: gantools prep PHOTOS/ --size 64, then gantools train dcgan", err=True)
