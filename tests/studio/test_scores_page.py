"""The page Scores: what trainings and `gantools score --json` say, in one table that says what compares with what."""

from __future__ import annotations

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

import gantools
from gantools.errors import ConfigError
from gantools.metrics.numbers.intervals import Interval
from gantools.metrics.results.scores import Provenance, Score, Scores
from gantools.studio import scores as page
from gantools.studio.query import Query
from gantools.studio.routes import ROUTES
from gantools.studio.shelf import NotThere, Shelf

SET = "set:blobs@2192d799ed610dfd46ed35f49368fa4b"
HOW = f"inception pool3, tf; 1,000 images, seed 0, against {SET}"


def result(value=31.5, *, protocol="tf", n=1000, reference=SET, samples="samples", key="fid", interval=True):
    """A result as `gantools score --json` prints it."""
    way = Provenance(protocol, "inception", "pool3", 2048, "ab" * 32)
    sure = Interval(value, 1.0, value - 2, value + 2, 0.95, 20) if interval else None
    one = Score(key, key.upper(), value, "lower", way, sure, {})
    return Scores((one,), samples, n, "ref", 5000, reference, 64, "cpu", None, {"gantools": "1"}, {}, ())


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs, where the studio was started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def trained(runs):
    """trained(name, [(kimg, value), ...], metric=, how=, more lines) writes a run with scores."""

    def write(name, points, metric="fid", how=HOW, text=""):
        run = runs / name
        run.mkdir()
        (run / "config.yaml").write_text(f"recipe:\n  name: dcgan\n  eval:\n    metrics: [{metric}]\ndata: {{}}\n")
        lines = [
            {"nimg": round(kimg * 1000), "kimg": kimg, metric: value, **({"protocols": {metric: how}} if how else {})}
            for kimg, value in points
        ]
        (run / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + text)
        return run

    return write


def get(runs, address):
    path, _, query = address.partition("?")
    return ROUTES[path].answer(Shelf([runs], "cpu"), Query(query), b"")


def told(runs, address="/api/scores"):
    return json.loads(get(runs, address).body)


def test_a_training_gives_its_best_and_its_last(runs, trained):
    trained("00000-a", [(10, 50.0), (20, 30.0), (30, 40.0)])
    said = told(runs)
    assert [(r["kimg"], r["value"], r["best"], r["last"]) for r in said["rows"]] == [
        (20, 30.0, True, False),
        (30, 40.0, False, True),
    ]
    row = said["rows"][0]
    assert (row["protocol"], row["reference"], row["n"]) == ("inception pool3, tf", SET, 1000)
    assert said["hidden"] == 1 and len(told(runs, "/api/scores?all=1")["rows"]) == 3
    assert said["warn"] == []


def test_the_best_of_what_should_be_high_is_the_highest(runs, trained):
    trained("00000-a", [(10, 2.0), (20, 3.0), (30, 1.0)], metric="is", how="inception logits, tf; 500 images, seed 0")
    best = next(r for r in told(runs)["rows"] if r["best"])
    assert (best["value"], best["better"], best["reference"], best["n"]) == (3.0, "higher", "", 500)


def test_lines_that_are_damaged_or_of_another_kind_are_left_out(runs, trained):
    text = '{"nimg": 40000, "fid": "x"}\n{"nimg": 50000, "fid": NaN}\n{"nimg": 60000, "fid": true}\n{"nimg": 7'
    trained("00000-a", [(10, 5.0)], text=text)
    assert [r["value"] for r in told(runs, "/api/scores?all=1")["rows"]] == [5.0]


def test_how_an_old_training_measured_is_not_known(runs, trained):
    trained("00000-a", [(10, 5.0)], how=None)
    (row,) = told(runs)["rows"]
    assert (row["protocol"], row["n"]) == ("not known", None)


