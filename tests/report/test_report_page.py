"""The page is one whole file that asks for nothing else, whatever the run's files hold."""

from __future__ import annotations

import csv
import json
import re
import shutil
import struct
import time
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from gantools import _native
from gantools.cli import main
from gantools.data.prepared import PreparedSet
from gantools.errors import CheckpointError, ConfigError, DataError
from gantools.recipes.recipe import load_recipe
from gantools.report import grids
from gantools.report.record import read_record
from gantools.report.write import report
from gantools.training.run import train

VOID = {"meta", "img", "br", "input"}
HOSTILE = "<script>alert('x')</script>\"&<img src=http://evil.example/x onerror=alert(1)>"


class Page(HTMLParser):
    """The elements of a page, each closed, and its visible text."""

    def __init__(self, path):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == [], "an element has no end"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)

    def attributes(self, tag, key):
        return [attrs[key] for name, attrs in self.elements if name == tag and key in attrs]

    def check(self):
        """Nothing is asked for, and there is one script, which is ours."""
        for tag, attrs in self.elements:
            assert tag not in ("link", "iframe", "object", "base", "form", "a"), tag
            for key, value in attrs.items():
                assert not key.startswith("on"), (tag, key)
                if key in ("src", "href", "action", "data", "srcset", "poster"):
                    assert value.startswith("data:image/png;base64,"), value
        assert [tag for tag, _ in self.elements].count("script") == 1
        assert "Traceback" not in self.text and "object at 0x" not in self.text
        return self


def lines_of(n, **more):
    for i in range(1, n + 1):
        yield {
            "nimg": 640 * i,
            "epoch": i / 2,
            "step": 10 * i,
            "seconds": float(i),
            "img_per_s": 640.0,
            "lr_generator": 0.001,
            "loss_d": 1.3 + np.sin(i / 9).item() / 9,
            "loss_g": 0.9 + np.cos(i / 7).item() / 9,
            "real_score": 0.6,
            "fake_score": 0.4,
            "discriminator_score": 0.5,
            "sample_diversity": 0.9,
            "device": "cpu",
            "precision": "float32",
            **more,
        }


@pytest.fixture
def make_run(tmp_path, make_set):
    """make_run(name, n lines, n grids) -> the folder of a run, written as a training does."""
    images = make_set(96, 28, 1)

    def make(name="00000-dcgan-mini-blobs", n=12, grid=3, overrides=(), **more):
        run = tmp_path / "runs" / name
        (run / "grids").mkdir(parents=True)
        found = PreparedSet(images)
        config = {
            "recipe": load_recipe("dcgan-mini", overrides).to_dict(),
            "data": {"path": str(images), "name": "blobs", "fingerprint": found.fingerprint, "count": 96},
            "device": "cpu",
            "versions": {"gantools": "0.1.0", "torch": "2"},
        }
        (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        (run / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines_of(n, **more)))
        random = np.random.default_rng(0)
        for i in range(grid):
            png = _native.encode_png(random.integers(0, 256, (60, 60, 1), np.uint8))
            (run / "grids" / f"kimg-{i:06d}.640.png").write_bytes(png)
        return run

    return make


