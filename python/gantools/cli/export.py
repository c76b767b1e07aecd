"""`gantools export`."""

from __future__ import annotations

from pathlib import Path

import click

from gantools.cli import options
from gantools.data.exports import EXPORTS
from gantools.errors import ConfigError

# What each of the three forms takes beside its own option.
SET, ONNX, HUB = "--to FORM --out PATH", "--onnx FILE", "--hub FOLDER"


@click.command("export", short_help="Write a prepared set, or a trained generator, for other tools.")
@click.argument("path")
@click.option("--to", type=click.Choice(list(EXPORTS)), help="Of a prepared set: the form to write.")
@click.option("--out", type=click.Path(path_type=Path), help="With --to: file or folder to make.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="With --to: threads to work with [all cores].")
@click.option("--onnx", type=click.Path(path_type=Path), metavar="FILE", help="Of a run: write its generator as ONNX.")
@click.option(
    "--hub",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Of a run: weights, config and model card to publish.",
)
@click.option(
    "--checkpoint", metavar="NAME", help="Of the run: last, best or thousands of images.  [default: the last one]"
)
@click.option(
    "--control", "controls", multiple=True, metavar="NAME=VALUE", help="With --onnx: fix one of its controls."
)
@click.option("--overwrite", is_flag=True, help="Replace FILE or FOLDER when it is such an export of gantools.")
def command(
    path: str,
    to: str | None,
    out: Path | None,
    threads: int,
    onnx: Path | None,
    hub: Path | None,
    checkpoint: str | None,
    controls: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Write a prepared set, or the generator of a trained run, for other tools.

    PATH is a prepared set, or a run or one of its checkpoints.

    \b
    gantools export data/celeba-64 --to stylegan-zip --out celeba-64x64.zip
    gantools export data/cifar10-32 --to folder --out cifar10/
    gantools export runs/00000-dcgan-celeba-64 --onnx faces.onnx
    gantools export runs/00000-dcgan-celeba-64 --hub faces/ --checkpoint best

    The ONNX file takes latents (and labels) or images, any number at once, and is compared with torch before it
    appears. The folder is loaded by gantools sample, gantools translate and Generator.load.
    """
    chosen = [form for form, given in ((SET, to), (ONNX, onnx), (HUB, hub)) if given is not None]
    if len(chosen) != 1:
        said = "choose one form" if not chosen else f"{' and '.join(chosen)}: one at a time"
        raise ConfigError(f"{said}.", f"A prepared set is written by {SET}, a run by {ONNX} or {HUB}.")
    belongs = {
        "--out": (out, SET),
        "--threads": (threads or None, SET),
        "--checkpoint": (checkpoint, ONNX + HUB),
        "--control": (controls or None, ONNX),
        "--overwrite": (overwrite or None, ONNX + HUB),
    }
    for option, (given, forms) in belongs.items():
        if given is not None and chosen[0] not in forms:
            raise ConfigError(f"{option} does not go with {chosen[0]}.", "Leave it out.")
    click.echo(
        _set(path, to, out, threads) if to is not None else _run(path, onnx, hub, checkpoint, controls, overwrite)
    )


def _set(path: str, to: str, out: Path | None, threads: int) -> Path:
    from gantools.data.exports import export
    from gantools.data.prepared import is_prepared

    if not is_prepared(path):
        from gantools.runs.folders import is_run

        if is_run(Path(path)):
            raise ConfigError(
                f"{path}: is a run, and --to {to} writes prepared sets.", f"A run is written by {ONNX} or {HUB}."
            )
    if out is None:
        raise ConfigError(f"--to {to}: which file or folder to make?", f"For example: --out {Path(path).name}-{to}")
    return export(path, to=to, out=out, threads=threads)


def _run(
    path: str, onnx: Path | None, hub: Path | None, checkpoint: str | None, controls: tuple[str, ...], overwrite: bool
) -> Path:
    from gantools.data.prepared import is_prepared

    if is_prepared(path):
        raise ConfigError(
            f"{path}: is a prepared set, and {ONNX if hub is None else HUB} writes the generator of a run.",
            f"A prepared set is written by {SET}.",
        )
    which = "last" if checkpoint is None else checkpoint
    if onnx is not None:
        from gantools.sampling.export_onnx import export_onnx

        return export_onnx(
            path,
            onnx,
            checkpoint=which,
            controls=options.numbers("--control", controls, "truncation=0.7"),
            overwrite=overwrite,
        )
    from gantools.sampling.hub import export_hub

    assert hub is not None
    return export_hub(path, hub, checkpoint=which, overwrite=overwrite)
