"""The metrics: what each needs, and how its numbers come from features.

Each follows one named implementation by default; `Options` has the switches where the field disagrees. A metric names
its extractor and layer, so that all metrics that share them are fed by one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools.errors import unknown_name
from gantools.metrics.numbers import extrapolation, frechet, intervals, kernels, memorisation, neighbours, vendi
from gantools.metrics.numbers import inception_score as logits
from gantools.metrics.numbers.frechet import Statistics
from gantools.metrics.numbers.intervals import GROUPS, Interval
from gantools.metrics.options import FIDELITY_SEED
from gantools.metrics.options import Options as Options

#: Beyond this many images a side KID has no interval: it takes all pairs of images, a minute of two cores at this many.
KID_INTERVAL_IMAGES = 10_000
#: Samples that are said to be nearest to a training image, and classes that are said to be worst.
SHOWN = 8


@dataclass(frozen=True)
class Side:
    """One side's features of one layer.

    Attributes:
        statistics: mean and covariance.
        features: float32 (n, d), all of them; None where they were not asked for.
        labels: class numbers or names, (n,), or None.
    """

    statistics: Statistics | None
    features: NDArray[np.float32] | None = None
    labels: NDArray[Any] | None = None

    def all(self) -> NDArray[np.float32]:
        """The features, which were asked for."""
        assert self.features is not None
        return self.features

    def moments(self) -> Statistics:
        """The statistics, which were asked for."""
        assert self.statistics is not None
        return self.statistics


@dataclass(frozen=True)
class Number:
    """A number of a metric: `suffix` of its key and name, when it gives several."""

    value: float | None
    interval: Interval | None = None
    details: dict[str, Any] = field(default_factory=dict)
    suffix: str = ""
    name: str = ""
    better: str = ""


Compute = Callable[[Side, Side | None, Options], list[Number]]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        key: what it is called on the command line and in JSON.
        name: what it is called in a sentence.
        words: what it says, in one line.
        source: paper and the implementation that it equals by default.
        better: `lower` or `higher`.
        extractor: whose features it takes where none is named.
        layer: which of them; None for the extractor's default.
        any_extractor: whether it keeps its meaning with another extractor.
        reference: whether it compares with one: `no`, `statistics` (a file of them is enough), `features`, or `images`,
            a target for each sample.
        labels: whether it needs classes on both sides.
        takes: what it is computed from: `features` of all images, `pairs` of images, or single `images`.
        gives: keys of its numbers where it gives several, else empty: its own key.
        least: images that each side must have.
        compute: numbers from the features of samples and reference; None for what is computed from pixels, by
            `gantools.metrics.pixels.scores`.
    """

    key: str
    name: str
    words: str
    source: str
    better: str
    compute: Compute | None = None
    extractor: str = "inception"
    layer: str | None = None
    any_extractor: bool = True
    reference: str = "features"
    labels: bool = False
    takes: str = "features"
    gives: tuple[str, ...] = ()
    least: int = 2


