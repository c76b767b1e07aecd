"""A prepared set with generated images behind its own, or of generated images alone: written as `prep` writes one.

The shards of the set are taken as they are, generated images become further ones, in the same store. Everything happens
in `OUT.partial`; a run that was stopped goes on after its finished shards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.annotations import Annotation
from gantools.data.folder_work import is_done, publish, working_folder
from gantools.data.listing import Listing
from gantools.data.manifest import finish
from gantools.data.plan import SHARD_BYTES, SHARD_IMAGES, say
from gantools.data.policy import Policy
from gantools.data.prepared import FORMAT, FORMAT_VERSION, PreparedSet, digest
from gantools.data.shards import make_shard_of, read_record, taken_shard
from gantools.data.sources.base import Source
from gantools.errors import ConfigError, DataError, Interrupted
from gantools.progress import Progress

#: The annotation that says which images are generated: 0 or 1.
GENERATED = "generated"
# What a source may have that says nothing of the images of the set.
_LEFT_BEHIND = ("rejected", "skipped", "left_out", "shallow_16_bit", "annotations", "labels", "selection", "regions")
# Crops that leave an image alone that has the size already: what an `original` store holds is cropped at each reading.
_AS_IT_IS = ("center", "none", "pad", "dhariwal")


@dataclass(frozen=True)
class Generated:
    """Images that are made when they are asked for.

    Attributes:
        labels: int64 (n,), class numbers of the set that they are made for.
        names: of each.
        pixels: called with (first, n); images first..first+n-1, uint8 (n, h, w, c) of the set's shape.
        entry: what the manifest says of how they are made: all that decides their pixels.
    """

    labels: NDArray[np.int64]
    names: Sequence[str]
    pixels: Callable[[int, int], NDArray[np.uint8]]
    entry: dict[str, Any]


def generated_note(data: PreparedSet) -> str | None:
    """What a user of a set must know who takes it for one of real images; None where it is one."""
    n = data.generated
    if not n:
        return None
    runs = sorted({str(entry["run"]) for entry in data.manifest["generated"] if "run" in entry})
    by = f" by {', '.join(runs)}" if runs else ""
    return f"{n:,} of the {len(data):,} images are generated{by}, not real; the annotation {GENERATED!r} says which."


def enlarge(
    data: PreparedSet,
    made: Generated,
    out: Path,
    *,
    alone: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> PreparedSet:
    """Write a set of the images of `data`, then generated ones; the annotation `generated` says which is which.

    Other annotations of the set are 0 in the rows of generated images, which nothing is known of but their class.

    Args:
        data: the set, with labels.
        made: the generated images.
        out: the folder to make.
        alone: of the generated images alone.
        overwrite: replace a prepared set at `out`.
        progress: show a progress bar on stderr.

    Returns:
        The new set, opened.

    Raises:
        ConfigError: `out` is the set itself.
        DataError: `out` holds something else, a shard of the set is damaged, or its store cannot take these images.
        Interrupted: Ctrl-C; the finished shards are kept and the same call goes on.
    """
    if out.absolute() == data.path.absolute() or (out.exists() and out.samefile(data.path)):
        raise ConfigError(f"{out} is the set itself.", "Choose another place with --out.")
    policy = Policy.from_manifest(data.manifest.get("policy", {}))
    if policy.store == "original" and policy.crop not in _AS_IT_IS:
        raise DataError(
            f"{data.path}: holds original files that are cropped by {policy.crop} at each reading, and generated "
            "images cannot be.",
            "Prepare it again with --encoding png.",
        )
    document = _document(data, made, out.name, alone)
    if is_done(out, document, overwrite):
        say(f"{out} is already made this way; nothing to do.", progress)
        return PreparedSet(out)
    partial = out.with_name(out.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(partial, document, overwrite):
        records = [] if alone else _taken(data, policy, partial)
        records += _made(data, made, policy, document["shard_size"], len(records), partial, progress)
        finish(_listing(data, made, alone), document, records, partial)
        publish(partial, out)
    done = PreparedSet(out)
    say(f"{len(done):,} images of {done.shape} in {out}, {done.generated:,} of them generated.", progress)
    return done


def _document(data: PreparedSet, made: Generated, name: str, alone: bool) -> dict[str, Any]:
    """Everything that decides the bytes of the set."""
    before = {} if alone else {k: v for k, v in data.manifest.get("source", {}).items() if k not in _LEFT_BEHIND}
    items = len(made.labels) + (0 if alone else len(data))
    usual = max(1, min(SHARD_IMAGES, SHARD_BYTES // int(np.prod(data.shape))))
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "name": name,
        "source": {
            "kind": GENERATED,
            **before,
            "items": items,
            "enlarged": data.name,
            "enlarged_from": data.fingerprint,
        },
        "policy": data.manifest["policy"],
        "versions": data.manifest.get("versions", {}),
        "shard_size": data.manifest.get("shard_size", usual),
        "generated": [*([] if alone else data.manifest.get("generated", [])), made.entry],
        # Names, labels and annotations, which the fingerprint does not cover.
        "described": digest([data.manifest.get(key) for key in ("names", "labels", "annotations")]),
    }


def _taken(data: PreparedSet, policy: Policy, partial: Path) -> list[dict[str, Any]]:
    """The shards of the set, their hashes compared: their records."""
    records, at = [], 0
    width, height = data.shape[1], data.shape[0]
    for number, shard in enumerate(data.shards):
        rows = slice(at, at + shard.count)
        sizes = (
            [(width, height)] * shard.count if data.sizes is None else [(w, h) for w, h in data.sizes[rows].tolist()]
        )
        record = taken_shard(data.path / shard.file, policy, number, partial, shard.xxh3, sizes)
        if record is None:
            raise DataError(f"{data.path / shard.file}: damaged.", f"Type: gantools verify {data.path}")
        records.append(record)
        at += shard.count
    return records


def _made(
    data: PreparedSet, made: Generated, policy: Policy, per_shard: int, first: int, partial: Path, progress: bool
) -> list[dict[str, Any]]:
    """The shards of generated images, numbered from `first`: their records."""
    # They have their size already, so nothing is cropped or resized.
    plain = replace(
        policy, crop="none", filter="box", fast=False, pad_color=None, band=None, half="whole", effect="none"
    )
    records: list[dict[str, Any]] = []
    total = len(made.labels)
    with Progress("generating", total, show=progress) as bar:
        try:
            for number, start in enumerate(range(0, total, per_shard), first):
                n = min(per_shard, total - start)
                record = read_record(partial, number)
                if record is None:
                    record = make_shard_of(_source(data, made, start, n), plain, number, partial)
                records.append(record)
                bar.update(start + n)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{sum(r['count'] for r in records):,} of {total:,} images are generated and kept.",
                "Run the same command again to go on.",
            ) from None
    return records


def _source(data: PreparedSet, made: Generated, first: int, n: int) -> Source:
    """Some of the generated images as a source."""
    return Source(
        kind=GENERATED,
        name=data.name,
        reader=_native.Source.array(np.ascontiguousarray(made.pixels(first, n))),
        items=np.arange(n),
        names=list(made.names[first : first + n]),
        channels=data.shape[2],
        size=None,
    )


def _listing(data: PreparedSet, made: Generated, alone: bool) -> Listing:
    """Names, labels and annotations of the new set."""
    n = len(made.labels)
    ones = np.ones(n, np.uint8)
    if alone:
        return Listing(list(made.names), made.labels, data.classes, {GENERATED: Annotation(ones)})
    assert data.labels is not None
    annotations = {}
    for key, values in data.annotations.items():
        columns = data.manifest["annotations"][key].get("columns")
        nothing = np.zeros((n, *values.shape[1:]), values.dtype)
        annotations[key] = Annotation(np.concatenate([values, nothing]), columns)
    before = data.annotations.get(GENERATED, np.zeros(len(data), np.uint8))
    annotations[GENERATED] = Annotation(np.concatenate([before, ones]))
    return Listing([*data.names, *made.names], np.concatenate([data.labels, made.labels]), data.classes, annotations)