def test_the_report_of_a_training(make_set, tiny, tmp_path):
    run = train(tiny, data=make_set(48, 8), out=tmp_path / "runs", device="cpu", progress=False)
    out = report(run, csv=tmp_path / "a" / "t.csv", film=tmp_path / "film.png")
    assert out == run / "report.html"
    page = Page(out).check()
    for words in ("no verdict", "loss_d", "loss_g", "real_score", "lr_generator", "Real images of blobs", "float32"):
        assert words in page.text, words
    assert f"gantools train {run / 'config.yaml'} --data" in page.text
    kimgs = page.attributes("img", "data-kimg")
    assert [float(k) for k in kimgs] == [grid.kimg for grid in grids.list_grids(run)]
    shown = [attrs for tag, attrs in page.elements if tag == "img" and "data-kimg" in attrs and "hidden" not in attrs]
    assert [attrs["data-kimg"] for attrs in shown] == kimgs[-1:]  # the newest, also without a script
    rows = list(csv.DictReader((tmp_path / "a" / "t.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"] and float(rows[1]["loss_d"]) > 0
    assert (tmp_path / "film.png").read_bytes().count(b"fcTL") == len(kimgs)
    assert report(run) == out  # a report is replaced


def test_what_the_discriminator_says_has_the_line_at_a_draw(make_run):
    assert 'class="level"' in report(make_run()).read_text()
    assert 'class="level"' not in report(make_run("00001-raw", real_score=3.0)).read_text()


def test_scores_are_shown_with_how_they_were_measured(make_run, tmp_path):
    how = {"protocols": {"fd": "fashion 128, gantools; 50 images, seed 0"}}
    a = make_run(overrides={"eval.metrics": ["fd"]}, fd=9.5, **how)
    page = Page(report(a)).check()
    assert "fashion 128, gantools; 50 images, seed 0" in page.text and "flat" in page.text
    b = make_run("00001-b", overrides={"eval.metrics": ["fd"]}, fd=5.5, protocols={"fd": "another way"})
    assert "must not be compared" in Page(report([a, b], out=tmp_path / "both.html")).check().text


def test_several_runs_are_laid_over_each_other(make_run, tmp_path):
    runs = [make_run(), make_run("00001-other", overrides={"optim.lr": 0.002}, n=5), make_run("00002-third", n=0)]
    out = report([*runs, runs[0]], out=tmp_path / "all.html", csv=tmp_path / "all.csv")
    page = Page(out).check()
    text = out.read_text()
    assert "smooth s0 d0" in text and "smooth s1 d1" in text
    assert page.text.count("No tick has ended") == 1
    assert "optim.lr" in page.text and "0.002" in page.text
    assert page.attributes("input", "type") == ["range"]
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert {row["run"] for row in rows} == {run.name for run in runs[:2]}


def test_events_of_several_runs_are_on_the_axis(make_run, tmp_path):
    runs = [make_run(n=12), make_run("00001-b", n=12), make_run("00002-c", n=12)]
    for run, good in zip(runs[1:], (5, 7), strict=True):  # the samples collapse after so many ticks
        lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
        lines[good:] = [line | {"sample_diversity": 0.01, "step": 1000 + i} for i, line in enumerate(lines[good:])]
        (run / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = [read_record(run, run.name) for run in runs]
    signs = [len(record.signs) for record in records]
    assert signs[0] == 0 and signs[1] >= 1 and signs[2] >= 1
    out = report(runs, out=tmp_path / "all.html")
    text = out.read_text()
    one_chart = text[text.index("<h3>loss_g</h3>") :].split("</svg>")[0]
    for style, n in enumerate(signs):  # in the colour of the run that each is of
        assert one_chart.count(f'class="event s{style}"') == n
    table = text[text.index("Signs of trouble") :].split("</table>")[0]
    assert re.findall(r"<tr><td>(\d+)</td>", table) == [str(n) for n in range(1, sum(signs) + 1)]
    assert table.count("00001-b") == signs[1] and table.count("00002-c") == signs[2]


@pytest.mark.parametrize(
    "intervals",
    [
        {"fd": [9.0, 10.0]},
        {"fd": "x"},
        {"fd": [1]},
        {"fd": [None, 2.0]},
        {"fd": [10.0, 9.0]},
        {"other": [1.0, 2.0]},
        {},
    ],
)
def test_the_band_of_a_score_is_its_interval(make_run, intervals):
    text = report(make_run(overrides={"eval.metrics": ["fd"]}, fd=9.5, intervals=intervals)).read_text()
    whole = intervals == {"fd": [9.0, 10.0]}
    assert ('<polygon class="band' in text) is whole and ("The band is the interval" in text) is whole


def test_the_recipe_is_what_differs(make_run):
    page = Page(report(make_run(overrides={"optim.lr": 0.0123}))).check()
    assert "What is another than in the recipe dcgan-mini" in page.text and "0.0123" in page.text
    assert "The same as the recipe dcgan-mini" in Page(report(make_run("00001-same"))).check().text


def test_hostile_names_are_text(make_run, tmp_path):
    folder = HOSTILE.replace("/", "_")
    run = make_run(folder, overrides={"eval.metrics": ["fd"]}, fd=1.0, protocols={"fd": HOSTILE}, stage=HOSTILE)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["recipe"] |= {"name": HOSTILE, "description": HOSTILE, HOSTILE: {HOSTILE: [HOSTILE]}}
    config["data"]["name"] = HOSTILE
    config["versions"] = {HOSTILE: HOSTILE}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with (run / "stats.jsonl").open("a") as f:
        line = {"nimg": 10**6, f"loss_{HOSTILE}": 1.0, HOSTILE: 2.0, "device": HOSTILE, "stage": f"{HOSTILE}2"}
        f.write(json.dumps(line) + "\n")
    other = make_run("00001-b")
    for asked in (run, [run, other]):
        out = report(asked, out=tmp_path / "out.html")
        page = Page(out).check()
        assert HOSTILE in page.text and f"loss_{HOSTILE}" in page.text
        assert page.attributes("img", "onerror") == []


def test_damaged_lines_are_named_and_left_out(make_run):
    run = make_run(n=4)
    good = (run / "stats.jsonl").read_bytes()
    bad = [
        b"{\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"nimg": true}\n',
        b'{"nimg": 1}\n',
        b'{"nimg": "9000"}\n',
        b'{"nimg": -1}\n',
        b"[" * 100_000 + b"\n",
        b"1" * 5000 + b"\n",
    ]
    last = b'{"nimg": 99000, "loss_d": NaN, "loss_g": 1e999, "real_score": "x", "fake_score": null, "lr_a": [1]}\n'
    (run / "stats.jsonl").write_bytes(good + b"".join(bad) + last + b'{"nimg": 99999, "los')
    page = Page(report(run)).check()
    assert "9 damaged lines are left out (line 5, 6, 7, 8, 9, ...)" in page.text
    assert "At 99 kimg" in page.text


def test_a_line_that_is_being_written_is_no_damage(make_run):
    run = make_run(n=4)
    with (run / "stats.jsonl").open("a") as f:
        f.write('{"nimg": 99999, "los')
    assert "damaged" not in Page(report(run)).check().text


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2",
        "just words",
        "recipe: 5\ndata: [1]\nversions: 3\n",
        "recipe: {name: [1], model: [2], eval: {metrics: 7}, batch: x}\ndata: {path: 3, count: many}\n",
        "recipe: {name: dcgan-mini, model: dcgan, eval: 7, batch: 0}\ndata: {path: /nowhere, count: 0}\n",
        "recipe: {name: a, model: os.path, batch: 8, reported: {epoch: [1], loss_g: [x]}}\ndata: {count: 8}\n",
        "recipe: &r {name: a, model: *r}\n",
        "recipe: {name: 2020-01-01, seed: 10:30:00, model: .nan}\ndata: {fingerprint: {}}\n",
        BOMB,
    ],
)
def test_a_damaged_record_is_a_note(make_run, text):
    run = make_run()
    (run / "config.yaml").write_text(text)
    page = Page(report(run)).check()
    assert "loss_d" in page.text


def test_data_that_is_gone_or_another_is_a_note(make_run):
    run = make_run()
    config = yaml.safe_load((run / "config.yaml").read_text())
    changed = {**config, "data": {**config["data"], "fingerprint": "0"}}
    (run / "config.yaml").write_text(yaml.safe_dump(changed))
    assert "holds another set now" in Page(report(run)).check().text
    shutil.rmtree(config["data"]["path"])
    assert "No real images are shown" in Page(report(run)).check().text


def test_files_that_are_no_grids_are_left_out(make_run):
    run = make_run(grid=2)
    (run / "grids" / "kimg-000009.000.png").write_bytes(b"no png")
    (run / "grids" / "notes.png").write_bytes(b"")
    (run / "grids" / "kimg-000010.000.png").mkdir()
    assert len(Page(report(run)).check().attributes("img", "data-kimg")) == 2


def test_a_run_that_is_removed_meanwhile_has_no_grids(make_run):
    run = make_run(grid=5)
    found = grids.list_grids(run)
    shutil.rmtree(run)
    assert "no grid that could be shown" in grids.frames("run", found, 40, 10**6)
    assert grids.list_grids(run) == [] and grids.film_files(found) == []


def test_a_film_has_the_grids_of_the_newest_ones_size(make_run, tmp_path):
    run = make_run(grid=6)
    png = _native.encode_png(np.zeros((30, 30, 1), np.uint8))
    (run / "grids" / "kimg-000000.640.png").write_bytes(png)
    report(run, film=tmp_path / "film.png")
    assert (tmp_path / "film.png").read_bytes().count(b"fcTL") == 5
    grid = run / "grids" / "kimg-000003.640.png"
    whole = grid.read_bytes()
    grid.write_bytes(whole[:-30])  # cut off: left out, of the page too
    page = Page(report(run, film=tmp_path / "film.png", overwrite=True)).check()
    assert (tmp_path / "film.png").read_bytes().count(b"fcTL") == 4
    assert "1 of them could not be read" in page.text and len(page.attributes("img", "data-kimg")) == 5
    # A chunk that ends just before the end of the file.
    grid.write_bytes(whole[:33] + struct.pack(">I", 8) + b"junk" + b"x" * 2 + whole[-12:])
    with pytest.raises(DataError, match="one of its grids is damaged"):
        report(run, film=tmp_path / "film.png", overwrite=True)


def test_a_score_of_another_kind_than_a_number_is_none(make_run):
    page = Page(report(make_run(overrides={"eval.metrics": ["fd"]}, fd="low"))).check()
    assert "no score was measured" in page.text


def test_what_scrolls_is_reached_by_the_keyboard(make_run):
    page = Page(report(make_run())).check()
    scrolling = [attrs for tag, attrs in page.elements if attrs.get("class") in ("chart", "wide", "scroll")]
    assert len(scrolling) > 5 and all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in scrolling)
    assert all(alt for alt in page.attributes("img", "alt"))
    assert [tag for tag, _ in page.elements if tag == "main"] == ["main"]


