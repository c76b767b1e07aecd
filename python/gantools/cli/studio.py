"""`gantools studio`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command("studio")
@click.argument("runs", nargs=-1, metavar="[RUNS]...", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="To listen on.  [default: a free one]")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; by another than this, other machines reach it.",
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name this machine is asked for by."
)
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1.  [default: CUDA when there is one]")
@click.option("--open/--no-open", "open_", default=False, show_default=True, help="Open the page in the browser.")
def command(
    runs: tuple[Path, ...], port: int, host: str, hosts: tuple[str, ...], device: str | None, open_: bool
) -> None:
    """Look at trained runs, and at trainings while they run, on a page of this machine.

    RUNS are runs, folders of runs, or exported models; without any, the folder ./runs. The link that is printed is the
    key to the page; nothing leaves this machine, nothing is written but what you save. Ctrl-C ends it.

    \b
    gantools studio
    gantools studio runs/00003-dcgan-celeba-64 --port 8000
    ssh -L 8000:localhost:8000 MACHINE   # then, here, the link that it printed there
    """
    from gantools.runs.folders import RUNS
    from gantools.studio.server import studio

    def ready(link: str) -> None:
        click.echo(link)
        click.echo("Ctrl-C ends it.", err=True)
        if open_:
            click.launch(link)

    try:
        studio(runs or (RUNS,), host=host, port=port, hosts=hosts, device=device, ready=ready)
    except KeyboardInterrupt:
        click.echo("Ended.", err=True)
        sys.stdout.flush()
        # A thread may be in the midst of a film; nobody waits for it any more, and it writes nothing.
        os._exit(0)
