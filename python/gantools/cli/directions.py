"""`gantools directions`."""

from __future__ import annotations

import click

from gantools.cli import options


@click.command()
@click.argument("run", required=False)
@click.option("-n", "n", type=int, default=8, show_default=True, help="At most so many of each kind.")
@click.option("--layer", metavar="NAME", help="Layer whose features vary, for pca.  [default: the first]")
@click.option("--labels", metavar="FILE.csv", help="A column of file names of --samples, then a column a label.")
@click.option("--samples", default="samples", show_default=True, metavar="DIR", help="Made by sample --save-latents.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of latents measured, and of the picture.")
@options.on_run
@click.option("--overwrite", is_flag=True, help="Replace the directions that the run has.")
def command(
    run: str | None,
    n: int,
    layer: str | None,
    labels: str | None,
    samples: str,
    seed: int,
    checkpoint: str,
    device: str | None,
    overwrite: bool,
) -> None:
    """Find directions of a trained run's latents; sample --direction NAME=2 moves along them.

    RUN is a run's folder or one of its checkpoints; without it, the newest run in ./runs is taken.

    \b
    sefa0, sefa1, ...  by which the first weights change their output the most
    pca0, pca1, ...    along which styles vary the most, or the features of a layer
    a label's name     along which the answer to a question changes, where --labels has some

    They are written into the run, with directions.png: a row a direction, from -3 to 3 standard deviations.
    """
    # Here, so that --help does not wait for torch.
    from gantools.editing.directions import directions

    place = directions(
        run,
        n=n,
        layer=layer,
        labels=labels,
        samples=samples,
        seed=seed,
        checkpoint=checkpoint,
        device=device,
        overwrite=overwrite,
    )
    from gantools.sampling.directions import read_directions

    for about in read_directions(place).about:
        words = {"sefa": f"eigenvalue {about.value:.4g}", "pca": f"{100 * about.value:.1f} % of the variance"}
        chance = f"{100 * about.value:.0f} % right, always the same answer {100 * (about.chance or 0):.0f} %"
        click.echo(f"{about.name}: {words.get(about.kind, chance)}", err=True)
    click.echo(place)
