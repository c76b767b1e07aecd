"""What a training shows: a line a tick and, on a terminal, a progress bar. All of it on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Screen:
    """Lines for the user, and a progress bar when stderr is a terminal.

    Args:
        total: real images to be shown.
        quiet: only warnings.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self.bar: Progress | None = None
        if self.console.is_terminal and not quiet:
            columns = (
                TextColumn("{task.completed:.0f}/{task.total:.0f} images"),
                BarColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("", total=total, speed="")

    def __enter__(self) -> Screen:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def note(self, text: str) -> None:
        """One line for the user."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """One line that is shown even when quiet."""
        self.console.print(f"warning: {text}", style="yellow", markup=False)

    def advance(self, nimg: int, img_per_s: float) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.update(self.task, completed=nimg, speed=f"{img_per_s:.0f} img/s")

    def tick(self, line: dict[str, Any], left: float) -> None:
        """A tick's line, from its stats and the seconds left."""
        parts = [f"kimg {line['kimg']:.1f}", f"epoch {line['epoch']:.2f}"]
        names = {"loss_g": "loss_g", "loss_d": "loss_d", "real_score": "real", "fake_score": "fake"}
        parts += [f"{label} {line[key]:.4f}" for key, label in names.items() if key in line]
        parts += [f"{line['img_per_s']:.0f} img/s", f"{duration(left)} left"]
        self.note("  ".join(parts))


def duration(seconds: float) -> str:
    """`0:05`, `12:34` or `3:04:05`."""
    minutes, s = divmod(round(max(0.0, seconds)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
