"""`gantools report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The HTML file.  [default: report.html in the first run]")
@click.option(
    "--csv", type=click.Path(path_type=Path), help="Also write the figures by epoch as comma-separated values."
)
@click.option(
    "--film",
    type=click.Path(path_type=Path),
    help="Also write the first run's grids as an animated PNG, or an .mp4.",
)
@click.option(
    "--png", metavar="DIR", type=click.Path(path_type=Path), help="Also write each chart as a PNG for a paper."
)
@click.option(
    "--pdf", metavar="FILE", type=click.Path(path_type=Path), help="Also write all charts as a PDF for a paper."
)
@click.option(
    "--width", type=float, default=8.3, show_default=True, help="Of these figures in cm: 8.3 a column, 17 a page."
)
@click.option("--overwrite", is_flag=True, help="Replace these files when they are no reports of gantools.")
def command(
    runs: tuple[Path, ...],
    out: Path | None,
    csv: Path | None,
    film: Path | None,
    png: Path | None,
    pdf: Path | None,
    width: float,
    overwrite: bool,
) -> None:
    """Write what came of trainings as one HTML file: verdict, curves, grids, recipe, commands.

    RUN is a run's folder, one of its checkpoints, or a folder of runs (its newest). Several are laid over each other.
    The page needs nothing else, no network either, and can be made again while a training runs. Figures (--png, --pdf)
    are drawn by matplotlib: pip install 'gantools[figures]'.

    \b
    gantools report runs/00003-dcgan-celeba-64
    gantools report runs/00003-dcgan-celeba-64 runs/00004-r3gan-celeba-64 --out both.html
    """
    from gantools.report.write import report

    click.echo(report(runs, out=out, csv=csv, film=film, png=png, pdf=pdf, width=width, overwrite=overwrite))
