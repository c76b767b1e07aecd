"""Random numbers of data: functions of a seed and of what they are for, the same on every machine."""

from __future__ import annotations

import hashlib

import numpy as np


def philox(seed: int, number: int) -> np.random.Generator:
    """A generator of its own for each pair of numbers in [0, 2**64)."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))


def derived(seed: int, role: str) -> int:
    """A seed in [0, 2**63) for another purpose: from SHA-256 of the seed and the purpose's name."""
    return int.from_bytes(hashlib.sha256(f"{seed} {role}".encode()).digest()[:8], "little") >> 1
