"""What stands beside a number, in words: how it was computed, and what the files were that it was computed from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gantools.metrics.results.scores import Score

#: Ways to the trace of a matrix root, as `_native.Frechet.route` names them.
ROUTES = {
    "features": "from the features of both sides",
    "features-moments": "from the features of one side and the covariance of the other",
    "cholesky": "from both covariances",
    "truncated-eigen": "from both covariances, which are singular",
}
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """A number for a reader: four digits that mean something, and no fraction of a whole number."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def kernel_words(kernel: str) -> str:
    """The kernel that `_native.Kernel` prints as `Kernel.polynomial(gamma=0.5, coef=1, degree=3)` as a formula."""
    given = {name: float(value) for name, value in re.findall(r"(\w+)=([-+.\de]+)", kernel)}
    if "sigma" in given:
        return f"kernel exp(-|x - y|² / (2 · {number(given['sigma'])}²))"
    if not given.keys() >= {"gamma", "coef", "degree"} or given["gamma"] == 0:
        return "kernel of its own"
    inverse = 1 / given["gamma"]
    scaled = f"x·y / {inverse:.0f}" if abs(inverse - round(inverse)) < 1e-6 else f"{number(given['gamma'])} x·y"
    coef = f" + {number(given['coef'])}" if given["coef"] else ""
    return f"kernel ({scaled}{coef}){str(int(given['degree'])).translate(_RAISED)}"


def _several(one: str, many: str) -> Callable[[Any], str]:
    return lambda n: f"{n:,} {one if n == 1 else many}"


def _number_of(words: str) -> Callable[[Any], str]:
    return lambda value: words.format(number(value))


def inputs_words(entry: Mapping[str, Any]) -> str:
    """How the inputs were made that samples were to be made of, as a set of pairs has it."""
    scale = f", {entry['scale']} times smaller" if entry.get("scale", 1) != 1 else ""
    return f"inputs by {entry.get('kernel') or entry.get('operation')}{scale}"


def _nothing(value: Any) -> str:
    return ""


#: Key of a detail -> its words, in this order; no words for what is drawn, or is in the JSON for programs alone.
WORDS: dict[str, Callable[[Any], str]] = {
    "convention": "by the rule of {}".format,
    "k": _several("neighbour", "neighbours"),
    "std": _number_of("standard deviation {}"),
    "subsets": _several("subset", "subsets"),
    "subset_size": _several("image each", "images each"),
    "splits": _several("split", "splits"),
    "all_samples": _number_of("{} of all images at once"),
    "no_interval": "no interval: {}".format,
    "kernel": kernel_words,
    "estimator": "{} estimate".format,
    "scale": _number_of("times {}"),
    "q": _number_of("order {}"),
    "route": lambda value: ROUTES.get(value, ""),
    "fid": _number_of("Frechet distance {}"),
    "distance": _number_of("memorization distance {}"),
    "penalty": _number_of("divided by {}"),
    "classes": _several("class", "classes"),
    "too_small": lambda rows: f"{len(rows):,} classes with too few images" if rows else "",
    "copies": _several("exact copy", "exact copies"),
    "median_distance": _number_of("median distance to the nearest {}"),
    "pairs": _several("pair", "pairs"),
    "all_pairs": lambda value: "all that there are" if value else "",
    "identical": lambda n: f"{n:,} of equal images" if n else "",
    "channel": {"rgb": "of RGB", "y": "of the luma"}.get,  # type: ignore[dict-item]
    "crop": lambda n: f"{n} pixels cut off each side" if n else "",
    "inputs": inputs_words,
    "block": lambda value: f"blocks of {value} pixels",
    "model": "model {}".format,
    "lpips": lambda given: f"network {given['net']}, version {given['version']}" if given else "",
    "standard_error": _number_of("standard error {}"),
    "n": _nothing,
    "seed": "seed {}".format,
    "slope": _nothing,
    "r_squared": lambda value: f"the line explains {100 * value:.1f} %",
    "rank": _nothing,
    "mean_term": _number_of("{} of it from the means"),
    "model_sha256": _nothing,
    "histogram": _nothing,
    "points": lambda rows: f"line through {len(rows):,} sizes",
    "nearest": _nothing,
    "worst": _nothing,
    "all": _nothing,
}


def detail_words(score: Score) -> list[str]:
    """What a score's details say to a reader, a few words each; keys that have no words are left out."""
    said = (words(score.details[key]) for key, words in WORDS.items() if score.details.get(key) is not None)
    return [text for text in said if text]


#: Counts of `preflight.summary` that are said where they are not 0.
_COUNTS = {
    "sixteen_bit": "{} of more than 8 bits",
    "alpha": "{} with transparency",
    "rotated": "{} to be turned by their EXIF data",
    "duplicates": "{} copies of others",
}


def input_words(found: Mapping[str, Any]) -> str:
    """What `preflight.summary` keeps of a side's files, for a reader: `150 images: 28x28; grey; PNG`."""
    parts = [_most(found.get(key) or {}) for key in ("sizes", "modes", "formats")]
    parts += [words.format(f"{found[key]:,}") for key, words in _COUNTS.items() if found.get(key)]
    said = "; ".join(part for part in parts if part)
    count = found.get("count")
    images = "" if count is None else f"{count:,} image{'' if count == 1 else 's'}"
    return f"{images}: {said}" if images and said else images or said


def _most(counts: Mapping[str, int], shown: int = 3) -> str:
    """The most frequent of what is counted; the counts where there are several."""
    order = sorted(counts.items(), key=lambda item: -item[1])
    if len(order) == 1:
        return order[0][0]
    rest = len(order) - shown
    text = ", ".join(f"{n:,} {name}" for name, n in order[:shown])
    return f"{text} and {rest:,} more kinds" if rest > 0 else text
