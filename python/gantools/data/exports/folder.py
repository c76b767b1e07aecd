"""A folder of PNGs with a sub-folder for each class, as torchvision's ImageFolder and most tools read it."""

from __future__ import annotations

import re
from pathlib import Path

from gantools.data.exports.base import Images
from gantools.files import whole_folder


def write(images: Images, target: Path) -> None:
    """Writes the folder; without classes the images lie in it directly."""
    folders = class_folders(images.set.classes or [])
    with whole_folder(target) as temporary:
        for i, label, png in images.pngs():
            place = temporary if label is None else temporary / folders[label]
            place.mkdir(exist_ok=True)
            (place / f"{i:08d}.png").write_bytes(png)


def class_folders(classes: list[str]) -> list[str]:
    """Safe names of folders that sort as the class numbers do, since readers number the classes by them.

    A class's own name where that works; else its number comes before it.
    """
    safe = [re.sub(r"[^\w.()+-]+", "-", name).strip("-.") or "class" for name in classes]
    # On some systems names that differ in case only are one.
    distinct = len({name.casefold() for name in safe}) == len(safe)
    if distinct and [name.encode() for name in safe] == sorted(name.encode() for name in safe):
        return safe
    digits = len(str(max(len(classes) - 1, 0)))
    return [f"{i:0{digits}d}-{name}" for i, name in enumerate(safe)]
