"""A folder with what was learned: a JSON file of all that decided it, and beside it the networks, of the same name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn

from gantools.errors import DataError
from gantools.files import write_json, write_whole
from gantools.runs.checkpoint import versions

_DAMAGED = "Take another copy of it, or train it again."


def weights_of(manifest: Path) -> Path:
    """The file of networks beside the JSON file `manifest`."""
    return manifest.with_suffix(".safetensors")


def write_networks(manifest: Path, networks: Mapping[str, nn.Module], record: Mapping[str, Any]) -> None:
    """Write networks, each tensor as `NETWORK.NAME`, and `record`, plain values, with their checksum and versions."""
    tensors = {f"{name}.{key}": value for name, one in networks.items() for key, value in one.state_dict().items()}
    data = save_safetensors({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    write_whole(weights_of(manifest), data)
    write_json(manifest, {**record, "weights": hashlib.sha256(data).hexdigest(), "versions": versions()})


@contextmanager
def reading(manifest: Path) -> Iterator[None]:
    """Within it, what is wrong with the values of a record is a DataError that names the file."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise DataError(f"{manifest}: damaged ({e}).", _DAMAGED) from e


def read_record(manifest: Path, format: str, version: int, called: str, make: str) -> dict[str, Any]:
    """The record in a JSON file of this format; where there is none, it is `called` so and one types `make` for one.

    Raises:
        DataError: not there, damaged, of another format, or of a newer version.
    """
    if not manifest.is_file():
        raise DataError(f"{manifest.parent}: no {called} (it has no {manifest.name}).", f"Make one with: {make}")
    try:
        record = json.loads(manifest.read_bytes())
        if not isinstance(record, dict) or record["format"] != format:
            raise ValueError("of another kind")
        found = int(record["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise DataError(f"{manifest}: damaged ({e}).", _DAMAGED) from e
    if found > version:
        raise DataError(
            f"{manifest.parent}: written by a newer gantools (format {found}, this one reads {version}).",
            "Use the gantools that wrote it.",
        )
    return record


def read_networks(manifest: Path, record: Mapping[str, Any], networks: Mapping[str, nn.Module]) -> None:
    """Load the weights of `networks`, which must have exactly their names and shapes.

    Raises:
        DataError: missing, damaged, or of other networks.
    """
    file = weights_of(manifest)
    try:
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != record.get("weights"):
            raise ValueError(f"its checksum is not that of {manifest.name}")
        tensors = load_safetensors(data)
        for name, network in networks.items():
            own = {key.removeprefix(f"{name}."): v for key, v in tensors.items() if key.startswith(f"{name}.")}
            network.load_state_dict(own)
    except FileNotFoundError:
        raise DataError(f"{file}: missing.", _DAMAGED) from None
    except (OSError, ValueError, RuntimeError) as e:
        raise DataError(f"{file}: damaged ({e}).", _DAMAGED) from e
