import json

import pytest
from tests.cli.conftest import TINY
from tests.conftest import run_on_full_disk


def test_train_resume_sample(call, make_set, tmp_path):
    make_set(n=48, size=8)
    code, out, err = call("train", "dcgan", *TINY, "--kimg", "0.048")
    assert (code, out) == (0, "runs/00000-dcgan-blobs\n"), err
    assert "kimg 0.048  epoch 1.00  loss_d" in err and "img/s" in err
    code, out, err = call("train", "--resume", "--epochs", "2")
    assert (code, out) == (0, "runs/00000-dcgan-blobs\n"), err
    assert len((tmp_path / "runs/00000-dcgan-blobs/stats.jsonl").read_text().splitlines()) == 2
    code, out, err = call("sample", "-n", "3", "--grid", "--seed", "4")
    assert (code, out) == (0, "samples\n"), err
    manifest = json.loads((tmp_path / "samples/manifest.json").read_text())
    assert manifest["count"] == 3 and manifest["seed"] == 4 and manifest["checkpoint"] == "kimg-000000.096"
    code, out, err = call("sample", "-n", "3")
    assert code == 1 and out == "" and "--overwrite" in err
    assert call("sample", "-n", "3", "--overwrite", "--format", "npy")[0] == 0


def test_info_of_a_run(call, make_set, tmp_path):
    make_set(n=48, size=8)
    assert call("train", "dcgan", *TINY, "--epochs", "2")[0] == 0
    code, out, err = call("info", "runs")
    assert (code, err) == (0, "") and "recipe:  dcgan (dcgan)" in out and "0.096 kimg, 2.00 epochs" in out
    assert "4.347" in out  # what report A has for the first epoch
    code, out, err = call("info", "runs/00000-dcgan-blobs", "--csv")
    assert (code, err) == (0, "") and out.startswith("epoch,kimg,seconds,loss_g,loss_d,real_score,fake_score,")
    assert [line.split(",")[0] for line in out.splitlines()[1:4]] == ["1", "2", "3"]
    assert json.loads(call("info", "runs", "--json")[1])["epochs"][0]["epoch"] == 1
    code, out, err = call("info", "data/blobs", "--csv")
    assert code == 2 and out == "" and "--csv is for runs" in err


def test_dry_run_is_printed(call, make_set, tmp_path):
    make_set(n=48, size=8)
    code, out, err = call("train", "dcgan", *TINY, "--dry-run")
    assert code == 0 and "parameters, generator:" in out and "expected time:" in out and err == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train"], 2, "which recipe?"),
        (["train", "dcgam"], 2, "Did you mean 'dcgan'?"),
        (["train", "dcgan"], 1, "gantools prep celeba --size 64"),
        (["train", "dcgan", "--set", "optim.rl=1"], 2, "Did you mean 'optim.lr'?"),
        (["train", "dcgan", "--batch", "0"], 2, "batch: must be at least 1"),
        (["train", "dcgan", "--data", "nowhere"], 1, "nowhere: no such folder"),
        (["train", "--resume"], 1, "no run with a checkpoint in runs/"),
        (["train", "--resume", "runs/7"], 1, "runs/7: no such run"),
        (["sample"], 1, "gantools train"),
        (["sample", "nowhere"], 1, "nowhere: no such folder"),
    ],
)
def test_mistakes_end_in_a_message(call, arguments, code, message):
    found, out, err = call(*arguments)
    assert found == code and out == "" and message in err and "Traceback" not in err


def test_help_lists_the_recipes(call):
    out = call("train", "--help")[1]
    assert "dcgan-fashion" in out and "--dry-run" in out and "[RUN]" in out


@pytest.mark.parametrize("file", ["grids/*.png", "checkpoints/*/generator.safetensors", "checkpoints/*/state.pt"])
def test_a_full_disk_in_training_is_said_plainly_and_leaves_no_half_file(call, make_set, tmp_path, file):
    make_set(n=48, size=8)
    arguments = ["train", "dcgan", *TINY, "--kimg", "0.048"]
    assert call(*arguments)[0] == 0
    size = max(path.stat().st_size for path in (tmp_path / "runs").glob(f"*/{file}"))
    done = run_on_full_disk(size - 1, *arguments, "--out", "other", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "other").iterdir())


