"""A training that also learns an order: what it needs, and what it says without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import blobs

from gantools.data.prepare import prep
from gantools.errors import DataError, GantoolsError
from gantools.runs.stats import read_lines
from gantools.training.run import train

SMALL: dict[str, Any] = {
    "network": {
        "size": 32,
        "kind": "msrresnet",
        "width": 4,
        "blocks": 1,
        "judge_width": 4,
        "judge_hidden": 8,
        "ranker": 4,
    },
    "data": {"crop": 32},
    "game": {
        "pretrain_kimg": 0.016,
        "rank": {"kimg": 0.064, "least": 0.9},
        "perceptual": {"weight": 0.0},
        "pixel": 1.0,
    },
    "optim": {"lr": 0.003, "ranker": {"lr": 0.003}},
    "batch": 8,
    "grid": 4,
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pairs to enlarge; ranked pairs that are easily told apart; and such with no difference but chance."""
    root = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    images = blobs(40, 32, 3)
    noise = rng.integers(0, 256, images.shape, dtype=np.uint8)
    for name, given in (("clean", images), ("noisy", images // 2 + noise // 2), ("one", noise), ("two", noise[::-1])):
        (root / name).mkdir()
        for i, image in enumerate(given):
            Image.fromarray(np.ascontiguousarray(image)).save(root / name / f"{i:02d}.png")
    options: dict[str, Any] = {"size": 32, "progress": False}
    return {
        "pairs": prep(root / "clean", scale=4, out=root / "pairs", **options).path,
        "ranked": prep(root / "clean", inputs=root / "noisy", out=root / "ranked", **options).path,
        "chance": prep(root / "one", inputs=root / "two", out=root / "chance", **options).path,
        "plain": prep(root / "clean", out=root / "plain", **options).path,
    }


def run(
    sets: dict[str, Path], place: Path, inputs: str | None, data: str = "pairs", kimg: float = 0.096, **changes: Any
) -> Path | None:
    second = None if inputs is None else sets[inputs]
    return train(
        "ranksrgan-x4", data=sets[data], inputs=second, out=place, overrides=SMALL | changes, kimg=kimg,
        device="cpu", progress=False,
    )  # fmt: skip


def test_all_stages_run_where_the_ranker_has_learned(sets: dict[str, Path], tmp_path: Path) -> None:
    found = run(sets, tmp_path, "ranked", kimg=0.616, **{"game.rank.kimg": 0.4, "game.pretrain_kimg": 0.2})
    assert found is not None
    last = read_lines(found / "stats.jsonl")[-1]
    assert last["ranker_accuracy"] > 0.9 and "rank" in last and "loss_g" in last


def test_a_ranker_that_has_learned_nothing_stops_the_training(sets: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(GantoolsError, match=r"stage gan does not begin: its ranker orders .* % of 64 pairs"):
        run(sets, tmp_path, "chance")


@pytest.mark.parametrize(
    ("inputs", "data", "words", "hint"),
    [
        (None, "pairs", "none are given", "gantools prep ranked FOLDER FOLDER"),
        ("plain", "pairs", "is no set of ranked pairs", "gantools prep ranked FOLDER FOLDER"),
        ("ranked", "plain", "is no set of pairs", "gantools prep tiles"),
    ],
)
def test_what_it_needs_and_does_not_have(
    sets: dict[str, Path], tmp_path: Path, inputs: str | None, data: str, words: str, hint: str
) -> None:
    with pytest.raises(DataError, match=words) as error:
        run(sets, tmp_path, inputs, data)
    assert hint in (error.value.hint or "")


def test_a_feed_without_ranked_pairs_is_told_by_the_stage(sets: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(GantoolsError, match="stage rank: needs better, which its feed does not give"):
        run(sets, tmp_path, None, **{"data.feed": "crops"})
