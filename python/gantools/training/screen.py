"""What a training shows: a line a tick and the progress bar. All of it on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gantools.progress import Progress


class Screen(Progress):
    """The progress bar of a training, and lines for the user.

    Args:
        total: real images to be shown.
        start: real images shown already.
        quiet: only warnings.
    """

    def __init__(self, total: int, *, start: int = 0, quiet: bool = False) -> None:
        super().__init__("training", total, start=start, show=not quiet)

    def tick(self, line: Mapping[str, Any], left: float, metrics: Sequence[str] = ()) -> None:
        """A tick's line, from its stats, the seconds left and the names of scores measured in it."""
        kimg = line["kimg"]
        parts = [f"kimg {kimg:.3f}" if kimg < 10 else f"kimg {kimg:.1f}", f"epoch {line['epoch']:.2f}"]
        names = {k: k for k in line if k.startswith("loss_")} | {"real_score": "real", "fake_score": "fake"}
        parts += [f"{label} {line[key]:.4f}" for key, label in names.items() if key in line]
        parts += [f"{key} {value:.4g}" for key, value in line.items() if key.split("_")[0] in metrics]
        parts += [f"{line['img_per_s']:.0f} img/s", f"{duration(left)} left"]
        self.print("  ".join(parts))


def duration(seconds: float) -> str:
    """`0:05`, `12:34` or `3:04:05`."""
    minutes, s = divmod(round(max(0.0, seconds)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
