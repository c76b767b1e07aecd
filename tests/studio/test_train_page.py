"""What the page Train asks again and again: only what is new, in bounded answers, and no error for what is gone."""

from __future__ import annotations

import json
import os
import shutil
import time

import numpy as np
import pytest

from gantools import _native
from gantools.errors import ConfigError
from gantools.runs.layout import mark_best
from gantools.runs.stats import STATS, append_line, cut_after
from gantools.studio import train
from gantools.studio.query import Query
from gantools.studio.routes import ROUTES
from gantools.studio.shelf import Shelf

RUN = "00000-dcgan-blobs"
START = {"inode": "0", "offset": 0, "nimg": -1}
CONFIG = """
recipe: {{name: dcgan, model: dcgan, kimg: {kimg}, epochs: {epochs}, eval: {{metrics: [fd]}}}}
data: {{name: blobs, path: /no/where/blobs, count: 5000, classes: [a, b, c]}}
"""


def line(i, **more):
    """The line of the tick that ends at i kimg."""
    return {
        "nimg": i * 1000,
        "kimg": i,
        "step": i * 100,
        "seconds": i * 10.0,
        "img_per_s": 100.0,
        "loss_d": 1 / i,
        **more,
    }


def begin(root, name=RUN, kimg="8", epochs="null"):
    run = root / name
    (run / "grids").mkdir(parents=True)
    (run / "config.yaml").write_text(CONFIG.format(kimg=kimg, epochs=epochs))
    return run


def draw(run, *kimgs):
    for kimg in kimgs:
        (run / "grids" / f"kimg-{kimg:010.3f}.png").write_bytes(
            _native.encode_png(np.full((4, 4, 3), int(kimg) % 256, np.uint8))
        )


@pytest.fixture
def run(tmp_path):
    return begin(tmp_path)


@pytest.fixture
def shelf(run):
    return Shelf([run.parent], "cpu")


def get(shelf, address):
    path, _, query = address.partition("?")
    return ROUTES[path].answer(shelf, Query(query), b"")


def told(shelf, address):
    answer = get(shelf, address)
    assert answer.status == 200
    return json.loads(answer.body)


def on(shelf, place=START, run=RUN):
    """What is new after a place."""
    return told(shelf, "/api/train/live?run={}&inode={inode}&offset={offset}&nimg={nimg}".format(run, **place))


def standing(shelf, run=RUN):
    return next(entry for entry in told(shelf, "/api/train/runs") if entry["run"] == run)


def test_only_what_is_new_is_told(run, shelf):
    for i in (1, 2):
        append_line(run / STATS, line(i, device="cpu", compiled=True))
    first = on(shelf)
    assert first["kimg"] == [1, 2] and first["columns"]["loss_d"] == [1, 0.5] and first["again"]
    # Words, switches and what is drawn as the axis are no curves.
    assert set(first["columns"]) == {"loss_d", "img_per_s"}
    assert on(shelf, first)["lines"] == 0
    append_line(run / STATS, line(3, r1=0.25))
    append_line(run / STATS, line(4))
    second = on(shelf, first)
    assert second["kimg"] == [3, 4] and not second["again"]
    assert second["columns"]["r1"] == [0.25, None]


def test_a_line_that_is_being_written_waits_for_its_end(run, shelf):
    whole = json.dumps(line(1)) + "\n"
    with (run / STATS).open("w") as f:
        f.write(whole + whole.replace("1000", "2000")[:30])
        f.flush()
        first = on(shelf)
        assert (first["lines"], first["damaged"], first["more"]) == (1, 0, False)
        f.write(whole.replace("1000", "2000")[30:])
    second = on(shelf, first)
    assert second["kimg"] == [2] and second["damaged"] == 0


