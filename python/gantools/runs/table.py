"""The statistics of a run as a table: a row an epoch, what a report says of its own training beside it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantools.errors import CheckpointError
from gantools.runs.checkpoint import read_config
from gantools.runs.folders import find_checkpoint
from gantools.runs.layout import BEST, best_checkpoint, checkpoint_nimg
from gantools.runs.stats import read_lines

#: The names by which a training's figures are reported, in this order.
FIRST = ("loss_g", "loss_d", "real_score", "fake_score", "discriminator_score")

Row = dict[str, float | None]


@dataclass(frozen=True)
class Table:
    """Figures of a run by epoch.

    Attributes:
        run: its folder.
        facts: what it is, in words by name.
        rows: an epoch each: `epoch`, `kimg`, `seconds`, the figures, and `reported_` figures where there are some.
            None: not known of that epoch.
    """

    run: Path
    facts: dict[str, str]
    rows: list[Row]

    def csv(self) -> str:
        """As comma-separated values, a header first; what is not known is empty."""
        return as_csv(self.rows)


def as_csv(rows: Sequence[Mapping[str, float | str | None]]) -> str:
    """Rows as comma-separated values, a header of all their columns first; what is not known is empty."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    return text.getvalue()


def rows_of(config: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows of a run by its `config`, with what a report says of it beside them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError: they are damaged.
    """
    recipe, data = config["recipe"], config["data"]
    metrics = recipe.get("eval", {}).get("metrics", [])
    rows = by_epoch(lines, int(data["count"]), int(recipe["batch"]), metrics)
    return beside(rows, recipe.get("reported", {}))


def by_epoch(lines: Sequence[Mapping[str, Any]], count: int, batch: int, metrics: Iterable[str] = ()) -> list[Row]:
    """Means over the ticks that end in each epoch, weighted by their images; a longer tick stands for its last epoch.

    Args:
        lines: of `stats.jsonl`.
        count: images of the set.
        batch: images of a step, by which a tick may reach into the next epoch.
        metrics: further columns, as they were measured last in the epoch.
    """
    losses = dict.fromkeys(key for line in lines for key in line if key.startswith("loss_") and key not in FIRST)
    names = [key for key in (*FIRST, *losses) if any(key in line for line in lines)]
    metrics = [key for key in metrics if any(key in line for line in lines)]
    rows: list[Row] = []
    weights: dict[str, float] = {}
    before = 0
    for line in lines:
        nimg = int(line["nimg"])
        epoch = max(1, math.ceil((nimg - batch + 1) / count))
        if not rows or rows[-1]["epoch"] != epoch:
            rows.append({"epoch": epoch, "kimg": None, "seconds": None, **dict.fromkeys((*names, *metrics))})
            weights = dict.fromkeys(names, 0.0)
        row = rows[-1]
        row["kimg"], row["seconds"] = nimg / 1000, line.get("seconds")
        for key in names:
            if key in line:
                share = (nimg - before) / (weights[key] + nimg - before)
                row[key] = (row[key] or 0.0) * (1 - share) + float(line[key]) * share
                weights[key] += nimg - before
        row.update({key: float(line[key]) for key in metrics if key in line})
        before = nimg
    return rows


def beside(rows: Sequence[Row], reported: Mapping[str, Sequence[float]]) -> list[Row]:
    """`rows` with the columns of a report, whose epochs that the run has not are rows of their own."""
    names = [key for key in reported if key != "epoch"]
    theirs: dict[float, Row] = {
        epoch: {f"reported_{key}": reported[key][i] for key in names}
        for i, epoch in enumerate(reported.get("epoch", ()))
    }
    if theirs and {"real_score", "fake_score"} <= set(names):
        for i, row in enumerate(theirs.values()):
            row["reported_discriminator_score"] = (reported["real_score"][i] + reported["fake_score"][i]) / 2
    none: Row = dict.fromkeys(key for row in theirs.values() for key in row)
    ours = {row["epoch"] or 0.0: row for row in rows}
    empty: Row = dict.fromkeys(rows[0]) if rows else {}
    return [
        {**empty, **ours.get(epoch, {"epoch": epoch}), **none, **theirs.get(epoch, {})}
        for epoch in sorted({*ours, *theirs})
    ]


def table_of(path: str | Path) -> Table:
    """The table of a run, or of the newest one in a folder of runs.

    Raises:
        CheckpointError: there is no run with a checkpoint, or its records are damaged.
    """
    checkpoint = find_checkpoint(path)
    run = checkpoint.parent.parent
    config = read_config(checkpoint)
    lines = read_lines(run / "stats.jsonl")
    try:
        recipe, data = config["recipe"], config["data"]
        rows = rows_of(config, lines)
        shown = checkpoint_nimg(checkpoint)
        facts = {
            "recipe": f"{recipe['name']} ({recipe['model']})",
            "data": f"{data['name']} ({data['count']:,} images)",
            "shown": f"{shown / 1000:g} kimg, {shown / data['count']:.2f} epochs",
        }
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as e:
        raise CheckpointError(
            f"{run}: its records are damaged ({e!r}).", "Its checkpoints may be whole all the same."
        ) from e
    best = best_checkpoint(run)
    if best is not None:
        facts[BEST] = f"{best.metric} {best.value:.4g} at {checkpoint_nimg(best.path) / 1000:g} kimg"
    return Table(run, facts, rows)