def test_grids_are_chosen_evenly_and_within_their_budget(tmp_path):
    found = []
    for i in range(500):
        file = tmp_path / f"{i}.png"
        file.write_bytes(b"x" * 1000)
        found.append(grids.Grid(float(i), file))
    picked = [grid.kimg for grid in grids.chosen(found, 40, 10**6)]
    assert len(picked) == 40 and picked[0] == 0 and picked[-1] == 499
    assert max(np.diff(picked)) - min(np.diff(picked)) <= 1
    few = grids.chosen(found, 40, 7500)
    assert len(few) == 7 and few[-1].kimg == 499
    assert [grid.kimg for grid in grids.chosen(found, 40, 1000)] == [499]
    assert grids.chosen(found, 40, 999) == []


def test_a_long_run_makes_a_page_of_bounded_size(make_run, tmp_path):
    run = make_run(n=10_000, grid=500)
    start = time.perf_counter()
    out = report(run, csv=tmp_path / "t.csv", film=tmp_path / "film.png")
    assert time.perf_counter() - start < 30
    page = Page(out).check()
    assert len(page.attributes("img", "data-kimg")) == 40
    assert "40 of 500 grids are in this page" in page.text
    # 40 grids of 3.7 kB, curves of 1,000 points, 120 rows.
    assert out.stat().st_size < 1_500_000
    assert "of 10,000 rows" in page.text
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 10_001
    assert (tmp_path / "film.png").read_bytes().count(b"fcTL") == grids.FRAMES