def test_a_resume_is_read_from_the_beginning(run, shelf):
    for i in range(1, 6):
        append_line(run / STATS, line(i))
    first = on(shelf)
    cut_after(run / STATS, 2000)  # another file under the same name
    append_line(run / STATS, line(3, loss_d=9.0))
    second = on(shelf, first)
    assert second["again"] and second["kimg"] == [1, 2, 3] and second["columns"]["loss_d"][-1] == 9
    # A place further than a file goes, with the same inode: it was cut off.
    third = on(shelf, {**second, "offset": 10**6})
    assert third["again"] and third["kimg"] == [1, 2, 3]


def test_damaged_lines_are_left_out_and_counted(run, shelf):
    texts = [json.dumps(line(1)), "{", json.dumps(line(2, loss_d=float("nan"))), "[]", json.dumps(line(2)), "\0\xff"]
    (run / STATS).write_bytes(("\n".join([*texts, json.dumps(line(3))]) + "\n").encode("latin-1"))
    found = on(shelf)
    assert found["kimg"] == [1, 2, 3] and found["damaged"] == 4
    assert found["columns"]["loss_d"] == [1, None, pytest.approx(1 / 3)]
    assert any("4 damaged lines" in note for note in told(shelf, f"/api/train/health?run={RUN}")["notes"])


def test_long_runs_are_told_in_answers_of_a_bounded_size(run, shelf):
    many = {f"figure_{k}": k / 7 for k in range(20)}
    text = "".join(json.dumps(line(i, **many)) + "\n" for i in range(1, 10_001))
    (run / STATS).write_text(text)
    draw(run, *range(500))
    place, kimgs, largest, asked = START, [], 0, 0
    while asked == 0 or place["more"]:
        answer = get(shelf, "/api/train/live?run={}&inode={inode}&offset={offset}&nimg={nimg}".format(RUN, **place))
        place = json.loads(answer.body)
        largest, asked = max(largest, len(answer.body)), asked + 1
        kimgs += place["kimg"]
    assert kimgs == list(range(1, 10_001)) and place["grids"] == list(range(500))
    assert largest < 1 << 20 < len(text) and asked == len(text) // train.CHUNK + 1
    assert (
        len(get(shelf, "/api/train/live?run={}&inode={inode}&offset={offset}&nimg={nimg}".format(RUN, **place)).body)
        < 8000
    )


def test_a_line_without_an_end_and_a_line_of_a_thousand_figures_are_bounded_too(run, shelf):
    append_line(run / STATS, {f"figure_{k}": 1.0 for k in range(1000)} | line(1))
    found = on(shelf)
    assert len(found["columns"]) == train.FIGURES and found["left_out"] == 1002 - train.FIGURES
    (run / STATS).write_bytes(b"x" * (2 * train.CHUNK + 5))
    place, rounds = on(shelf), 0
    while place["more"]:
        place, rounds = on(shelf, place), rounds + 1
    assert rounds == 2 and place["lines"] == 0
    with (run / STATS).open("ab") as f:
        f.write(b"\n" + json.dumps(line(2)).encode() + b"\n")
    assert on(shelf, place)["kimg"] == [2]


def test_scores_have_their_protocol_and_where_a_line_says_it_an_interval(run, shelf):
    said = {"protocols": {"fd": "inception, 500 images", "odd": 3}, "intervals": {"fd": [30, 50], "kid": [1], "odd": 2}}
    append_line(run / STATS, line(1, fd=40.0, **said))
    found = on(shelf)
    assert found["bands"] == {"fd": [[1, 30, 50]]} and found["protocols"] == {"fd": "inception, 500 images"}


