"""CelebA: the aligned and cropped JPEGs, 178x218, or the in-the-wild ones, with the annotation files beside them.

Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015 (arXiv 1411.7766). For non-commercial research only.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gantools import _native
from gantools.data.annotations import PARTITIONS, find_annotations
from gantools.data.sources.base import Source, find_images
from gantools.errors import ConfigError, DataError, DownloadError

VARIABLE = "GANTOOLS_CELEBA"
IMAGES = "img_align_celeba"
IN_THE_WILD = "img_celeba"
# Width and height of the aligned images.
ALIGNED = (178, 218)
WHERE = (
    "Get img_align_celeba.zip and the list_*.txt files from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html "
    "(or the Kaggle copy 'jessicali9530/celeba-dataset'), put them into ./celeba, and run the same command again; "
    f"or: gantools prep celeba --source PATH; or set {VARIABLE} to the folder."
)


def open_source(path: Path | None, split: str | None = None) -> Source:
    """CelebA from a folder or zip of JPEGs, or from a folder that holds `img_align_celeba` or `img_align_celeba.zip`.

    Args:
        path: None looks into `./celeba`, then the folder named by `GANTOOLS_CELEBA`, then downloads with torchvision.
        split: `train`, `val` or `test` (by list_eval_partition), or None or `all` for all.
    """
    if split not in (None, "all", *PARTITIONS):
        raise ConfigError(f"celeba has no split {split!r}.", "Splits: train, val, test, all.")
    path = _default_place() if path is None else path
    images = images_in(path)
    reader, items, names = find_images(images)
    # The annotations lie with the images or in the folder that holds them (one further up in the Kaggle layout).
    outer = images.parent.parent if images.parent.name in (IMAGES, IN_THE_WILD) else images.parent
    folders = [folder for folder in dict.fromkeys([path, images, images.parent, outer]) if folder.is_dir()]
    wild = _in_the_wild(images, reader, int(items[0]))
    annotations = find_annotations(folders, names, in_the_wild=wild)
    name = "celeba-wild" if wild else "celeba"
    source = Source("celeba", name, reader, items, names, 3, 64, annotations=annotations, in_the_wild=wild)
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
    """The folder or archive of JPEGs that `path` is or holds."""
    if path.is_dir():
        # torchvision makes a folder `celeba`, the Kaggle copy puts the folder into one of the same name.
        for candidate in (
            path / IMAGES / IMAGES,
            path / IMAGES,
            path / f"{IMAGES}.zip",
            path / "celeba" / IMAGES,
            path / "celeba" / f"{IMAGES}.zip",
            path / IN_THE_WILD / IN_THE_WILD,
            path / IN_THE_WILD,
            path / f"{IN_THE_WILD}.zip",
        ):
            if candidate.exists():
                return candidate
    return path


def _in_the_wild(images: Path, reader: _native.Source, first: int) -> bool:
    """Whether these are the images before alignment: by the name of their folder, else by the size of the first."""
    for part in (images.stem, images.parent.name):
        if part in (IMAGES, IN_THE_WILD):
            return part == IN_THE_WILD
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
        raise DownloadError(
            f"celeba: no --source was given and the download failed ({type(e).__name__}: {e}).", WHERE
        ) from e
    return root / "celeba"
