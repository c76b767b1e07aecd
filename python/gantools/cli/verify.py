"""`gantools verify`."""

from __future__ import annotations

from pathlib import Path

import click

from gantools.errors import DataError


@click.command("verify")
@click.argument("path", metavar="SET", type=click.Path(path_type=Path))
def command(path: Path) -> None:
    """Compare every file of the prepared set SET with its manifest.

    Checks hashes, lengths, shapes and counts. Prints OK, or one line for each thing that is wrong and exits with 1.
    """
    from gantools.data.inspect import verify

    wrong = verify(path, progress=True)
    if wrong:
        click.echo("\n".join(wrong))
        things = "1 thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
        raise DataError(f"{path}: {things} wrong.", "Copy the set again, or prepare it again.")
    click.echo("OK")
