"""What is written beside the shards of a set once they are there, the manifest last: with it the set is whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.advice import none_left
from gantools.data.listing import Listing, json_line
from gantools.data.prepared import FORMAT, FORMAT_VERSION, INPUTS, MANIFEST, REJECTS, content_fingerprint, digest
from gantools.errors import DataError
from gantools.files import atomic_write, write_json

SIZES = "sizes.npy"


def finish(images: Listing, plan: dict[str, Any], records: list[dict[str, Any]], partial: Path) -> None:
    """Writes names, sizes, labels, annotations and manifest, of a set of pairs those of its inputs first.

    Args:
        images: all images of the plan, rejects included.
        plan: its document.
        records: of all shards, in order.
        partial: the folder of the shards.

    Raises:
        DataError: every image is a reject.
    """
    rejects = [reject for record in records for reject in record["rejects"]]
    kept = np.setdiff1d(np.arange(len(images), dtype=np.int64), [row for row, _, _ in rejects])
    if not len(kept):
        row, _, reason = rejects[0]
        raise DataError(
            f"none of the {len(images):,} images could be read; the first: {images.names[row]}: {reason}.",
            none_left([reason for _, _, reason in rejects]),
        )
    if rejects:
        with atomic_write(partial / REJECTS) as f:
            f.writelines(
                json_line({"name": images.names[row], "class": kind, "reason": reason}) for row, kind, reason in rejects
            )
    source = {**plan["source"], **_left(images), "rejected": len(rejects), **_shallow(records)}
    manifest = _described(plan, plan["name"], source, plan["policy"], records, [images.names[i] for i in kept], partial)
    if "inputs" in plan and images.inputs is not None:
        manifest["inputs"] = _finish_inputs(plan, records, [images.inputs[i] for i in kept], partial / INPUTS)
    if plan.get("generated"):
        manifest["generated"] = plan["generated"]
    if rejects:
        manifest["rejects"] = _entry(partial, REJECTS)
    if images.labels is not None and images.classes is not None:
        manifest["labels"] = {**_side_file(partial, "labels.npy", images.labels[kept]), "classes": images.classes}
    annotations = {}
    for key, annotation in images.annotations.items():
        annotations[key] = _side_file(partial, f"{key}.npy", annotation.values[kept])
        if annotation.columns:
            annotations[key]["columns"] = annotation.columns
    if annotations:
        manifest["annotations"] = annotations
    write_json(partial / MANIFEST, manifest)


def _finish_inputs(
    plan: dict[str, Any], records: list[dict[str, Any]], names: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Makes the inputs of a set of pairs a set of their own; returns what the manifest of the pairs says of them."""
    entry = {key: value for key, value in plan["inputs"].items() if key not in ("folder", "source", "policy")}
    source = {"kind": "inputs", "of": plan["name"], **entry, "items": plan["source"]["items"], "rejected": 0}
    own = [record["inputs"] for record in records]
    policy = plan["inputs"]["policy"]
    manifest = _described(plan, f"{plan['name']}-inputs", source, policy, own, names, folder)
    write_json(folder / MANIFEST, manifest)
    return {"folder": INPUTS, **entry, "shape": manifest["shape"], "fingerprint": manifest["fingerprint"]}


def _described(
    plan: dict[str, Any],
    name: str,
    source: dict[str, Any],
    policy: dict[str, Any],
    records: list[dict[str, Any]],
    names: Sequence[str],
    folder: Path,
) -> dict[str, Any]:
    """Writes names and sizes and returns the manifest of these shards."""
    with atomic_write(folder / "names.jsonl") as f:
        f.writelines(json_line(name) for name in names)
    with atomic_write(folder / SIZES) as f:
        np.save(f, _sizes(records), allow_pickle=False)
    shards = [{key: record[key] for key in ("file", "count", "xxh3")} for record in records]
    shape = [policy["height"], policy["width"], policy["channels"]]
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "name": name,
        "count": len(names),
        "shape": shape,
        "dtype": "uint8",
        "layout": "NHWC",
        "fingerprint": content_fingerprint(shape, [shard["xxh3"] for shard in shards]),
        "source": source,
        "policy": policy,
        "versions": plan["versions"],
        "plan": digest(plan),
        "shard_size": plan["shard_size"],
        "shards": shards,
        "names": _entry(folder, "names.jsonl"),
        "sizes": _entry(folder, SIZES),
    }


def _shallow(records: list[dict[str, Any]]) -> dict[str, int]:
    """How many images hold 12 bits at most in 16, where there are any."""
    number = sum(record["shallow"] for record in records)
    return {"shallow_16_bit": number} if number else {}


def _left(images: Listing) -> dict[str, Any]:
    """What the source has beside the images of the set."""
    return {key: numbers for key in ("skipped", "left_out") if (numbers := getattr(images, key))}


def _sizes(records: list[dict[str, Any]]) -> NDArray[np.int32]:
    """Width and height of each image before it was prepared, int32 (n, 2)."""
    runs = np.array([run for record in records for run in record["sizes"]], np.int32).reshape(-1, 3)
    return np.repeat(runs[:, :2], runs[:, 2], axis=0)


def _side_file(partial: Path, name: str, values: NDArray[Any]) -> dict[str, Any]:
    with atomic_write(partial / name) as f:
        np.save(f, values, allow_pickle=False)
    return _entry(partial, name)


def _entry(partial: Path, name: str) -> dict[str, Any]:
    return {"file": name, "xxh3": _native.hash_file(partial / name)}
