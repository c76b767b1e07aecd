import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.conftest import assert_same

from gantools.errors import CheckpointError, ConfigError, DataError, GantoolsError, Interrupted
from gantools.metrics.scorer import score
from gantools.recipes.recipe import load_recipe
from gantools.runs.checkpoint import read_state
from gantools.runs.layout import best_checkpoint, list_checkpoints
from gantools.runs.stats import read_lines
from gantools.training.evaluate import Evaluator
from gantools.training.health import Diverged
from gantools.training.stages import Work


def at_batch(monkeypatch, change):
    """change(batch, nimg) -> batch: what is done to each batch of the training as it is read."""
    read = Work.batch
    monkeypatch.setattr(Work, "batch", lambda self, nimg: change(read(self, nimg), nimg))


def stop_after(monkeypatch, nimg):
    """Ctrl-C while the batch at position `nimg` is read."""

    def change(batch, position):
        if position == nimg:
            signal.raise_signal(signal.SIGINT)
        return batch

    at_batch(monkeypatch, change)


def poisoned(batch):
    return dataclasses.replace(batch, images=batch.images * float("nan"))


def untimed(run):
    lines = read_lines(run / "stats.jsonl")
    return [{k: v for k, v in line.items() if k not in ("seconds", "img_per_s")} for line in lines]


def assert_same_end(run, other):
    ours, theirs = list_checkpoints(run)[-1], list_checkpoints(other)[-1]
    assert ours.name == theirs.name
    weights = sorted(p.name for p in ours.glob("*.safetensors"))
    assert weights == ["discriminator.safetensors", "generator.safetensors", "generator_ema.safetensors"]
    for name in weights:
        assert_same(load_file(ours / name), load_file(theirs / name))
    assert_same({**read_state(ours), "seconds": 0}, {**read_state(theirs), "seconds": 0})
    assert untimed(run) == untimed(other)
    grids = sorted(p.name for p in (run / "grids").iterdir())
    assert grids == sorted(p.name for p in (other / "grids").iterdir())
    for name in grids:
        assert (run / "grids" / name).read_bytes() == (other / "grids" / name).read_bytes()


def test_what_a_run_leaves(go):
    run = go()
    assert run.name == "00000-tiny-blobs"
    *names, events = sorted(p.name for p in run.iterdir() if p.name != "grids" and p.name != "stats.jsonl")
    assert names == ["checkpoints", "config.yaml"] and events.startswith("events.out.tfevents.")
    names = ["kimg-000000.048", "kimg-000000.096"]
    assert [p.name for p in list_checkpoints(run)] == names
    assert sorted(p.stem for p in (run / "grids").iterdir()) == ["kimg-000000.000", *names]
    lines = read_lines(run / "stats.jsonl")
    assert [(line["nimg"], line["kimg"], line["epoch"]) for line in lines] == [(48, 0.048, 1.0), (96, 0.096, 2.0)]
    for line in lines:
        assert line["discriminator_score"] == pytest.approx((line["real_score"] + line["fake_score"]) / 2)
        assert 0 < line["real_score"] < 1 and 0 < line["fake_score"] < 1 and 0 <= line["discriminator_accuracy"] <= 1
        assert line["loss_g"] > 0 and line["loss_d"] > 0 and line["img_per_s"] > 0 and line["sample_diversity"] >= 0
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["name"] == "blobs" and config["data"]["count"] == 48
    assert load_recipe(run / "config.yaml") == load_recipe(run.parent.parent / "tiny.yaml")
    assert go().name == "00001-tiny-blobs"


def test_the_same_seed_is_the_same_run_and_another_is_not(go):
    first, second, third = go(), go(), go(seed=1)
    assert_same_end(first, second)
    assert untimed(first) != untimed(third)


