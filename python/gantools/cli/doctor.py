"""`gantools doctor`."""

from __future__ import annotations

import sys

import click

COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@click.command("doctor")
@click.option(
    "--compile/--no-compile", default=True, show_default=True, help="Try torch.compile too, which takes up to a minute."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(compile: bool, as_json: bool) -> None:
    """Look whether this machine and this folder have what gantools needs.

    Versions, processor, memory, GPU, packages, cache, weights, and whether ./data and ./runs can be written; a line
    each with what to type: ok, note (something is missing or slower, all else works) or problem (preparing, training,
    sampling or scoring cannot work). Exits with 1 where there is a problem. Uses no network, leaves nothing behind.
    """
    from gantools.doctor.report import examine, healthy, to_json

    found = []
    for line in examine(compile=compile):
        found.append(line)
        if not as_json:
            click.echo(f"{click.style(f'{line.level:<7}', fg=COLOURS[line.level])}  {line.topic:<9}  {line.text}")
            if line.hint:
                click.echo(f"{'':<20}{line.hint}")
    if as_json:
        click.echo(to_json(found))
    else:
        problems = sum(line.level == "problem" for line in found)
        words = {0: "No problem.", 1: "1 problem."}.get(problems, f"{problems} problems.")
        click.echo(words)
    if not healthy(found):
        sys.exit(1)
