"""Directions from labels: a linear probe of latents, trained on images that somebody looked at.

Source: Shen et al. 2020 (arXiv:1907.10786), section 2.2: the unit normal of the plane that tells two halves apart.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gantools.errors import DataError

# Of a column, at most so many different words: more are no classes.
MOST = 64
# Every fifth image is kept aside, to tell how often the probe is right.
ASIDE = 5
# Images that each of both answers needs.
LEAST = 5
PENALTY = 1e-2
YES, NO = {"1", "true", "yes"}, {"0", "-1", "false", "no"}


@dataclass(frozen=True)
class Label:
    """Two answers to a question about images.

    Attributes:
        name: of the question.
        rows: numbers of the images that have an answer, int64 (m,).
        answers: bool (m,).
    """

    name: str
    rows: Tensor
    answers: Tensor


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes:
        direction: float64 (dim,), of length one, towards yes.
        right: share of the images kept aside that it tells right.
        chance: share that the more frequent answer gets right there.
    """

    direction: Tensor
    right: float
    chance: float


def read_labels(path: Path, n: int) -> list[Label]:
    """The labels in a table: a column with the images' file names or numbers, then a column for each question.

    A column of 1 and 0 (or yes and no, true and false, 1 and -1) is one label; a column of other words is a label for
    each word, called COLUMN:WORD. Empty cells are no answers.

    Args:
        path: a `.csv` file with a header.
        n: how many images there are: they are called 000000.png to n - 1.

    Raises:
        DataError: no such file, no such image, or a column that is none of both.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as f:
            rows = [row for row in csv.reader(f) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.", "A .csv with a column of file names and a column a label.") from None
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(
            f"{path}: no table in UTF-8.", "A .csv with a column of file names and a column a label."
        ) from e
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DataError(f"{path}: needs a header, a column of file names and a column a label.", "E.g. name,smiling")
    header, numbers = [cell.strip() for cell in rows[0]], []
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DataError(f"{path}: row {line} has {len(row)} cells, the header {len(header)}.")
        stem = Path(row[0].strip()).stem
        if not (stem.isascii() and stem.isdigit() and int(stem) < n):
            raise DataError(f"{path}: row {line}: {row[0].strip()!r} is none of the {n:,} samples.", "E.g. 000012.png")
        numbers.append(int(stem))
    if len(set(numbers)) != len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise DataError(f"{path}: {twice:06d}.png is in it twice.")
    labels = []
    for column, name in enumerate(header[1:], 1):
        words = [row[column].strip() for row in rows[1:]]
        given = [(number, word) for number, word in zip(numbers, words, strict=True) if word]
        at = torch.tensor([number for number, _ in given], dtype=torch.int64)
        kinds = sorted({word for _, word in given})
        if {word.lower() for word in kinds} <= YES | NO:
            labels.append(Label(name, at, torch.tensor([word.lower() in YES for _, word in given])))
        elif len(kinds) <= MOST:
            labels += [Label(f"{name}:{kind}", at, torch.tensor([word == kind for _, word in given])) for kind in kinds]
        else:
            raise DataError(
                f"{path}: column {name!r} has {len(kinds)} different words; a label has at most {MOST}.",
                "Use 1 and 0, or words for classes.",
            )
    for label in labels:
        yes = int(label.answers.sum())
        if min(yes, len(label.answers) - yes) < LEAST:
            raise DataError(
                f"{path}: {label.name!r}: {yes} yes and {len(label.answers) - yes} no; each is needed {LEAST} times.",
                "Label more images.",
            )
    return labels


def probe(latents: Tensor, answers: Tensor) -> Probe:
    """Logistic regression of answers on latents, with a quadratic penalty, by L-BFGS in float64; deterministic.

    Args:
        latents: float (m, dim).
        answers: bool (m,).
    """
    x, y = latents.double(), answers.double()
    aside = torch.zeros(len(x), dtype=torch.bool)
    # Of each answer every fifth, so that both are in both parts.
    for answer in (False, True):
        aside[torch.nonzero(answers == answer).flatten()[ASIDE - 1 :: ASIDE]] = True
    mean, scale = x[~aside].mean(0), x[~aside].std(0).clamp(min=1e-8)
    features = (x - mean) / scale
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        value = F.binary_cross_entropy_with_logits(features[~aside] @ weight + bias, y[~aside])
        value = value + PENALTY * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        said = (features[aside] @ weight + bias) > 0
        right = float((said == answers[aside]).double().mean())
        share = float(y[aside].mean())
        # Of standardised latents w, of the latents themselves w / scale.
        direction = weight.detach() / scale
    return Probe(direction / direction.norm(), right, max(share, 1 - share))