def test_how_a_run_stands(run, shelf):
    assert standing(shelf)["kimg"] is None and standing(shelf)["state"] == "running"  # before its first tick
    append_line(run / STATS, line(1, fd=50.0))
    append_line(run / STATS, line(2))
    found = standing(shelf)
    assert (found["state"], found["kimg"], found["target"], found["left"]) == ("running", 2, 8, 60)
    assert found["score"] == {"metric": "fd", "value": 50, "kimg": 1} and found["best"] is None
    assert (found["metrics"], found["classes"], found["latents"]) == (["fd"], 3, True)
    assert found["again"] == "gantools train dcgan --data /no/where/blobs"
    assert found["resume"] == f"gantools train --resume {run}"
    (run / "checkpoints" / "kimg-000001.000").mkdir(parents=True)
    mark_best(run, 1000, "fd", 50.0)
    found = standing(shelf)
    assert found["best"] == {"checkpoint": "1", "metric": "fd", "value": 50} and found["checkpoints"] == ["1"]
    append_line(run / STATS, line(8))
    found = standing(shelf)
    assert (found["state"], found["left"]) == ("ended", None)


@pytest.mark.parametrize(
    ("kimg", "target", "age", "tick", "wanted"),
    [
        (8, 8, 0, 1, "ended"),
        (9, 8, 1e6, 1, "ended"),
        (2, 8, 59, 1, "running"),
        (2, 8, 61, 1, "stopped"),
        (2, 8, 299, 100, "running"),  # three times the last tick
        (2, 8, 301, 100, "stopped"),
        (None, 8, 800, None, "running"),
        (None, 8, 1000, None, "stopped"),
        (2, None, 0, 1, "running"),
        (None, None, None, None, "stopped"),
    ],
)
def test_a_run_is_stopped_when_it_is_quiet_for_longer_than_its_ticks_take(kimg, target, age, tick, wanted):
    assert train._state(kimg, target, age, tick) == wanted


def test_the_files_own_age_decides(run, shelf):
    for i in (1, 2):
        append_line(run / STATS, line(i))
    old = time.time() - 3600
    for file in (run / STATS, run / "config.yaml", run / "grids"):
        os.utime(file, (old, old))
    assert standing(shelf)["state"] == "stopped"
    append_line(run / STATS, line(3))
    assert standing(shelf)["state"] == "running"


def test_a_length_in_epochs_and_none_at_all(tmp_path):
    begin(tmp_path, "00000-a", kimg="null", epochs="3")
    begin(tmp_path, "00001-b", kimg="null")
    begin(tmp_path, "00002-c", kimg="[1]", epochs="true")
    (tmp_path / "00003-d").mkdir()
    (tmp_path / "00003-d" / STATS).write_text(json.dumps(line(2)) + "\n")
    (tmp_path / "00004-e").mkdir()
    (tmp_path / "00004-e" / "config.yaml").write_text("recipe: [\0")
    (tmp_path / "00004-e" / STATS).write_bytes(b"\xff\n\n{}\n")
    found = {entry["run"]: entry for entry in told(Shelf([tmp_path]), "/api/train/runs")}
    assert list(found) == ["00004-e", "00003-d", "00002-c", "00001-b", "00000-a"]  # newest first
    assert [found[name]["target"] for name in sorted(found)] == [15, None, None, None, None]
    assert (found["00003-d"]["kimg"], found["00003-d"]["again"]) == (2, "gantools train RECIPE")
    assert found["00004-e"]["kimg"] is None


def test_signs_are_those_of_the_report(run, shelf):
    for i in range(1, 31):
        append_line(run / STATS, line(i, sample_diversity=0.9 if i < 20 else 0.02, fd=50.0 - i))
    found = told(shelf, f"/api/train/health?run={RUN}")
    assert found["word"] == "collapsed" and found["now"]
    assert [sign["kimg"] for sign in found["signs"]] == [21]
    assert "collapsed" in found["signs"][0]["words"] and not found["real"]
    append_line(run / STATS, line(31, sample_diversity=0.9))
    assert not told(shelf, f"/api/train/health?run={RUN}")["now"]  # what was remembered is of the file as it was


def test_stages_of_a_run_that_grows(run, shelf):
    for i in range(1, 7):
        append_line(run / STATS, line(i, stage="8x8" if i < 4 else "16x16"))
    assert told(shelf, f"/api/train/health?run={RUN}")["stages"] == [{"kimg": 4, "words": "stage 16x16"}]


