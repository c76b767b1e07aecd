"""Frozen networks that this process has loaded: each is read from its file once, and given to all who ask for it.

A network is known by the function that makes it, the sha256 of its files and the device, so that a file that was
replaced is loaded anew. The last `LIMIT` are kept; `free_networks` lets go of them.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch

T = TypeVar("T")

#: How many networks are kept; a further one takes the place of that which was not asked for the longest.
LIMIT = 4

_kept: OrderedDict[Hashable, Any] = OrderedDict()
_lock = threading.RLock()


def loaded(make: Callable[..., T], sha256: Hashable, device: torch.device, *given: Any) -> T:
    """The network that `make(*given, device)` makes, made at most once while it is kept; safe to call in any thread.

    Args:
        make: makes the network, frozen and in eval mode: callers share it and must not change it. It stands for the
            architecture, so that it has to be the same function each time.
        sha256: of the content of all files that it reads.
        device: where the network is put.
        given: arguments before the device, of which only the content of files decides what is made.

    Returns:
        The network. It stays usable after it is no longer kept.
    """
    if str(device) == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    key = (make, sha256, str(device))
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
        else:
            # Weights made in inference mode could not be used outside of it.
            with torch.inference_mode(False), torch.no_grad():
                _kept[key] = make(*given, device)
            while len(_kept) > LIMIT:
                _kept.popitem(last=False)
        found: T = _kept[key]
        return found


def free_networks() -> int:
    """Let go of all networks that are kept, whose memory is free once nobody uses them; gives how many they were."""
    with _lock:
        count = len(_kept)
        _kept.clear()
    return count


def _after_fork() -> None:
    # Another thread may have held it, and that thread is not there any more.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
