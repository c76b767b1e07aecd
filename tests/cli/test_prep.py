"""`gantools prep` and what all commands share: help, misspelt names, exit codes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


def gantools(*arguments: str, cwd=None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gantools", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{i}.png")
    return tmp_path / "photos"


def test_the_result_is_on_stdout_and_the_rest_on_stderr(photos, tmp_path):
    done = gantools("prep", "photos", "--size", "8", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == "data/photos-8\n"
    assert "5 images of (8, 8, 3)" in done.stderr
    assert np.load(tmp_path / "data/photos-8/images-00000.npy", mmap_mode="r").shape == (5, 8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["prepp"], 2, "Did you mean 'prep'"),
        (["prep", "celebb"], 2, "Did you mean 'celeba'"),
        (["prep", "photos", "--sise", "8"], 2, "--size"),
        (["prep", "photos", "--size", "x"], 2, "is no size such as 64"),
        (["prep", "photos", "--filter", "nearest"], 2, "lanczos"),
        (["prep", "photos"], 2, "which size"),
        (["prep", "folder", "--source", "fotos", "--size", "8"], 1, "photos"),
        (["prep", "./empty", "--size", "8"], 1, "no such file"),
    ],
)
def test_a_mistake_ends_in_a_message_and_an_exit_code(photos, tmp_path, arguments, code, words):
    done = gantools(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_help_lists_all_commands_without_importing_torch():
    code = (
        "import sys, gantools.cli\n"
        "try: gantools.cli.main(['--help'])\n"
        "except SystemExit: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in (
        "prep",
        "info",
        "show",
        "verify",
        "merge",
        "export",
        "train",
        "sample",
        "score",
        "cache",
        "quickstart",
    ):
        assert command in done.stdout


def test_version():
    assert gantools("--version").stdout.startswith("gantools, version ")
