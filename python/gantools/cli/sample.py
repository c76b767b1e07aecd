"""`gantools sample`."""

from __future__ import annotations

from typing import Any, Literal

import click
from click.core import ParameterSource

from gantools.cli import options
from gantools.cli.options import one_of
from gantools.errors import ConfigError

# What goes with --augment alone, and what has no meaning beside it.
SETS = ("per_class", "classes", "generated_only")
FOLDERS = ("n", "class_", "index", "seeds", "latents", "save_latents", "grid", "format")


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
@click.option("--augment", metavar="SET", help="Make a prepared set: the images of SET, then generated ones by class.")
@click.option(
    "--per-class", metavar="N|fill", help="With --augment: images of each class; fill: up to the largest class."
)
@click.option(
    "--classes", metavar="LIST", help="With --augment: only of these classes, e.g. Shirt,Coat.  [default: all of SET]"
)
@click.option("--generated-only", is_flag=True, help="With --augment: without the images of SET.")
@click.option(
    "--out", default="samples", metavar="DIR", help="Folder to make.  [default: samples; with --augment SET-augmented]"
)
@options.on_run
@click.option(
    "--overwrite", is_flag=True, help="Replace the folder when it holds samples (with --augment a set) of gantools."
)
@click.pass_context
def command(
    context: click.Context,
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
    augment: str | None,
    per_class: str | None,
    classes: str | None,
    generated_only: bool,
    out: str,
    batch: int,
    device: str | None,
    overwrite: bool,
) -> None:
    """Generate images from a trained run into a folder with a manifest.

    RUN is a run's folder, one of its checkpoints or an exported model; without it, the newest run in ./runs is taken.
    With --augment the images of a run that was told classes become a prepared set to train on, marked as generated.
    """
    common: dict[str, Any] = {
        "seed": seed,
        "checkpoint": checkpoint,
        "controls": options.turned(controls, truncation),
        "directions": options.moved(directions),
        "batch": batch,
        "device": device,
        "overwrite": overwrite,
    }
    if augment is not None:
        _refuse(context, FOLDERS, "makes a folder of samples, not a set", "Leave it out, or --augment.")
        if per_class is None:
            raise ConfigError("--augment: how many images of each class?", "For example: --per-class 500")
        # Here, so that --help does not wait for torch.
        from gantools.sampling.augmented import augment_set

        given = context.get_parameter_source("out") is not ParameterSource.DEFAULT
        done = augment_set(
            run,
            augment,
            per_class=_per_class(per_class),
            classes=None if classes is None else [name.strip() for name in classes.split(",")],
            generated_only=generated_only,
            out=out if given else None,
            **common,
        )
        click.echo(done.path)
        return
    _refuse(context, SETS, "is for prepared sets", "Add --augment SET, or leave it out.")
    from gantools.sampling.write import sample

    click.echo(
        sample(
            run,
            n=n,
            class_=class_,
            index=index,
            seeds=options.seeds(seeds),
            latents=latents,
            save_latents=save_latents,
            grid=grid,
            out=out,
            format=format,
            **common,
        )
    )


def _refuse(context: click.Context, names: tuple[str, ...], why: str, hint: str) -> None:
    """ConfigError: one of these options was given."""
    for parameter in context.command.params:
        if parameter.name in names and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT:
            raise ConfigError(f"{parameter.opts[0]}: {why}.", hint)


def _per_class(text: str) -> int | Literal["fill"]:
    if text == "fill":
        return "fill"
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"--per-class {text}: neither a number nor fill.", "For example: --per-class 500") from None
