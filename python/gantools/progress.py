"""One progress bar for all commands: on stderr, with rate and time left; plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

# Without a terminal (a log file, a batch job) a line this often is enough.
SECONDS_BETWEEN_LINES = 15.0


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self.unit}/s" if speed else "", style="cyan")


class Progress:
    """A progress bar for `total` things; use it as a context manager and call `update(done)`.

    Args:
        label: what is being done, for example `preparing`.
        total: how many things there are.
        unit: what one is called in the rate, for example `images`.
        start: how many are done already (after a resume).
        show: False for silence.
    """

    def __init__(self, label: str, total: int, *, unit: str = "images", start: int = 0, show: bool = True) -> None:
        self.label, self.total, self.unit, self.start, self.show = label, total, unit, start, show
        self.note = ""
        self.done = start
        self._bar: RichProgress | None = None
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
        self._began = self._last_line = time.monotonic()
        if self.show and sys.stderr.isatty():
            self._bar = RichProgress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
                _Rate(self.unit),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.start, note="")
        return self

    def update(self, done: int, note: str | None = None) -> None:
        """Sets how many things are done; `note` is shown at the end of the line."""
        self.done = done
        if note is not None:
            self.note = note
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=self.note)
        elif self.show and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(done)

    def advance(self, more: int) -> None:
        """Adds to how many things are done."""
        self.update(self.done + more)

    def print(self, text: str, style: str | None = None) -> None:
        """Prints a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        elif self.show:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Prints a warning, also when nothing else is shown."""
        if self.show:
            self.print(f"warning: {text}", style="yellow")
        else:
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _line(self, done: int) -> None:
        self._last_line = time.monotonic()
        rate = (done - self.start) / max(self._last_line - self._began, 1e-9)
        left = f", {(self.total - done) / rate:,.0f} s left" if rate > 0 else ""
        note = f"  {self.note}" if self.note else ""
        print(
            f"{self.label}: {done:,}/{self.total:,} {self.unit}, {rate:,.0f}/s{left}{note}", file=sys.stderr, flush=True
        )
