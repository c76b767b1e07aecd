"""The report of one or several runs: a page, its table, a film of its grids."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from gantools.errors import CheckpointError, ConfigError, DataError
from gantools.files import atomic_write
from gantools.page import generator, write_page
from gantools.report import curves, figures, grids, nearest, sections
from gantools.report.record import Record, find_run, named, read_record
from gantools.runs.table import Row, as_csv, rows_of
from gantools.sampling.film import check_film, write_film

#: Called in the head of the page, by which it is told from the files of others.
TITLE = "gantools report"
#: The name of the page in a run.
PAGE = "report.html"
#: So many have a colour and dashes of their own.
RUNS = 20


def report(
    runs: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    csv: str | Path | None = None,
    film: str | Path | None = None,
    png: str | Path | None = None,
    pdf: str | Path | None = None,
    width: float = figures.COLUMN,
    overwrite: bool = False,
) -> Path:
    """Write what came of trainings as one HTML file that needs nothing else; while they run, too.

    Args:
        runs: a run, a checkpoint or a folder of runs (its newest), or several, which are laid over each other.
        out: the page; `report.html` in the first run when None.
        csv: also the table of figures by epoch, as comma-separated values.
        film: also the grids of the first run as an animated PNG, or as an .mp4.
        png: also each chart as a PNG file for a paper, into this folder.
        pdf: also all charts as one PDF file, a page each.
        width: of such a figure, in cm, 4 to 40.
        overwrite: replace files that are no reports of gantools.

    Returns:
        The page.

    Raises:
        CheckpointError: a run is not there.
        ConfigError: too many runs, or none; figures without matplotlib.
        DataError: a file is there that is no report, or there is nothing to film.
    """
    asked = [runs] if isinstance(runs, str | Path) else list(runs)
    found: dict[Path, Path] = {}
    for place in asked:
        run = find_run(place)
        found.setdefault(run.resolve(), run)
    folders = list(found.values())
    if not folders or len(folders) > RUNS:
        raise ConfigError(f"a report is of 1 to {RUNS} runs, not of {len(folders)}.")
    page = Path(out) if out is not None else folders[0] / PAGE
    wanted: list[tuple[Path, Callable[[bytes], bool]]] = [(page, _is_page)]
    wanted += [] if csv is None else [(Path(csv), _is_table)]
    if film is not None:
        check_film(Path(film))
        wanted.append((Path(film), lambda _: False))
    wanted += [] if pdf is None else [(Path(pdf), _is_pdf)]
    if png is not None or pdf is not None:
        figures.check_matplotlib()
        if not 4 <= width <= 40:
            raise ConfigError(f"width: a figure is 4 to 40 cm wide, not {width:g}.")
    if png is not None and Path(png).exists() and not Path(png).is_dir():
        raise DataError(f"{png}: is no folder.", "Give the name of a folder for the figures.")
    for path, ours in wanted:
        _check(path, ours, overwrite)
    if len({path.resolve() for path, _ in wanted}) < len(wanted):
        raise ConfigError("page, table, film and figures must be different files.")
    records = [read_record(run, name) for run, name in zip(folders, named(folders), strict=True)]
    if png is not None:
        for name in figures.names(records):
            _check(Path(png) / f"{name}.png", _is_figure, overwrite)
    tables = [(record, _rows(record)) for record in records]
    made = [
        sections.head(records),
        sections.curves(records),
        sections.grids(records),
        nearest.nearest(records),
        sections.facts(records),
        sections.table(tables),
        sections.recipes(records),
        sections.commands(records),
    ]
    if csv is not None:
        _write_table(Path(csv), tables)
    if film is not None:
        _write_film(Path(film), records[0].folder)
    if png is not None:
        figures.write_png(Path(png), records, width)
    if pdf is not None:
        figures.write_pdf(Path(pdf), records, width)
    return write_page(
        page, TITLE, made, curves.STYLE + grids.STYLE + nearest.STYLE + sections.STYLE, grids.SCRIPT + curves.SCRIPT
    )


def _check(path: Path, ours: Callable[[bytes], bool], overwrite: bool) -> None:
    if path.is_dir():
        raise DataError(f"{path}: is a folder.", "Give the name of a file.")
    if not path.exists() or overwrite:
        return
    with path.open("rb") as f:
        start = f.read(2048)
        f.seek(max(2048, path.stat().st_size - 4096))  # a PDF file says at its end what it is
        if not ours(start + f.read() if start.startswith(b"%PDF") else start):
            raise DataError(
                f"{path}: exists already, and is no report.", "Replace it with --overwrite, or choose another."
            )


def _is_page(start: bytes) -> bool:
    return generator(TITLE).encode() in start


def _is_table(start: bytes) -> bool:
    return start.startswith((b"epoch,kimg,seconds", b"run,epoch,kimg,seconds"))


def _is_figure(start: bytes) -> bool:
    return start.startswith(b"\x89PNG") and figures.CREATOR.encode() in start


def _is_pdf(start: bytes) -> bool:
    return start.startswith(b"%PDF") and figures.CREATOR.encode() in start


def _rows(record: Record) -> list[Row]:
    if not record.config:
        return []
    try:
        return rows_of(record.config, record.lines)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError, OverflowError, IndexError):
        record.notes.append("There is no table by epoch: the record of recipe and data is damaged.")
        return []


def _write_table(path: Path, tables: Sequence[tuple[Record, list[Row]]]) -> None:
    if len(tables) == 1:
        text = as_csv(tables[0][1])
    else:
        text = as_csv([{"run": record.name, **row} for record, rows in tables for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as f:
        f.write(text.encode("utf-8", "replace"))


def _write_film(path: Path, run: Path) -> None:
    files = grids.film_files(grids.list_grids(run))
    if not files:
        raise CheckpointError(f"{run}: has no grids to film.", "They are in its folder grids/.")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_film(path, (file.read_bytes() for file in files), len(files), grids.FPS)
    except (ValueError, struct.error) as e:
        raise DataError(f"{run}: one of its grids is damaged ({e}).", "Without --film the page can be made.") from None
