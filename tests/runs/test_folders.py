import json
import logging
import multiprocessing
import time

import pytest
from torch import nn

from gantools.errors import CheckpointError, ConfigError
from gantools.runs import folders
from gantools.runs.checkpoint import newest_whole_checkpoint, write_checkpoint
from gantools.runs.folders import (
    create_run,
    find_checkpoint,
    is_run,
    list_runs,
    newest_run,
    recipe_name,
)
from gantools.runs.layout import list_checkpoints, mark_best


def write(run, *kimgs, recipe="a"):
    for kimg in kimgs:
        config = {"recipe": {"name": recipe}}
        write_checkpoint(run, round(kimg * 1000), {"net": nn.Linear(2, 2)}, config, {"nimg": 0}, keep=100)
    return run


def _start(root, title):
    create_run(root, title)


def test_runs_started_at_once_get_their_own_numbers(tmp_path, monkeypatch):
    def slowly(root):
        found = list_runs(root)
        time.sleep(0.05)
        return found

    # Time between looking for the next number and taking it, so that starts that do not wait for each other collide.
    monkeypatch.setattr(folders, "list_runs", slowly)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_start, args=(tmp_path / "runs", f"r{i}")) for i in range(8)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    assert sorted(p.name[:5] for p in list_runs(tmp_path / "runs")) == [f"{i:05d}" for i in range(8)]


def test_what_a_path_means(tmp_path, monkeypatch):
    path = write_checkpoint(tmp_path, 1500, {"net": nn.Linear(2, 2)}, {}, {"nimg": 1500}, keep=3)
    assert find_checkpoint(path) == path and find_checkpoint(tmp_path) == path
    root = tmp_path / "elsewhere" / "runs"
    run, empty = create_run(root, "a"), create_run(root, "b")
    (run / "checkpoints").mkdir()
    path.rename(run / "checkpoints" / path.name)
    monkeypatch.chdir(root.parent)
    assert find_checkpoint().resolve() == (run / "checkpoints" / path.name).resolve()  # the newest that has one
    with pytest.raises(CheckpointError, match="no run with a checkpoint"):
        find_checkpoint(empty)
    (empty / "config.yaml").write_text("recipe: {name: b}")
    with pytest.raises(CheckpointError, match="00001-b: no checkpoint in it"):
        find_checkpoint(empty)
    with pytest.raises(CheckpointError, match="no such folder"):
        find_checkpoint(root / "00007-c")


def test_what_is_a_run(tmp_path):
    run = create_run(tmp_path / "runs", "a")
    assert not is_run(run) and not is_run(tmp_path / "runs") and not is_run(tmp_path / "nowhere")
    path = write_checkpoint(run, 1500, {"net": nn.Linear(2, 2)}, {}, {"nimg": 1500}, keep=3)
    assert is_run(run) and is_run(tmp_path / "runs") and is_run(path)
    assert not is_run(tmp_path)
    for text in ("{", "[]", '{"format": "of another program"}'):
        (path / "config.json").write_text(text)
        assert not is_run(path)


def test_which_checkpoint_of_a_run(tmp_path):
    run = write(tmp_path / "runs" / "00000-a", 0.5, 20, 40, 60.25, 80)
    for which, name in (
        ("last", "kimg-000080.000"),
        (20, "kimg-000020.000"),
        ("20", "kimg-000020.000"),
        ("0.5", "kimg-000000.500"),
        ("60.25", "kimg-000060.250"),
        ("kimg-000040.000", "kimg-000040.000"),
    ):
        assert find_checkpoint(run, which).name == name
        assert find_checkpoint(run.parent, which).name == name
    with pytest.raises(CheckpointError, match="trained without scores") as e:
        find_checkpoint(run, "best")
    assert "0.5, 20, 40, 60.25, 80" in e.value.hint
    mark_best(run, 40_000, "fd", 1.0)
    assert find_checkpoint(run, "best").name == "kimg-000040.000"
    assert find_checkpoint(run / "checkpoints" / "best").name == "kimg-000040.000"
    with pytest.raises(CheckpointError, match="no checkpoint at 55 kimg") as e:
        find_checkpoint(run, 55)
    assert "The nearest: 40, 60.25, 80; of 5" in e.value.hint
    for which in ("bset", "kimg-x", "nan", "inf", "../.."):
        with pytest.raises(ConfigError, match="is not last, best or a number") as e:
            find_checkpoint(run, which)
        assert "40, 60.25" in e.value.hint and ("'best'" in e.value.message) == (which == "bset")
    with pytest.raises(ConfigError, match="is a checkpoint already"):
        find_checkpoint(run / "checkpoints" / "kimg-000040.000", "best")


def test_the_newest_run_that_has_a_checkpoint_is_taken_with_a_word(tmp_path, caplog):
    old, other = write(create_run(tmp_path, "a-x"), 1), write(create_run(tmp_path, "a-mini-x"), 1, recipe="a-mini")
    assert newest_run(tmp_path) == other and not caplog.records
    assert newest_run(tmp_path, "a") == old and not caplog.records  # not the run of another recipe
    empty = create_run(tmp_path, "a-x")
    (empty / "config.yaml").write_text("recipe: {name: a}")
    assert newest_run(tmp_path) == other
    assert newest_run(tmp_path, "a") == old
    assert [r.getMessage() for r in caplog.records] == [
        f"{empty}: no checkpoint in it yet; taking {other}.",
        f"{empty}: no checkpoint in it yet; taking {old}.",
    ]
    with pytest.raises(CheckpointError, match="no run of recipe 'b' with a checkpoint") as e:
        newest_run(tmp_path, "b")
    assert "gantools train b" in e.value.hint


def test_the_recipe_of_a_run(tmp_path):
    run = tmp_path / "00000-x"
    run.mkdir()
    assert recipe_name(run) is None
    for text in ("[", "recipe: 3", "- 1", "recipe: {name: first}"):
        (run / "config.yaml").write_text(text)
        assert recipe_name(run) == ("first" if "first" in text else None)
    write(run, 1, 2, recipe="second")
    assert recipe_name(run) == "second"
    (list_checkpoints(run)[-1] / "config.json").write_text("{")  # the one before says it too
    assert recipe_name(run) == "second"


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_word(tmp_path, caplog):
    run = write(tmp_path / "00000-a", 1, 2, 3)
    first, second, third = list_checkpoints(run)
    assert newest_whole_checkpoint(run) == third and not caplog.records
    (third / "state.pt").write_bytes(b"")
    (second / "config.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert newest_whole_checkpoint(run) == first
    words = " ".join(r.getMessage() for r in caplog.records)
    assert str(third / "state.pt") in words and str(second) in words and f"going on from {first}" in words
    (first / "net.safetensors").unlink()
    with pytest.raises(CheckpointError, match="every checkpoint in it is damaged") as e:
        newest_whole_checkpoint(run)
    assert "state.pt" in e.value.hint
    with pytest.raises(CheckpointError, match="no checkpoint in it"):
        newest_whole_checkpoint(tmp_path)


def test_a_checkpoint_of_an_older_format_is_no_damage(tmp_path):
    run = write(tmp_path / "00000-a", 1, 2)
    for path in list_checkpoints(run):
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, "version": 1}))
    with pytest.raises(CheckpointError, match="older gantools"):
        newest_whole_checkpoint(run)