def test_a_training_that_goes_on_is_read_again(runs, trained):
    run = trained("00000-a", [(10, 50.0)])
    shelf = Shelf([runs], "cpu")
    assert len(page.collect(shelf)[0]) == 1
    with (run / "stats.jsonl").open("a") as f:
        f.write(json.dumps({"nimg": 20000, "fid": 40.0, "protocols": {"fid": HOW}}) + "\n")
    assert [row.value for row in page.collect(shelf)[0]] == [50.0, 40.0]


def test_files_beside_runs_in_them_and_here_are_found_once(runs, trained):
    run = trained("00000-a", [])
    places = [runs, runs / "scores", run, run / "scores", runs.parent, runs.parent / "scores"]
    for i, place in enumerate(places):
        place.mkdir(exist_ok=True)
        (place / f"{i}.json").write_text(result(float(i)).to_json())
    assert sorted(r["value"] for r in told(runs)["rows"]) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_real_result_is_read(runs, trained, tmp_path):
    trained("00000-a", [])
    images = [np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8) for i in range(3)]
    for folder, shift in (("x", 0), ("y", 1)):
        (tmp_path / folder).mkdir()
        for i, image in enumerate(images):
            Image.fromarray((image + np.uint8(shift)).astype(np.uint8)).save(tmp_path / folder / f"{i}.png")
    made = gantools.score(tmp_path / "x", metrics=["psnr"], ref=tmp_path / "y")
    same = gantools.score(tmp_path / "x", metrics=["psnr"], ref=tmp_path / "x")
    assert math.isinf(same.value)
    (tmp_path / "made.json").write_text(made.to_json())
    (tmp_path / "same.json").write_text(same.to_json())
    a, b = told(runs)["rows"]
    assert (a["value"], a["n"], a["better"]) == (made.value, 3, "higher") and b["value"] is None


def test_a_result_of_a_checkpoint_names_the_run(runs, trained):
    trained("00000-a", [])
    (runs / "a.json").write_text(result(samples="/far/runs/00007-x/checkpoints/kimg-000173.632").to_json())
    (row,) = told(runs)["rows"]
    assert (row["of"], row["kimg"]) == ("00007-x", 173.632)
    assert (row["low"], row["high"]) == (29.5, 33.5)


def broken(**changes):
    found = json.loads(result().to_json())
    found["scores"][0].update(changes)
    return json.dumps(found)


@pytest.mark.parametrize(
    "text",
    [
        result().to_json()[:-20],
        broken(value="31"),
        broken(value=True),
        broken(interval={"low": 1}),
        broken(interval=[1, 2]),
        broken(protocol={"name": "tf"}),
        broken(value=10**400),
        result().to_json().replace('"n_samples": 1000', '"n_samples": "many"'),
        result().to_json().replace('"scores": [', '"scores": [1, '),
    ],
)
def test_a_damaged_result_is_a_note(runs, trained, text):
    trained("00000-a", [(10, 5.0)])
    (runs / "bad.json").write_text(text)
    said = told(runs)
    assert len(said["rows"]) == 1
    assert said["notes"] == [f"{runs / 'bad.json'}: damaged, so it is left out."]


def test_other_json_is_passed_over(runs, trained, monkeypatch):
    trained("00000-a", [])
    (runs / "package.json").write_text('{"name": "x"}')
    (runs / "list.json").write_text("[1, 2]")
    (runs / "binary.json").write_bytes(bytes(range(256)))
    (runs / "folder.json").mkdir()
    monkeypatch.setattr(page, "BYTES", 4000)
    (runs / "huge.json").write_text(result().to_json() + " " * 5000)
    assert told(runs) == {"rows": [], "hidden": 0, "warn": [], "notes": []}


def test_no_more_files_are_read_than_is_good(runs, trained, monkeypatch):
    trained("00000-a", [])
    monkeypatch.setattr(page, "FILES", 3)
    for i in range(5):
        (runs / f"{i}.json").write_text(result(float(i)).to_json())
    said = told(runs)
    assert [r["value"] for r in said["rows"]] == [0.0, 1.0, 2.0] and said["notes"] == [
        f"{runs}: 5 files; the first 3 were looked at."
    ]