def test_which_images_are_made(call, make_set, tmp_path):
    make_set(n=48, size=8, classes=3)
    assert call("train", "dcgan", *TINY, "--set", "network.classes=3", "--kimg", "0.048")[0] == 0
    code, out, err = call("sample", "-n", "4", "--class", "1", "--checkpoint", "0.048")
    assert code == 0, err
    manifest = json.loads((tmp_path / "samples/manifest.json").read_text())
    assert manifest["class"] == "1" and "controls" not in manifest
    assert call("sample", "--seeds", "1,5,9-11", "--out", "seeds")[0] == 0
    assert json.loads((tmp_path / "seeds/manifest.json").read_text())["seeds"] == [1, 5, 9, 10, 11]
    assert len(list((tmp_path / "seeds").glob("*.png"))) == 5
    assert call("sample", "--index", "2", "--out", "one")[0] == 0
    assert call("sample", "-n", "3", "--out", "three")[0] == 0
    assert (tmp_path / "one/000000.png").read_bytes() == (tmp_path / "three/000002.png").read_bytes()
    for arguments, message in (
        (["--class", "9"], "unknown class '9'"),
        (["--truncation", "0.5"], "has nothing to turn"),
        (["--control", "x"], "expected NAME=NUMBER"),
        (["--seeds", "5-1"], "is no seed"),
        (["--checkpoint", "bst"], "Did you mean 'best'?"),
        (["--checkpoint", "7"], "no checkpoint at 7 kimg"),
    ):
        code, out, err = call("sample", "--out", "not", *arguments)
        assert code in (1, 2) and message in err and out == "" and not (tmp_path / "not").exists(), arguments


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--per-class", "3"], 2, "--per-class: is for prepared sets"),
        (["--classes", "1"], 2, "--classes: is for prepared sets"),
        (["--generated-only"], 2, "--generated-only: is for prepared sets"),
        (["--augment", "data/told"], 2, "how many images of each class?"),
        (["--augment", "data/told", "--per-class", "some"], 2, "neither a number nor fill"),
        (["--augment", "data/told", "--per-class", "3", "-n", "3"], 2, "-n: makes a folder of samples"),
        (["--augment", "data/told", "--per-class", "3", "--format", "png"], 2, "--format: makes a folder of samples"),
        (["--augment", "data/told", "--per-class", "3", "--class", "1"], 2, "--class: makes a folder of samples"),
        (["--augment", "data/nowhere", "--per-class", "3"], 1, "data/nowhere: no such folder"),
        (["--augment", "data/told", "--per-class", "0"], 2, "at least 1 or fill"),
    ],
)
def test_mistakes_with_sets_end_in_a_message(call, make_set, arguments, code, message):
    make_set(n=48, size=8, classes=3, name="told")
    found, out, err = call("sample", *arguments)
    assert (found, out) == (code, "") and message in err and "Traceback" not in err


def test_a_set_with_generated_images(call, tmp_path):
    import numpy as np
    from tests.conftest import blobs

    np.savez(tmp_path / "a.npz", images=blobs(24, 8, 3), labels=np.arange(24) % 3, classes=np.array(["x", "y/z", "w"]))
    assert call("prep", "a.npz", "--size", "8", "--out", "data/told")[0] == 0
    assert call("train", "dcgan", *TINY, "--kimg", "0.016", "--set", "network.classes=3")[0] == 0
    code, out, err = call("sample", "--augment", "data/told", "--per-class", "4", "--classes", "x, y/z")
    assert (code, out) == (0, "data/told-augmented\n") and "8 of them generated" in err
    code, out, err = call("info", "data/told-augmented")
    assert code == 0 and "8 generated images" in out and "4 x, 4 y/z" in out
    assert call("verify", "data/told-augmented")[0] == 0
    code, out, err = call("sample", "--augment", "data/told", "--per-class", "2", "--generated-only", "--out", "other")
    assert (code, out) == (0, "other\n") and "6 images of (8, 8, 3) in other, 6 of them generated." in err
    assert call("show", "other")[0] == 0