def _frechet(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    result = frechet.frechet_distance(samples.moments(), reference.moments())
    details: dict[str, Any] = {"route": result.route, "rank": result.rank, "mean_term": result.mean_term}
    if samples.features is not None:
        known = reference.features if reference.features is not None else reference.moments().features
        histogram = frechet.histogram(samples.features, known, reference.moments().mean)
        if histogram is not None:
            details["histogram"] = histogram
    return [Number(result.distance, _frechet_interval(samples, reference, options), details)]


def _frechet_interval(samples: Side, reference: Side, options: Options) -> Interval | None:
    """None where there are too few samples to leave some of them out, or where it is not asked for."""
    if not options.interval or samples.features is None or len(samples.features) < 2 * GROUPS:
        return None
    known = reference.moments()
    both = known.features is not None and len(known.features) >= 2 * GROUPS
    other = known.features if both and known.features is not None else known
    seed = options.seed_or(0)
    return intervals.frechet_interval(samples.features, other, level=options.level, seed=seed)


def _kid(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    found = kernels.kid(
        samples.all(),
        reference.all(),
        subsets=options.kid_subsets,
        subset_size=options.kid_subset_size,
        seed=options.seed_or(FIDELITY_SEED),
        kernel=options.kid_kernel,  # type: ignore[arg-type]
    )
    details = {
        "std": found.std,
        "subsets": found.subsets,
        "subset_size": found.subset_size,
        "kernel": found.kernel,
        "seed": options.seed_or(FIDELITY_SEED),
    }
    interval = None
    n, m = len(samples.all()), len(reference.all())
    if options.interval and max(n, m) > KID_INTERVAL_IMAGES:
        details["no_interval"] = f"more than {KID_INTERVAL_IMAGES:,} images"
    elif options.interval and min(n, m) >= 3:
        whole = kernels.mmd(
            samples.all(),
            reference.all(),
            kernel=options.kid_kernel,  # type: ignore[arg-type]
            level=options.level,
        )
        details["all_samples"] = whole.value
        interval = whole.interval
    return [Number(found.mean, interval, details)]


def _inception_score(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    found = logits.inception_score(
        samples.all(),
        convention=options.is_convention,  # type: ignore[arg-type]
        splits=options.is_splits,
        seed=options.seed_or(FIDELITY_SEED),
    )
    details = {
        "std": found.std,
        "splits": found.splits,
        "convention": found.convention,
        "seed": options.seed_or(FIDELITY_SEED),
    }
    return [Number(found.mean, None, {k: v for k, v in details.items() if v is not None})]


def _precision_recall(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    found = neighbours.precision_recall(
        samples.all(),
        reference.all(),
        convention=options.prc_convention,  # type: ignore[arg-type]
        k=options.k,
    )
    details: dict[str, Any] = {"k": found.k, "convention": found.convention}
    return [
        Number(found.precision, None, details, "precision", "precision"),
        Number(found.recall, None, details, "recall", "recall"),
    ]


def _density_coverage(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    found = neighbours.density_coverage(samples.all(), reference.all(), k=options.k or 5)
    details: dict[str, Any] = {"k": found.k, "convention": found.convention}
    return [
        Number(found.density, None, details, "density", "density"),
        Number(found.coverage, None, details, "coverage", "coverage"),
    ]


def _infinity(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    found = extrapolation.fid_infinity(samples.all(), reference.moments(), seed=options.seed_or(0))
    details = {
        "slope": found.slope,
        "r_squared": found.r_squared,
        "seed": options.seed_or(0),
        "points": [list(point) for point in found.points],
    }
    return [Number(found.intercept, None, details)]


def _cmmd(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    found = kernels.cmmd(samples.all(), reference.all())
    return [Number(found.value, None, {"kernel": found.kernel, "estimator": found.estimator, "scale": found.scale})]


def _vendi(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    found = vendi.vendi_score(samples.all(), q=options.vendi_q)
    return [Number(found.score, None, {"q": found.q})]


def _memorisation(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    found = memorisation.authenticity(samples.all(), reference.all())
    distance, index = found.nearest.distance, found.nearest.index
    order = np.argsort(distance, kind="stable")[:SHOWN]
    pairs = [[int(i), int(index[i]), float(distance[i])] for i in order]
    details = {
        "nearest": pairs,
        "median_distance": float(np.median(distance)),
        "copies": int((distance == 0).sum()),
    }
    return [Number(found.percent, None, details)]


def _mifid(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    found = memorisation.mifid(
        samples.all(),
        reference.all(),
        convention=options.mifid_convention,  # type: ignore[arg-type]
    )
    details = {
        "fid": found.fid,
        "distance": found.distance,
        "penalty": found.penalty,
        "convention": found.convention,
    }
    return [Number(found.score, None, details)]


def _per_class(samples: Side, reference: Side | None, options: Options) -> list[Number]:
    assert reference is not None
    assert samples.labels is not None
    assert reference.labels is not None
    found = frechet.frechet_per_class(
        samples.all(), samples.labels, reference.all(), reference.labels, least=options.class_least
    )
    details = {
        "worst": [[c.label, c.distance, c.n_samples, c.n_reference] for c in found.classes[:SHOWN]],
        "classes": len(found.classes),
        "too_small": [[c.label, c.n_samples, c.n_reference] for c in found.too_small],
        "all": {str(c.label): c.distance for c in found.classes},
    }
    return [Number(found.mean, None, details)]


_OF_FEATURES = (
    Metric(
        "fid",
        "FID",
        "distance of the Gaussians fitted to features of samples and reference",
        "Heusel et al., arXiv:1706.08500, equation 6; torch-fidelity",
        "lower",
        _frechet,
        any_extractor=False,
        reference="statistics",
    ),
    Metric(
        "fd",
        "Frechet distance",
        "as FID, with the features of any extractor",
        "Heusel et al., arXiv:1706.08500, equation 6",
        "lower",
        _frechet,
        reference="statistics",
    ),
    Metric(
        "sfid",
        "sFID",
        "as FID, with features that keep where things are",
        "Nash et al., arXiv:2103.03841; ADM's evaluator: first 7 channels of mixed_6/conv, 2023 wide",
        "lower",
        _frechet,
        layer="spatial",
        any_extractor=False,
        reference="statistics",
    ),
    Metric(
        "fid-inf",
        "FID-infinity",
        "FID extrapolated to infinitely many samples",
        "Chong and Forsyth, arXiv:1911.07023; dgm-eval",
        "lower",
        _infinity,
        reference="statistics",
    ),
    Metric(
        "kid",
        "KID",
        "unbiased kernel distance, meaningful for few samples",
        "Binkowski et al., arXiv:1801.01401; torch-fidelity, with its draws",
        "lower",
        _kid,
    ),
    Metric(
        "is",
        "Inception score",
        "how sure and how various a classifier's answers are; without a reference",
        "Salimans et al., arXiv:1606.03498; torch-fidelity, with its shuffle",
        "higher",
        _inception_score,
        layer="logits_unbiased",
        any_extractor=False,
        reference="no",
        least=1,
    ),
    Metric(
        "prc",
        "precision and recall",
        "precision: share of samples among the reference; recall: share of the reference among the samples",
        "Kynkaanniemi et al., arXiv:1904.06991; torch-fidelity's rule, on Inception features as ADM's evaluator",
        "higher",
        _precision_recall,
        gives=("precision", "recall"),
    ),
    Metric(
        "dc",
        "density and coverage",
        "as precision and recall, robust against outliers",
        "Naeem et al., arXiv:2002.09797; prdc, k = 5",
        "higher",
        _density_coverage,
        gives=("density", "coverage"),
    ),
    Metric(
        "mifid",
        "MiFID",
        "FID with a penalty for samples that are near copies",
        "Bai et al., arXiv:2106.03062; torchmetrics",
        "lower",
        _mifid,
    ),
    Metric(
        "memorisation",
        "authentic samples (%)",
        "share of samples that are no near copies of a reference image, and the nearest of each",
        "Alaa et al., arXiv:2102.08921, section 4.3; dgm-eval's AuthPct",
        "higher",
        _memorisation,
    ),
    Metric(
        "vendi",
        "Vendi score",
        "effective number of different images; without a reference",
        "Friedman and Dieng, arXiv:2210.02410",
        "higher",
        _vendi,
        reference="no",
        least=1,
    ),
    Metric(
        "per-class",
        "mean FID within classes",
        "the Frechet distance class by class, worst first",
        "Miyato and Koyama, arXiv:1802.05637, section 4 (intra FID)",
        "lower",
        _per_class,
        labels=True,
    ),
    Metric(
        "cmmd",
        "CMMD",
        "kernel distance of CLIP embeddings",
        "Jayasumana et al., arXiv:2401.09603; google-research/cmmd",
        "lower",
        _cmmd,
        extractor="clip-vit-l-14-336",
    ),
    Metric(
        "fd-dinov2",
        "FD-DINOv2",
        "Frechet distance of DINOv2 features",
        "Stein et al., arXiv:2306.04675; dgm-eval",
        "lower",
        _frechet,
        extractor="dinov2-vit-l-14",
        any_extractor=False,
        reference="statistics",
    ),
    Metric(
        "fd-clip",
        "FD-CLIP",
        "Frechet distance of CLIP ViT-B/32 embeddings",
        "Kynkaanniemi et al., arXiv:2203.06026; clean-fid",
        "lower",
        _frechet,
        extractor="clip-vit-b-32",
        any_extractor=False,
        reference="statistics",
    ),
)

_OF_PIXELS = (
    Metric(
        "psnr",
        "PSNR",
        "signal to noise of pairs, dB",
        "10 log10(255^2 / MSE); scikit-image",
        "higher",
        reference="images",
        takes="pairs",
        least=1,
    ),
    Metric(
        "ssim",
        "SSIM",
        "structural similarity of pairs",
        "Wang et al. 2004; scikit-image, BasicSR",
        "higher",
        reference="images",
        takes="pairs",
        least=1,
    ),
    Metric(
        "ms-ssim",
        "MS-SSIM",
        "SSIM on five scales",
        "Wang et al. 2003; piq",
        "higher",
        reference="images",
        takes="pairs",
        least=1,
    ),
    Metric(
        "lpips",
        "LPIPS",
        "perceptual distance of pairs",
        "Zhang et al., arXiv:1801.03924, version 0.1; lpips",
        "lower",
        reference="images",
        takes="pairs",
        least=1,
    ),
    Metric(
        "niqe",
        "NIQE",
        "how unnatural single images look; without a reference",
        "Mittal et al. 2013; BasicSR in double precision",
        "lower",
        reference="no",
        takes="images",
        least=1,
    ),
    Metric(
        "lpips-diversity",
        "LPIPS diversity",
        "mean perceptual distance of random pairs of samples; without a reference",
        "lpips",
        "higher",
        reference="no",
        takes="images",
    ),
)

#: What `gantools score --all` means: everything that one forward pass of Inception gives.
ALL = ("fid", "sfid", "kid", "is", "prc", "dc", "fid-inf", "mifid", "vendi")

#: key -> metric.
METRICS: dict[str, Metric] = {metric.key: metric for metric in (*_OF_FEATURES, *_OF_PIXELS)}


def find(key: str) -> Metric:
    """The metric `key`. ConfigError: there is none."""
    if key not in METRICS:
        raise unknown_name("metric", key, METRICS)
    return METRICS[key]
