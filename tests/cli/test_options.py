"""Every option of every command: its help is there, is its own, and shows the default that the Python function has."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from gantools.cli import COMMANDS, cli

#: Commands whose function in Python has another name than the command.
FUNCTIONS: dict[str, str | None] = {
    "detect train": "train_detector",
    "detect run": "judge_images",
    "detect anomaly": "train_encoder",
    "doctor": "examine",
    "import": "import_weights",
    "score": "score_request",
    "ref make": "make_statistics",
    "ref show": "show_statistics",
    "ref convert": "convert_statistics",
    # Their options are no arguments of one function.
    **dict.fromkeys(("cache list", "cache prune", "cache clear", "recipes list", "recipes show", "recipes diff")),
}
#: Options whose argument in Python has another name.
ARGUMENTS = {"crop_border": "crop", "lpips_net": "lpips"}


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """The commands below `command` by their words, "ref make" for example; groups too."""
    if path:
        yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


COMMAND_OF = dict(walk(cli))
OPTIONS = [(name, p) for name, command in COMMAND_OF.items() for p in command.params if isinstance(p, click.Option)]
each_option = pytest.mark.parametrize(
    ("command", "option"), OPTIONS, ids=[f"{name} {option.opts[-1]}" for name, option in OPTIONS]
)


def words(option: click.Option) -> str:
    """The help of an option without what stands in brackets, which is its default."""
    return re.sub(r"\s*\[[^]]*\]", "", option.help or "").strip()


def defaults_of(command: str) -> dict[str, Any]:
    """Defaults of the arguments of the function that a command calls, and of the dataclasses of options it takes."""
    callback = COMMAND_OF[command].callback
    assert callback is not None
    module = inspect.getmodule(callback)
    assert module is not None
    wanted = FUNCTIONS.get(command, command)
    if wanted is None:
        return {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and wanted in (alias.name for alias in node.names):
            place = importlib.import_module(node.module)
            function: Callable[..., Any] = getattr(place, wanted)
            break
    else:
        raise AssertionError(f"{command} imports no function {wanted}")
    found = {
        name: p.default for name, p in inspect.signature(function).parameters.items() if p.default is not inspect._empty
    }
    for name, value in vars(sys.modules[function.__module__]).items():
        if name.endswith(("Options", "Request")) and dataclasses.is_dataclass(value):
            found |= {f.name: f.default for f in dataclasses.fields(value) if f.default is not dataclasses.MISSING}
    return found


def plain(value: Any) -> Any:
    """A default as both sides may write it: a path as its text, no entries as none."""
    if isinstance(value, Path):
        return str(value)
    return None if value is False or value == () else value


def test_all_commands_are_walked() -> None:
    assert {name.split()[0] for name in COMMAND_OF} == set(COMMANDS)
    assert {"ref make", "ref show", "ref convert"} <= set(COMMAND_OF)
    assert len(OPTIONS) > 100


@each_option
def test_an_option_says_what_it_is_for(command: str, option: click.Option) -> None:
    text = words(option)
    assert len(text.split()) >= 2, f"{command} {option.opts}: {option.help!r}"
    assert re.search(r"[.)]$", text), f"{text!r} ends without a full stop"
    assert not re.search(r"\b(None|True|False|NaN|dict|tuple|kwargs)\b", option.help or ""), "a word of Python"


@pytest.mark.parametrize("command", COMMAND_OF)
def test_a_command_and_its_arguments_are_explained(command: str) -> None:
    text = COMMAND_OF[command].help or ""
    assert len(text.split()) >= 4
    for argument in COMMAND_OF[command].params:
        if isinstance(argument, click.Argument):
            name = argument.make_metavar(click.Context(COMMAND_OF[command])).strip("[]").removesuffix("...").strip("[]")
            assert re.search(rf"\b{name}\b", text), f"{command} --help does not say what {name} is"


def test_no_two_options_share_their_words() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for command, option in OPTIONS:
        names[words(option).lower()].add(f"{command} {max(option.opts, key=len)}")
    # Of different commands, options of one name may: there they mean the same.
    shared = {
        text: found
        for text, found in names.items()
        if len({name.split()[-1] for name in found}) > 1 or len({name.rsplit(" ", 1)[0] for name in found}) < len(found)
    }
    assert shared == {}


def test_the_default_shown_is_that_of_the_function() -> None:
    compared = []
    for command, option in OPTIONS:
        if isinstance(COMMAND_OF[command], click.Group) or option.name is None:
            continue
        defaults = defaults_of(command)
        name = ARGUMENTS.get(option.name, option.name)
        if name in defaults:
            ours = plain(option.to_info_dict()["default"])
            theirs = plain(defaults[name])
            assert ours == theirs, f"{command} {option.opts[-1]}: {ours!r}, the function has {theirs!r}"
            compared.append((command, name))
    assert len(compared) > 70
    assert {command for command, _ in compared} >= {
        "prep",
        "show",
        "train",
        "sample",
        "score",
        "ref make",
        "quickstart",
    }


@each_option
def test_a_default_in_words_is_the_default(command: str, option: click.Option) -> None:
    written = re.search(r"\[default: (on|off|\d+)\]", option.help or "")
    if written is None:
        return
    assert not option.show_default, "said twice"
    expected = {"on": True, "off": False}.get(written[1])
    if expected is None:
        # A number that the function puts in place of what was not given.
        assert option.to_info_dict()["default"] is None
    else:
        assert bool(option.to_info_dict()["default"]) is expected


def test_no_help_imports_torch() -> None:
    program = (
        "import sys\n"
        "from gantools.cli import cli\n"
        f"for words in {[name.split() for name in COMMAND_OF]!r} + [[]]:\n"
        "    cli([*words, '--help'], standalone_mode=False)\n"
        "    assert 'torch' not in sys.modules, words\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == len(COMMAND_OF) + 1
