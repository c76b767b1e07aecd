import multiprocessing
import time

import pytest
from torch import nn

from gantools.errors import CheckpointError
from gantools.runs import folders
from gantools.runs.checkpoint import write_checkpoint
from gantools.runs.folders import create_run, find_checkpoint, is_run, list_runs


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
