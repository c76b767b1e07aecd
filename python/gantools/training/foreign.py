"""Weights of others, put into networks of ours where they fit; what was taken and what was not is said.

A tensor is found by its name and shape; what is left, by its kind (weight, bias, running_mean, ...) and shape in the
order of both networks, because layers that do the same have other names in other programs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from gantools.errors import ConfigError, DataError, WeightsError, cause, unknown_name
from gantools.files import whole_folder, write_json, write_whole
from gantools.recipes.recipe import Recipe, load_recipe, recipe_from_dict
from gantools.runs.checkpoint import versions
from gantools.runs.folders import RECORD, RUNS
from gantools.training.state import TrainingState

Tensors = dict[str, Tensor]

REPORT = "import.json"
# Names that others give to networks, the averaged ones first; ours goes before all.
ALIASES = {
    "generator": ("g_ema", "G_ema", "generator_ema", "netG", "G", "g", "gen"),
    "discriminator": ("netD", "D", "d", "disc", "critic"),
}
# Names of the state dict of a file that has but one network, beside other things.
GENERAL = ("params_ema", "ema", "params", "state_dict", "model", "")
# Tensors that a network can do without: BatchNorm's count of batches decides nothing once it is trained.
HARMLESS = ("num_batches_tracked",)
# Names in an error.
SHOWN = 3


@dataclass
class Match:
    """Which tensor of a file is which of a network.

    Attributes:
        by_name, by_order: name here -> name in the file.
        left: names here that nothing was found for.
        unused: names in the file that nothing took.
    """

    by_name: dict[str, str] = field(default_factory=dict)
    by_order: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def taken(self) -> dict[str, str]:
        """Both kinds: name here -> name in the file."""
        return {**self.by_name, **self.by_order}

    @property
    def whole(self) -> bool:
        """Whether all that decides what the network computes was found."""
        return bool(self.taken) and all(_kind(name) in HARMLESS for name in self.left)


def import_weights(
    file: str | Path,
    *,
    recipe: str | Path | None = None,
    model: str | None = None,
    out: str | Path | None = None,
    network: str | None = None,
    part: str | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
) -> tuple[Path, list[str]]:
    """Put weights of another program into the networks of a recipe, as a run to sample from or to start from.

    Args:
        file: a plain state dict saved by torch (several by name in one dict are taken too), or a safetensors file.
        recipe: the recipe whose networks they go into.
        model: or a system with its own defaults, by name; one of both.
        out: the run's folder to make; None: `runs/import-FILE`.
        network: the one that the file is for; None: that which makes images, and others that the file names.
        part: the state dict to take from a file that has several, by its name there; None: found by usual names.
        overrides: changes of the recipe, as in `gantools.train`: {"network.latent": 100}.

    Returns:
        The run's folder, and lines that say what was taken and what was not. `import.json` in it lists every tensor.

    Raises:
        WeightsError: the file is missing, is no state dict, or nothing in it fits.
        ConfigError: no such recipe, model or network.
        DataError: `out` exists.
    """
    path = Path(file)
    resolved = _recipe(recipe, model, overrides)
    target = RUNS / f"import-{path.stem}" if out is None else Path(out)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target}: exists already.", "Choose another place with --out.")
    state = TrainingState(resolved, torch.device("cpu"), pretrained=False)
    if network is not None and network not in state.saved:
        raise unknown_name("network", network, state.saved)
    found = read_networks(path)
    if part is not None and part not in found:
        raise unknown_name("part", part, found)
    sampler = network or resolved.system.sampler
    only = part if part is not None else next(iter(found)) if len(found) == 1 else None
    chosen = {sampler: only} if only is not None else _assign(found, [network] if network else state.saved, sampler)
    matches = {name: match(state.networks[name].state_dict(), found[origin]) for name, origin in chosen.items()}
    if not any(_kind(name) not in HARMLESS for m in matches.values() for name in m.taken):
        raise WeightsError(f"{path}: nothing in it fits the networks of {resolved.name}.", _why(state, found, chosen))
    lines = []
    for name in state.saved:
        if not state.networks[name].state_dict():
            continue
        if name not in matches:
            lines.append(f"{name}: not in {path.name}, stays as it was initialised")
            continue
        taken = {ours: found[chosen[name]][theirs] for ours, theirs in matches[name].taken.items()}
        _load(state.networks[name], taken)
        if name in state.averages:
            _load(state.averages[name].network, taken)
        lines.append(_line(name, matches[name], state.networks[name], found[chosen[name]]))
    shown = [name for name in resolved.system.shows if state.networks[name].state_dict()]
    if not all(name in matches and matches[name].whole for name in shown):
        lines.append("not all that makes images was taken: good for --init-from, its samples mean nothing")
    data = {"path": "", "name": path.name, "fingerprint": "", "count": 0, "shape": list(resolved.image_shape)}
    config = {"recipe": resolved.to_dict(), "data": {**data, "classes": None}, "imported": str(path.absolute())}
    with whole_folder(target, overwrite=target.exists()) as folder:
        record = yaml.safe_dump({**config, "versions": versions()}, sort_keys=False, width=120)
        write_whole(folder / RECORD, record.encode())
        report = {
            name: {"from": chosen[name], "taken": m.taken, "by_order": list(m.by_order), "left": m.left}
            | {"unused": m.unused}
            for name, m in matches.items()
        }
        write_json(folder / REPORT, {"file": str(path.absolute()), "networks": report})
        state.save(folder, config)
    return target, [f"weights from {path}:", *lines]


def match(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Match:
    """Which tensor of `found` is which of `wanted`: by name and shape, then by kind and shape in their order."""
    result = Match()
    for name, tensor in wanted.items():
        if name in found and found[name].shape == tensor.shape:
            result.by_name[name] = name
    ours = [name for name in wanted if name not in result.by_name]
    theirs = [name for name in found if name not in result.by_name]
    for kind in dict.fromkeys(map(_kind, ours)):
        # Each kind for itself, because programs differ in which of a layer's tensors comes first.
        mine, other = ([n for n in names if _kind(n) == kind] for names in (ours, theirs))
        pairs = difflib.SequenceMatcher(
            None, [wanted[n].shape for n in mine], [found[n].shape for n in other], autojunk=False
        )
        for block in pairs.get_matching_blocks():
            for i in range(block.size):
                result.by_order[mine[block.a + i]] = other[block.b + i]
    result.left = [name for name in ours if name not in result.by_order]
    used = set(result.by_order.values())
    result.unused = [name for name in theirs if name not in used]
    return result


def _kind(name: str) -> str:
    """The last part of a tensor's name."""
    return name.rpartition(".")[2]


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which layer 10 comes after layer 2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def read_networks(path: Path) -> dict[str, Tensors]:
    """The state dicts in a file, by the names they have there; "" is the name of one that has none.

    Raises:
        WeightsError: missing, damaged, or something else than tensors by name.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file.", "Give a state dict saved by torch, or a safetensors file.")
    try:
        if path.suffix == ".safetensors":
            # Such a file keeps no order; that of the names is mostly the network's.
            tensors = load_safetensors(path.read_bytes())
            values: Any = {name: tensors[name] for name in sorted(tensors, key=_natural)}
        else:
            values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # a damaged zip, a pickle of classes, a truncated file: each has its own type
        raise WeightsError(
            f"{path}: no plain state dict ({cause(e) if isinstance(e, OSError) else 'damaged, or objects in it'}).",
            "Save one where the network lives: torch.save(network.state_dict(), 'weights.pt')",
        ) from e
    found: dict[str, Tensors] = {}
    _collect(values, "", found)
    if not found:
        raise WeightsError(f"{path}: no tensors by name in it.", "Save network.state_dict(), not the network itself.")
    return found


def _collect(values: Any, name: str, found: dict[str, Tensors]) -> None:
    """The state dicts in nested mappings: without DataParallel's `module.`, and networks in one dict told apart."""
    if not isinstance(values, Mapping):
        return
    own = {str(k): v for k, v in values.items() if isinstance(v, Tensor)}
    if own and all(key.startswith("module.") for key in own):
        own = {key.removeprefix("module."): v for key, v in own.items()}
    groups: dict[str, Tensors] = {}
    known = {alias for aliases in ALIASES.values() for alias in aliases} | ALIASES.keys()
    for key, value in own.items():
        first, dot, rest = key.partition(".")
        inner = bool(dot) and first in known
        groups.setdefault(first if inner else name, {})[rest if inner else key] = value
    found.update(groups)
    for key, value in values.items():
        _collect(value, str(key), found)


