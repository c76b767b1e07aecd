"""Tables that people keep beside images: CSV with any separator, JSON lines, parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Any

from gantools.errors import DataError, cause

SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet")
SEPARATORS = ",;\t"
_WHOLE = re.compile(r"\s*[+-]?\d+(?:\.0*)?\s*")


def read_table(where: str, name: str, data: bytes) -> list[dict[str, Any]]:
    """The rows of a table, each a value by the name of its column.

    Args:
        where: the file, for errors.
        name: its name; `.jsonl` is one JSON object a line, `.parquet` is read by pyarrow, any other is a CSV whose
            first line has the names, separated by commas, semicolons or tabs.
        data: its content.

    Raises:
        DataError: it is damaged, or no UTF-8 text; or pyarrow is needed and not installed.
    """
    if name.lower().endswith(".parquet"):
        return _parquet(where, data)
    text = _text(where, data)
    try:
        if name.lower().endswith(".jsonl"):
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise ValueError("a line is no object")
            return rows
        head = text.lstrip("\r\n").split("\n", 1)[0]
        separator = max(SEPARATORS, key=head.count)
        found: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except (ValueError, RecursionError, csv.Error) as e:
        lines = "Every line is one JSON object." if name.lower().endswith(".jsonl") else "Every line is one row."
        raise DataError(f"{where} is damaged ({cause(e)}).", lines) from e
    for row in found:
        # Values beyond the named columns.
        row.pop(None, None)  # type: ignore[call-overload]
    return [{key.strip(): value for key, value in row.items()} for row in found]


def whole_numbers(texts: Sequence[str | None]) -> list[Any]:
    """Labels from text: numbers where every one is a whole number (also written `3.0`), else the texts.

    Args:
        texts: None and "" stand for no label, which stays None.
    """
    given = [text for text in texts if text]
    if all(_WHOLE.fullmatch(text) for text in given):
        return [int(float(text)) if text else None for text in texts]
    return [text.strip() or None if text else None for text in texts]


def _text(where: str, data: bytes) -> str:
    # Excel's "Unicode text" begins with one of these marks.
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as e:
        raise DataError(f"{where} is no UTF-8 text ({cause(e)}).", "Save it as UTF-8.") from e


def _parquet(where: str, data: bytes) -> list[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet as pq
    except ImportError as e:
        raise DataError("reading parquet needs the package pyarrow.", "Type: pip install 'gantools[parquet]'") from e
    try:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    except (pyarrow.ArrowException, ValueError) as e:
        raise DataError(f"{where}: not readable as parquet ({cause(e)}).", "Fetch the file again.") from e
    return rows
