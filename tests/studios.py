"""Runs to look at in the studio, and the studio itself in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from gantools.training.run import train
from tests.conftest import blobs, write_prepared

#: What makes a recipe one of seconds; and the recipes that the studio shows in tests.
SMALL: dict[str, dict[str, Any]] = {
    "dcgan": {"network": {"size": 16, "latent": 6, "width": 4}, "ema.half_life_kimg": 0.02},
    "cdcgan-fashion": {"network": {"size": 16, "channels": 3, "latent": 6, "width": 4}},
    "stylegan2-celeba": {"network": {"size": 16, "latent": 8, "width": 16, "max_width": 8}},
    "cyclegan-64": {"network": {"size": 16, "width": 4, "blocks": 1, "judge_width": 4, "judge_halvings": 1}},
}


def make_runs(place: Path) -> Path:
    """A folder of four hardly trained runs, each with three checkpoints and grids, in the order of `SMALL`."""
    images = blobs(48, 16, 3)
    plain = write_prepared(place / "data" / "blobs", images)
    told = write_prepared(place / "data" / "told", images, np.arange(48) % 3)
    for recipe, changes in SMALL.items():
        more = {"inputs": plain} if recipe.startswith("cyclegan") else {}
        overrides = {"batch": 8, "kimg": 0.048, "tick_kimg": 0.016, "grid": 9, "eval.metrics": [], **changes}
        train(
            recipe,
            data=told if recipe.startswith("cdcgan") else plain,
            out=place / "runs",
            overrides=overrides,
            progress=False,
            device="cpu",
            **more,
        )
    return place / "runs"


class Studio:
    """`gantools studio` as a user starts it.

    Attributes:
        link: what it printed: the key to its first page.
        base: scheme, host and port.
        token: of the link.
        port: of the link.
        process: the process.
    """

    def __init__(self, places: Sequence[Path], *options: str, cwd: Path | None = None) -> None:
        words = [sys.executable, "-m", "gantools", "studio", *map(str, places), "--device", "cpu", *options]
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, restore_signals=True
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.link = self.process.stdout.readline().strip()
        assert self.link, self.process.stderr.read()
        parts = urlsplit(self.link)
        self.base, self.token = f"{parts.scheme}://{parts.netloc}", parts.query.removeprefix("token=")
        assert parts.port is not None
        self.port = parts.port

    def end(self) -> tuple[int, str]:
        """Ctrl-C; the exit status, and what it said on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said