def test_grids_are_their_files_and_nothing_else(run, shelf):
    draw(run, 0, 2.5, 12.032)
    (run / "grids" / "kimg-000099.000.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    assert on(shelf)["grids"] == [0, 2.5, 12.032, 99]
    answer = get(shelf, f"/train/grid.png?run={RUN}&kimg=12.032")
    assert answer.body == (run / "grids" / "kimg-000012.032.png").read_bytes() and answer.kind == "image/png"
    for kimg in ("12", "99"):  # none of it; damaged
        answer = get(shelf, f"/train/grid.png?run={RUN}&kimg={kimg}")
        assert (answer.status, answer.body) == (204, b"")


def test_real_images_are_of_the_set_or_nothing(studio_runs):
    shelf = Shelf([studio_runs], "cpu")
    png = get(shelf, f"/train/real.png?run={RUN}")
    assert png.status == 200 and png.body.startswith(b"\x89PNG")
    assert told(shelf, f"/api/train/health?run={RUN}")["real"]
    entry = standing(shelf)
    assert entry["state"] == "ended" and entry["checkpoints"] == ["0.016", "0.032", "0.048"]
    assert not standing(shelf, "00003-cyclegan-64-blobs")["latents"]


def test_no_real_images_where_the_set_is_gone(run, shelf):
    assert get(shelf, f"/train/real.png?run={RUN}").status == 204


def test_a_run_that_is_deleted_is_a_word_and_no_error(tmp_path):
    kept, run = begin(tmp_path / "a"), begin(tmp_path / "b", "00001-other")
    append_line(run / STATS, line(1))
    shelf = Shelf([kept, run], "cpu")
    place = on(shelf, run="00001-other")
    shutil.rmtree(run)
    assert [entry["run"] for entry in told(shelf, "/api/train/runs")] == [RUN]
    assert on(shelf, place, "00001-other") == {"gone": True}
    assert told(shelf, "/api/train/health?run=00001-other") == {"gone": True}
    assert get(shelf, "/train/grid.png?run=00001-other&kimg=0").status == 204
    assert get(shelf, "/train/real.png?run=00001-other").status == 204


def test_before_its_first_tick_a_run_has_grids_alone(run, shelf):
    draw(run, 0)
    found = on(shelf)
    assert (found["lines"], found["grids"], found["more"]) == (0, [0], False)
    append_line(run / STATS, line(1))
    assert on(shelf, found)["kimg"] == [1]


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("/api/train/runs?run=a", "run"),
        ("/api/train/live?run=a&offset=-1", "offset"),
        ("/api/train/live?run=a&offset=1e3", "offset"),
        ("/api/train/live?run=a&offset=99999999999999999999", "offset"),
        ("/api/train/live?run=a&inode=x", "inode"),
        ("/api/train/live?run=a&inode=18446744073709551616", "inode"),
        ("/api/train/live?run=a&nimg=-2", "nimg"),
        ("/api/train/live?run=a&file=b", "file"),
        ("/api/train/live?run=a&run=b", "twice"),
        ("/api/train/health?run=a&offset=0", "offset"),
        ("/train/grid.png?run=a&kimg=nan", "kimg"),
        ("/train/grid.png?run=a&kimg=-1", "kimg"),
        ("/train/grid.png?run=a&kimg=../config", "kimg"),
        ("/train/grid.png?run=a&path=b", "path"),
        ("/train/real.png?run=a&kimg=0", "kimg"),
    ],
)
def test_what_means_nothing_is_refused(shelf, address, named):
    with pytest.raises(ConfigError) as refused:
        get(shelf, address)
    assert named in refused.value.message


@pytest.mark.parametrize("name", ["", "..", "../00000-dcgan-blobs", "/etc", "%2e%2e", "00000-dcgan-blobs/grids"])
def test_no_name_of_a_run_becomes_a_path(shelf, name):
    assert on(shelf, run=name) == {"gone": True}
    assert get(shelf, f"/train/grid.png?run={name}&kimg=0").status == 204
