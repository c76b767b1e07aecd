"""The verdict follows from what was planted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gantools.recipes.recipe import load_recipe
from gantools.report.record import read_record
from gantools.report.verdict import trend, verdict


def run_of(folder, lines, recipe="dcgan-mini"):
    folder.mkdir()
    config = {"recipe": load_recipe(recipe, {"eval.metrics": ["fd"]}).to_dict(), "data": {}, "device": "cpu"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_record(folder, folder.name)


def ticks(n=8, **changes):
    """Of a healthy training; a change is a function of the tick's number."""
    for i in range(1, n + 1):
        line = {
            "nimg": 64_000 * i,
            "step": 1000 * i,
            "loss_d": 1.2 + 0.01 * (i % 3),
            "loss_g": 1.0 + 0.01 * (i % 2),
            "discriminator_accuracy": 0.7,
            "sample_diversity": 0.9,
            "sample_duplicates": 0.0,
            "gradient_generator": 1.0,
        }
        yield line | {key: change(i) for key, change in changes.items()}


@pytest.mark.parametrize(
    ("values", "better", "word"),
    [
        ([9, 8, 7, 6, 5, 4], "lower", "improving"),
        ([9, 5, 5.2, 5.1, 5.0, 5.1], "lower", "flat"),
        ([9, 5, 4, 6, 7, 8], "lower", "worse"),
        ([1, 2, 3, 4, 5, 6], "higher", "improving"),
        ([1, 5, 6, 4, 3, 3], "higher", "worse"),
        ([9, 8], "lower", "no verdict"),
        ([0, 0, 0], "lower", "flat"),
    ],
)
def test_a_trend_is_the_last_third_beside_what_was_before(values, better, word):
    assert trend(values, better) == word


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "no verdict"),
        ({"fd": lambda i: 100 / i}, "improving"),
        ({"fd": lambda i: 10 + abs(i - 3)}, "worse"),
        ({"fd": lambda i: 10.0}, "flat"),
        ({"sample_diversity": lambda i: 0.9 if i < 5 else 0.01}, "collapsed"),
        ({"sample_duplicates": lambda i: 0.0 if i < 5 else 0.8}, "collapsed"),
        ({"loss_g": lambda i: 1.0 + i if i < 6 else 1e9 + i}, "diverged"),
        ({"discriminator_accuracy": lambda i: 0.999, "loss_d": lambda i: 0.001 / i}, "discriminator wins"),
        ({"loss_d": lambda i: 1.0, "loss_g": lambda i: 1.0}, "stands still"),
        ({"gradient_generator": lambda i: 1.0 if i < 4 else 1e-9}, "stands still"),
        # A trouble at the end counts more than a score.
        ({"fd": lambda i: 100 / i, "sample_diversity": lambda i: 0.9 if i < 5 else 0.01}, "collapsed"),
        # One that is over does not.
        ({"fd": lambda i: 100 / i, "sample_duplicates": lambda i: 0.8 if i in (3, 4) else 0.0}, "improving"),
    ],
)
def test_a_verdict_names_what_was_planted(tmp_path, changes, word):
    found = verdict(run_of(tmp_path / "run", list(ticks(**changes))))
    assert found.word == word
    if "fd" in changes:
        assert "Best fd" in found.sentence


def test_signs_are_marked_when_they_begin(tmp_path):
    changes = {"sample_duplicates": lambda i: 0.8 if i in (3, 4, 7, 8) else 0.0}
    record = run_of(tmp_path / "run", list(ticks(**changes)))
    assert [(mark.kimg, mark.number) for mark in record.signs] == [(256, 1), (512, 2)]


def test_nothing_is_said_of_nothing(tmp_path):
    assert "no tick has ended" in verdict(run_of(tmp_path / "run", [])).sentence


def test_stages_are_where_they_begin(tmp_path):
    record = run_of(tmp_path / "run", list(ticks(4, stage=lambda i: "8x8" if i < 3 else "16x16")))
    assert [(mark.kimg, mark.words, mark.number) for mark in record.stages] == [(192, "stage 16x16", None)]


def test_without_a_record_the_lines_are_judged(tmp_path: Path):
    record = run_of(tmp_path / "run", list(ticks(sample_diversity=lambda i: 0.9 if i < 5 else 0.01)))
    (record.folder / "config.yaml").unlink()
    again = read_record(record.folder, "run")
    assert verdict(again).word == "collapsed" and "config.yaml is missing" in again.notes[0]
