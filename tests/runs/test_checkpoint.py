import json
import os
import pickle

import pytest
import torch
from torch import nn

from gantools.errors import CheckpointError
from gantools.runs.checkpoint import (
    checkpoint_name,
    list_checkpoints,
    read_config,
    read_state,
    read_weights,
    write_checkpoint,
)


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


def test_a_newer_format(checkpoint):
    path, _ = checkpoint
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "version": 2}))
    with pytest.raises(CheckpointError, match="format 2"):
        read_config(path)


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
