"""The archives of StyleGAN's dataset_tool.py, or the same as a folder: images and `dataset.json`.

`dataset.json` is `{"labels": [["00000/img00000000.png", 6], ...]}`, or `{"labels": null}`; a label is a class number
or a vector, and every image has one or none has. `classes`, a list of names, is gantools' addition; others ignore it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gantools import _native
from gantools.data.sources.base import Annotation, Source, find_images
from gantools.data.sources.labels import is_class_names, labels_of
from gantools.errors import ConfigError, DataError

DATASET = "dataset.json"
VECTORS = "label_vectors"


def open_source(path: Path | None, split: str | None = None) -> Source:
    """The images of a zip or folder with `dataset.json`; numbers are classes, vectors go to `label_vectors`."""
    if path is None:
        raise ConfigError("prep stylegan: which archive?", "Type: gantools prep stylegan --source set.zip --size 64")
    if split is not None:
        raise ConfigError("prep stylegan: such a set has no splits.", "Give --source the set of the split instead.")
    reader, items, names = find_images(path)
    source = Source("stylegan", path.stem or "images", reader, items, names, 3, None)
    where = f"{path}: {DATASET}"
    text = _read(path, reader)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{where} is damaged ({e}).", "Make the set again with dataset_tool.py.") from e
    if not isinstance(document, dict) or "labels" not in document:
        raise DataError(f"{where} has no 'labels'.", 'It is {"labels": [["NAME", 0], ...]} or {"labels": null}.')
    if document["labels"] is None:
        return source
    pairs = document["labels"]
    if not isinstance(pairs, list) or not all(
        isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) for p in pairs
    ):
        raise DataError(f"{where}: 'labels' is not a list of [name, label].", "Make the set again.")
    # dataset_tool.py on Windows wrote backslashes; stylegan3 replaces them as well.
    by_name = {name.replace("\\", "/"): label for name, label in pairs}
    missing = next((name for name in names if name not in by_name), None)
    if missing is not None:
        raise DataError(f"{where} has no label for {missing}.", "Every image needs one, or none ('labels': null).")
    values = [by_name[name] for name in names]
    if isinstance(values[0], list):
        vectors = _vectors(values, where)
        return source.with_annotations({VECTORS: Annotation(vectors)})
    classes = document.get("classes")
    found = labels_of(values, where, classes if is_class_names(classes) else None)
    return source if found is None else source.with_labels(*found)


def _read(path: Path, reader: _native.Source) -> bytes:
    if path.is_dir():
        file = path / DATASET
        if not file.is_file():
            raise DataError(f"{path}: no {DATASET} in it.", f"Without one, type: gantools prep folder --source {path}")
        return file.read_bytes()
    everything = reader.names or []
    if DATASET not in everything:
        raise DataError(f"{path}: no {DATASET} in it.", f"Without one, type: gantools prep folder --source {path}")
    return reader.read(everything.index(DATASET))


def _vectors(values: list[Any], where: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        vectors = np.array(values, dtype=np.float32)
    except (TypeError, ValueError) as e:
        raise DataError(f"{where}: the label vectors are not all of one length ({e}).") from e
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise DataError(f"{where}: the labels are neither numbers nor vectors of finite numbers.")
    return vectors
