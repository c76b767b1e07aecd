"""Which device to compute on, how tensors get there, and with which precision it computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from gantools.errors import ConfigError, GantoolsError


def find_device(name: str | torch.device | None = None) -> torch.device:
    """The device called `name` ("cpu", "cuda", "cuda:1"); None: CUDA when there is one, else the CPU.

    Raises:
        ConfigError: no such device, or not on this machine.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: {name!r} is not a device.", "For example cpu, cuda or cuda:1.") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device: {name!r} is not supported.", "For example cpu, cuda or cuda:1.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device: {name!r} is not on this machine.",
            "Leave --device away (in Python device=None) to take what there is.",
        )
    return device


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; to a GPU through pinned memory, so that the copy does not wait for its queue to empty."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Within it, float32 keeps all its bits, and no algorithm is chosen by timing: the next start gives the same bits.

    A training around it may have allowed less. TF32 moves pooled features by about 1e-3.
    """
    products = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)


def free_memory(device: torch.device) -> int | None:
    """Bytes that a program can still take: of the GPU, or of the machine, its control group's limit included.

    None where the system does not say.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        found.append(int(text.split("MemAvailable:")[1].split()[0]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max": no limit
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(found) if found else None


@contextlib.contextmanager
def out_of_memory(message: str, hint: str) -> Iterator[None]:
    """Say what to do when memory runs out within the block, on the GPU or on the CPU.

    Raises:
        GantoolsError: it did: `message` and `hint`.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as e:
        # torch has no class of its own for the CPU's allocator running out.
        cpu = "not enough memory" in str(e) or "can't allocate memory" in str(e)
        if not isinstance(e, MemoryError | torch.OutOfMemoryError) and not cpu:
            raise
        raise GantoolsError(message, hint) from e
