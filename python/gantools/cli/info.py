"""`gantools info`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

# A folder of photographs has thousands of sizes.
SIZES_SHOWN = 8


@click.command("info")
@click.argument("path", metavar="SET|RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--csv", "as_csv", is_flag=True, help="Of a run: print its figures by epoch as comma-separated values.")
@click.option("--no-duplicates", is_flag=True, help="Do not look for equal images, which reads the whole set.")
def command(path: Path, as_json: bool, as_csv: bool, no_duplicates: bool) -> None:
    """Show what the prepared set SET holds, or how the training RUN went.

    Of a set: count, shape and size, where it came from and how its pixels were made, images a class and an attribute,
    rejects by reason, and how many images have exactly the pixels of another one. Of a run: its losses and scores by
    epoch, beside those that a report gives where the recipe has them.
    """
    from gantools.data.inspect import info
    from gantools.errors import ConfigError
    from gantools.runs.folders import is_run

    if path.is_dir() and is_run(path):
        _print_run(path, as_json, as_csv)
        return
    if as_csv:
        raise ConfigError(f"--csv is for runs, and {path} is none.", "A set can be had with --json.")
    found = info(path, duplicates=not no_duplicates, progress=True)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _print(found)


def _print_run(path: Path, as_json: bool, as_csv: bool) -> None:
    from gantools.runs.table import table_of

    table = table_of(path)
    if as_csv:
        click.echo(table.csv(), nl=False)
        return
    if as_json:
        click.echo(json.dumps({"run": str(table.run), **table.facts, "epochs": table.rows}, indent=1))
        return
    click.echo(f"{table.run}")
    for key, value in table.facts.items():
        click.echo(f"{key + ':':8} {value}")
    click.echo()
    click.echo("\n".join(_columns(table.rows)))


def _columns(rows: list[dict[str, float | None]]) -> list[str]:
    """Lines of a table whose header has a word a line, so that it is not wider than its figures."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    heads = [name.split("_") for name in names]
    high = max(map(len, heads), default=0)
    cells = [
        [""] * (high - len(head)) + head + [_figure(row[name]) for row in rows]
        for name, head in zip(names, heads, strict=True)
    ]
    widths = [max(map(len, column)) for column in cells]
    lines = zip(*cells, strict=True)
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else f"{value:.4g}"


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gantools.data.sources.base import counted

    console = Console(highlight=False)

    def table(title: str, rows: dict[str, Any], total: int | None = None) -> None:
        if not rows:
            return
        made = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
        for name, value in rows.items():
            if total is None:
                made.add_row(escape(str(name)), escape(str(value)))
            else:
                bar = "█" * round(24 * value / total)
                made.add_row(escape(str(name)), f"{value:,}", f"{100 * value / total:.1f} %", bar)
        console.print(made)
        console.print()

    h, w, c = found["shape"]
    summary = {
        "images": f"{found['count']:,}",
        "size": f"{w} x {h}, {'grey' if c == 1 else 'RGB' if c == 3 else f'{c} channels'}",
        "on disk": f"{found['bytes'] / (1 << 20):,.1f} MiB in {found['shards']} shards",
        "fingerprint": found["fingerprint"],
    }
    if "annotations" in found:
        summary["annotations"] = ", ".join(found["annotations"])
    if duplicates := found.get("duplicates"):
        n = duplicates["images"]
        summary["equal pixels"] = f"{n:,} images repeat others, {duplicates['groups']:,} groups" if n else "none"
    table(f"{found['name']}  ({found['path']})", summary)
    for example in duplicates["examples"] if duplicates else []:
        console.print(escape("equal: " + ", ".join(example)))
    count = found["count"]
    digests = ("annotations", "labels", "selection", "regions")
    source = {k: v for k, v in found["source"].items() if k not in digests and v is not None}
    table("source", {k.replace("_", " "): counted(v) if isinstance(v, dict) else v for k, v in source.items()})
    table("pixels", found["policy"])
    if pairs := found.get("inputs"):
        h, w, c = pairs["shape"]
        rows = {key: value for key, value in pairs.items() if key not in ("folder", "shape", "fingerprint")}
        table("inputs", {"size": f"{w} x {h}, {'grey' if c == 1 else 'RGB'}", **rows})
    for made in found.get("generated", []):
        rows = {key: made[key] for key in ("run", "checkpoint", "recipe", "seed") if key in made}
        table(f"{made['count']:,} generated images", {**rows, "classes": counted(made.get("classes", {}))})
    sizes = found.get("sizes", {})
    shown = dict(list(sizes.items())[:SIZES_SHOWN])
    if rest := sum(sizes.values()) - sum(shown.values()):
        shown[f"{len(sizes) - len(shown):,} others"] = rest
    table("sizes before", shown, count)
    table("classes", found.get("classes", {}), count)
    table("partition", found.get("partition", {}), count)
    attributes = sorted(found.get("attributes", {}).items(), key=lambda item: -item[1])
    table("attributes", dict(attributes), count)
    table("rejects", {reason: f"{n:,}" for reason, n in found["rejects"].items()})
