"""The processes that `torchrun` started, when it did: each takes its part of the images, sums are brought together."""

from __future__ import annotations

import os
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

#: A part may take hours longer than another where machines differ; torch's own limit is half an hour.
TIMEOUT = timedelta(hours=24)


class Processes:
    """This process among those of `torchrun`, by its environment variables; alone without it. A context manager.

    Args:
        alone: whatever the environment says.
    """

    def __init__(self, *, alone: bool = False) -> None:
        started = not alone and "RANK" in os.environ and "WORLD_SIZE" in os.environ
        self.world = int(os.environ["WORLD_SIZE"]) if started else 1
        self.rank = int(os.environ["RANK"]) if started else 0
        self._ours = False

    @property
    def first(self) -> bool:
        """Whether this is the one that computes and prints."""
        return self.rank == 0

    def __enter__(self) -> Processes:
        if self.world > 1:
            import torch.distributed as dist

            if not dist.is_initialized():
                # Sums of numpy arrays travel, not tensors of a GPU.
                dist.init_process_group("gloo", timeout=TIMEOUT)
                self._ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            import torch.distributed as dist

            dist.destroy_process_group()
            self._ours = False

    def gather(self, value: T) -> list[T]:
        """Every process's value in the first one, in order; an empty list in the others."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] | None = [None] * self.world if self.first else None
        dist.gather_object(value, values)
        return values or []

    def share(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.world == 1:
            return value
        import torch.distributed as dist

        box: list[Any] = [value]
        dist.broadcast_object_list(box)
        found: T = box[0]
        return found
