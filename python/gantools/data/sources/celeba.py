"""CelebA: the aligned and cropped JPEGs, 178x218, or the in-the-wild ones, with the annotation files beside them.

Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015 (arXiv 1411.7766). For non-commercial research only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from gantools import _native
from gantools.data.annotations import PARTITIONS, TABLES, Annotation, find_annotations, is_annotation_file
from gantools.data.sources.base import Source
from gantools.data.sources.tree import open_tree
from gantools.errors import ConfigError, DataError, DownloadError, cause

VARIABLE = "GANTOOLS_CELEBA"
IMAGES = "img_align_celeba"
IN_THE_WILD = "img_celeba"
#: Folders that hold the above, and those that hold annotations, in the authors' layout and in that of torchvision.
CONTAINERS = ("celeba", "CelebA", "Img", "img", "images")
ANNOTATIONS = ("Anno", "Eval", "anno", "eval", "annotations")
# Width and height of the aligned images.
ALIGNED = (178, 218)
WHERE = (
    "Get img_align_celeba.zip and the list_*.txt files from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html "
    "(or the Kaggle copy 'jessicali9530/celeba-dataset'), put them into ./celeba, and run the same command again; "
    f"or: gantools prep celeba --source PATH; or set {VARIABLE} to the folder."
)


def open_source(path: Path | None, split: str | None = None) -> Source:
    """CelebA from a folder or zip of its images, or from a folder that holds these in one of the usual layouts.

    Args:
        path: None looks into `./celeba`, then the folder named by `GANTOOLS_CELEBA`, then downloads with torchvision.
        split: `train`, `val` or `test` (by list_eval_partition), or None or `all` for all.
    """
    if split not in (None, "all", *PARTITIONS):
        raise ConfigError(f"celeba has no split {split!r}.", "Splits: train, val, test, all.")
    path = _default_place() if path is None else path
    images = images_in(path)
    tree = open_tree(images)
    reader, items, names = tree.images()
    wild = _in_the_wild(images, names[0], reader, int(items[0]))
    inside = {name: partial(tree.read, name) for name in tree.names if is_annotation_file(name)}
    annotations = find_annotations(_folders(path, images), names, in_the_wild=wild, inside=inside)
    name = "celeba-wild" if wild else "celeba"
    source = Source(
        *("celeba", name, reader, items, names, 3, 64),
        annotations=annotations,
        in_the_wild=wild,
        skipped=tree.skipped(inside),
    ).with_notes(*tree.notes, _found(annotations))
    if split in (None, "all"):
        return source
    if "partition" not in source.annotations:
        raise DataError(
            f"{path}: --split {split} needs list_eval_partition.txt (or .csv), which is not beside the images.",
            "Put it there, or leave --split away.",
        )
    rows = np.flatnonzero(source.annotations["partition"].values == PARTITIONS[split])
    if not len(rows):
        raise DataError(f"{path}: no image is in the split {split!r}.")
    return source.select(rows, split)


def images_in(path: Path) -> Path:
    """The folder or archive of images that `path` is or holds."""
    if not path.is_dir():
        return path
    # torchvision makes a folder `celeba`, the Kaggle copy puts the folder into one of the same name, the authors' own
    # layout has `Img`, and the PNG release a name of its own.
    folders = [path, *_inner(path), *(below for inner in _inner(path) for below in _inner(inner))]
    for stem in (IMAGES, f"{IMAGES}_png", IN_THE_WILD):
        for folder in folders:
            for candidate in (folder / stem / stem, folder / stem, folder / f"{stem}.zip"):
                if candidate.exists():
                    return candidate
    return path


def _inner(path: Path) -> list[Path]:
    """The folders that the parts of CelebA are kept in, of those in a folder."""
    return [folder for name in CONTAINERS if (folder := path / name).is_dir()]


def _folders(path: Path, images: Path) -> list[Path]:
    """Where annotations may lie: with the images, in the folders that hold these, in the ones for annotations there."""
    outer = [images, images.parent]
    # Further up only where the folder is one of CelebA's own: img_align_celeba in another, or in Img.
    while _is_own(outer[-1].name) and outer[-1].parent != outer[-1]:
        outer.append(outer[-1].parent)
    if _is_own(images.stem) and images.is_dir():
        outer.append(outer[-1].parent)
    found = [path, *outer]
    found += [folder / name for folder in found for name in ANNOTATIONS]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def _is_own(name: str) -> bool:
    return name.startswith((IMAGES, IN_THE_WILD)) or name in CONTAINERS


def _found(annotations: Mapping[str, Annotation]) -> str:
    """The line that says which annotations there are."""
    missing = ", ".join(key for key in TABLES if key not in annotations)
    there = f"CelebA's annotations: {', '.join(annotations) or 'none'}"
    return f"{there}; not found: {missing}." if missing else f"{there}."


def _in_the_wild(images: Path, name: str, reader: _native.Source, first: int) -> bool:
    """Whether these are the images before alignment: by the name of their folder, else by the size of the first."""
    for part in (images.stem, images.parent.name, *name.split("/")[:-1]):
        if part.startswith((IMAGES, IN_THE_WILD)):
            return part.startswith(IN_THE_WILD)
    try:
        image = _native.decode(reader.read(first), alpha="drop")
    except DataError:
        return False  # a reject later on
    return (image.shape[1], image.shape[0]) != ALIGNED


def _default_place() -> Path:
    here = Path("celeba")
    if here.exists():
        return here
    if named := os.environ.get(VARIABLE):
        if not Path(named).exists():
            raise DataError(f"{VARIABLE} names {named}, which is not there.", WHERE)
        return Path(named)
    return _downloaded()


def _downloaded() -> Path:
    """CelebA fetched by torchvision (from Google Drive, with checksums) into gantools' cache."""
    from gantools.cache import cache_folder

    root = cache_folder() / "data"
    try:
        from torchvision.datasets import CelebA
    except ImportError as e:
        raise DownloadError("celeba: no --source was given and there is no ./celeba.", WHERE) from e
    root.mkdir(parents=True, exist_ok=True)
    try:
        CelebA(str(root), split="all", target_type=[], download=True)
    except Exception as e:  # torchvision and gdown raise many kinds, also bare Exception
        raise DownloadError(f"celeba: no --source was given and the download failed ({cause(e)}).", WHERE) from e
    return root / "celeba"
