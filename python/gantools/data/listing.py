"""What a set needs to know of its source besides pixels, so that the source itself is not needed at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantools.data.annotations import Annotation
from gantools.data.sources.base import Source
from gantools.errors import DataError, cause
from gantools.files import atomic_write, write_json


@dataclass(frozen=True)
class Listing:
    """Names, labels and annotations of all images of a source, in the order of the set, rejects included.

    `skipped` and `left_out` say what is no image of the set, as in the source; `inputs` has the names of the inputs of
    a set of pairs.
    """

    names: Sequence[str]
    labels: NDArray[np.int64] | None = None
    classes: list[str] | None = None
    annotations: dict[str, Annotation] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    inputs: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @staticmethod
    def of(images: Source, inputs: Sequence[str] | None = None) -> Listing:
        """That of a source, and of the inputs with these names."""
        return Listing(
            images.names,
            images.labels,
            images.classes,
            images.annotations,
            images.skipped,
            images.left_out,
            inputs,
        )

    def write(self, folder: Path) -> None:
        """Writes it as files of `folder`, which is made."""
        folder.mkdir(exist_ok=True)
        arrays = {name: annotation.values for name, annotation in self.annotations.items()}
        if self.labels is not None:
            arrays["labels"] = self.labels
        for name, values in arrays.items():
            with atomic_write(folder / f"{name}.npy") as f:
                np.save(f, values, allow_pickle=False)
        columns = {name: annotation.columns for name, annotation in self.annotations.items()}
        for file, names in (("names.jsonl", self.names), ("inputs.jsonl", self.inputs)):
            if names is not None:
                with atomic_write(folder / file) as f:
                    f.writelines(json_line(name) for name in names)
        write_json(
            folder / "listing.json",
            {
                "classes": self.classes,
                "annotations": columns,
                "skipped": self.skipped,
                "left_out": self.left_out,
            },
        )

    @staticmethod
    def read(folder: Path) -> Listing:
        """What `write` wrote. DataError: a file is missing or damaged."""
        try:
            head = json.loads((folder / "listing.json").read_text())
            names = _names(folder / "names.jsonl")
            inputs = _names(folder / "inputs.jsonl") if (folder / "inputs.jsonl").exists() else None
            annotations = {
                name: Annotation(np.load(folder / f"{name}.npy", allow_pickle=False), columns)
                for name, columns in head["annotations"].items()
            }
            classes = head["classes"]
            skipped, left_out = dict(head.get("skipped", {})), dict(head.get("left_out", {}))
            labels = None if classes is None else np.load(folder / "labels.npy", allow_pickle=False)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise DataError(f"{folder}: missing or damaged ({cause(e)}).", "Run the same prep --shards again.") from e
        arrays = [*(a.values for a in annotations.values()), *(part for part in (labels, inputs) if part is not None)]
        if any(len(values) != len(names) for values in arrays):
            raise DataError(f"{folder}: its files do not have one row an image.", "Run the same prep --shards again.")
        return Listing(names, labels, classes, annotations, skipped, left_out, inputs)


def _names(file: Path) -> list[str]:
    with file.open(encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def json_line(value: object) -> bytes:
    """One line of a `.jsonl` file."""
    # File names that are no UTF-8 come as lone surrogates, which JSON can escape and UTF-8 cannot hold.
    return (json.dumps(value) + "\n").encode()
