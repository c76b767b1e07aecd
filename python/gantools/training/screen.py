"""What a training shows: a line a tick and the progress bar. All of it on stderr."""

from __future__ import annotations

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

    def tick(self, line: dict[str, Any], left: float) -> None:
        """A tick's line, from its stats and the seconds left."""
        parts = [f"kimg {line['kimg']:.1f}", f"epoch {line['epoch']:.2f}"]
        names = {"loss_g": "loss_g", "loss_d": "loss_d", "real_score": "real", "fake_score": "fake"}
        parts += [f"{label} {line[key]:.4f}" for key, label in names.items() if key in line]
        parts += [f"{line['img_per_s']:.0f} img/s", f"{duration(left)} left"]
        self.print("  ".join(parts))


def duration(seconds: float) -> str:
    """`0:05`, `12:34` or `3:04:05`."""
    minutes, s = divmod(round(max(0.0, seconds)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
