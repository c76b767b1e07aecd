"""The scores that are computed from the images themselves: of pairs, of single images, and of a set's variety."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gantools.metrics.images.reader import ImageReader
from gantools.metrics.pixels.lpips import Lpips, lpips_diversity
from gantools.metrics.pixels.niqe import niqe_scores
from gantools.metrics.pixels.paired import paired_scores
from gantools.metrics.registry import METRICS
from gantools.metrics.request import Request
from gantools.metrics.results.scores import Score

#: Worst images that are listed.
SHOWN = 10


def pixel_scores(
    samples: ImageReader,
    targets: ImageReader | None,
    request: Request,
    *,
    started: Callable[[str, int], Callable[[int], None]],
    count: int,
) -> list[Score]:
    """The scores of pixels among those that are asked for, in that order.

    Args:
        samples: what is judged.
        targets: what each sample should be, matched by name or position; only for the paired ones.
        request: what is asked for.
        started: as `progress` of `gantools.score`.
        count: of the samples.

    Raises:
        ConfigError, DataError, MetricError, WeightsError, DownloadError: as the functions of the metrics.
    """
    metrics = [metric.key for metric in request.of_pixels]
    options = request.options
    found: dict[str, Score] = {}
    lpips = None
    if {"lpips", "lpips-diversity"} & set(metrics):
        lpips = Lpips(options.lpips, device=request.device)  # type: ignore[arg-type]
    paired = [metric.key for metric in request.of("pairs")]
    if paired:
        assert targets is not None
        result = paired_scores(
            samples,
            targets,
            paired,
            channel=options.channel,  # type: ignore[arg-type]
            crop=options.crop,
            lpips=lpips or "alex",
            advance=started("pairs", count),
        )
        for key in paired:
            details: dict[str, Any] = {
                "pairs": result.n,
                "identical": result.identical,
                "channel": "rgb" if key == "lpips" else result.channel,
                "crop": result.crop,
                "inputs": result.inputs,
                "worst": [[name, None if value == float("inf") else value] for name, value in result.worst(key, SHOWN)],
            }
            if key == "lpips":
                details["lpips"] = result.lpips
            # Without a pair that differs there is no noise at all.
            equal = key == "psnr" and result.identical == result.n
            found[key] = _score(key, float("inf") if equal else result.mean[key], details)
    if "niqe" in metrics:
        natural = niqe_scores(samples, options.niqe_model, crop=options.crop, advance=started("NIQE", count))
        worst = [[name, value] for name, value in natural.worst(SHOWN)]
        details = {
            "crop": natural.crop,
            "block": natural.block,
            "model": natural.model,
            "model_sha256": natural.model_sha256,
            "worst": worst,
        }
        found["niqe"] = _score("niqe", natural.mean, details)
    if "lpips-diversity" in metrics:
        assert lpips is not None
        diversity = lpips_diversity(samples, pairs=options.pairs, seed=options.seed_or(0), lpips=lpips)
        details = {k: v for k, v in diversity.to_dict().items() if k != "value"}
        found["lpips-diversity"] = _score("lpips-diversity", diversity.value, details)
    return [found[key] for key in metrics]


def _score(key: str, value: float | None, details: dict[str, Any]) -> Score:
    metric = METRICS[key]
    return Score(key, metric.name, value, metric.better, details=details)
