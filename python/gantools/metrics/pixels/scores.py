"""The scores that are computed from the images themselves: of pairs, of single images, and of a set's variety."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gantools.metrics.pixels.lpips import Lpips, lpips_diversity
from gantools.metrics.pixels.niqe import niqe_scores
from gantools.metrics.pixels.paired import paired_scores
from gantools.metrics.results.scores import Score

#: Worst images that are listed.
SHOWN = 10


@dataclass(frozen=True)
class PixelMetric:
    """A score of pixels.

    Attributes:
        name: what it is called in a sentence.
        words: what it says.
        source: paper, and the implementation that it equals.
        better: `lower` or `higher`.
        paired: whether each sample is compared with a target of its own.
    """

    name: str
    words: str
    source: str
    better: str
    paired: bool


#: key -> metric.
PIXEL_METRICS: dict[str, PixelMetric] = {
    "psnr": PixelMetric("PSNR", "signal to noise of pairs, dB", "10 log10(255^2 / MSE); scikit-image", "higher", True),
    "ssim": PixelMetric(
        "SSIM", "structural similarity of pairs", "Wang et al. 2004; scikit-image, BasicSR", "higher", True
    ),
    "ms-ssim": PixelMetric("MS-SSIM", "SSIM on five scales", "Wang et al. 2003; piq", "higher", True),
    "lpips": PixelMetric(
        "LPIPS", "perceptual distance of pairs", "Zhang et al., arXiv:1801.03924, version 0.1; lpips", "lower", True
    ),
    "niqe": PixelMetric(
        "NIQE", "how unnatural single images look", "Mittal et al. 2013; BasicSR in double precision", "lower", False
    ),
    "lpips-diversity": PixelMetric(
        "LPIPS diversity", "mean perceptual distance of random pairs of samples", "lpips", "higher", False
    ),
}


@dataclass(frozen=True)
class PixelOptions:
    """Switches of the scores of pixels.

    Attributes:
        channel: what PSNR, SSIM and MS-SSIM compare: `rgb`, or `y`, the luma of BT.601.
        crop: pixels cut off every border.
        lpips: network of LPIPS: `alex`, `vgg` or `squeeze`.
        niqe_model: file of NIQE's model of natural images; None as `niqe.PristineModel.load` looks for it.
        pairs: of LPIPS diversity.
    """

    channel: str = "rgb"
    crop: int = 0
    lpips: str = "alex"
    niqe_model: str | None = None
    pairs: int = 2000


def pixel_scores(
    samples: Any,
    targets: Any,
    metrics: Sequence[str],
    options: PixelOptions,
    *,
    device: Any = None,
    seed: int = 0,
    started: Callable[[str, int], Callable[[int], None]],
    count: int,
) -> list[Score]:
    """The scores `metrics` (keys of `PIXEL_METRICS`) of the images, in that order.

    Args:
        samples: as for `gantools.score`.
        targets: what each sample should be, matched by name or position; only for the paired ones.
        metrics: which.
        options: their switches.
        device: where LPIPS is computed; None for CUDA where there is any.
        seed: of the pairs of LPIPS diversity.
        started: as `Progress` of `gantools.score`.
        count: of the samples.

    Raises:
        ConfigError, DataError, MetricError, WeightsError, DownloadError: as the functions of the metrics.
    """
    found: dict[str, Score] = {}
    lpips = None
    if {"lpips", "lpips-diversity"} & set(metrics):
        lpips = Lpips(options.lpips, device=device)  # type: ignore[arg-type]
    paired = [key for key in metrics if PIXEL_METRICS[key].paired]
    if paired:
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
                "worst": [[name, None if value == float("inf") else value] for name, value in result.worst(key, SHOWN)],
            }
            if key == "lpips":
                details["lpips"] = result.lpips
            found[key] = _score(key, result.mean[key], details)
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
        diversity = lpips_diversity(samples, pairs=options.pairs, seed=seed, lpips=lpips)
        details = {k: v for k, v in diversity.to_dict().items() if k != "value"}
        found["lpips-diversity"] = _score("lpips-diversity", diversity.value, details)
    return [found[key] for key in metrics]


def _score(key: str, value: float | None, details: dict[str, Any]) -> Score:
    metric = PIXEL_METRICS[key]
    return Score(key, metric.name, value, metric.better, details=details)
