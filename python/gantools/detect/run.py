"""What a detector says of files, folders and sets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from gantools.detect.detector import Answer, Detector, read_detector
from gantools.detect.images import read_levels
from gantools.errors import ConfigError, DataError
from gantools.files import write_whole
from gantools.metrics.images.open import open_source


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
    model: str | Path | Detector, images: Sequence[str | Path], *, n: int | None = None, device: str | None = None
) -> list[Judged]:
    """What a detector says of images.

    Args:
        model: the folder of a detector, or one that was loaded.
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
    detector = model if isinstance(model, Detector) else read_detector(model, device=device)
    found = []
    for path in images:
        source = open_source(path, n, device=device)
        count = len(source) if n is None else n
        try:
            levels = read_levels(source, count, detector.shape)
        except DataError as e:
            raise DataError(
                f"{e.message.removesuffix('.')}: the detector says nothing of that."
                if " is " in e.message
                else e.message,
                e.hint,
            ) from e
        p = detector.probabilities(levels).tolist()
        single = Path(path).is_file() and count == 1
        found += [
            Judged(str(path) if single else source.called(i), value, detector.answer(value))
            for i, value in enumerate(p)
        ]
    return found


def as_text(rows: Sequence[Judged], format: Literal["csv", "json"]) -> str:
    """What a detector says, as a table with a header or as JSON."""
    if format == "json":
        return json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n"
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("image", "p", "answer"))
    table.writerows((row.image, f"{row.p:.6f}", row.answer) for row in rows)
    return text.getvalue()


def write_rows(rows: Sequence[Judged], path: str | Path, *, overwrite: bool = False) -> Path:
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
