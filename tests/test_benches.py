"""The benchmark that is run where there is a GPU works, tried on the CPU: stages, budget, resuming, reports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

GPU = Path(__file__).parent.parent / "benches" / "gpu.py"
QUICK = "environment,re-seeding between replays,dcgan float32 NHWC,the loop itself,stylegan2 256,dcgan run"


def bench(out: Path, only: str = QUICK, minutes: float = 1.0) -> tuple[subprocess.CompletedProcess[str], dict]:
    command = [
        sys.executable,
        str(GPU),
        "--device",
        "cpu",
        "--minutes",
        str(minutes),
        "--out",
        str(out),
        "--only",
        only,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done, json.loads((out / "results.json").read_text())["stages"]


def test_all_stages_are_run_once_and_reported(tmp_path):
    done, stages = bench(tmp_path)
    assert stages.keys() == set(QUICK.split(",")), done.stdout + done.stderr
    assert stages["re-seeding between replays"]["status"] == "skipped"
    assert "CUDA" in stages["re-seeding between replays"]["reason"]
    for name in ("environment", "dcgan float32 NHWC", "the loop itself", "dcgan run"):
        assert stages[name]["status"] == "done", (stages[name], done.stderr)
    rates = stages["dcgan float32 NHWC"]["result"]
    assert rates["eager"]["images/s"] > 0 and rates["the copied loop"]["times the copied loop"] == 1.0
    run = stages["dcgan run"]["result"]
    assert run["fd"] > 0 and run["tick 0"]["loss_d"] > 0
    assert (tmp_path / "dcgan.png").read_bytes().startswith(b"\x89PNG")
    assert "| the copied loop |" in (tmp_path / "results.md").read_text()

    # What is done is not done again; what was not run is.
    before = {name: stage for name, stage in stages.items() if stage["status"] == "done"}
    done, stages = bench(tmp_path, "environment,dcgan run,tests,score")
    assert {name: stages[name] for name in before} == before
    assert stages["tests"]["status"] == "skipped" and "--weights" in stages["score"]["reason"]


def test_a_stage_that_fails_is_told_and_stops_no_other(tmp_path):
    # Its own results of before are damaged for the run: a file stands where the grid is to go.
    (tmp_path / "dcgan.png").mkdir()
    _, stages = bench(tmp_path, "dcgan run,score")
    assert stages["dcgan run"]["status"] == "failed" and "IsADirectoryError" in stages["dcgan run"]["reason"]
    assert stages["dcgan run"]["result"]["recipe"] == "dcgan-mini"
    assert stages["score"]["status"] == "skipped"


def test_without_time_nothing_is_begun(tmp_path):
    _, stages = bench(tmp_path, "environment", minutes=0)
    assert stages["environment"] == {"status": "not run", "reason": "no time left", "seconds": 0.0}