@pytest.mark.parametrize("nimg", [24, 48])
def test_a_stopped_and_resumed_training_equals_one_that_was_not(go, monkeypatch, nimg):
    straight = go()
    with monkeypatch.context() as patch:
        stop_after(patch, nimg)  # in the middle of a tick, or in the first step after one
        with pytest.raises(Interrupted) as e:
            go()
    stopped = straight.parent / "00001-tiny-blobs"
    assert f"--resume {stopped}" in e.value.hint and e.value.exit_code == 130
    assert list_checkpoints(stopped)[-1].name == f"kimg-000000.{nimg + 8:03d}"  # the step was finished
    assert go(recipe=None, data=None, resume=stopped) == stopped
    assert_same_end(stopped, straight)


def test_resume_after_a_crash_cuts_the_later_lines(go):
    straight = go()
    crashed = go(kimg=0.048)
    with (crashed / "stats.jsonl").open("a") as f:
        f.write(json.dumps({"nimg": 80}) + '\n{"nimg": 8')
    assert go(recipe=None, data=None, resume=True, kimg=0.096) == crashed  # the newest run, trained longer
    assert_same_end(crashed, straight)


def test_what_may_change_on_resume_and_what_may_not(go, capsys):
    run = go(kimg=0.048)
    for change in ({"seed": 1}, {"overrides": ["network.width=8"]}, {"overrides": ["data.flip=true"]}):
        with pytest.raises(ConfigError, match=r"(seed|network\.width|data\.flip) cannot be changed") as e:
            go(recipe=None, data=None, resume=run, **change)
        assert "--init-from" in e.value.hint
    with pytest.raises(ConfigError, match="trained by recipe 'tiny'"):
        go(recipe="dcgan", data=None, resume=run)
    assert go(recipe=None, data=None, resume=run) == run  # finished already: nothing to do
    assert len(read_lines(run / "stats.jsonl")) == 1
    capsys.readouterr()
    changes = {"overrides": ["optim.lr=1e-4", "keep=10"], "batch": 4, "progress": True}
    assert go(recipe=None, data=None, resume=run, kimg=0.096, **changes) == run
    said = capsys.readouterr().err
    assert "changed: optim.lr 0.001 -> 0.0001, from 0.048 kimg on" in said and "changed: batch 8 -> 4" in said
    assert "keep" not in said  # which changes no number
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["history"] == [{"nimg": 48, "changed": {"optim.lr": [0.001, 0.0001], "batch": [8, 4]}}]
    assert read_lines(run / "stats.jsonl")[-1]["lr_generator"] == 1e-4
    assert read_state(list_checkpoints(run)[-1])["total_steps"] == 6 + 12


def test_a_rate_goes_on_from_the_images_shown(go):
    decay = {"overrides": ["optim.lr={start: 0.001, to: 0, over_kimg: 0.1}"], "tick_kimg": 0.016}
    straight, stopped = go(**decay), go(kimg=0.048, **decay)
    go(recipe=None, data=None, resume=stopped, kimg=0.096)
    assert_same_end(stopped, straight)
    rates = [line["lr_generator"] for line in read_lines(straight / "stats.jsonl")]
    assert rates == pytest.approx([0.001 * (1 - n / 100) for n in (16, 32, 48, 64, 80, 96)])


def test_a_checkpoint_begins_a_new_run(go):
    run = go(tick_kimg=0.048)
    first = list_checkpoints(run)[0]
    branch = go(recipe=None, data=None, resume=first)
    assert branch.name == "00001-tiny-blobs" and len(list_checkpoints(run)) == 2
    assert yaml.safe_load((branch / "config.yaml").read_text())["parent"] == str(first.absolute())
    ours, theirs = list_checkpoints(branch)[-1], list_checkpoints(run)[-1]
    assert_same(load_file(ours / "generator.safetensors"), load_file(theirs / "generator.safetensors"))


