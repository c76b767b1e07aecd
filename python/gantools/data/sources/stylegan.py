"""The archives of StyleGAN's dataset_tool.py, or the same as a folder: images and `dataset.json`.

`dataset.json` is `{"labels": [["00000/img00000000.png", 6], ...]}`, or `{"labels": null}`; a label is a class number
or a vector, and every image has one or none has. `classes`, a list of names, is gantools' addition; others ignore it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gantools.data.sources.base import Annotation, Source
from gantools.data.sources.labels import is_class_names, labels_of
from gantools.data.sources.splits import ALL
from gantools.data.sources.tree import Tree, folder_of, is_image_name, open_tree, path_of
from gantools.errors import ConfigError, DataError, cause

DATASET = "dataset.json"
VECTORS = "label_vectors"


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images of a zip or folder with `dataset.json`; numbers are classes, vectors go to `label_vectors`."""
    if path is None:
        raise ConfigError("prep stylegan: which archive?", "Type: gantools prep stylegan --source set.zip --size 64")
    return source_of_tree(open_tree(path), path.stem or "images", split)


def source_of_tree(tree: Tree, title: str, split: str | None) -> Source:
    """The images of a tree with `dataset.json`, as a set called `title`."""
    if split not in (None, ALL):
        raise ConfigError("prep stylegan: such a set has no splits.", "Give --source the set of the split instead.")
    reader, items, names = tree.images()
    name = dataset_in(tree.names)
    if name is None:
        raise DataError(
            f"{tree.path}: no {DATASET} in it.", f"Without one, type: gantools prep folder --source {tree.path}"
        )
    source = Source("stylegan", title, reader, items, names, 3, None, skipped=tree.skipped([name]))
    return labelled(source.with_notes(*tree.notes), tree, name)


def dataset_in(names: Iterable[str]) -> str | None:
    """The path of the `dataset.json` among the paths of a set's files; it lies in the outermost folder of the images.

    Returns:
        None where there is none, or images lie outside of its folder.
    """
    names = list(names)
    found = [name for name in names if name.rpartition("/")[2] == DATASET]
    if not found:
        return None
    name = min(found, key=lambda name: name.count("/"))
    below = name.removesuffix(DATASET)
    return name if all(image.startswith(below) for image in names if is_image_name(image)) else None


def labelled(source: Source, tree: Tree, name: str) -> Source:
    """Images with the labels in the file `name`, a `dataset.json`, of their tree.

    Raises:
        DataError: the file is damaged, or an image has no label though others have one.
    """
    where = f"{tree.path}: {name}"
    try:
        document = json.loads(tree.read(name))
    except (ValueError, RecursionError) as e:
        raise DataError(f"{where} is damaged ({cause(e)}).", "Make the set again with dataset_tool.py.") from e
    if not isinstance(document, dict) or "labels" not in document:
        raise DataError(f"{where} has no 'labels'.", 'It is {"labels": [["NAME", 0], ...]} or {"labels": null}.')
    if document["labels"] is None:
        return source
    pairs = document["labels"]
    if not isinstance(pairs, list) or not all(
        isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) for p in pairs
    ):
        raise DataError(f"{where}: 'labels' is not a list of [name, label].", "Make the set again.")
    # Names are relative to the file; dataset_tool.py on Windows wrote backslashes.
    below = folder_of(name)
    by_name = {path_of(key, below): label for key, label in pairs}
    missing = next((name for name in source.names if name not in by_name), None)
    if missing is not None:
        raise DataError(f"{where} has no label for {missing}.", "Every image needs one, or none ('labels': null).")
    values = [by_name[name] for name in source.names]
    if isinstance(values[0], list):
        vectors = _vectors(values, where)
        return source.with_annotations({VECTORS: Annotation(vectors)})
    classes = document.get("classes")
    found = labels_of(values, where, classes if is_class_names(classes) else None)
    return source if found is None else source.with_labels(*found)


def _vectors(values: list[Any], where: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        vectors = np.array(values, dtype=np.float32)
    except (TypeError, ValueError) as e:
        raise DataError(f"{where}: the label vectors are not all of one length ({cause(e)}).") from e
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise DataError(f"{where}: the labels are neither numbers nor vectors of finite numbers.")
    return vectors
