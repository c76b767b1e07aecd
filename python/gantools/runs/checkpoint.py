"""Checkpoints: a folder that holds all that is needed to go on, or to sample.

    kimg-000060.000/
      config.json                  format, images shown, recipe, data, and size and CRC-32 of the other files
      generator.safetensors        weights and buffers of each network
      generator_ema.safetensors    of the moving average, where the recipe has one
      state.pt                     optimizers, random state, meters: tensors and plain values, loaded with weights_only

It is written under a temporary name and renamed, so a checkpoint that exists is whole.
"""

from __future__ import annotations

import io
import json
import platform
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from gantools import __version__
from gantools.errors import CheckpointError
from gantools.files import whole_folder, write_json, write_whole

FORMAT = "gantools-checkpoint"
FORMAT_VERSION = 1
CONFIG = "config.json"
STATE = "state.pt"
# Recipe and file list; a larger file is something else.
MAX_CONFIG_BYTES = 4 << 20

_NAME = re.compile(r"kimg-\d{6,}\.\d{3}")


def checkpoint_name(nimg: int) -> str:
    """`kimg-000060.000` for 60,000 images shown; sorts by the count."""
    return f"kimg-{nimg // 1000:06d}.{nimg % 1000:03d}"


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {"gantools": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


def list_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    folder = run / "checkpoints"
    found = [p for p in folder.iterdir() if _NAME.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, key=lambda p: float(p.name.removeprefix("kimg-")))


def write_checkpoint(
    run: Path, nimg: int, networks: dict[str, nn.Module], config: dict[str, Any], state: dict[str, Any], keep: int
) -> Path:
    """Write a checkpoint into `run` and remove all but the `keep` newest.

    Args:
        run: the run's folder.
        nimg: real images shown so far.
        networks: saved under their names.
        config: plain values, kept in `config.json`.
        state: tensors and plain values, kept in `state.pt`.
        keep: at least 1.
    """
    path = run / "checkpoints" / checkpoint_name(nimg)
    with whole_folder(path, overwrite=True) as folder:
        for name, network in networks.items():
            # safetensors wants plain contiguous tensors; channels_last is a matter of the running model.
            tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
            write_whole(folder / f"{name}.safetensors", save_safetensors(tensors))
        # By way of memory: written to a full disk, torch.save ends in an error that does not say so.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(folder / STATE, buffer.getvalue())
        files = {p.name: {"bytes": p.stat().st_size, "crc32": _crc32(p)} for p in sorted(folder.iterdir())}
        head = {"format": FORMAT, "version": FORMAT_VERSION, "nimg": nimg}
        write_json(folder / CONFIG, {**head, **config, "files": files, "versions": versions()})
    for old in list_checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return path


def read_config(path: Path) -> dict[str, Any]:
    """`config.json` of the checkpoint in folder `path`.

    Raises:
        CheckpointError: missing, damaged, of a newer format, or one of the files it lists is missing or damaged.
    """
    file = path / CONFIG
    if not file.is_file():
        raise CheckpointError(f"{path}: not a checkpoint (it has no {CONFIG}).")
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError("too large")
        config = json.loads(file.read_bytes())
        if config["format"] != FORMAT:
            raise ValueError("of another kind")
        version, files = config["version"], config["files"]
    except (ValueError, KeyError, TypeError) as e:
        raise CheckpointError(f"{file}: damaged ({e}).", _remedy(path)) from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {version}, this gantools reads {FORMAT_VERSION}.",
            "Use the gantools that wrote it.",
        )
    for name, expected in files.items():
        part = path / name
        if not part.is_file():
            raise CheckpointError(f"{part}: missing.", _remedy(path))
        if part.stat().st_size != expected["bytes"] or _crc32(part) != expected["crc32"]:
            raise CheckpointError(f"{part}: damaged (size or checksum is not what {CONFIG} says).", _remedy(path))
    assert isinstance(config, dict)
    return config


def read_weights(path: Path, name: str, network: nn.Module) -> None:
    """Load the weights saved as `name` into `network`, which must have exactly their names and shapes."""
    file = path / f"{name}.safetensors"
    try:
        tensors: dict[str, Tensor] = load_safetensors(file.read_bytes())
        network.load_state_dict(tensors)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: missing.", _remedy(path)) from None
    except Exception as e:  # safetensors raises its own untyped error, torch a RuntimeError
        raise CheckpointError(f"{file}: damaged, or of another network ({e}).", _remedy(path)) from e


def read_state(path: Path) -> dict[str, Any]:
    """`state.pt` of the checkpoint in folder `path`, on the CPU."""
    file = path / STATE
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as e:  # a damaged zip, a pickle that is not allowed, a truncated file: each has its own type
        raise CheckpointError(f"{file}: missing or damaged ({e}).", _remedy(path)) from e
    assert isinstance(state, dict)
    return state


def _remedy(path: Path) -> str:
    return f"Remove {path} to use the checkpoint before it."


def _crc32(path: Path) -> str:
    crc = 0
    with path.open("rb") as f:
        while block := f.read(1 << 22):
            crc = zlib.crc32(block, crc)
    return f"{crc:08x}"
