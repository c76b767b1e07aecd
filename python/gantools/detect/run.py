"""What a detector of generated or of unusual images says of files, folders and sets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gantools.detect.anomaly import MANIFEST, Anomaly, read_anomaly
from gantools.detect.detector import Answer, Detector, read_detector
from gantools.detect.images import read_levels
from gantools.errors import ConfigError, DataError
from gantools.files import write_whole
from gantools.metrics.images.open import open_source


@dataclass(frozen=True)
class Unusual:
    """How unusual an image is.

    Attributes:
        image: its file, or the source and its number there.
        score: 0 and more, see `gantools.detect.anomaly.distances`.
        answer: "usual" or "unusual".
    """

    image: str
    score: float
    answer: Literal["usual", "unusual"]


@dataclass(frozen=True)
class Judged:
    """What a detector says of an image.

    Attributes:
        image: its file, or the source and its number there.
        p: how probable it is that it was generated, were half of all images.
        answer: "real", "unsure" or "generated".
    """

    image: str
    p: float
    answer: Answer


def judge_images(
    model: str | Path | Detector | Anomaly,
    images: Sequence[str | Path],
    *,
    n: int | None = None,
    device: str | None = None,
) -> list[Judged] | list[Unusual]:
    """What a detector says of images.

    Args:
        model: the folder of a detector of generated or of unusual images, or one that was loaded.
        images: files, folders, archives, prepared sets, or runs.
        n: of each, the first so many; a run needs it.
        device: where it computes; None: CUDA when there is one.

    Raises:
        DataError: no detector, no images, one that cannot be read, or of another size than the detector was trained on.
        ConfigError: `n` is below 1.
    """
    if n is not None and n < 1:
        raise ConfigError(f"n must be at least 1, not {n}.")
    if not images:
        raise ConfigError("no images are given.", "Give files, folders or sets.")
    if isinstance(model, str | Path):
        model = (
            read_anomaly(model, device=device)
            if (Path(model) / MANIFEST).is_file()
            else read_detector(model, device=device)
        )
    names: list[str] = []
    parts = []
    for path in images:
        source = open_source(path, n, device=device)
        count = len(source) if n is None else n
        parts.append(read_levels(source, count, model.shape))
        single = Path(path).is_file() and count == 1
        names += [str(path) if single else source.called(i) for i in range(count)]
    levels = np.concatenate(parts)
    if isinstance(model, Anomaly):
        return [Unusual(name, s, model.answer(s)) for name, s in zip(names, model.scores(levels).tolist(), strict=True)]
    return [
        Judged(name, p, model.answer(p)) for name, p in zip(names, model.probabilities(levels).tolist(), strict=True)
    ]


def as_text(rows: Sequence[Judged | Unusual], format: Literal["csv", "json"]) -> str:
    """What a detector says, as a table with a header or as JSON."""
    if format == "json":
        return json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n"
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(asdict(rows[0]))
    for row in rows:
        table.writerow(f"{value:.6f}" if isinstance(value, float) else value for value in asdict(row).values())
    return text.getvalue()


def write_rows(rows: Sequence[Judged | Unusual], path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes what a detector says into a .csv or .json file, whole or not at all.

    Raises:
        ConfigError: another kind of file. DataError: it exists.
    """
    file = Path(path)
    kind = file.suffix.lower().removeprefix(".")
    if kind not in ("csv", "json"):
        raise ConfigError(f"{file}: neither .csv nor .json.", "For example --out answers.csv")
    if file.exists() and not overwrite:
        raise DataError(f"{file}: exists already.", "Replace it with --overwrite, or choose another place with --out.")
    write_whole(file, as_text(rows, "json" if kind == "json" else "csv").encode("utf-8", "surrogateescape"))
    return file