def test_only_reports_are_replaced(make_run, tmp_path):
    run = make_run()
    for key, name in (("out", "notes.html"), ("csv", "mine.csv"), ("film", "mine.png")):
        mine = tmp_path / name
        mine.write_text("mine")
        with pytest.raises(DataError, match="exists already") as caught:
            report(run, **{key: mine})
        assert "--overwrite" in (caught.value.hint or "") and mine.read_text() == "mine"
        assert not (run / "report.html").exists()  # refused before anything is written
        report(run, **{key: mine}, overwrite=True)
        assert mine.read_bytes() != b"mine"
        (run / "report.html").unlink(missing_ok=True)
    report(run, csv=tmp_path / "mine.csv")  # a table is replaced by the next
    with pytest.raises(DataError, match="is a folder"):
        report(run, out=tmp_path)
    with pytest.raises(ConfigError, match="different files"):
        report(run, out=tmp_path / "x", csv=tmp_path / "x")


def test_a_page_that_cannot_be_written_leaves_the_old_one(make_run, monkeypatch):
    run = make_run()
    before = report(run).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError):
        report(run)
    assert (run / "report.html").read_bytes() == before
    assert not list(run.glob("*.tmp"))


def test_a_run_is_found_by_its_checkpoint_or_its_folder(make_run, tmp_path):
    run = make_run("00007-a")
    make_run("00003-b")
    checkpoint = run / "checkpoints" / "kimg-000001.000"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}")
    assert report(tmp_path / "runs") == run / "report.html"
    assert report(checkpoint).resolve() == (run / "report.html").resolve()


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "no grids"])
def test_what_is_no_run_is_one_line(make_run, tmp_path, capsys, kind):
    place = tmp_path / "place"
    words = ["report", str(place)]
    if kind == "empty":
        place.mkdir()
    if kind == "file":
        place.write_text("x")
    if kind == "no grids":
        words = ["report", str(make_run(grid=0)), "--film", str(tmp_path / "f.png")]
    with pytest.raises(SystemExit) as caught:
        main(words)
    said = capsys.readouterr().err
    assert caught.value.code == 1 and said.startswith("Error: ") and "Traceback" not in said
    assert len(said.strip().splitlines()) == 2  # what is wrong, and what to do


def test_too_many_runs_are_refused(make_run):
    with pytest.raises(ConfigError, match="1 to 20 runs, not of 21"):
        report([make_run(f"{i:05d}-a", n=1, grid=0) for i in range(21)])
    with pytest.raises(ConfigError, match="not of 0"):
        report([])
    with pytest.raises(CheckpointError):
        report(["nowhere"])


def test_the_command_prints_where_the_page_is(make_run, tmp_path, capsys):
    out = tmp_path / "page.html"
    with pytest.raises(SystemExit) as caught:
        main(["report", str(make_run()), "--out", str(out), "--csv", str(tmp_path / "t.csv")])
    assert caught.value.code == 0 and capsys.readouterr().out.strip() == str(out)
    Page(out).check()
