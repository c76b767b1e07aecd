"""`gantools export`."""

from __future__ import annotations

from pathlib import Path

import click

from gantools.data.exports import EXPORTS


@click.command("export", short_help="Write a prepared set for other tools.")
@click.argument("path", metavar="SET", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(list(EXPORTS)), required=True, help="The form to write.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File or folder to make.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Threads to work with [all cores].")
def command(path: Path, to: str, out: Path, threads: int) -> None:
    """Write the prepared set SET in the form of another tool.

    \b
    gantools export data/celeba-64 --to stylegan-zip --out celeba-64x64.zip
    gantools export data/cifar10-32 --to folder --out cifar10/
    gantools export data/cifar10-32 --to npz --out cifar10.npz
    """
    from gantools.data.exports import export

    click.echo(export(path, to=to, out=out, threads=threads))
