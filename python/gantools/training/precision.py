"""How a training computes: `auto` decided by what there is and by measuring, and said in a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from gantools.data.feeds import Feed
from gantools.training.compiled import plain, untouched
from gantools.training.distributed import Processes
from gantools.training.seeds import reseed
from gantools.training.stages import Compute, batch_of
from gantools.training.state import TrainingState

# Timed steps of each precision, after one that is not.
TIMED = 2


def decide(
    state: TrainingState, feeds: Mapping[str, Feed], processes: Processes, say: Callable[[str], None]
) -> tuple[Compute, dict[str, Any]]:
    """How to compute the phases, and words for the statistics.

    Args:
        state: the training, in the stage that it begins with.
        feeds: by name.
        processes: those that train together; all decide alike.
        say: shows a line.
    """
    config, device = state.recipe.compute, state.device
    cuda = device.type == "cuda"
    compiled = config.compile == "on" or (config.compile == "auto" and cuda)
    precision: str = config.precision
    if precision == "auto":
        if not _has_bfloat16(device):
            precision = "float32"
        else:
            # Once in a training: measured again when it is resumed, it might come out otherwise.
            precision = state.precision.get(device.type) or _measured(state, feeds, say)
        precision = processes.told(precision) or precision
        state.precision[device.type] = precision
    compute = Compute(bfloat16=precision == "bfloat16", compiled=compiled, graphs=compiled and cuda)
    name = torch.cuda.get_device_name(device) if cuda else "cpu"
    return compute, {"device": name, "precision": precision, "compiled": compiled}


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capability = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(capability is not None and capability()) or bool(tiles is not None and tiles())


def _measured(state: TrainingState, feeds: Mapping[str, Feed], say: Callable[[str], None]) -> str:
    """The faster of float32 and bfloat16 on this machine now, for the phases of the present stage."""
    stage = state.stage_now
    batch = batch_of(
        feeds[stage.feed], stage, state.nimg, state.batch_size() // max(1, state.recipe.compute.accumulate)
    )
    since = state.nimg - state.begun()
    scalars = {
        name: torch.full((), float(schedule(since)), device=state.device) for name, schedule in stage.scalars.items()
    }
    seconds = {}
    for precision in ("float32", "bfloat16"):
        functions = [plain(phase, state.device, precision == "bfloat16") for phase in stage.phases]
        with untouched(state.networks):
            best = float("inf")
            for turn in range(TIMED + 1):
                reseed(state.device, state.seed, state.nimg)
                _wait(state.device)
                start = time.perf_counter()
                for function in functions:
                    function(state.networks, batch, scalars)
                _wait(state.device)
                best = min(best, time.perf_counter() - start) if turn else best
        seconds[precision] = best
    ratio = seconds["float32"] / seconds["bfloat16"]
    chosen = "bfloat16" if ratio > 1.05 else "float32"
    say(f"precision {chosen}: bfloat16 is {ratio:.2f} times as fast as float32 here")
    return chosen


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