def test_numbers_of_several_ways_have_letters_and_a_warning(runs, trained):
    trained("00000-a", [(10, 5.0)])
    (runs / "same.json").write_text(result().to_json())
    (runs / "other.json").write_text(result(n=500).to_json())
    said = told(runs)
    ways = {r["source"].rpartition("/")[2]: r["group"] for r in said["rows"]}
    assert ways["training"] == ways["same.json"] != ways["other.json"]
    assert said["warn"] == ["fid was measured in 2 ways (column way): compare within a letter alone."]


def test_letters_go_on_after_z():
    assert [page._letters(i) for i in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


def warnings(runs, *results):
    for i, one in enumerate(results):
        (runs / f"{i}.json").write_text(one.to_json())
    ids = {r["source"]: r["id"] for r in told(runs)["rows"]}
    wanted = [ids[str(runs / f"{i}.json")] for i in range(len(results))]
    return told(runs, f"/api/scores/beside?ids={','.join(wanted)}")["warn"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (result(50.0, protocol="clean"), "by different protocols: tf and clean"),
        (result(50.0, n=500), "1,000 and 500 samples"),
        (result(50.0, reference="set:other@1"), "different references"),
        (result(50.0, key="kid"), "fid and kid are different scores"),
        (result(31.9), "within twice the standard error"),
    ],
)
def test_what_differs_besides_the_images_is_said(runs, trained, other, words):
    trained("00000-a", [])
    found = warnings(runs, result(), other)
    assert any(words in sentence and sentence.startswith("1 and 2: ") for sentence in found), found


def test_what_was_measured_alike_compares(runs, trained):
    trained("00000-a", [])
    assert warnings(runs, result(), result(50.0)) == []


def test_a_training_and_a_file_compare_as_far_as_both_say(runs, trained):
    trained("00000-a", [(10, 5.0)])
    for name, one in (("same", result()), ("other", result(protocol="clean", n=500))):
        (runs / f"{name}.json").write_text(one.to_json())
    rows = {r["source"].rpartition("/")[2]: r["id"] for r in told(runs)["rows"]}
    both = f"{rows['training']},{rows['same.json']}"
    assert told(runs, f"/api/scores/beside?ids={both}")["warn"] == []
    found = " ".join(told(runs, f"/api/scores/beside?ids={rows['training']},{rows['other.json']}")["warn"])
    assert "by different protocols: tf and clean" in found and "1,000 and 500 samples" in found


def test_what_is_not_known_does_not_compare(runs, trained):
    trained("00000-a", [(10, 5.0)], how=None)
    trained("00001-b", [(10, 6.0)])
    ids = ",".join(r["id"] for r in told(runs)["rows"])
    assert told(runs, f"/api/scores/beside?ids={ids}")["warn"] == [
        "1 and 2: how one of them was measured is not known."
    ]


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("ids=", ConfigError, "from 2 to 6 scores"),
        ("ids=a", ConfigError, "from 2 to 6 scores"),
        ("ids=a,b,c,d,e,f,g", ConfigError, "from 2 to 6 scores"),
        ("ids=a,a", ConfigError, "from 2 to 6 scores"),
        ("ids=a,../b", NotThere, "score 'a'"),
        ("ids=a,b&more=1", ConfigError, "means nothing here"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, trained, query, kind, words):
    trained("00000-a", [])
    with pytest.raises(kind, match=re.escape(words)):
        get(runs, f"/api/scores/beside?{query}")


def test_the_table_as_csv_has_the_same_numbers(runs, trained):
    trained("00000-a", [(10, 50.25), (20, 30.125)])
    (runs / "x.json").write_text(result().to_json())
    answer = get(runs, "/save/scores.csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [(float(r["value"]), r["reference"]) for r in rows] == [
        (r["value"], r["reference"]) for r in told(runs)["rows"]
    ]
    assert answer.headers["content-disposition"] == 'attachment; filename="scores.csv"'
