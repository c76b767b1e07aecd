"""`gantools cache`: list, prune and clear what gantools keeps."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from gantools import cache


@click.group("cache")
def command() -> None:
    """Show and clear what gantools keeps: statistics and features of references, weights, downloaded data.

    \b
    gantools cache list
    gantools cache prune --older-than 30d        what was not used for a month
    gantools cache prune --keep-bytes 2G         the longest unused, until 2 GiB are left
    gantools cache clear

    The folder is $GANTOOLS_CACHE, else ~/.cache/gantools. Only files that gantools wrote there are touched; all of them
    can be made or fetched again. Weights that were put there by hand (DINOv2) are listed and never removed.
    """


@command.command("list")
def list_command() -> None:
    """List what is there: kind, size, age and last use, longest unused first."""
    found = cache.entries()
    now = time.time()
    root = cache.cache_folder()
    rows = [("KIND", "SIZE", "AGE", "LAST USE", "NAME")]
    for e in found:
        ages = cache.age_words(now - e.made), cache.age_words(now - e.used)
        rows.append((e.kind, cache.size_words(e.bytes), *ages, e.path.relative_to(root).as_posix()))
    if found:
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        for row in rows:
            click.echo("  ".join([*(row[i].ljust(widths[i]) for i in range(4)), row[4]]))
    click.echo(f"{root}: {_sum(found)}.")


@command.command("prune")
@click.option("--older-than", metavar="AGE", help="What was not used for that long: 12h, 30d, 2w, 6m, 1y.")
@click.option("--keep-bytes", metavar="SIZE", help="The longest unused, until no more than SIZE is left: 500M, 2G.")
def prune_command(older_than: str | None, keep_bytes: str | None) -> None:
    """Remove what was not used for long, or what is too much."""
    if older_than is None and keep_bytes is None:
        raise click.UsageError("say what goes: --older-than 30d, or --keep-bytes 2G, or both.")
    since = None if older_than is None else time.time() - cache.parse_age(older_than)
    keep = None if keep_bytes is None else cache.parse_bytes(keep_bytes)
    _remove(cache.removable(cache.entries(), unused_since=since, keep_bytes=keep))


@command.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.  [default: off]")
def clear_command(yes: bool) -> None:
    """Remove all that can be made or fetched again, after a question."""
    gone = cache.removable(cache.entries(), keep_bytes=0)
    if gone and not yes:
        click.confirm(f"Remove {_sum(gone)} from {cache.cache_folder()}?", abort=True, err=True)
    _remove(gone)


def _remove(gone: Sequence[cache.Entry]) -> None:
    before = _sum(gone)
    cache.remove(gone)
    click.echo(f"{cache.cache_folder()}: removed {before}; {_sum(cache.entries())} left.")


def _sum(found: Sequence[cache.Entry]) -> str:
    size = cache.size_words(sum(e.bytes for e in found))
    return f"{len(found):,} {'entry' if len(found) == 1 else 'entries'}, {size}"
