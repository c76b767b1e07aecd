"""Completion in the shell: the scripts come out, and what they ask for is answered without torch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gantools.cli import COMMANDS
from gantools.recipes import recipe_names

PAGE = Path(__file__).parents[2] / "docs/commands.md"


def ask(how: str, *words: str, cwd: Path | None = None) -> str:
    """What the command prints to a shell that completes the last of some words."""
    program = "import sys\nfrom gantools.cli import main\ntry: main([])\nfinally: assert 'torch' not in sys.modules"
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(max(0, len(words) - 1))}
    environment = {**os.environ, **asked, "_GANTOOLS_COMPLETE": how}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def offered(*words: str) -> list[str]:
    return [line.partition(",")[2] for line in ask("bash_complete", *words).splitlines()]


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o nosort -F"),
        ("zsh", "#compdef gantools"),
        ("fish", "complete --no-files --command gantools"),
    ],
)
def test_the_script_comes_out(shell: str, line: str) -> None:
    script = ask(f"{shell}_source")
    assert line in script and f"_GANTOOLS_COMPLETE={shell}_complete" in script


def test_bash_takes_its_script() -> None:
    script = ask("bash_source")
    done = subprocess.run(["bash", "-c", f"{script}\ncomplete -p gantools"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "gantools" in done.stdout, done.stderr


def test_commands_and_options() -> None:
    assert offered("gantools", "") == list(COMMANDS)
    assert offered("gantools", "doc") == ["doctor"]
    assert "--version" in offered("gantools", "--v")
    assert {"--compile", "--no-compile", "--json"} <= set(offered("gantools", "doctor", "--"))


@pytest.mark.parametrize("words", [("train",), ("recipes", "show"), ("recipes", "diff"), ("recipes", "diff", "dcgan")])
def test_names_of_recipes(words: tuple[str, ...]) -> None:
    assert offered("gantools", *words, "") == recipe_names()
    names = [name for name in recipe_names() if name.startswith("dcgan")]
    assert len(names) > 2 and offered("gantools", *words, "dcgan") == names


def test_a_recipe_may_be_a_file() -> None:
    assert ask("bash_complete", "gantools", "train", "./mi").splitlines() == ["file,./mi"]


def test_the_page_lists_every_command_and_shell() -> None:
    text = PAGE.read_text(encoding="utf-8")
    cells = " ".join(re.findall(r"^\| (`[^|]*)\|", text, re.M))
    assert set(re.findall(r"`([\w-]+)`", cells)) == set(COMMANDS)
    assert all(f"_GANTOOLS_COMPLETE={shell}_source gantools" in text for shell in ("bash", "zsh", "fish"))
