"""Scores of the networks in training, the best checkpoint, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.metrics.networks.registry import find
from gantools.metrics.registry import METRICS
from gantools.metrics.request import Request
from gantools.metrics.scorer import score
from gantools.runs.layout import mark_best
from gantools.training.gallery import Gallery
from gantools.training.job import Job

#: The widest features with which intervals of Frechet distances take seconds (those of Inception take half a minute and
#: more a time), and the most images of KID, whose interval takes all pairs.
INTERVAL_WIDTH, INTERVAL_IMAGES = 512, 2000
# The seed that `gantools score RUN` takes by default, so that the same checkpoint gives the same number there.
SEED = 0


class Evaluator:
    """Measures `eval.metrics` every so many images and remembers the best.

    The scores are those that `gantools score` gives for the checkpoint of that moment, with the same number of images;
    nothing random of the training is touched.
    """

    def __init__(self, job: Job, run: Path, gallery: Gallery) -> None:
        self.job, self.run, self.gallery = job, run, gallery
        self.config = job.recipe.eval
        self.main = self.config.metrics[0] if self.config.metrics else ""
        self.sign = 1.0 if not self.main or METRICS[self.main].better == "lower" else -1.0
        self.best, self.best_nimg, self.worse = math.inf, 0, 0
        self.last_nimg = -1

    def ready(self) -> None:
        """Load the networks that the scores need once, so that what is missing is said before the first step.

        Raises:
            ConfigError: the metrics take no such extractor.
            WeightsError, DownloadError: no weights.
        """
        if self.main:
            self._request().plan()

    def _request(self) -> Request:
        return Request(self.config.metrics, self.config.extractor, device=self.gallery.state.device)

    def _interval(self, count: int) -> bool:
        """Whether the scores of `count` images have intervals: where these take seconds. They change no score."""
        uses = [
            (find(name).layers[layer], metric)
            for name, used in self._request().layers.items()
            for metric, layer in used
        ]
        if any(metric.key == "kid" for _, metric in uses) and max(count, len(self.job.data)) > INTERVAL_IMAGES:
            return False
        return all(width <= INTERVAL_WIDTH for width, _ in uses)

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Learn from the ticks of a training that goes on."""
        for line in lines:
            if self.main in line:
                self._take(line[self.main], int(line["nimg"]))

    def due(self, nimg: int, last: bool) -> bool:
        """Whether to measure at this tick, `nimg` images after the beginning; always at the last one."""
        if not self.main:
            return False
        if last or self.config.every_kimg is None or self.last_nimg < 0:
            return True
        return nimg - self.last_nimg >= round(self.config.every_kimg * 1000)

    def measure(self, nimg: int) -> dict[str, Any]:
        """The scores by key, as `protocols` how each was measured, as `intervals` the ends of those that are quick."""
        device = self.gallery.state.device
        count = self.config.n if not self.gallery.translates else min(self.config.n, len(self.job.data))
        scores = score(
            self._images,
            metrics=self.config.metrics,
            ref=self.job.data,
            extractor=self.config.extractor,
            n=count,
            seed=SEED,
            interval=self._interval(count),
            device=device,
            distributed=False,
        )
        found: dict[str, Any] = {}
        protocols: dict[str, str] = {}
        intervals: dict[str, list[float]] = {}
        for s in scores:
            # `fd` of another extractor is called `fd-dinov2`; here there is one of each.
            asked = next((m for m in self.config.metrics if s.key.startswith(f"{m}-") and m not in found), s.key)
            if s.value is not None:
                found[asked] = float(s.value)
                how = (
                    f"{s.protocol.extractor} {s.protocol.layer}, {s.protocol.name}; " if s.protocol is not None else ""
                )
                counts = f"{scores.n_samples:,} images, seed {SEED}"
                against = f", against {scores.reference_id}" if scores.reference_id is not None else ""
                protocols[asked] = f"{how}{counts}{against}"
                if s.interval is not None:
                    intervals[asked] = [float(s.interval.low), float(s.interval.high)]
        if self.main in found:
            self._take(found[self.main], nimg)
        return {**found, "protocols": protocols, **({"intervals": intervals} if intervals else {})}

    def mark(self, nimg: int) -> None:
        """Name the checkpoint of `nimg`, which is written, as the best when it is."""
        if self.best_nimg == nimg and math.isfinite(self.best):
            mark_best(self.run, nimg, self.main, self.sign * self.best)

    @property
    def over(self) -> str | None:
        """Why the training ends here, or None."""
        if self.config.patience is None or self.worse < self.config.patience:
            return None
        return (
            f"{self.main} was not better than {self.sign * self.best:.4g} (at {self.best_nimg / 1000:g} kimg) for "
            f"{self.worse} measurements: stopped."
        )

    def _take(self, value: float, nimg: int) -> None:
        self.last_nimg = nimg
        if self.sign * value < self.best:
            self.best, self.best_nimg, self.worse = self.sign * value, nimg, 0
        else:
            self.worse += 1

    def _images(self, n: int, start: int) -> NDArray[np.uint8]:
        return torch.cat(list(self.gallery.images(n, start, SEED))).cpu().numpy()
