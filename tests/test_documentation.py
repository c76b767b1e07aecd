"""The code of README and docs/ works as printed (docs/scores.md has a test of its own that also runs its commands)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import torch

from gantools.cli import cli
from gantools.models import NAMES
from gantools.recipes import recipe_names
from gantools.recipes.recipe import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def printed_commands() -> list[tuple[str, str]]:
    """Page and line of every gantools command in a block of shell."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.S | re.M):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(page.name, line.strip()) for line in lines if line.strip().startswith("gantools ")]
    return found


@pytest.mark.parametrize(("page", "line"), printed_commands())
def test_the_options_of_a_printed_command_exist(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        inner = command.get_command(context, words[0])
        assert inner is not None, f"{page}: {line}"
        command, words = inner, words[1:]
    relatives = command.relatives() if hasattr(command, "relatives") else {}
    command = relatives.get(words[0], command) if words else command
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
    assert given <= options, f"{page}: {line}"


def test_there_are_commands_to_look_at() -> None:
    assert {page for page, _ in printed_commands()} >= {"README.md", "data.md", "scores.md"}


def test_the_python_of_docs_data_runs(
    make_set: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    make_set(130, 8).rename(tmp_path / "data/celeba-64")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/data.md").read_text(), flags=re.S | re.M))
    if not torch.cuda.is_available():
        code = code.replace('device="cuda"', 'device="cpu"')
    names: dict[str, object] = {}
    exec(compile(code, "docs/data.md", "exec"), names)
    assert len(names["images"]) == 130 % 64  # type: ignore[arg-type]


def test_the_table_of_systems_has_every_system_and_recipe() -> None:
    text = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    missing = [name for name in recipe_names() if f"`{name}`" not in table]
    assert not missing
    assert {load_recipe(name).model for name in recipe_names()} == set(NAMES)