def test_the_newest_run_of_a_recipe(go, tiny, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(tiny.read_text())
    run = go(kimg=0.048)
    newer = go(recipe=other, kimg=0.048)
    assert go(recipe="tiny", data=None, resume=True, kimg=0.096) == run
    assert go(recipe=None, data=None, resume=True, kimg=0.096) == newer
    with pytest.raises(CheckpointError, match="no such run") as e:
        go(recipe=None, data=None, resume="dcgan")
    assert "gantools train dcgan --resume" in e.value.hint
    with pytest.raises(ConfigError, match="is a run, not a recipe") as e:
        go(recipe=run)
    assert f"--resume {run}" in e.value.hint


def test_resume_wants_the_same_images(go, make_set):
    run = go(kimg=0.048)
    with pytest.raises(DataError, match="other images"):
        go(recipe=None, data=make_set(n=50, size=8, name="others"), resume=run)


def test_resume_passes_over_a_damaged_checkpoint(go, caplog):
    straight, run = go(), go()
    newest = list_checkpoints(run)[-1]
    weights = newest / "discriminator.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert go(recipe=None, data=None, resume=run) == run
    assert str(newest) in caplog.text and "kimg-000000.048" in caplog.text
    assert_same_end(run, straight)
    with pytest.raises(CheckpointError, match="no run with a checkpoint"):
        go(recipe=None, data=None, out=run, resume=True)


def test_old_checkpoints_go(go):
    run = go(tick_kimg=0.016, overrides=["keep=2"])
    assert [p.name for p in list_checkpoints(run)] == ["kimg-000000.080", "kimg-000000.096"]
    assert len(read_lines(run / "stats.jsonl")) == 6


def test_the_last_tick_may_be_a_part_and_steps_are_whole(go):
    run = go(kimg=0.060)  # 7.5 batches are 8
    assert [line["nimg"] for line in read_lines(run / "stats.jsonl")] == [48, 64]


def test_a_number_that_is_none_once_costs_a_return(go, monkeypatch, capsys):
    straight, poison = go(), [56]
    at_batch(monkeypatch, lambda batch, nimg: poisoned(batch) if nimg == 56 and poison and poison.pop() else batch)
    run = go()
    assert "Back to 0.048 kimg with other random numbers (try 1 of 3)" in capsys.readouterr().err
    assert [line["nimg"] for line in read_lines(run / "stats.jsonl")] == [48, 96]
    state = read_state(list_checkpoints(run)[-1])
    assert state["retries"] == 1 and state["total_steps"] == 12  # no image counted twice
    # Other latents than those that led there, or it would go the same way again.
    ours, theirs = (load_file(list_checkpoints(r)[-1] / "generator.safetensors") for r in (run, straight))
    assert any(not torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_training_that_diverges_again_and_again_stops(go, monkeypatch, tmp_path, capsys):
    at_batch(monkeypatch, lambda batch, nimg: poisoned(batch) if nimg == 56 else batch)
    with pytest.raises(Diverged, match=r"is nan, the (generator|discriminator)'s weights .* first in layers") as e:
        go()
    (run,) = (tmp_path / "runs").iterdir()
    assert f"{run}/checkpoints/kimg-000000.048." in e.value.hint and "after 3 returns" in e.value.hint
    assert f"gantools train --resume {run} --set optim.lr=" in e.value.hint
    assert capsys.readouterr().err.count("with other random numbers") == 3
    assert [p.name for p in list_checkpoints(run)] == ["kimg-000000.048"]
    assert [line["nimg"] for line in read_lines(run / "stats.jsonl")] == [48]


def test_nothing_is_left_of_a_run_that_fails_before_its_first_checkpoint(go, monkeypatch, tmp_path):
    at_batch(monkeypatch, lambda batch, nimg: poisoned(batch))
    with pytest.raises(Diverged, match="diverged") as e:
        go(overrides=["health.retries=1"])
    assert "nothing is kept" in e.value.hint
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory: 1 TB")]
)
def test_out_of_memory_says_what_to_type(go, monkeypatch, error):
    def change(batch, nimg):
        raise error

    at_batch(monkeypatch, change)
    with pytest.raises(GantoolsError, match="out of memory at batch 8") as e:
        go()
    assert "--batch 4" in e.value.hint and "compute.accumulate=2" in e.value.hint


def test_other_errors_are_not_taken_for_memory(go, monkeypatch):
    def change(batch, nimg):
        raise RuntimeError("a bug")

    at_batch(monkeypatch, change)
    with pytest.raises(RuntimeError, match="a bug"):
        go()


def test_a_full_disk_leaves_the_checkpoints_before(go, monkeypatch, tmp_path):
    save = torch.save

    def full(state, file):
        if state["nimg"] > 48:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        go()
    monkeypatch.undo()
    (run,) = (tmp_path / "runs").iterdir()
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["kimg-000000.048"]


def test_a_folder_that_cannot_be_written(go, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        go(out=tmp_path / "file" / "runs")


def test_torchs_settings_are_as_before(go):
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    go(overrides=["compute.matmul=medium", "compute.threads=1"])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark) == before[1:]


def test_bfloat16_on_a_cpu(go, capsys):
    plain = read_lines(go() / "stats.jsonl")[-1]
    half = read_lines(go(precision="bfloat16") / "stats.jsonl")[-1]
    assert half["precision"] == "bfloat16" and plain["precision"] == "float32"
    assert half["loss_d"] == pytest.approx(plain["loss_d"], rel=0.1) and half["loss_d"] != plain["loss_d"]
    chosen = read_lines(go(precision="auto") / "stats.jsonl")[-1]["precision"]
    assert chosen in ("float32", "bfloat16")
    with pytest.raises(ConfigError, match="expected one of float32, bfloat16, auto, found 'float16'"):
        go(precision="float16")


def test_finding_the_data(go, make_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "junk").mkdir()
    (tmp_path / "data" / "junk" / "manifest.json").write_text("{")
    make_set(n=20, size=16, name="large")
    assert go(data=None, kimg=0.008).name.endswith("-tiny-blobs")  # the one that fits as the recipe is
    make_set(n=20, size=8, name="more")
    with pytest.raises(DataError, match=r"several .*data/blobs, data/more") as e:
        go(data=None)
    assert "--data data/blobs" in e.value.hint
    with pytest.raises(DataError, match=r"several .*data/blobs, data/large, data/more"):
        go(recipe="dcgan", data=None)  # which can be made to fit each of them
    fixed = {"recipe": "dcgan", "data": None, "overrides": ["network.size=64"]}
    with pytest.raises(DataError, match=r"no prepared set of 64x64x3 .* It has data/blobs, data/large, data/more") as e:
        go(**fixed)
    assert "gantools prep celeba --size 64" in e.value.hint


def test_networks_follow_the_data_unless_the_user_sets_them(go, make_set, capsys):
    grey = make_set(n=20, size=16, channels=1, name="grey")
    run = go(data=grey, kimg=0.008, progress=True)
    said = capsys.readouterr().err
    assert "network.size 8 -> 16, as grey has it" in said and "network.channels 3 -> 1, as grey has it" in said
    assert load_recipe(run / "config.yaml").image_shape == (16, 16, 1)
    with pytest.raises(DataError, match="holds 16x16x1 images, recipe tiny takes 8x8x1"):
        go(data=grey, overrides=["network.size=8"])
    odd = make_set(n=20, size=30, name="odd")
    with pytest.raises(DataError, match=r"30x30x3 images: .*not 4, 5, 6 or 7 doubled"):
        go(data=odd)


def test_classes_follow_the_data_too(go, make_set):
    with pytest.raises(DataError, match="has no labels, and recipe tiny trains with 3 classes") as e:
        go(overrides=["network.classes=3"])
    assert "--set network.classes=0" in e.value.hint
    with pytest.raises(DataError, match="no labels to balance"):
        go(overrides=["data.balance=true"])


def test_weights_of_another_run(go, make_set, capsys):
    run = go()
    best = list_checkpoints(run)[-1]
    other = make_set(n=20, size=8, name="other")
    capsys.readouterr()
    new = go(data=other, init_from=run, kimg=0.008, progress=True, overrides=["optim.lr=1e-30", "ema.ramp=1"])
    said = capsys.readouterr().err
    assert f"weights from {best}:" in said and "tensors taken" in said
    assert yaml.safe_load((new / "config.yaml").read_text())["parent"] == str(best.absolute())
    # At a rate of next to nothing they stay what they were; the counters begin anew.
    for name in ("generator", "discriminator"):
        ours, theirs = (load_file(list_checkpoints(r)[-1] / f"{name}.safetensors") for r in (new, run))
        for key in theirs:
            if "running" not in key and "tracked" not in key:
                torch.testing.assert_close(ours[key], theirs[key], rtol=1e-5, atol=1e-7)
    assert read_state(list_checkpoints(new)[-1])["nimg"] == 8
    wider = go(data=other, init_from=run, kimg=0.008, progress=True, overrides=["network.latent=7"])
    said = capsys.readouterr().err
    assert "layers.0.weight is (6, 4, 4, 4) there and (7, 4, 4, 4) here" in said and wider != new
    with pytest.raises(ConfigError, match="one or the other"):
        go(resume=run, init_from=run)


def test_what_another_training_remembers_is_not_taken(go, capsys):
    # The mean of its weights so far, and of how many steps: buffers alone, as pools and an augmentation's strength are.
    run = go(overrides=["game.historical=0.1"])
    capsys.readouterr()
    new = go(init_from=run, kimg=0.008, progress=True, overrides=["game.historical=0.1"])
    assert "generator_history: what a training remembers, begins anew" in capsys.readouterr().err
    ours, theirs = (load_file(list_checkpoints(r)[-1] / "generator_history.safetensors") for r in (new, run))
    assert float(theirs["count"]) > float(ours["count"]) == 1


def test_frozen_layers_stay_as_they_are(go):
    run = go()
    new = go(init_from=run, freeze_d=1, kimg=0.048)
    ours, theirs = (load_file(list_checkpoints(r)[-1] / "discriminator.safetensors") for r in (new, run))
    assert torch.equal(ours["layers.0.weight"], theirs["layers.0.weight"])
    assert not torch.equal(ours["layers.2.weight"], theirs["layers.2.weight"])
    with pytest.raises(ConfigError, match="freeze_d: 2 layers, and the discriminator has 2"):
        go(freeze_d=2)


def test_scores_while_it_trains(go, monkeypatch, tmp_path):
    values = iter([5.0, 3.0, 4.0, 4.5, 1.0])
    monkeypatch.setattr(Evaluator, "ready", lambda self: None)
    monkeypatch.setattr(Evaluator, "measure", lambda self, nimg: self._take(v := next(values), nimg) or {"fd": v})
    run = go(metrics=["fd"], stop_when_worse=2, tick_kimg=0.016, overrides=["keep=1"])
    lines = read_lines(run / "stats.jsonl")
    assert [line["fd"] for line in lines] == [5, 3, 4, 4.5]  # stopped after two that were not better
    best = best_checkpoint(run)
    assert best is not None and (best.nimg, best.metric, best.value) == (32, "fd", 3.0)
    assert [p.name for p in list_checkpoints(run)] == ["kimg-000000.032", "kimg-000000.064"]


def test_weights_that_a_score_needs_are_missed_before_the_first_step(go, monkeypatch, tmp_path):
    monkeypatch.setenv("GANTOOLS_INCEPTION_WEIGHTS", str(tmp_path / "nowhere.pth"))
    monkeypatch.setattr(Work, "step", None)
    with pytest.raises(GantoolsError, match=r"nowhere\.pth"):
        go(metrics=["fid"])
    assert not list((tmp_path / "runs").iterdir())


def test_ticks_of_whole_epochs_however_short(go):
    """Without the key a tick takes a minute at least, so such a training has one."""
    lines = read_lines(go(overrides=["tick_epochs=1"]) / "stats.jsonl")
    assert [line["nimg"] for line in lines] == [48, 96]
    assert [line["nimg"] for line in read_lines(go(overrides=["tick_kimg=null"]) / "stats.jsonl")] == [96]


def test_the_scores_are_those_of_score_and_touch_nothing(go, make_set):
    grey = make_set(n=200, size=28, channels=1, name="grey")
    options = {"recipe": "dcgan-mini", "data": grey, "batch": 8, "kimg": 0.032, "tick_kimg": 0.016}
    options |= {"overrides": {"network.width": 4, "grid": 4, "eval.extractor": "fashion-mnist", "eval.n": 150}}
    scored, plain = go(metrics=["fd"], **options), go(**options)
    value = read_lines(scored / "stats.jsonl")[-1]["fd"]
    found = score(
        str(scored), ref=str(grey), metrics="fd", extractor="fashion-mnist", n=150, interval=False, cache=False
    )
    assert value == pytest.approx(found.only.value, rel=1e-6)
    whole = score(str(scored), ref=str(grey), metrics="fd", extractor="fashion-mnist", n=150, cache=False).only.interval
    ends = read_lines(scored / "stats.jsonl")[-1]["intervals"]["fd"]
    assert ends == [pytest.approx(whole.low, rel=1e-5), pytest.approx(whole.high, rel=1e-5)]
    assert ends[0] < value < ends[1]
    for name in ("generator", "generator_ema"):
        ours, theirs = (load_file(list_checkpoints(r)[-1] / f"{name}.safetensors") for r in (scored, plain))
        assert_same(ours, theirs)


def test_dry_run_measures_and_writes_nothing(go, tmp_path, capsys):
    assert go(dry_run=True) is None
    text = capsys.readouterr().out
    network = 6 * 4 * 16 + 8 + 4 * 3 * 16  # 6 -> 4 at 4x4, BatchNorm, 4 -> 3
    assert f"parameters, generator:   {network:,}\n" in text
    assert "lr: 0.001" in text and "img/s" in text and "activations" in text
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_in_a_process(tiny, make_set, tmp_path):
    data = make_set(n=48, size=8)
    command = [sys.executable, "-m", "gantools", "train", str(tiny), "--data", str(data)]
    command += ["--device", "cpu", "--kimg", "1e6"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = tmp_path / "runs" / "00000-tiny-blobs"
    try:
        deadline = time.monotonic() + 120
        while not list_checkpoints(run) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == "" and "Stopped" in err and "gantools train --resume runs/00000-tiny-blobs" in err
    assert "Traceback" not in err
    last = list_checkpoints(run)[-1]
    assert read_state(last)["nimg"] % 8 == 0
    assert not [p for p in (run / "checkpoints").iterdir() if p.name.startswith(".")]


def test_the_second_ctrl_c_stops_at_once(go, monkeypatch):
    def change(batch, nimg):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still here")

    at_batch(monkeypatch, change)
    with pytest.raises(KeyboardInterrupt):
        go()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compile", ["on", "off"])
def test_training_on_cuda(go, precision, compile):
    overrides = [f"compute.compile={compile}"]
    run = go(device="cuda", precision=precision, overrides=overrides)
    cpu = go()
    ours, theirs = read_lines(run / "stats.jsonl")[0], read_lines(cpu / "stats.jsonl")[0]
    assert ours["nimg"] == theirs["nimg"]
    assert ours["loss_d"] == pytest.approx(theirs["loss_d"], abs=0.3)
    assert go(recipe=None, data=None, resume=run, device="cuda", kimg=0.12) == run


def test_what_a_resumed_training_changes_is_recorded_once_it_gets_on(go, monkeypatch):
    run = go(kimg=0.048)
    before = (run / "config.yaml").read_bytes()
    changes = {"recipe": None, "data": None, "resume": run, "kimg": 0.096, "overrides": ["optim.lr=1e-4"]}

    def change(batch, nimg):
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        at_batch(patch, change)
        with pytest.raises(RuntimeError, match="a bug"):
            go(**changes)
    assert (run / "config.yaml").read_bytes() == before
    go(**changes)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["history"] == [{"nimg": 48, "changed": {"optim.lr": [0.001, 0.0001]}}]
    assert config["recipe"]["optim"]["lr"] == 0.0001
