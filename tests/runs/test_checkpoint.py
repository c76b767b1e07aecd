import json
import multiprocessing
import os
import pickle
import random
import signal
import time

import pytest
import torch
from torch import nn

from gantools.errors import CheckpointError
from gantools.runs.checkpoint import (
    Damaged,
    check_files,
    prune,
    read_config,
    read_state,
    read_weights,
    write_checkpoint,
)
from gantools.runs.layout import BEST, best_checkpoint, checkpoint_name, list_checkpoints, mark_best


@pytest.fixture
def checkpoint(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    path = write_checkpoint(tmp_path, 1500, {"net": network}, {"recipe": {"a": 1}}, {"nimg": 1500}, keep=3)
    return path, network


def test_what_is_written_is_read(checkpoint):
    path, network = checkpoint
    assert path.name == "kimg-000001.500"
    assert sorted(p.name for p in path.iterdir()) == ["config.json", "net.safetensors", "state.pt"]
    config = read_config(path)
    assert config["recipe"] == {"a": 1} and config["nimg"] == 1500
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    read_weights(path, "net", other)
    for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert read_state(path) == {"nimg": 1500}


def test_names_sort_by_images_shown(tmp_path):
    assert checkpoint_name(60_000) == "kimg-000060.000"
    for nimg in (999_999_000, 1_000_000_000, 8):
        (tmp_path / "checkpoints" / checkpoint_name(nimg)).mkdir(parents=True)
    (tmp_path / "checkpoints" / ".kimg-000000.009.1.tmp").mkdir()  # of a crash: not a checkpoint
    assert [p.name for p in list_checkpoints(tmp_path)] == ["kimg-000000.008", "kimg-999999.000", "kimg-1000000.000"]


@pytest.mark.parametrize("name", ["net.safetensors", "state.pt"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_damage_is_found(checkpoint, name, damage):
    path, _ = checkpoint
    data = (path / name).read_bytes()
    if damage == "gone":
        (path / name).unlink()
    elif damage == "cut":
        (path / name).write_bytes(data[:-3])
    else:
        (path / name).write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    with pytest.raises(CheckpointError, match=name) as e:
        read_config(path)
    assert f"Remove {path}" in e.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "other"}', '{"format": "gantools-checkpoint"}'])
def test_a_config_that_is_none(checkpoint, text):
    path, _ = checkpoint
    (path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="damaged"):
        read_config(path)


@pytest.mark.parametrize(
    ("version", "words", "hint"), [(1, "an older", "Train again"), (3, "a newer", "that wrote it")]
)
def test_other_formats(checkpoint, version, words, hint):
    path, _ = checkpoint
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "version": version}))
    with pytest.raises(CheckpointError, match=f"{words} gantools .format {version}, this one reads 2") as e:
        read_config(path)
    assert hint in e.value.hint and not isinstance(e.value, Damaged)


def test_only_the_files_that_are_asked_for_are_checked(checkpoint):
    path, _ = checkpoint
    (path / "state.pt").write_bytes(b"damaged")
    config = read_config(path, check=False)
    check_files(path, config, ["net.safetensors"])
    for names, message in ((["state.pt"], "damaged"), (None, "damaged"), (["other.safetensors"], "missing")):
        with pytest.raises(Damaged, match=message):
            check_files(path, config, names)


def write(run, *kimgs, keep=3):
    for kimg in kimgs:
        write_checkpoint(run, round(kimg * 1000), {"net": nn.Linear(1, 1)}, {}, {}, keep)
    return [p.name.removeprefix("kimg-").lstrip("0") for p in list_checkpoints(run)]


def test_newest_best_and_a_thinning_series_are_kept(tmp_path):
    assert write(tmp_path, 0.2, 0.4, 0.6, 0.8) == [".400", ".600", ".800"]
    # 2 and 4 come at 2.6 and 5, 8 at 8 itself.
    assert write(tmp_path, 1.0, 1.3, 2.6, 3, 5, 6, 8) == ["1.000", "2.600", "5.000", "6.000", "8.000"]
    mark_best(tmp_path, 6000, "fd", 14.25)
    kept = ["1.000", "2.600", "5.000", "6.000", "8.000", "11.000", "12.000", "13.000"]
    assert write(tmp_path, 9, 10, 11, 12, 13) == kept
    best = best_checkpoint(tmp_path)
    assert best == (tmp_path / "checkpoints" / "kimg-000006.000", 6000, "fd", 14.25)
    # Another best, and fewer of the newest.
    mark_best(tmp_path, 12_000, "fd", 13.0)
    prune(tmp_path, 1)
    assert write(tmp_path, keep=1) == ["1.000", "2.600", "5.000", "8.000", "12.000", "13.000"]
    # Two powers within one step, and what is kept does not depend on when it is asked.
    assert write(tmp_path, 70, 71, 72, 130, keep=1)[-3:] == ["12.000", "70.000", "130.000"]


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"checkpoint": "../..", "metric": "fd", "value": 1}', "{"])
def test_a_record_of_the_best_that_says_nothing(tmp_path, text):
    write(tmp_path, 1)
    assert best_checkpoint(tmp_path) is None
    (tmp_path / "checkpoints" / BEST).write_text(text)
    assert best_checkpoint(tmp_path) is None
    mark_best(tmp_path, 2000, "fd", 1.0)  # of a checkpoint that is not there
    assert best_checkpoint(tmp_path) is None
    assert write(tmp_path, 3, 4) == ["1.000", "3.000", "4.000"]


def _write_for_ever(run):
    network = nn.Linear(50, 50)
    for nimg in range(1000, 1_000_000, 500):
        write_checkpoint(run, nimg, {"net": network}, {}, {}, keep=2)


def test_a_killed_writer_leaves_whole_checkpoints_alone(tmp_path):
    # Whenever it is killed, in writing or in removing, each folder with the name of a checkpoint is whole.
    rng, context = random.Random(0), multiprocessing.get_context("fork")
    for i in range(20):
        run = tmp_path / str(i)
        process = context.Process(target=_write_for_ever, args=(run,))
        process.start()
        while not list_checkpoints(run):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert list_checkpoints(run)
        for path in list_checkpoints(run):
            read_config(path)
        left = [p for p in (run / "checkpoints").iterdir() if p.name.startswith(".")]
        write_checkpoint(run, 10_000_000, {"net": nn.Linear(1, 1)}, {}, {}, keep=2)
        assert not any(p.exists() for p in left)


def test_weights_of_another_network(checkpoint):
    path, _ = checkpoint
    with pytest.raises(CheckpointError, match="another network"):
        read_weights(path, "net", nn.Linear(2, 2))


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_state_with_code_in_it_is_refused(checkpoint, tmp_path, how):
    path, _ = checkpoint
    if how == "torch":
        torch.save({"nimg": Attack(tmp_path / "hacked")}, path / "state.pt")
    else:
        (path / "state.pt").write_bytes(pickle.dumps(Attack(tmp_path / "hacked")))
    with pytest.raises(CheckpointError, match=r"state\.pt"):
        read_state(path)
    assert not (tmp_path / "hacked").exists()


def test_a_header_that_claims_too_much(checkpoint):
    path, network = checkpoint
    (path / "net.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match=r"net\.safetensors"):
        read_weights(path, "net", network)
