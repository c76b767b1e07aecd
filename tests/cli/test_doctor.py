"""`gantools doctor`: what is wrong is a line that says what to type, and only what stops the work is a problem."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch._inductor.config as inductor
from click.testing import CliRunner

from gantools.cli import cli
from gantools.doctor import compiling, machine, packages, places, report
from gantools.doctor.lines import Line
from gantools.pretrained import inception

EXTRAS = [
    "click>=8.1",
    "torch>=2.11",
    "numpy>=1.26 ; extra == 'old'",
    "no-such-package-of-anyone>=3 ; extra == 'absent'",
    "numpy[x]>=1.26 ; extra == 'absent'",
    'numpy (>=999) ; extra == "newer"',
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, with an empty cache beside it."""
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    for file in places.weights_files():
        monkeypatch.delenv(file.variable, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def found(code: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The lines of the command by topic."""
    ran = CliRunner().invoke(cli, ["doctor", "--no-compile", "--json"])
    assert ran.exit_code == code, ran.output
    result = json.loads(ran.stdout)
    assert result["format"] == "gantools-doctor" and result["ok"] is (code == 0)
    topics: dict[str, list[dict[str, Any]]] = {}
    for line in result["lines"]:
        topics.setdefault(line["topic"], []).append(line)
    return topics


def one(check: Iterator[Line]) -> Line:
    (line,) = check
    return line


def test_everything_is_looked_at_and_nothing_left_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> None:
        raise AssertionError("no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    topics = found()
    assert {"versions", "extension", "torch", "cores", "memory", "cuda", "bfloat16", "packages", "cache"} <= set(topics)
    assert {"weights", "./data", "./runs"} <= set(topics) and "compile" not in topics
    assert not [line for lines in topics.values() for line in lines if "could not be looked at" in line["text"]]
    assert topics["versions"][0]["facts"]["python"] == sys.version.split()[0]
    assert torch.__version__ in topics["torch"][0]["text"]
    assert topics["cores"][0]["facts"]["usable"] == len(os.sched_getaffinity(0))
    # Missing weights are downloaded when needed, so they are no problem.
    assert topics["weights"][0]["level"] == "note" and inception.WEIGHTS.name in topics["weights"][0]["hint"]
    assert list(place.iterdir()) == [] and not (place.parent / "cache").exists()


def test_the_lines_for_a_reader(place: Path) -> None:
    ran = CliRunner().invoke(cli, ["doctor", "--no-compile"])
    lines = ran.stdout.splitlines()
    assert ran.exit_code == 0 and lines[-1] == "No problem."
    assert lines[0].startswith("ok       versions   gantools ")
    assert all(line[:7].strip() in ("ok", "note", "") for line in lines[:-1])
    (place / "data").write_text("")
    (place / "runs").write_text("")
    ran = CliRunner().invoke(cli, ["doctor", "--no-compile"])
    assert ran.exit_code == 1 and ran.stdout.splitlines()[-1] == "2 problems."


@pytest.mark.parametrize("name", ["data", "runs"])
@pytest.mark.parametrize("kind", ["file", "refused"])
def test_a_folder_that_cannot_be_written_is_a_problem(place: Path, name: str, kind: str) -> None:
    if kind == "file":
        (place / name).write_text("")
    else:
        (place / name).symlink_to("/proc")  # where not even root makes a file
    (line,) = found(code=1)[f"./{name}"]
    assert line["level"] == "problem" and "--out FOLDER" in line["hint"]


def test_a_cache_that_cannot_be_written_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTOOLS_CACHE", "/proc/gantools")
    (line,) = found()["cache"]
    assert line["level"] == "note" and "export GANTOOLS_CACHE=FOLDER" in line["hint"]


def test_damaged_weights_of_the_fid_are_a_problem(place: Path) -> None:
    cache = place.parent / "cache"
    cache.mkdir()
    (cache / inception.WEIGHTS.name).write_bytes(b"cut off")
    line = found(code=1)["weights"][0]
    assert line["level"] == "problem" and "damaged" in line["text"] and "Delete it" in line["hint"]
    (cache / inception.WEIGHTS.name).unlink()
    (cache / "vgg16-397923af.pth").write_bytes(b"cut off")
    lines = found()["weights"]
    assert [line["text"] for line in lines if "damaged" in line["text"]] and lines[1]["level"] == "note"


def test_weights_that_a_variable_names(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inception.WEIGHTS.variable, "gone.pth")
    line = found(code=1)["weights"][0]
    assert inception.WEIGHTS.variable in line["text"] and "does not exist" in line["text"]
    (place / "gone.pth").write_bytes(b"any")
    line = found()["weights"][0]
    assert line["level"] == "ok" and line["facts"]["path"] == "gone.pth"


def test_weights_put_there_by_hand_are_counted(place: Path) -> None:
    cache = place.parent / "cache"
    cache.mkdir()
    before = found()["weights"][-1]["facts"]
    (cache / "dinov2_vitl14_pretrain.pth").write_bytes(b"any")
    after = found()["weights"][-1]["facts"]
    assert before["here"] == [] and len(after["here"]) == 1
    assert set(before["put_by_hand"]) - set(after["put_by_hand"]) == set(after["here"])


def test_no_file_of_weights_is_forgotten() -> None:
    program = (
        "import gc, importlib, pkgutil, gantools\n"
        "for m in pkgutil.walk_packages(gantools.__path__, 'gantools.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "from gantools.doctor.places import weights_files\n"
        "from gantools.pretrained.weights import WeightsFile\n"
        "there = {o.name for o in gc.get_objects() if isinstance(o, WeightsFile)}\n"
        "assert len(there) > 10\n"
        "print(sorted(there ^ {f.name for f in weights_files()}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_torch_it_still_answers() -> None:
    program = "import sys; sys.modules['torch'] = None\nfrom gantools.cli import main\nmain(['doctor', '--no-compile'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "problem  torch      cannot be used" in done.stdout and "pip install" in done.stdout
    assert "./runs" in done.stdout


def test_a_check_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Line]:
        raise RuntimeError("odd machine")
        yield

    monkeypatch.setitem(report.CHECKS, "memory", broken)
    topics = found()
    assert topics["memory"][0]["level"] == "note" and "odd machine" in topics["memory"][0]["text"]
    assert "./runs" in topics


def test_extras_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    named = metadata.metadata("gantools").get_all("Provides-Extra")
    assert named and [line.facts["extra"] for line in packages.packages() if line.topic == "extra"] == named
    monkeypatch.setattr(metadata, "requires", lambda name: EXTRAS)
    fake = SimpleNamespace(get_all=lambda key: ["old", "absent", "newer"])
    monkeypatch.setattr(metadata, "metadata", lambda name: fake)
    core, old, absent, newer = packages.packages()
    assert core.level == "ok" and old.level == "ok"
    assert absent.level == "note" and absent.facts["missing"] == ["no-such-package-of-anyone>=3"]
    assert absent.hint is not None and absent.hint.endswith("pip install 'gantools[absent]'")
    assert newer.level == "note" and "numpy>=999 (there is " in newer.text


def test_a_package_that_gantools_needs_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["no-such-package-of-anyone>=3", "torch>=999"])
    monkeypatch.setattr(metadata, "metadata", lambda name: SimpleNamespace(get_all=lambda key: None))
    line = one(packages.packages())
    assert line.level == "problem" and line.hint == "pip install 'no-such-package-of-anyone>=3' 'torch>=999'"


def test_not_installed_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "metadata", absent)
    assert one(packages.packages()).level == "note"


@pytest.mark.parametrize(
    ("version", "versions", "expected"),
    [
        ("2.15.0+cu132", ">=2.11", True),
        ("2.9.1", ">=2.11", False),  # by numbers, not by letters
        ("1.18", ">=1.12,<1.18", False),
        ("1.17.9", ">=1.12,<1.18", True),
        ("8", "==8.0", True),
        ("3.0rc1", ">=3", True),
        ("1", "", True),
    ],
)
def test_versions(version: str, versions: str, expected: bool) -> None:
    assert packages.fits(version, versions) is expected


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("pass", None),
        ("import os; os.abort()", "the process was ended by SIGABRT"),
        ("print('a word'); raise ValueError('no such compiler.\\nmore\\nwords')", "no such compiler"),
        ("raise KeyError", "KeyError"),
        ("import os; os._exit(3)", "exit code 3"),
    ],
)
def test_a_crash_of_a_child_is_a_sentence(code: str, why: str | None) -> None:
    assert compiling.in_child(code) == why


def test_a_child_that_hangs_ends_with_all_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    start = time.monotonic()
    code = (
        f"import subprocess as s; p = s.Popen(['sleep', '300']); open({str(note)!r}, 'w').write(str(p.pid)); p.wait()"
    )
    assert compiling.in_child(code, limit=3) == "not done after 3 seconds"
    assert time.monotonic() - start < 30
    pid = int(note.read_text())
    for _ in range(50):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("its own child went on")


def test_a_missing_compiler_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/g++")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = one(compiling.compile_and_graph())
    assert line.level == "note" and "compiler" in line.text.lower()
    assert line.hint is not None and "There is no /nowhere/g++" in line.hint


@pytest.mark.slow
def test_the_check_of_compiling_passes_where_training_compiles() -> None:
    lines = list(compiling.compile_and_graph())
    assert [line.level for line in lines] == ["ok"] * (2 if torch.cuda.is_available() else 1), lines


def test_a_compiler_that_computes_something_else_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantools.training.compiled.compiled_function", lambda f: lambda x: f(x) * 1.01)
    before = inductor.cpp_cache_precompile_headers  # which the check changes, in a process of its own otherwise
    with inductor.patch(cpp_cache_precompile_headers=before), pytest.raises(ArithmeticError):
        compiling.check_compiled("cpu")


@pytest.mark.parametrize(
    ("built_for", "driver", "hidden", "words"),
    [
        (None, None, None, None),
        (None, "550.54", None, "Install a torch with CUDA"),
        ("13.2", None, None, None),
        ("13.2", "550.54", None, "Type nvidia-smi"),
        ("13.2", "550.54", "", "unset CUDA_VISIBLE_DEVICES"),
    ],
)
def test_no_gpu_is_a_note_that_says_why(
    monkeypatch: pytest.MonkeyPatch, built_for: str | None, driver: str | None, hidden: str | None, words: str | None
) -> None:
    def refuse(*size: int, device: str) -> None:
        raise RuntimeError("Found no driver.\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "zeros", refuse)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(machine, "_driver", lambda: driver)
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: False if str(path) == "/dev/nvidia0" else exists(path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    line = one(machine.cuda())
    assert line.level == "note"
    assert line.hint is None if words is None else words in (line.hint or "")
    assert ("says: Found no driver." in line.text) is (built_for is not None)


def test_a_gpu_that_torch_cannot_use_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*size: int, device: str) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    of = SimpleNamespace(name="Old GPU", major=3, minor=5, total_memory=4 << 30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: of)
    monkeypatch.setattr(torch, "ones", refuse)
    line = one(machine.cuda())
    assert (
        line.level == "problem" and "Old GPU, capability 3.5, 4.0 GiB" in line.text and "no kernel image" in line.text
    )
    assert line.hint is not None and "--device cpu" in line.hint


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_shown() -> None:
    lines = list(machine.cuda())
    assert len(lines) == torch.cuda.device_count() and {line.level for line in lines} == {"ok"}


@pytest.mark.parametrize(("flags", "level"), [({"avx2"}, "note"), ({"avx2", "amx_bf16"}, "ok")])
def test_bfloat16_of_a_processor(monkeypatch: pytest.MonkeyPatch, flags: set[str], level: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_flags", lambda: flags)
    assert one(machine.bfloat16()).level == level


def test_little_memory_and_few_threads_are_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantools.device.free_memory", lambda device: 1 << 30)
    assert one(machine.memory()).level == "note"
    monkeypatch.setattr("gantools.device.free_memory", lambda device: 8 << 30)
    assert one(machine.memory()).text == "8.0 GiB free."
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    line = one(machine.cores())
    assert line.level == "note" and line.hint == "To use all: unset OMP_NUM_THREADS"
