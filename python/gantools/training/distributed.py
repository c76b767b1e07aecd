"""The processes that torchrun or Ray started, as one training: each computes its rows, their gradients are averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from gantools.errors import ConfigError, GantoolsError

# A process that is silent for so long is taken for dead: the first compilation and a score take minutes.
TIMEOUT = timedelta(minutes=30)


class OtherFailed(GantoolsError):
    """This process is well, and cannot go on without one that failed."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; alone where nothing started several."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and prints."""
        return self.rank == 0

    def rows(self, whole: int) -> tuple[int, int]:
        """Which rows of a batch of `whole` are this process's: start and stop.

        Raises:
            ConfigError: the batch cannot be cut into equal parts.
        """
        if whole % self.size:
            raise ConfigError(
                f"batch: {whole} images cannot be dealt to {self.size} processes.",
                f"Choose a multiple of {self.size}, for example --batch {-(-whole // self.size) * self.size}.",
            )
        mine = whole // self.size
        return self.rank * mine, (self.rank + 1) * mine

    def average(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each tensor over the processes, by one sum of all of them: ten times faster than one by one."""
        if self.size == 1 or not tensors:
            return list(tensors)
        flat = torch.cat([t.float().flatten() for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [t.numel() for t in tensors])
        return [part.view(t.shape).to(t.dtype) for part, t in zip(parts, tensors, strict=True)]

    def join(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The rows of all processes, in the order of the batch."""
        if self.size == 1:
            return dict(rows)
        found = {}
        for name, mine in rows.items():
            mine = mine.contiguous()  # what is received is laid out as what is sent
            parts = [torch.empty_like(mine) for _ in range(self.size)]
            dist.all_gather(parts, mine)
            found[name] = torch.cat(parts)
        return found

    def agree(self, *flags: bool) -> list[bool]:
        """Whether any process raised each flag: the same answer in all of them."""
        if self.size == 1:
            return list(flags)
        raised = torch.tensor([float(flag) for flag in flags], device=_device())
        dist.all_reduce(raised)
        return [value > 0 for value in raised.tolist()]

    def told(self, text: str | None) -> str | None:
        """What the first process says, in all of them."""
        if self.size == 1:
            return text
        said = [text]
        dist.broadcast_object_list(said, src=0)
        return said[0]

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            dist.barrier()


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """The processes of torchrun, by its environment variables, while the block runs; alone without them.

    Workers of Ray have the same variables (`launch.py`).

    When this process fails, it leaves the group before the error is reported: the others then fail at once, and do not
    wait for one that is gone.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes()
        return
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    except RuntimeError as e:
        if not any(word in str(e) for word in ("Connection closed", "Connection reset", "gloo", "NCCL")):
            raise
        raise OtherFailed("another process of the training failed.", "Its own message says why.") from e
    finally:
        if ours:
            dist.destroy_process_group()


def local_device(name: str | None) -> str | None:
    """The device of this process: the one asked for, or with several processes on CUDA the GPU of its local rank."""
    if name in (None, "cuda") and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    return name
