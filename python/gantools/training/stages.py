"""What a stage needs while it runs: its phases as functions, its scheduled numbers, its rows of each batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gantools.data.feeds import HELD_OUT, Feed
from gantools.errors import ConfigError, GantoolsError
from gantools.models.system import Batch, Stage
from gantools.training.compiled import Compiled, Function, plain
from gantools.training.distributed import Processes
from gantools.training.state import TrainingState
from gantools.training.step import run_phase

# A gate is shown images from so far beyond the training's own that no order has come there.
GATE_IMAGES = 64


@dataclass(frozen=True)
class Compute:
    """How phases are computed, once `auto` is decided: bfloat16, compiled, as CUDA graphs."""

    bfloat16: bool = False
    compiled: bool = False
    graphs: bool = False


class Work:
    """The present stage, ready to run.

    Args:
        state: the training.
        feeds: by name.
        compute: how.
        processes: those that train together.
        say: shows a line.
    """

    def __init__(
        self,
        state: TrainingState,
        feeds: Mapping[str, Feed],
        compute: Compute,
        processes: Processes,
        say: Callable[[str], None],
    ) -> None:
        self.state, self.processes = state, processes
        self.stage = stage = state.stage_now
        if stage.feed not in feeds:
            raise ConfigError(f"stage {stage.name}: there is no feed {stage.feed!r}.", f"Feeds: {', '.join(feeds)}.")
        self.feed = feeds[stage.feed]
        self.whole = state.batch_size()
        self.start, self.stop = processes.rows(self.whole)
        self.accumulate = state.recipe.compute.accumulate
        if (self.stop - self.start) % self.accumulate:
            raise ConfigError(
                f"compute.accumulate: {self.stop - self.start} images cannot be cut into {self.accumulate} equal parts."
            )
        device = state.device
        self.functions: list[Function] = [
            Compiled(phase, device, compute.bfloat16, compute.graphs, say)
            if compute.compiled
            else plain(phase, device, compute.bfloat16)
            for phase in stage.phases
        ]
        self.scalars = {name: torch.zeros((), device=device) for name in stage.scalars}
        # Which rows of the whole batch are this process's; None: all of them.
        self.rows = None if processes.size == 1 else torch.arange(self.start, self.stop, device=device)

    def batch(self, nimg: int) -> Batch:
        """This process's rows of the batch that begins at `nimg`; those after it are begun."""
        mine = self.stop - self.start
        found = batch_of(self.feed, self.stage, nimg + self.start, mine, (nimg + self.whole + self.start, mine))
        if self.rows is None:
            return found
        return Batch(found.images, found.labels, found.inputs, found.extras, self.rows, self.whole)

    def step(self) -> None:
        """One step of the stage: every phase that is due."""
        state = self.state
        batch = self.batch(state.nimg)
        since = state.nimg - state.begun()
        for name, schedule in self.stage.scalars.items():
            self.scalars[name].fill_(schedule(since))  # in place: compiled code and graphs see it
        for index, phase in enumerate(self.stage.phases):
            if not phase.due(state.steps):
                continue
            for turn in range(phase.repeat):
                means: dict[str, Tensor] = run_phase(
                    state,
                    phase,
                    self.functions[index],
                    batch,
                    self.scalars,
                    at=(state.stage, index, turn),
                    accumulate=self.accumulate,
                    processes=self.processes,
                )
                state.meter.add(f"{self.stage.name}/{phase.name}", means)
        state.count(self.whole)


def batch_of(feed: Feed, stage: Stage, position: int, n: int, following: tuple[int, int] | None = None) -> Batch:
    """Rows position..position+n-1 of a feed, as the stage needs them.

    Raises:
        ConfigError: the feed does not give a role that the stage needs.
    """
    sample = feed.at(position, n, following)
    batch = Batch(sample.images, sample.labels, sample.inputs, sample.extras)
    for role in stage.needs:
        if getattr(batch, role, batch.extras.get(role)) is None:
            raise ConfigError(f"stage {stage.name}: needs {role}, which its feed does not give.", "See data.feed.")
    return batch


def enter(state: TrainingState, feeds: Mapping[str, Feed]) -> Stage:
    """Begin the next stage, once its gate lets it.

    Raises:
        GantoolsError: its gate says why it must not begin.
    """
    stage = state.stages[state.stage + 1]
    if stage.gate is not None:
        reason = stage.gate(state.networks, batch_of(feeds[stage.feed], stage, HELD_OUT, GATE_IMAGES))
        if reason is not None:
            raise GantoolsError(f"stage {stage.name} does not begin: {reason}")
    return state.enter()
