"""The imagefolder of HF datasets: PNGs and `metadata.jsonl` with `file_name`, `label` (a number) and `class`."""

from __future__ import annotations

import json
from pathlib import Path

from gantools.data.exports.base import Images, image_name
from gantools.files import whole_folder


def write(images: Images, target: Path) -> None:
    """Writes the folder."""
    classes = images.set.classes
    with whole_folder(target) as temporary, (temporary / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
        for i, label, png in images.pngs():
            file = temporary / image_name(i)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(png)
            row: dict[str, str | int] = {"file_name": image_name(i)}
            if label is not None and classes is not None:
                row |= {"label": label, "class": classes[label]}
            metadata.write(json.dumps(row) + "\n")
