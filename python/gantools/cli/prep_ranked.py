"""`gantools prep ranked`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("ranked")
@click.argument("folders", metavar="FOLDER FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--gap", type=float, default=0.1, show_default=True, help="Pairs no further apart are left out.")
@click.option(
    "--crop-border", type=click.IntRange(min=0), default=4, show_default=True, help="Pixels cut off each side first."
)
@click.option("--niqe-model", type=click.Path(path_type=Path), help="NIQE's model of natural images.")
@click.option("--overwrite", is_flag=True, help="Replace the prepared set there.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
def ranked(
    folders: tuple[Path, ...],
    out: Path,
    gap: float,
    crop_border: int,
    niqe_model: Path | None,
    overwrite: bool,
    no_progress: bool,
) -> None:
    """Prepare ranked pairs: of two networks' results for one input, which is the more natural one by NIQE.

    \b
    gantools translate RUN data/hr-296/inputs --control interpolation=0 --out sr/faithful
    gantools translate RUN data/hr-296/inputs --out sr/sharp
    gantools prep ranked sr/faithful sr/sharp --out data/ranked

    Each FOLDER has the same square images under the same names, of another network. A row of the set is the better one
    of two, with the worse one as its input; ranked.csv in it has the scores of gantools score --niqe --crop-border 4.
    """
    from gantools.metrics.compute import shown
    from gantools.metrics.pixels.ranked import rank

    with shown(not no_progress) as progress:
        made = rank(folders, out, gap=gap, crop=crop_border, model=niqe_model, overwrite=overwrite, progress=progress)
    click.echo(f"{len(made):,} ranked pairs of {made.shape} in {made.path}.", err=True)
    click.echo(made.path)
