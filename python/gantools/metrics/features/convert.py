"""Statistics from one tool's form to another's, and what a file of them holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gantools.errors import ConfigError, MetricError
from gantools.metrics.features.files import (
    POOL3,
    SPATIAL,
    Entry,
    StatisticsFile,
    read_statistics,
    save_arrays,
    target_file,
    words,
    write_statistics,
)
from gantools.metrics.networks.registry import layer_of_width
from gantools.metrics.numbers.frechet import FeatureSums

#: What `convert` writes.
TARGETS = ("gantools", "pytorch-fid", "adm")


def convert_statistics(
    path: str | Path,
    to: Literal["gantools", "pytorch-fid", "adm"],
    out: str | Path,
    *,
    extractor: str | None = None,
    layer: str | None = None,
    protocol: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the statistics of a file of any kind in the form of another tool.

    Args:
        path: the file to read.
        to: `gantools` (all it holds), `pytorch-fid` (`mu`, `sigma` of one layer, which TTUR and clean-fid read too) or
            `adm` (`mu`, `sigma` of Inception's pool3, `mu_s`, `sigma_s` of its spatial layer).
        out: the `.npz` to write.
        extractor, layer, protocol: of a file that holds several, which to take; of a file that does not say, what to
            note of it in a file of ours.
        overwrite: replace `out` where it exists.

    Returns:
        The path of the file.

    Raises:
        DataError: the file cannot be read, or `out` exists. ConfigError: an unknown form.
        MetricError: it does not hold what that form needs.
    """
    if to not in TARGETS:
        raise ConfigError(f"unknown form {to!r}.", f"Known: {', '.join(TARGETS)}.")
    target = target_file(out, overwrite)
    file = read_statistics(path)
    if extractor is not None and layer is None and len(file.entries) == 1 and file.entries[0].layer is None:
        layer = layer_of_width(extractor, file.entries[0].dims)
    wanted = {"extractor": extractor, "layer": layer, "protocol": protocol}
    said = {key: value for key, value in wanted.items() if value is not None}
    # What an entry does not say is taken from what was given, what it does say must be that.
    fit = [
        replace(
            entry,
            extractor=entry.extractor or extractor,
            layer=entry.layer or layer,
            protocol=entry.protocol or protocol,
        )
        for entry in file.entries
        if all(getattr(entry, key) in (None, value) for key, value in said.items())
    ]
    if not fit:
        holds = "; ".join(words(entry) for entry in file.entries)
        raise MetricError(f"{file.path}: holds nothing of {', '.join(said.values())}. It holds: {holds}.")
    if to == "gantools":
        features = [None if entry.features is None else file.features_of(entry) for entry in fit]
        full = [_with_statistics(entry, f) for entry, f in zip(fit, features, strict=True)]
        write_statistics(target, full, features, file.reference or f"file:{file.sha256}")
    elif to == "pytorch-fid":
        if len(fit) > 1:
            holds = "; ".join(words(entry) for entry in fit)
            raise MetricError(
                f"{file.path}: such a file holds one layer, this one has several: {holds}.",
                "Say which with --layer NAME --protocol NAME (in Python layer=, protocol=).",
            )
        only = _with_statistics(fit[0], None if fit[0].features is None else file.features_of(fit[0])).statistics
        assert only is not None
        save_arrays(target, {"mu": only.mean, "sigma": only.covariance})
    else:
        save_arrays(target, _adm_arrays(file, fit))
    return target


def _with_statistics(entry: Entry, features: NDArray[np.float32] | None) -> Entry:
    if entry.statistics is not None:
        return entry
    assert features is not None
    return replace(entry, statistics=FeatureSums.of(features).statistics())


def _adm_arrays(file: StatisticsFile, entries: Sequence[Entry]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for layer, dims, tail in (("2048", POOL3, ""), ("spatial", SPATIAL, "_s")):
        found = [
            entry.statistics
            for entry in entries
            if entry.dims == dims
            and entry.extractor in (None, "inception")
            and entry.layer in (None, layer)
            and entry.protocol in (None, "tf")
            and entry.statistics is not None
        ]
        if not found:
            holds = "; ".join(words(entry) for entry in entries)
            raise MetricError(
                f"{file.path}: ADM's form needs Inception's {layer} (width {dims}) by protocol tf. It holds: {holds}.",
                "Make it from the images with: gantools ref make IMAGES --protocol tf --layers 2048,spatial",
            )
        arrays[f"mu{tail}"], arrays[f"sigma{tail}"] = found[0].mean, found[0].covariance
    return arrays


def show_statistics(path: str | Path) -> dict[str, Any]:
    """What a file of statistics holds, as values that JSON can hold.

    Returns:
        `path`, `kind`, `sha256`, `reference`, `images` and `entries`: for each `extractor`, `layer`, `protocol`,
        `weights_sha256`, `dims`, `n` (None where the file does not say), `features` (whether it has them), `trace` of
        the covariance, its numerical `rank`, and `mean_norm`, the Euclidean length of the mean.

    Raises:
        DataError: the file cannot be read.
    """
    file = read_statistics(path)
    entries = []
    for entry in file.entries:
        full = _with_statistics(entry, None if entry.statistics is not None else file.features_of(entry)).statistics
        assert full is not None
        said = ("extractor", "layer", "protocol", "weights_sha256", "dims")
        entries.append(
            {
                **{key: getattr(entry, key) for key in said},
                "n": entry.n,
                "features": entry.features is not None,
                "trace": float(np.trace(full.covariance)),
                "rank": int(np.linalg.matrix_rank(full.covariance, hermitian=True)),
                "mean_norm": float(np.linalg.norm(full.mean)),
            }
        )
    return {
        "path": str(file.path),
        "kind": file.kind,
        "sha256": file.sha256,
        "reference": file.reference,
        "images": file.images,
        "entries": entries,
    }
