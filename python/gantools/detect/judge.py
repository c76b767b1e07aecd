"""What a detector is worth: by generator, seen and unseen, on images as they are and disturbed; and its biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gantools import _native
from gantools.detect.detector import logits_of
from gantools.detect.disturb import Change, by_chance, by_noise, jpeg
from gantools.detect.numbers import (
    Scores,
    accuracy,
    auc,
    average_precision,
    best_threshold,
    calibration_error,
    fit_temperature,
    sigmoid,
    tpr_at_fpr,
    unsure_between,
)

#: What is done to the images of a test: nothing; what a training does; noise, which none sees.
CONDITIONS: dict[str, Change | None] = {"as they are": None, "disturbed": by_chance, "noisy": by_noise}
#: Of both kinds, so many lie on the wrong side of the thresholds of "unsure".
WRONG = 0.02
#: False alarms at which hits are counted.
ALARMS = 0.01
# Seeds of the random numbers of validation and test.
_VALIDATION, _TEST = 1, 2
# The qualities that must not make a difference.
_JPEGS = (75, 95)


def calibrate(
    network: nn.Module, generated: NDArray[np.uint8], real: NDArray[np.uint8], device: torch.device
) -> dict[str, Any]:
    """Temperature, threshold, and the two thresholds of "unsure", of the validation, as it is and disturbed."""
    both = [
        np.concatenate([logits_of(network, levels, device, change, _VALIDATION) for change in (None, by_chance)])
        for levels in (generated, real)
    ]
    temperature = fit_temperature(*both)
    a, b = (sigmoid(logits / temperature) for logits in both)
    low, high = unsure_between(a, b, WRONG)
    return {"temperature": temperature, "threshold": best_threshold(a, b), "unsure": [low, high]}


def compare(generated: Scores, real: Scores, threshold: float, unsure: tuple[float, float]) -> dict[str, float]:
    """The numbers of a comparison, of probabilities: as many of both, so that the average precision is of even odds."""
    n = min(len(generated), len(real))
    low, high = unsure
    both = np.concatenate((generated[:n], real[:n]))
    return {
        "images": n,
        "auc": auc(generated, real),
        "average_precision": average_precision(generated[:n], real[:n]),
        "tpr_at_fpr_0.01": tpr_at_fpr(generated, real, ALARMS),
        "calibration_error": calibration_error(generated, real),
        "accuracy": accuracy(generated, real, threshold),
        "unsure": float(((both >= low) & (both <= high)).mean()),
    }


def examine(
    network: nn.Module,
    generated: Mapping[str, NDArray[np.uint8]],
    unseen: frozenset[str],
    real: NDArray[np.uint8],
    calibration: Mapping[str, Any],
    device: torch.device,
) -> dict[str, Any]:
    """The scores of a test.

    Args:
        network: in evaluation mode.
        generated: levels by the generator's name.
        unseen: names of those that were left out of the training.
        real: levels.
        calibration: as `calibrate` gives it.
        device: where the network is.

    Returns:
        By condition, `generators` by name, and all together of those `seen` and `unseen`; each as `compare` gives it.
    """
    found: dict[str, Any] = {}
    for condition, change in CONDITIONS.items():

        def probabilities(levels: NDArray[np.uint8], change: Change | None = change) -> Scores:
            return sigmoid(logits_of(network, levels, device, change, _TEST) / calibration["temperature"])

        low, high = calibration["unsure"]
        reals = probabilities(real)
        fakes = {name: probabilities(levels) for name, levels in generated.items()}
        # In turn, so that the first of them, whose number is that of the real ones, are of all generators.
        mixed = {
            "seen": _in_turn([p for name, p in fakes.items() if name not in unseen]),
            "unseen": _in_turn([p for name, p in fakes.items() if name in unseen]),
        }
        found[condition] = {
            "generators": {name: compare(p, reals, calibration["threshold"], (low, high)) for name, p in fakes.items()},
            **{kind: compare(p, reals, calibration["threshold"], (low, high)) for kind, p in mixed.items() if len(p)},
        }
    return found


def _in_turn(parts: list[Scores]) -> Scores:
    """All values of some arrays: the first of each, then the second of each, and so on."""
    if not parts:
        return np.empty(0)
    places = np.concatenate([np.arange(len(part)) for part in parts])
    return np.concatenate(parts)[np.argsort(places, kind="stable")]


def saved_again(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images as they are once they were written as PNG files, opened and brought to their size as `prep` does."""
    _, h, w, c = levels.shape
    opened = [_native.decode(_native.encode_png(image), channels=c) for image in levels]
    return np.stack([_native.resize(image, h, w) for image in opened])


def biases(
    network: nn.Module, generated: NDArray[np.uint8], real: NDArray[np.uint8], device: torch.device
) -> dict[str, float]:
    """AUC of images against the same ones treated otherwise, by treatment: 0.5 where the detector does not care.

    `saved again`: real images through our own files, against themselves. `jpeg 75 against 95`: real images of these two
    qualities. The same of generated images stands beside it: a detector that takes JPEGs for a sign moves both to the
    same side, one that merely finds a bad JPEG harder to tell moves both towards a half.
    """

    def at(quality: int) -> Change:
        return lambda levels, source: jpeg(levels, torch.full((len(levels),), float(quality), device=levels.device))

    def jpegs(levels: NDArray[np.uint8]) -> float:
        worse, better = (logits_of(network, levels, device, at(quality)) for quality in _JPEGS)
        return auc(worse, better)

    again = logits_of(network, saved_again(real), device)
    return {
        "saved again": auc(again, logits_of(network, real, device)),
        "jpeg 75 against 95": jpegs(real),
        "jpeg 75 against 95, generated": jpegs(generated),
    }
