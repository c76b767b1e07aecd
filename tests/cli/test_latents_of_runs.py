import json

import numpy as np
import pytest
from PIL import Image

from gantools import cli

TINY = ["--set", "network={size: 8, channels: 3, latent: 6, width: 4}", "--batch", "8", "--device", "cpu"]


@pytest.fixture
def call(make_set, tmp_path, monkeypatch, capsys):
    """call(*arguments) -> (exit code, stdout, stderr), in a folder with a run."""
    monkeypatch.chdir(tmp_path)
    make_set(n=48, size=8)

    def run(*arguments):
        with pytest.raises(SystemExit) as e:
            cli.main(arguments)
        captured = capsys.readouterr()
        return e.value.code or 0, captured.out, captured.err

    assert run("train", "dcgan", *TINY, "--kimg", "0.048")[0] == 0
    return run


def test_from_a_seed_to_a_film_to_a_latent_to_a_direction(call, tmp_path):
    run = "runs/00000-dcgan-blobs"
    assert call("sample", "-n", "5", "--seed", "9", "--save-latents", "--device", "cpu")[:2] == (0, "samples\n")
    code, out, err = call("walk", run, "--seeds", "1,2,3", "--frames", "9", "--film", "w.png", "--device", "cpu")
    assert (code, out) == (0, "walk\n"), err
    assert Image.open(tmp_path / "w.png").n_frames == 9 and len(list((tmp_path / "walk").glob("*.png"))) == 9

    code, out, err = call("project", run, "samples/000003.png", "--steps", "100", "--device", "cpu")
    assert (code, out) == (0, "projected\n") and "000003.png: " in err
    entry = json.loads((tmp_path / "projected/manifest.json").read_text())["images"][0]
    assert entry["distance"] < 0.5 * entry["nearest_random"]
    latents = ["--latents", "projected/latents.npy"]
    assert call("sample", run, *latents, "--out", "again", "--device", "cpu")[0] == 0
    assert (tmp_path / "again/000000.png").read_bytes() == (tmp_path / "projected/000000.png").read_bytes()

    code, out, err = call("directions", run, "-n", "2", "--device", "cpu")
    assert (code, out) == (0, f"{run}/directions.npz\n"), err
    assert "sefa0: eigenvalue" in err and "pca1: " in err and (tmp_path / run / "directions.png").is_file()
    moves = ["--direction", "pca0=2", "--direction", "sefa1=-1"]
    assert call("sample", run, *latents, *moves, "--out", "moved", "--device", "cpu")[0] == 0
    assert json.loads((tmp_path / "moved/manifest.json").read_text())["directions"] == {"pca0": 2, "sefa1": -1}
    assert not np.array_equal(*(np.asarray(Image.open(tmp_path / f"{d}/000000.png")) for d in ("moved", "again")))

    (tmp_path / "bad.npy").write_bytes(b"no")
    np.save(tmp_path / "wrong.npy", np.ones((2, 7), np.float32))
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(tmp_path / "clear.png")
    for arguments, message in (
        (["sample", run, "--direction", "pca0", "--out", "x"], "--direction pca0: expected NAME=NUMBER."),
        (["sample", run, "--direction", "pca9=1", "--out", "x"], "unknown direction 'pca9'"),
        (["sample", run, "--latents", "wrong.npy", "--out", "x"], "latents: expected (n, 6), found (2, 7)."),
        (["sample", run, "--latents", "bad.npy", "--out", "x"], "bad.npy: not a readable .npy file."),
        (["sample", run, "--latents", "none.npy", "--out", "x"], "none.npy: no such file."),
        (["walk", run, "--seeds", "1", "--out", "x"], "2 points"),
        (["walk", run, "--film", "w.gif", "--out", "x"], "is no .png or .mp4 file"),
        (["walk", run, "--film", "w.png", "--out", "x"], "w.png: exists already."),
        (["project", run, "clear.png", "--out", "x"], "clear.png: "),
        (["project", run, "nowhere.png", "--out", "x"], "nowhere.png: no such file"),
        (["project", run, "samples/000000.png", "--space", "w", "--out", "x"], "has no mapping network"),
        (["directions", run], "exists already"),
        (["directions", run, "--overwrite", "--labels", "no.csv"], "no.csv: no such file."),
        (["directions", run, "--overwrite", "--layer", "laiers.0"], "unknown layer 'laiers.0'. Did you mean"),
    ):
        code, out, err = call(*arguments, "--device", "cpu")
        assert code in (1, 2) and message in err and out == "" and "Traceback" not in err, (arguments, err)
        assert not (tmp_path / "x").exists()
