"""The processes that `torchrun` started, when it did: each takes its part of the images, sums are brought together."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

from gantools import errors
from gantools.errors import ConfigError, GantoolsError, MetricError

T = TypeVar("T")

#: A part may take hours longer than another where machines differ; torch's own limit is half an hour.
TIMEOUT = timedelta(hours=24)
#: How long a process waits for the others to come, and after how long it says so.
WAIT, SAY = timedelta(minutes=30), timedelta(seconds=10)
# How often the processes have met, as each meeting has keys of its own; and where, which must outlive each of them.
_meetings = 0
_place: Any = None
#: What to do where not all processes score together.
WAY_OUT = "Call it in all of them alike, or let one score alone with distributed=False (gantools.score in Python)."

log = logging.getLogger("gantools")


class Processes:
    """This process among those of `torchrun`, by its environment variables; alone without it. A context manager.

    Entering waits until all processes have come: `WAIT`, with a line after `SAY`. ConfigError: some have not.

    Args:
        distributed: False: this process alone, whatever the environment says. True: refuse to be alone.

    Raises:
        ConfigError: `distributed` is True and the environment names no other processes.
    """

    def __init__(self, distributed: bool | None = None) -> None:
        started = distributed is not False and "RANK" in os.environ and "WORLD_SIZE" in os.environ
        if distributed and not started:
            raise ConfigError("distributed=True, and this is no process of torchrun.", "Leave it out, or use torchrun.")
        self.world = int(os.environ["WORLD_SIZE"]) if started else 1
        self.rank = int(os.environ["RANK"]) if started else 0
        self._ours = False
        self._group: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the one that computes and prints."""
        return self.rank == 0

    def __enter__(self) -> Processes:
        if self.world > 1:
            import torch.distributed as dist

            store = self._meet()
            # Sums of numpy arrays travel, not tensors of a GPU.
            if dist.is_initialized():
                self._group = dist.new_group(backend="gloo", timeout=TIMEOUT)
            else:
                dist.init_process_group("gloo", store=store, rank=self.rank, world_size=self.world, timeout=TIMEOUT)
                self._ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import torch.distributed as dist

        if self._ours:
            dist.destroy_process_group()
        elif self._group is not None:
            dist.destroy_process_group(self._group)
        self._ours, self._group = False, None

    def _meet(self) -> Any:
        """Waits for all processes; the store in which they have met."""
        global _meetings, _place
        from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # public by its documentation
        from torch.distributed.rendezvous import rendezvous

        said = threading.Timer(
            SAY.total_seconds(),
            log.warning,
            (
                "process %d of torchrun waits for the other %d to score with it, up to %d minutes. %s",
                self.rank,
                self.world - 1,
                max(1, round(WAIT.total_seconds() / 60)),
                WAY_OUT,
            ),
        )
        said.daemon = True
        said.start()
        end = time.monotonic() + WAIT.total_seconds()
        everyone = [str(rank) for rank in range(self.world)]
        try:
            if _place is None:
                _place, _, _ = next(iter(rendezvous("env://", self.rank, self.world, timeout=WAIT)))
            store = PrefixStore(f"gantools/{_meetings}", _place)
            store.set(str(self.rank), "here")
            while not store.check(everyone):
                if time.monotonic() > end:
                    missing = [rank for rank in everyone if not store.check([rank])]
                    store.delete_key(str(self.rank))
                    raise ConfigError(
                        f"of {self.world} processes of torchrun {len(missing)} did not score with this one (process "
                        f"{', '.join(missing[:8])}).",
                        WAY_OUT,
                    )
                time.sleep(0.05)
        except RuntimeError as e:  # of torch: no store, or others that never connected to it
            raise ConfigError(
                f"the other processes of torchrun did not come ({str(e).splitlines()[0]}).", WAY_OUT
            ) from e
        finally:
            said.cancel()
        _meetings += 1
        return store

    def together(self, work: Callable[[], T]) -> T:
        """What `work` gives, once all processes have done theirs; where it fails in one, all raise the error."""
        if self.world == 1:
            return work()
        import torch.distributed as dist

        found: list[T] = []
        error: Exception | None = None
        try:
            found.append(work())
        except Exception as e:  # whatever it is, the others must not wait for this process
            error = e
        others: list[Any] = [None] * self.world
        dist.all_gather_object(others, None if error is None else _packed(error), group=self._group)
        if error is not None:
            raise error
        for rank, packed in enumerate(others):
            if packed is not None:
                raise _unpacked(packed, rank)
        return found[0]

    def gather(self, value: T) -> list[T]:
        """Every process's value in the first one, in order; an empty list in the others."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] | None = [None] * self.world if self.first else None
        dist.gather_object(value, values, group=self._group)
        return values or []

    def first_alone(self, work: Callable[[], T]) -> T:
        """What `work` gives in the first process, in all of them; where it fails there, all raise the error."""
        if self.world == 1:
            return work()
        import torch.distributed as dist

        box: list[Any] = [None, None]
        error: Exception | None = None
        if self.first:
            try:
                box[0] = work()
            except Exception as e:  # as above
                error = e
                box[1] = _packed(e)
        dist.broadcast_object_list(box, group=self._group)
        if error is not None:
            raise error
        if box[1] is not None:
            raise _unpacked(box[1], 0)
        found: T = box[0]
        return found

    def check_same(self, value: object, what: str) -> None:
        """ConfigError, in all processes: `value`, which is `what`, is not the same in all of them."""
        if self.world == 1:
            return
        import torch.distributed as dist

        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self._group)
        if any(other != values[0] for other in values):
            raise ConfigError(
                f"the processes of torchrun do not give the same {what}, and each takes its part of one set.",
                WAY_OUT,
            )


def _packed(error: Exception) -> tuple[str | None, str, str | None]:
    """An error as plain values: class, message and hint of one of ours; of any other only what it says."""
    if isinstance(error, GantoolsError):
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        return kind, error.message, error.hint
    return None, f"{type(error).__name__}: {error}", None


def _unpacked(packed: tuple[str | None, str, str | None], rank: int) -> GantoolsError:
    kind, message, hint = packed
    if kind is None:
        return MetricError(f"process {rank} of torchrun failed: {message}.", "Its own traceback says where.")
    error: GantoolsError = getattr(errors, kind)(message, hint)
    return error
