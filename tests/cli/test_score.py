"""`gantools score` as a user meets it: output, exit codes, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    made = []
    for name, light in (("a", 100), ("b", 160)):
        folder = tmp_path / name
        folder.mkdir()
        for i in range(12):
            Image.fromarray(rng.integers(0, light, (28, 28), dtype=np.uint8)).save(folder / f"{i}.png")
        made.append(folder)
    return made[0], made[1]


def gantools(*args: Any, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k != "GANTOOLS_INCEPTION_WEIGHTS"}
    return subprocess.run(
        [sys.executable, "-m", "gantools", "score", *map(str, args)],
        cwd=cwd,
        env={**clean, "GANTOOLS_CACHE": str(cwd / "cache"), **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_text_goes_to_stdout_and_all_else_to_stderr(folders: tuple[Path, Path], tmp_path: Path) -> None:
    done = gantools("--fd", folders[0], "--ref", folders[1], "--extractor", "fashion-mnist", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Frechet distance (fashion-mnist features): ")
    assert any("protocol" in line and "tf1-28-grey" in line for line in lines)
    assert "warning: 12 samples" in done.stderr and "warning" not in done.stdout


def test_help_imports_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from gantools.cli import cli; cli.main(['score', '--help'], standalone_mode=False);"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0 and "--lpips-diversity" in done.stdout, done.stderr


def test_json_is_one_object_with_the_same_number(folders: tuple[Path, Path], tmp_path: Path) -> None:
    args = (folders[0], "--ref", folders[1], "--extractor", "fashion-mnist")
    text, js = gantools(*args, cwd=tmp_path), gantools(*args, "--json", cwd=tmp_path)
    found = json.loads(js.stdout)
    (score,) = found["scores"]
    assert score["key"] == "fd-fashion-mnist" and found["n_samples"] == 12
    assert text.stdout.splitlines()[0].endswith(f" {score['value']:.4f}")
    assert found["warnings"]


def test_samples_is_the_default_folder(folders: tuple[Path, Path], tmp_path: Path) -> None:
    missing = gantools("--ref", folders[1], "--extractor", "fashion-mnist", cwd=tmp_path)
    assert missing.returncode == 1 and "samples: no such file or folder" in missing.stderr
    folders[0].rename(tmp_path / "samples")
    done = gantools("--ref", folders[1], "--extractor", "fashion-mnist", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_no_weights_and_no_network_is_a_message(folders: tuple[Path, Path], tmp_path: Path) -> None:
    # A proxy that nobody listens at is what having no network looks like to every client.
    dead = "http://127.0.0.1:1"
    done = gantools("--fid", folders[0], "--ref", folders[1], cwd=tmp_path, HTTPS_PROXY=dead, https_proxy=dead)
    assert done.returncode == 1 and done.stdout == ""
    assert "Traceback" not in done.stderr and "cannot be downloaded" in done.stderr
    assert "pt_inception-2015-12-05-6726825d.pth" in done.stderr and "--weights" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["a", "--ref", "nowhere"], 1, "nowhere: no such file or folder"),
        (["empty", "--ref", "b"], 1, "empty: no image in it"),
        (["a"], 1, "nothing to score against"),
        (
            ["a", "--ref", "b", "--weights", "text.pth"],
            1,
            "text.pth: a file of another kind, not a PyTorch weights file",
        ),
        (["a", "--ref", "b", "--extractor", "fashion"], 2, "Did you mean 'fashion-mnist'"),
        (["a", "--ref", "b", "--fid", "--extractor", "fashion-mnist"], 2, "FID is defined with"),
        (["a", "--ref", "b", "--batch", "0"], 2, "--batch"),
        (["a", "--reff", "b"], 2, "--ref"),
        (["broken", "--ref", "b", "--extractor", "fashion-mnist"], 1, "5.png"),
    ],
)
def test_mistakes_are_messages_with_an_exit_code(
    folders: tuple[Path, Path], tmp_path: Path, args: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pth").write_text("these are not weights")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folders[0].iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[: 80 if file.name == "5.png" else None])
    done = gantools(*args, cwd=tmp_path)
    assert done.returncode == code, done
    assert message in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_help_names_every_option_with_its_default(tmp_path: Path) -> None:
    done = gantools("--help", cwd=tmp_path)
    options = (
        "--fid",
        "--fd",
        "--ref",
        "--extractor",
        "--dims",
        "--weights",
        "--batch",
        "--device",
        "--json",
        "--no-cache",
    )
    assert done.returncode == 0 and all(o in done.stdout for o in options)
    assert done.stdout.count("[default:") >= 8


def test_fid_with_weights(test_data: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    weights = str(test_data / "weights" / "inception-parity.pth")
    done = gantools(
        "--fid", folders[0], "--ref", folders[1], "--json", cwd=tmp_path, GANTOOLS_INCEPTION_WEIGHTS=weights
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["scores"]
    assert found["name"] == "FID" and found["value"] > 0 and found["protocol"]["name"] == "tf"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["a", "b"], 2, "--ref b"),
        (["--fd", "a", "b", "--extractor", "fashion-mnist"], 2, "--ref b"),
        (["a", "--ref", "b", "c"], 2, "'c' is another"),
        (["a", "--ref", "b", "--protocol", "clean", "--fail-above", "fid=20"], 2, "Did you mean 'fid-clean'?"),
        (["a", "--ref", "b", "--prc", "--fail-below", "prc=0.5"], 2, "Known: precision, recall."),
        (["a", "--ref", "b", "--dims", "64", "--fail-above", "fid=1"], 2, "Did you mean 'fid-64'?"),
        (["a", "--ref", "b", "--psnr", "--fail-below", "ssim=1"], 2, "Known: psnr."),
        (["a", "--ref", "b", "--metrics", "pnsr"], 2, "Did you mean 'psnr'?"),
        (["a", "--ref", "b", "--metrics", "FID"], 2, "Did you mean 'fid'?"),
        (["a", "--ref", "b", "--metrics", "Lpips-Diversty"], 2, "Did you mean 'lpips-diversity'?"),
        (["a", "--ref", "b", "--protocol", "Clean"], 2, "Did you mean 'clean'?"),
        (["a", "--ref", "b", "--extractor", "VGG-16"], 2, "Did you mean 'vgg16'?"),
    ],
)
def test_names_are_checked_before_anything_is_opened(tmp_path: Path, args: list[str], code: int, message: str) -> None:
    done = gantools(*args, cwd=tmp_path)  # there is no a, b or c: a word of them would mean that they were looked for
    assert done.returncode == code and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "no such file" not in done.stderr and done.stdout == ""
