"""`gantools train`."""

from __future__ import annotations

import os

import click

from gantools.cli.options import complete_recipe
from gantools.recipes import recipe_names


@click.command(epilog=f"Recipes: {', '.join(recipe_names())}.")
@click.argument("recipe", required=False, shell_complete=complete_recipe)
@click.option("--data", metavar="PATH", help="Prepared set.  [default: the only one in ./data that fits the recipe]")
@click.option(
    "--inputs", metavar="PATH", help="Second set: where a training between domains starts from, or ranked pairs."
)
@click.option("--out", metavar="DIR", help="Folder of runs.  [default: runs]")
@click.option("--kimg", type=float, help="Length in thousands of real images shown.  [default: the recipe's]")
@click.option("--epochs", type=float, help="Length in passes over the data.  [default: the recipe's]")
@click.option("--batch", type=int, help="Images a step.  [default: the recipe's]")
@click.option("--seed", type=int, help="Seed of initialisation, order and latents.  [default: the recipe's]")
@click.option(
    "--tick-kimg",
    type=float,
    help="Thousands of images between stats, grids and checkpoints.  [default: an epoch, of 1 to 10 minutes]",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "auto"]),
    help="Of the networks' products; auto measures which is faster.  [default: the recipe's]",
)
@click.option("--metrics", metavar="LIST", help="Scores to measure at each tick, e.g. fd,kid.  [default: the recipe's]")
@click.option(
    "--stop-when-worse", type=int, metavar="N", help="Stop once the first metric was not better N times in a row."
)
@click.option("--freeze-d", type=int, metavar="N", help="Keep the discriminator's first N layers as they are.")
@click.option("--track", metavar="LIST", help="Send numbers and grids to wandb or trackio as well.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe, e.g. optim.lr=0.001.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Go on with a run; without a value, with the newest. A checkpoint of one begins a new run from there.",
)
@click.option("--init-from", metavar="RUN", help="Begin a new run with the weights of a run or checkpoint.")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1.  [default: CUDA when there is one]")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Ray: one training in workers of a cluster ($RAY_ADDRESS), or of this machine.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="With ray: processes that train together.  [default: one a GPU, else one a machine]",
)
@click.option("--dry-run", is_flag=True, help="Print recipe, sizes, memory and expected time; write nothing.")
@click.option("--quiet", is_flag=True, help="Show warnings only.")
def command(
    recipe: str | None,
    data: str | None,
    inputs: str | None,
    out: str | None,
    kimg: float | None,
    epochs: float | None,
    batch: int | None,
    seed: int | None,
    tick_kimg: float | None,
    precision: str | None,
    metrics: str | None,
    stop_when_worse: int | None,
    freeze_d: int | None,
    track: str | None,
    overrides: tuple[str, ...],
    resume: str | None,
    init_from: str | None,
    device: str | None,
    engine: str,
    workers: int | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train a GAN by a recipe on a prepared set.

    RECIPE is a name (see below) or the path of a YAML file. The run goes to runs/00000-RECIPE-DATA/, whose path is
    printed at the end: config.yaml, stats.jsonl, grids of samples, checkpoints. Ctrl-C finishes the step and writes a
    checkpoint; --resume goes on from it.
    """
    # Here, so that --help does not wait for the whole of training.
    from gantools.training.run import train

    run = train(
        recipe,
        data=data,
        inputs=inputs,
        out=out,
        kimg=kimg,
        epochs=epochs,
        batch=batch,
        seed=seed,
        tick_kimg=tick_kimg,
        precision=precision,
        metrics=None if metrics is None else metrics.split(","),
        stop_when_worse=stop_when_worse,
        freeze_d=freeze_d,
        track=None if track is None else track.split(","),
        overrides=overrides,
        resume=True if resume == "" else resume,
        init_from=init_from,
        device=device,
        engine=engine,
        workers=workers,
        dry_run=dry_run,
        progress=not quiet,
    )
    if run is not None and os.environ.get("RANK", "0") == "0":  # of the processes of torchrun one says it
        click.echo(run)
