import numpy as np
import pytest
from tests.cli.conftest import TINY

from gantools.sampling.generator import Generator


@pytest.fixture
def places(call, make_set, tmp_path):
    """A prepared set, and a run of a tiny generator."""
    data = make_set(n=48, size=8)
    assert call("train", "dcgan", *TINY, "--kimg", "0.048")[0] == 0
    return str(data), "runs/00000-dcgan-blobs"


def test_sets_and_runs_by_one_command(call, places, tmp_path):
    data, run = places
    assert call("export", data, "--to", "npz", "--out", "a.npz", "--threads", "1") == (0, "a.npz\n", "")
    assert call("export", run, "--hub", "m") == (0, "m\n", "")
    assert call("export", run, "--hub", "m", "--overwrite", "--checkpoint", "0.048") == (0, "m\n", "")
    assert np.array_equal(Generator.load("m").sample(3), Generator.load(run).sample(3))
    assert call("sample", "m", "-n", "2")[:2] == (0, "samples\n")
    pytest.importorskip("onnxscript")
    assert call("export", "m", "--onnx", "g.onnx") == (0, "g.onnx\n", "")
    assert call("export", f"{run}/checkpoints/kimg-000000.048", "--onnx", "h.onnx") == (0, "h.onnx\n", "")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["SET"], "choose one form", "--onnx FILE or --hub FOLDER"),
        (["RUN", "--hub", "x", "--onnx", "x"], "--onnx FILE and --hub FOLDER: one at a time", "A prepared set"),
        (["RUN", "--to", "npz", "--out", "x"], "RUN: is a run, and --to npz writes prepared sets", "--onnx FILE"),
        (["runs", "--to", "npz", "--out", "x"], "runs: is a run, and --to npz writes prepared sets", "--onnx FILE"),
        (["SET", "--onnx", "x"], "SET: is a prepared set, and --onnx FILE writes", "--to FORM --out PATH"),
        (["SET", "--hub", "x"], "SET: is a prepared set, and --hub FOLDER writes", "--to FORM --out PATH"),
        (["SET", "--to", "npz"], "--to npz: which file or folder to make?", "--out"),
        (["SET", "--to", "npz", "--out", "x", "--checkpoint", "best"], "--checkpoint does not go with --to", "Leave"),
        (["SET", "--to", "npz", "--out", "x", "--overwrite"], "--overwrite does not go with --to", "Leave"),
        (["RUN", "--onnx", "x", "--out", "y"], "--out does not go with --onnx FILE", "Leave"),
        (["RUN", "--hub", "x", "--threads", "2"], "--threads does not go with --hub FOLDER", "Leave"),
        (["RUN", "--hub", "x", "--control", "a=1"], "--control does not go with --hub FOLDER", "Leave"),
        (["RUN", "--onnx", "x", "--control", "a"], "--control a: expected NAME=NUMBER", "truncation"),
        (["RUN", "--onnx", "x", "--control", "a=1"], "control 'a': the system dcgan has nothing to turn", ""),
        (["RUN", "--onnx", "x", "--checkpoint", "7"], "no checkpoint at 7 kimg", "0.048"),
        (["nowhere", "--hub", "x"], "nowhere: no such folder", "Give a run"),
        (["nowhere", "--to", "npz", "--out", "x"], "nowhere: no such folder", "gantools prep"),
    ],
)
def test_a_mix_is_refused_in_a_line(call, places, tmp_path, arguments, message, hint):
    data, run = places
    before = sorted(tmp_path.rglob("*"))
    words = [{"SET": data, "RUN": run}.get(word, word) for word in arguments]
    code, out, err = call("export", *words)
    said = message.replace("SET", data).replace("RUN", run)
    assert code in (1, 2) and out == "" and said in err and hint in err and "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before
