"""`gantools merge`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("merge")
@click.argument("out", metavar="SET", type=click.Path(path_type=Path))
@click.argument("parts", metavar="[SHARES]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Discard what another, stopped merge or prep left at SET.partial.")
def command(out: Path, parts: tuple[Path, ...], overwrite: bool) -> None:
    """Put together the set SET from the shares that prep --shards made.

    SHARES are their folders; without any, all SET.part-* are taken. Every hash is compared, and the result is
    byte-identical with that of one prep. The shares are left as they are.
    """
    from gantools.data.prepare import merge

    click.echo(merge(out, parts, overwrite=overwrite).path)
