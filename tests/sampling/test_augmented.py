import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.data.test_prepare import same_tree

import gantools
from gantools.data.inspect import verify
from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError
from gantools.sampling.augmented import augment_set
from gantools.sampling.generator import Generator


def labelled(tmp_path, counts, name="told", size=8, channels=3):
    """A prepared set with as many images of classes "0", "1", ... as `counts` says."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(1).integers(0, 256, (len(labels), size, size, channels), dtype=np.uint8)
    file = tmp_path / f"{name}.npz"
    np.savez(file, images=images, labels=labels, classes=np.array([str(i) for i in range(len(counts))]))
    return gantools.prep(file, size=size, channels=channels, out=tmp_path / "sets" / name, progress=False)


def augment(run, data, **options):
    options = {"per_class": 5, "device": "cpu", "progress": False, **options}
    return augment_set(run, data, **options)


def test_image_j_of_a_class_is_that_of_sample(told_run, tmp_path):
    data = labelled(tmp_path, [7, 2, 4])
    done = augment(told_run, data, seed=3, batch=4)
    assert done.path == data.path.with_name("told-augmented") and len(done) == 13 + 15 and done.generated == 15
    generator = Generator.load(told_run, device="cpu")
    for class_ in range(3):
        expected = generator.sample(5, seed=3, class_=class_, batch=4)
        rows = 13 + 5 * class_ + np.arange(5)
        np.testing.assert_array_equal(done.gather(rows), expected)
        assert [done.names[i] for i in rows] == [f"generated/{class_}/{j:06d}.png" for j in range(5)]
        assert (done.labels[rows] == class_).all()
    np.testing.assert_array_equal(done.gather(range(13)), data.gather(range(13)))
    assert verify(done.path) == []
    (entry,) = done.manifest["generated"]
    assert entry["run"] == str(told_run.absolute()) and entry["checkpoint"] == "kimg-000000.016"
    assert (entry["count"], entry["classes"], entry["seed"]) == (15, {"0": 5, "1": 5, "2": 5}, 3)
    assert len(entry["weights"]) == 32 and entry["recipe"] == "dcgan" and entry["versions"]["torch"]


def test_fewer_images_are_the_first_of_more(told_run, tmp_path):
    data = labelled(tmp_path, [7, 2, 4])
    few = augment(told_run, data, per_class=3, out=tmp_path / "few", generated_only=True)
    many = augment(told_run, data, per_class=70, out=tmp_path / "many", generated_only=True)
    for class_ in range(3):
        np.testing.assert_array_equal(
            few.gather(range(3 * class_, 3 * class_ + 3)), many.gather(70 * class_ + np.arange(3))
        )


def test_the_same_call_writes_the_same_bytes(told_run, tmp_path):
    data = labelled(tmp_path, [7, 2, 4])
    one, other = (augment(told_run, data, out=tmp_path / place / "set") for place in "ab")
    assert same_tree(one.path, other.path)
    third = augment(told_run, data, out=tmp_path / "c" / "set", seed=1)
    assert third.fingerprint != one.fingerprint


def test_classes_are_filled_up_to_the_largest(told_run, tmp_path):
    data = labelled(tmp_path, [7, 2, 4])
    done = augment(told_run, data, per_class="fill")
    np.testing.assert_array_equal(np.bincount(done.labels), [7, 7, 7])
    assert done.manifest["generated"][0]["classes"] == {"1": 5, "2": 3}
    one = augment(told_run, data, per_class="fill", classes=["2"], out=tmp_path / "one")
    np.testing.assert_array_equal(np.bincount(one.labels), [7, 2, 7])
    with pytest.raises(DataError, match="fewer images than the largest"):
        augment(told_run, data, per_class="fill", classes=["0"], out=tmp_path / "none")


def test_classes_go_by_name(told_run, tmp_path):
    # Class "2" of the run is class 0 of this set.
    file = tmp_path / "named.npz"
    images = np.zeros((4, 8, 8, 3), np.uint8)
    np.savez(file, images=images, labels=[0, 0, 1, 1], classes=np.array(["2", "0"]))
    data = gantools.prep(file, size=8, channels=3, out=tmp_path / "named", progress=False)
    done = augment(told_run, data, generated_only=True)
    np.testing.assert_array_equal(done.gather(range(5)), Generator.load(told_run, device="cpu").sample(5, class_=2))
    assert done.classes == ["2", "0"] and done.labels.tolist() == [0] * 5 + [1] * 5


def test_what_does_not_fit_is_said(told_run, run, tmp_path, make_set):
    data = labelled(tmp_path, [7, 2, 4])
    with pytest.raises(ConfigError, match="without classes"):
        augment(run, data)
    with pytest.raises(DataError, match="has no labels"):
        augment(told_run, make_set(n=8, size=8, name="plain"))
    with pytest.raises(DataError, match="holds 16x16x3 images"):
        augment(told_run, labelled(tmp_path, [2, 2], "large", 16))
    with pytest.raises(DataError, match="told no class '3'"):
        augment(told_run, labelled(tmp_path, [2, 2, 2, 2], "more"))
    assert len(augment(told_run, PreparedSet(tmp_path / "sets" / "more"), classes=["0", "2"])) == 8 + 10
    with pytest.raises(ConfigError, match="unknown class 'x'"):
        augment(told_run, data, classes=["x"])
    for wrong in (0, -1, True, 1.5, "all"):
        with pytest.raises(ConfigError, match="per class"):
            augment(told_run, data, per_class=wrong)
    with pytest.raises(ConfigError, match="control 'truncation'"):
        augment(told_run, data, controls={"truncation": 0.5})
    assert sorted(p.name for p in (tmp_path / "sets").iterdir()) == ["large", "more", "more-augmented", "told"]


def test_images_are_not_taken_in_twice(told_run, tmp_path, capsys):
    data = labelled(tmp_path, [7, 2, 4])
    once = augment(told_run, data, classes=["1"])
    with pytest.raises(DataError, match="already has images of 1 by these weights and seed 0"):
        augment(told_run, once, out=tmp_path / "twice")
    assert augment(told_run, once, classes=["0", "2"], out=tmp_path / "rest").generated == 15
    twice = augment(told_run, once, seed=1, out=tmp_path / "twice")
    assert twice.generated == 20 and len(np.unique(twice.gather(range(13, 33)).reshape(20, -1), axis=0)) == 20


def test_a_run_of_other_images_is_noted(told_run, tmp_path, capsys):
    data = labelled(tmp_path, [7, 2, 4])
    augment(told_run, data, progress=True)
    assert "was trained on other images" in capsys.readouterr().err
    own = PreparedSet(Generator.load(told_run, device="cpu").data["path"])
    # Written by the tests without a policy, which a set has to have.
    manifest = json.loads((own.path / "manifest.json").read_text())
    manifest["policy"] = data.manifest["policy"]
    hashes = gantools._native.hash_file
    for shard in manifest["shards"]:
        shard["xxh3"] = hashes(own.path / shard["file"])
    (own.path / "manifest.json").write_text(json.dumps(manifest))
    again = augment(told_run, own.path, progress=True)
    assert "other images" not in capsys.readouterr().err
    augment(told_run, again, seed=1, progress=True, out=tmp_path / "again")
    assert "other images" not in capsys.readouterr().err


def test_such_a_set_is_trained_on_and_scored_with_a_word(told_run, tmp_path, capsys):
    data = labelled(tmp_path, [8, 8, 8])
    done = augment(told_run, data)
    network = {"size": 8, "channels": 3, "latent": 6, "width": 4, "classes": 3}
    overrides = {"network": network, "batch": 8, "kimg": 0.016, "tick_kimg": 0.016, "grid": 3}
    trained = gantools.train("dcgan", data=done.path, out=tmp_path / "runs", overrides=overrides, device="cpu")
    said = capsys.readouterr().err
    assert said.count("15 of the 39 images are generated") == 1 and trained is not None
    scores = gantools.score(done.path, ref=done.path, metrics=["psnr"])
    assert [w for w in scores.warnings if "15 of the 39 images are generated" in w]
    assert not gantools.score(data.path, ref=data.path, metrics=["psnr"]).warnings
    with pytest.raises(DataError, match="generated") as e:
        from gantools.detect.train import train_detector

        train_detector(done.path, {"fake": data.path}, out=tmp_path / "detector", device="cpu")
    assert "--real" in e.value.hint


def test_stopped_by_ctrl_c_it_goes_on(told_run, tmp_path):
    data = labelled(tmp_path, [7, 2, 4])
    target = tmp_path / "many"
    arguments = ["--augment", str(data.path), "--per-class", "40000", "--out", str(target), "--device", "cpu"]
    command = [sys.executable, "-m", "gantools", "sample", str(told_run), *arguments]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    partial = tmp_path / "many.partial"
    deadline = time.monotonic() + 120
    while not (partial / "images-00002.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and "generated and kept" in err and "Traceback" not in err, err
    assert not target.exists() and partial.is_dir()
