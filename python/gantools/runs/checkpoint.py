"""Checkpoints: a folder that holds all that is needed to go on, or to sample.

    kimg-000060.000/
      config.json                  format, images shown, recipe, data, and size and CRC-32 of the other files
      generator.safetensors        weights and buffers of each network
      generator_ema.safetensors    of the moving average, where the recipe has one
      state.pt                     optimizers, random state, meters: tensors and plain values, loaded with weights_only

It is written under a temporary name and renamed, and put aside by renaming before it is removed, so a checkpoint that
exists is whole whenever its writer was killed. Beside the checkpoints `best` names the one with the best score.
"""

from __future__ import annotations

import io
import json
import logging
import os
import platform
import re
import shutil
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from gantools import __version__
from gantools.errors import CheckpointError
from gantools.files import whole_folder, write_json, write_whole
from gantools.runs.folders import newest_checkpoint
from gantools.runs.layout import (
    CHECKPOINTS,
    CONFIG,
    EXPORTED,
    EXPORTED_VERSION,
    FORMAT,
    FORMAT_VERSION,
    MAX_CONFIG_BYTES,
    MODEL,
    NAME,
    STATE,
    best_checkpoint,
    checkpoint_name,
    checkpoint_nimg,
    list_checkpoints,
)

log = logging.getLogger(__name__)
# What `whole_folder` and `prune` leave where their process was killed: `.kimg-000020.000.PID.tmp`.
_LEFT = re.compile(rf"\.{NAME.pattern}\.(\d+)\.(?:tmp|old)")


