import csv
import io
import json

import pytest

from gantools.errors import CheckpointError
from gantools.recipes.recipe import load_recipe
from gantools.runs.table import beside, by_epoch, table_of
from gantools.training.run import train


def line(nimg, seconds=1.0, **values):
    return {"nimg": nimg, "kimg": nimg / 1000, "seconds": seconds, **values}


def test_an_epoch_is_the_mean_of_its_ticks_by_images():
    # 100 images, batches of 8: the second epoch ends with the step that reaches beyond it.
    lines = [line(104, loss_d=1.0), line(120, loss_d=2.0), line(200, 9.0, loss_d=4.0), line(256, loss_d=5.0)]
    rows = by_epoch(lines, 100, 8)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[0]["loss_d"] == 1.0 and rows[2]["loss_d"] == 5.0
    assert rows[1]["loss_d"] == pytest.approx((2.0 * 16 + 4.0 * 80) / 96)
    assert rows[1]["kimg"] == 0.2 and rows[1]["seconds"] == 9.0


def test_a_tick_of_several_epochs_stands_for_its_last_one():
    assert [row["epoch"] for row in by_epoch([line(304, loss_g=1.0), line(500, loss_g=1.0)], 100, 8)] == [3, 5]


def test_columns_are_the_reports_names_then_other_losses_and_scores():
    lines = [line(100, loss_content=1.0, loss_d=1.0, loss_g=1.0, real_score=0.5, lr_generator=1.0, fid=9.0)]
    (row,) = by_epoch(lines, 100, 8, ["fid", "kid"])
    assert list(row) == ["epoch", "kimg", "seconds", "loss_g", "loss_d", "real_score", "loss_content", "fid"]


def test_what_is_not_known_of_an_epoch_is_none():
    rows = by_epoch([line(100, loss_g=1.0), line(200)], 100, 8)
    assert [row["loss_g"] for row in rows] == [1.0, None]


def test_a_report_beside_a_run():
    reported = {"epoch": [1, 5], "real_score": [0.8, 0.9], "fake_score": [0.4, 0.1]}
    rows = beside(by_epoch([line(100, loss_g=1.0), line(200, loss_g=2.0)], 100, 8), reported)
    assert [row["epoch"] for row in rows] == [1, 2, 5]
    assert [row["loss_g"] for row in rows] == [1.0, 2.0, None]
    assert [row["reported_real_score"] for row in rows] == [0.8, None, 0.9]
    assert rows[0]["reported_discriminator_score"] == pytest.approx(0.6)
    assert len({tuple(row) for row in rows}) == 1  # the same columns in each


def test_the_reports_table_is_in_the_recipe():
    """Report A: eight of its 60 epochs."""
    reported = load_recipe("dcgan").reported.columns
    at = reported["epoch"].index(55)
    assert [reported[key][at] for key in ("loss_g", "loss_d", "real_score", "fake_score")] == [
        5.2828,
        0.1126,
        0.9645,
        0.0592,
    ]
    assert load_recipe("dcgan").tick_epochs == 1 and len(reported["epoch"]) == 8


def test_a_run_of_system_a(make_set, tmp_path):
    """Trained as the recipe says: a tick an epoch, with the names of the report."""
    small = {"network": {"size": 8, "latent": 6, "width": 4}, "batch": 8}
    run = train("dcgan", data=make_set(48, 8), out=tmp_path, overrides=small, epochs=3, device="cpu", progress=False)
    table = table_of(run)
    assert [row["epoch"] for row in table.rows] == [1, 2, 3, 4, 5, 55, 58, 60]
    names = ("loss_g", "loss_d", "real_score", "fake_score", "discriminator_score")
    assert all(row[key] is not None for row in table.rows[:3] for key in names)
    first = table.rows[0]
    assert first["discriminator_score"] == pytest.approx((first["real_score"] + first["fake_score"]) / 2)
    lines = [json.loads(text) for text in (run / "stats.jsonl").read_text().splitlines()]
    assert [row["loss_d"] for row in table.rows[:3]] == pytest.approx([line["loss_d"] for line in lines])
    read = list(csv.DictReader(io.StringIO(table.csv())))
    assert float(read[0]["reported_loss_g"]) == 4.3471 and read[1]["kimg"] == "0.096" and read[7]["loss_g"] == ""
    assert table_of(tmp_path).run == run  # of a folder of runs the newest
    (run / "checkpoints" / "kimg-000000.144" / "config.json").unlink()
    with pytest.raises(CheckpointError):
        table_of(run)
