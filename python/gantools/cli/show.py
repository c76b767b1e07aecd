"""`gantools show`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("show")
@click.argument("path", metavar="SET", type=click.Path(path_type=Path))
@click.option("--grid", "n", type=click.IntRange(min=1), default=64, show_default=True, help="How many images to show.")
@click.option("--seed", type=click.IntRange(min=0), help="Choose them at random.  [default: the first]")
@click.option("--class", "class_", metavar="NAME", help="Images of this class alone.")
@click.option("--from", "start", type=click.IntRange(min=0), default=0, help="Leave out the first so many such images.")
@click.option("--attribute", metavar="NAME", help="Above images that have this CelebA attribute, below that lack it.")
@click.option("--landmarks", is_flag=True, help="Mark eyes, nose and corners of the mouth (CelebA).")
@click.option("--boxes", is_flag=True, help="Draw the bounding boxes (CelebA, with --source in-the-wild images).")
@click.option("--source", type=click.Path(path_type=Path), help="Folder or zip of originals to show instead.")
@click.option("--out", type=click.Path(path_type=Path), help="The PNG file.  [default: NAME.png]")
def command(
    path: Path,
    n: int,
    seed: int | None,
    class_: str | None,
    start: int,
    attribute: str | None,
    landmarks: bool,
    boxes: bool,
    source: Path | None,
    out: Path | None,
) -> None:
    """Write a grid of images of the prepared set SET to a PNG file.

    \b
    gantools show data/celeba-64 --attribute Smiling
    gantools show data/celeba-64 --landmarks --grid 16 --seed 1
    gantools show data/fashion-28 --class Bag --from 64
    """
    from gantools.data.show import show

    made = show(
        path,
        n=n,
        seed=seed,
        class_=class_,
        attribute=attribute,
        start=start,
        landmarks=landmarks,
        boxes=boxes,
        source=source,
        out=out,
    )
    click.echo(made)