class Damaged(CheckpointError):
    """A checkpoint of which something is missing or not what was written; the one before may be whole."""


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {"gantools": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


def write_checkpoint(
    run: Path, nimg: int, networks: dict[str, nn.Module], config: dict[str, Any], state: dict[str, Any], keep: int
) -> Path:
    """Write a checkpoint into `run` and remove the old ones that `prune` does not keep.

    Args:
        run: the run's folder.
        nimg: real images shown so far.
        networks: saved under their names.
        config: plain values, kept in `config.json`.
        state: tensors and plain values, kept in `state.pt`.
        keep: at least 1.
    """
    path = run / CHECKPOINTS / checkpoint_name(nimg)
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
    prune(run, keep)
    return path


def prune(run: Path, keep: int) -> None:
    """Remove the checkpoints of a run but the `keep` newest, the best, and a series that thins out.

    The series is the first checkpoint at or past each power of two of kimg (1, 2, 4, ...): when a training dies, one
    from before that is left, however long it went on dead.
    """
    found = list_checkpoints(run)
    kept = set(found[-keep:]) | set(_series(found))
    best = best_checkpoint(run)
    if best is not None:
        kept.add(best.path)
    for path in found:
        if path not in kept:
            aside = path.with_name(f".{path.name}.{os.getpid()}.old")
            path.rename(aside)
            shutil.rmtree(aside)
    for path in (run / CHECKPOINTS).iterdir():
        left = _LEFT.fullmatch(path.name)
        if left is not None and not _alive(int(left[1])):
            shutil.rmtree(path, ignore_errors=True)


def _series(checkpoints: list[Path]) -> list[Path]:
    """The first of `checkpoints`, oldest first, at or past each power of two of kimg."""
    kept, power = [], 1000
    for path in checkpoints:
        if (nimg := checkpoint_nimg(path)) >= power:
            kept.append(path)
            while power <= nimg:
                power *= 2
    return kept


def _alive(pid: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_model(folder: Path, networks: Mapping[str, nn.Module], config: Mapping[str, Any]) -> None:
    """Write networks and `config.json` into `folder` as an exported model, which `read_config` and `read_shown` read.

    Args:
        folder: that exists.
        networks: saved in one file, `model.safetensors`, each tensor as `NETWORK.NAME`.
        config: plain values.
    """
    tensors = {f"{name}.{k}": v for name, network in networks.items() for k, v in network.state_dict().items()}
    file = folder / f"{MODEL}.safetensors"
    write_whole(file, save_safetensors({k: v.detach().cpu().contiguous() for k, v in tensors.items()}))
    files = {file.name: {"bytes": file.stat().st_size, "crc32": _crc32(file)}}
    head = {"format": EXPORTED, "version": EXPORTED_VERSION}
    write_json(folder / CONFIG, {**head, **config, "files": files, "versions": versions()})


def read_config(path: Path, *, check: bool = True, exported: bool = False) -> dict[str, Any]:
    """`config.json` of the checkpoint in folder `path`.

    Args:
        path: of the checkpoint.
        check: also compare every file it lists with its size and checksum; else see `check_files`.
        exported: take an exported model as well, which is enough to make images and not to train.

    Raises:
        Damaged: `config.json` is damaged, or a file that it lists is missing or damaged.
        CheckpointError: no checkpoint, or of another format.
    """
    file = path / CONFIG
    if not file.is_file():
        raise Damaged(f"{path}: not a checkpoint (it has no {CONFIG}).")
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError("too large")
        config = json.loads(file.read_bytes())
        if config["format"] not in (FORMAT, EXPORTED):
            raise ValueError("of another kind")
        version, files = int(config["version"]), config["files"]
        assert isinstance(config, dict)
        if not all(isinstance(name, str) and {"bytes", "crc32"} <= part.keys() for name, part in files.items()):
            raise ValueError("its list of files is none")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise Damaged(f"{file}: damaged ({e}).", _remedy(path)) from None
    if config["format"] == EXPORTED and not exported:
        raise CheckpointError(
            f"{path}: an exported model: it makes images, and has nothing to train on from.",
            "Give the run that it was exported from.",
        )
    known = EXPORTED_VERSION if config["format"] == EXPORTED else FORMAT_VERSION
    if version < known:
        raise CheckpointError(
            f"{path}: written by an older gantools (format {version}, this one reads {known}).",
            "Train again, or use the gantools that wrote it.",
        )
    if version > known:
        raise CheckpointError(
            f"{path}: written by a newer gantools (format {version}, this one reads {known}).",
            "Use the gantools that wrote it.",
        )
    if check:
        check_files(path, config)
    return config


def newest_whole_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run of which no file is damaged; a damaged one is passed over with a warning.

    Raises:
        CheckpointError: there is none, or it is of another format.
    """
    newest_checkpoint(run)
    damaged: Damaged | None = None
    for path in reversed(list_checkpoints(run)):
        try:
            read_config(path)
        except Damaged as e:
            log.warning("%s", e.message)
            damaged = damaged or e
        else:
            if damaged is not None:
                log.warning("going on from %s, the newest that is whole.", path)
            return path
    assert damaged is not None
    raise CheckpointError(f"{run}: every checkpoint in it is damaged.", f"The newest: {damaged.message}")


def check_files(path: Path, config: dict[str, Any], names: Iterable[str] | None = None) -> None:
    """Compare files of the checkpoint in folder `path` with what its `config` says of them.

    Args:
        path: of the checkpoint.
        config: of `read_config`.
        names: of the files; None: all.

    Raises:
        Damaged: one is missing, or of another size or checksum.
    """
    files = config["files"]
    for name in files if names is None else names:
        part = path / name
        if name not in files or not part.is_file():
            raise Damaged(f"{part}: missing.", _remedy(path))
        if part.stat().st_size != files[name]["bytes"] or _crc32(part) != files[name]["crc32"]:
            raise Damaged(f"{part}: damaged (size or checksum is not what {CONFIG} says).", _remedy(path))


def read_tensors(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors saved as `name` in the checkpoint in folder `path`, on the CPU."""
    file = path / f"{name}.safetensors"
    try:
        tensors: dict[str, Tensor] = load_safetensors(file.read_bytes())
    except FileNotFoundError:
        raise Damaged(f"{file}: missing.", _remedy(path)) from None
    except Exception as e:  # safetensors raises its own untyped error
        raise Damaged(f"{file}: damaged ({e}).", _remedy(path)) from e
    return tensors


def read_shown(path: Path, config: dict[str, Any], name: str, network: nn.Module) -> None:
    """Load the weights that network `name` makes images with: its average where there is one.

    Args:
        path: a checkpoint, or an exported model.
        config: of `read_config`.
        name: of the network.
        network: must have exactly the names and shapes of the weights there.
    """
    if config["format"] == EXPORTED:
        file, prefix = MODEL, f"{name}."
    else:
        file, prefix = f"{name}_ema" if f"{name}_ema.safetensors" in config["files"] else name, ""
    check_files(path, config, [f"{file}.safetensors"])
    read_weights(path, file, network, prefix)


def read_weights(path: Path, name: str, network: nn.Module, prefix: str = "") -> None:
    """Load the weights saved as `name` into `network`, which must have exactly their names and shapes.

    Args:
        path: of the checkpoint.
        name: of the file, without suffix.
        network: that takes them.
        prefix: of the names there that are meant; the others are left.
    """
    file = path / f"{name}.safetensors"
    try:
        tensors: dict[str, Tensor] = load_safetensors(file.read_bytes())
        network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except FileNotFoundError:
        raise Damaged(f"{file}: missing.", _remedy(path)) from None
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
    if path.parent.name != CHECKPOINTS:
        return "Take another copy of it, or make it again."
    return f"Remove {path} to use the checkpoint before it."


def _crc32(path: Path) -> str:
    crc = 0
    with path.open("rb") as f:
        while block := f.read(1 << 22):
            crc = zlib.crc32(block, crc)
    return f"{crc:08x}"