def _assign(found: Mapping[str, Tensors], networks: Sequence[str], sampler: str) -> dict[str, str]:
    """Which of several state dicts of a file is for which network: by our name, or by one that others use."""
    chosen: dict[str, str] = {}
    for name in networks:
        own = [*ALIASES.get(name, ()), *(GENERAL if name == sampler else ())]
        origin = next((alias for alias in (name, *own) if alias in found), None)
        if origin is not None:
            chosen[name] = origin
    return chosen


def _recipe(recipe: str | Path | None, model: str | None, overrides: Mapping[str, Any] | Sequence[str]) -> Recipe:
    if (recipe is None) == (model is None):
        raise ConfigError(
            "whose networks? give --recipe or --model.", "For example: gantools import FILE --recipe dcgan"
        )
    if recipe is not None:
        return load_recipe(recipe, overrides)
    assert model is not None
    values = {"model": model, "optim": {"lr": 0.0002}, "batch": 64, "kimg": 1000}
    name = re.sub(r"[^\w.-]", "_", model)
    return recipe_from_dict(values, f"model {model}", name=name, overrides=overrides)


@torch.no_grad()
def _load(network: nn.Module, tensors: Tensors) -> None:
    network.load_state_dict(tensors, strict=False)


def _line(name: str, found: Match, network: nn.Module, file: Tensors) -> str:
    wanted = network.state_dict()
    how = f"{len(found.by_name)} by name, {len(found.by_order)} by order and shape"
    text = f"{name}: {len(found.taken)} of {len(wanted)} tensors taken ({how})"
    left = [k for k in found.left if _kind(k) not in HARMLESS]
    if left:
        text += f"; left as they were: {_some([f'{k} {tuple(wanted[k].shape)}' for k in left])}"
    if found.unused:
        text += f"; in the file and not used: {_some([f'{k} {tuple(file[k].shape)}' for k in found.unused])}"
    return text


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _why(state: TrainingState, found: Mapping[str, Tensors], chosen: Mapping[str, str]) -> str:
    """What a file has and what was wanted, where nothing of it fits."""
    name = next(iter(chosen), None)
    if name is None:
        return (
            f"It has {_some([repr(n) for n in found])}; the networks are {', '.join(state.saved)}. "
            "Choose one with --part."
        )
    ours, theirs = (
        [(k, v) for k, v in tensors.items() if v.dim() > 1] or list(tensors.items())
        for tensors in (state.networks[name].state_dict(), found[chosen[name]])
    )
    return (
        f"{name} begins with {ours[0][0]} {tuple(ours[0][1].shape)}, the file with "
        f"{theirs[0][0]} {tuple(theirs[0][1].shape)}. --set network.KEY=VALUE gives other sizes."
    )
