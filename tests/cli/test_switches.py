"""Every option that a message or hint names is one of the command it speaks of, and has a name in Python too."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pytest

import gantools
from gantools import _native
from gantools.cli import cli
from gantools.errors import GantoolsError
from gantools.metrics.images.open import open_source

PACKAGE = Path(gantools.__file__).parent
ROOT = Path(__file__).parents[2]
SWITCH = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")

#: Which commands the messages of a file or folder speak for, unless a message names its command; the first that fits.
#: Every option must be one of all of them.
SPEAKS_FOR = (
    ("cli/", ()),  # by the name of the file
    ("quickstart.py", ("quickstart",)),
    ("doctor/", ("doctor",)),
    ("data/exports/", ("export",)),
    ("data/show.py", ("show",)),
    ("data/pairs.py", ("prep pairs",)),
    ("data/tiles.py", ("prep tiles",)),
    ("data/video.py", ("prep video",)),
    ("data/clips.py", ("prep video", "translate")),
    ("data/frontal.py", ("prep frontal",)),
    ("data/", ("prep",)),
    ("detect/anomaly.py", ("detect anomaly",)),
    ("detect/detector.py", ("detect run",)),
    ("detect/run.py", ("detect run",)),
    ("detect/", ("detect train",)),
    ("device.py", ("train", "sample", "walk", "project", "directions", "score", "ref make")),
    ("editing/pictures.py", ("project",)),
    ("editing/project.py", ("project",)),
    ("editing/distances.py", ("project",)),
    ("editing/", ("directions",)),
    ("errors.py", ("train",)),
    ("files.py", ("sample", "walk", "project", "translate", "export")),
    ("levels.py", ()),
    ("report/", ("report",)),
    ("runs/", ("train",)),
    ("studio/", ("studio", "sample", "walk", "translate", "show", "train", "score")),
    ("training/foreign.py", ("import",)),
    ("training/", ("train",)),
    ("recipes/", ("train",)),
    ("models/", ("train",)),
    ("sampling/export_onnx.py", ("export",)),
    ("sampling/hub.py", ("export",)),
    ("sampling/write.py", ("sample",)),
    ("sampling/clips.py", ("translate",)),
    ("sampling/partial.py", ("translate",)),
    ("sampling/translate.py", ("translate",)),
    ("sampling/landmarks.py", ("translate",)),
    ("sampling/translations.py", ("translate",)),
    ("sampling/", ("sample",)),
    ("metrics/features/files.py", ("ref make", "ref convert")),
    ("metrics/features/convert.py", ("ref convert",)),
    ("metrics/networks/custom.py", ("score",)),
    ("metrics/networks/published.py", ("score",)),
    ("metrics/networks/", ("score", "ref make")),
    ("metrics/pixels/ranked.py", ("prep ranked",)),
    ("metrics/", ("score",)),
    ("pretrained/", ("score", "ref make")),
)
RUST = (("rust/image/", ("prep",)), ("rust/pack/", ("prep",)), ("rust/python/", ("prep",)), ("rust/stats/", ("score",)))


def options() -> dict[str, set[str]]:
    """The long options of each command by its words."""
    found: dict[str, set[str]] = {}

    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        own = (o for p in command.params if isinstance(p, click.Option) for o in (*p.opts, *p.secondary_opts))
        found[" ".join(path)] = {"--help", *own}
        for name, inner in command.relatives().items() if hasattr(command, "relatives") else ():
            walk(inner, (*path, name))
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                inner = command.get_command(click.Context(command), name)
                assert inner is not None
                walk(inner, (*path, name))

    walk(cli, ())
    return found


OPTIONS = options()
#: A command by its name: after `gantools`, or before an option.
COMMAND = re.compile(
    rf"\bgantools ({'|'.join(sorted(filter(None, OPTIONS), key=len, reverse=True))})\b"
    rf"|\b({'|'.join(sorted(filter(None, OPTIONS), key=len, reverse=True))})(?= --)"
)
#: Programs of others, whose options are theirs.
FOREIGN = re.compile(r"\b(pip|torchrun|git|ray)\b[^.;]*")


def texts_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The text of each string that is no docstring, values of f-strings as {}."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | inside:
            yield node.lineno, node.value


def python_texts() -> Iterator[tuple[str, int, str]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        for line, text in texts_of(ast.parse(file.read_text(encoding="utf-8"))):
            if SWITCH.search(text):
                yield file.relative_to(PACKAGE).as_posix(), line, text


def rust_texts() -> Iterator[tuple[str, int, str]]:
    for file in sorted((ROOT / "rust").glob("*/src/**/*.rs")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', line.split("//")[0]):
                if SWITCH.search(text):
                    yield file.relative_to(ROOT).as_posix(), number, text


def own_commands(file: str) -> tuple[str, ...]:
    if file.startswith("cli/"):
        stem = Path(file).stem
        return tuple(name for name in OPTIONS if name.split()[:1] == [stem]) or tuple(OPTIONS)
    return next(commands for start, commands in (*SPEAKS_FOR, *RUST) if file.startswith(start))


def switches(file: str, text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(option, commands each of which must have it) for all in a text: those of the command named last before it."""
    text = FOREIGN.sub("", text)
    for found in SWITCH.finditer(text):
        named = [m[1] or m[2] for m in COMMAND.finditer(text) if m.start() < found.start()]
        yield found[0], (named[-1],) if named else own_commands(file)


def missing(file: str, text: str) -> list[str]:
    """What is wrong with the options that a text names."""
    wrong = []
    for switch, commands in switches(file, text):
        have = [switch in OPTIONS[command] for command in commands]
        # A file of commands may speak for any one of its commands; the studio puts together lines of several.
        fine = any(have) if file.startswith(("cli/", "studio/")) else have and all(have)
        if not fine:
            wrong.append(
                f"{switch} is no option of {' and '.join(c for c, h in zip(commands, have, strict=True) if not h)}"
            )
    return wrong


TEXTS = [*python_texts(), *rust_texts()]


def test_texts_are_found() -> None:
    assert len(TEXTS) > 150
    assert {file.split("/")[0] for file, _, _ in TEXTS} >= {"data", "metrics", "cli", "rust", "training"}


@pytest.mark.parametrize(("file", "line", "text"), TEXTS, ids=[f"{file}:{line}" for file, line, _ in TEXTS])
def test_an_option_that_is_named_is_there(file: str, line: int, text: str) -> None:
    assert missing(file, text) == []


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("metrics/a.py", "choose --alpha drop", 1),
        ("data/a.py", "choose --alpha drop, or --beta", 1),
        ("metrics/a.py", "Type: gantools prep {} --alpha drop", 0),
        ("metrics/a.py", "gantools ref make A --layers 64, or --layer 64", 1),
        ("data/a.py", "pip install --upgrade a", 0),
        ("data/a.py", "Run prep --shards again", 0),
        ("cli/cache.py", "say --older-than 30d or --keep-bytes 2G", 0),
        ("cli/cache.py", "say --older", 1),
    ],
)
def test_a_wrong_option_is_found(file: str, text: str, wrong: int) -> None:
    assert len(missing(file, text)) == wrong


#: Where the functions of Python have the words: an option beside them is named with its argument.
LIBRARY = ("metrics/", "pretrained/", "device.py")


@pytest.mark.parametrize(
    ("file", "text"),
    [(f, t) for f, _, t in TEXTS if f.startswith(LIBRARY)],
    ids=[f"{f}:{n}" for f, n, _ in TEXTS if f.startswith(LIBRARY)],
)
def test_one_who_writes_python_is_told_the_argument(file: str, text: str) -> None:
    del file
    whole_command = COMMAND.search(text) or text.strip() == "--weights"
    assert whole_command or re.search(r"[Ii]n Python|--([a-z]+)-?([a-z]*) \(\1_?\2\)", text) or text in TOLD_BY_THE_HINT


#: Messages beside whose option the hint has its argument.
TOLD_BY_THE_HINT = (
    "{}: {}, a network with its code; --weights takes a state dict of {}.",
    "--{} is not for the source {}.",
)


def test_arguments_of_preparing_are_called_as_the_options() -> None:
    """The messages of data/ name options alone: in Python each is the same word with underscores."""
    from gantools.data.plan import PrepOptions
    from gantools.data.prepare import prep, prep_share

    known = {
        *(name for f in (prep, prep_share) for name in inspect.signature(f).parameters),
        *(f.name for f in dataclasses.fields(PrepOptions)),
    }
    for file, _, text in TEXTS:
        if file.startswith("data/"):
            for switch, commands in switches(file, text):
                if commands == ("prep",):
                    assert switch[2:].replace("-", "_") in known, (file, text)


def parquet(at: Path, columns: dict[str, list[object]]) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), at / "set.parquet")
    return at / "set.parquet"


def images(n: int) -> list[bytes]:
    return [_native.encode_png(np.full((4, 5, 3), 20 * i, np.uint8)) for i in range(n)]


def several_columns(at: Path) -> Path:
    return parquet(at, {"left": images(3), "right": images(3)})


def one_of_two_usual(at: Path) -> Path:
    return parquet(at, {"image": images(3), "mask": images(3), "label": [0, 1, 0], "kind": [1, 1, 0]})


def several_arrays(at: Path) -> Path:
    np.savez(at / "a.npz", left=np.zeros((3, 4, 4, 3), np.uint8), right=np.zeros((3, 4, 4, 3), np.uint8))
    return at / "a.npz"


def several_in_a_sample(at: Path) -> Path:
    with tarfile.open(at / "a.tar", "w") as tar:
        for i, image in enumerate(images(3)):
            for key, data in (("left.png", image), ("right.png", image), ("cls", b"1")):
                info = tarfile.TarInfo(f"{i:04d}.{key}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return at / "a.tar"


def nothing_in_it(at: Path) -> Path:
    (at / "empty").mkdir()
    return at / "empty"


def an_archive_of_text(at: Path) -> Path:
    with zipfile.ZipFile(at / "a.zip", "w") as file:
        file.writestr("a.txt", "a")
    return at / "a.zip"


@pytest.mark.parametrize(
    "make", [several_columns, one_of_two_usual, several_arrays, several_in_a_sample, nothing_in_it, an_archive_of_text]
)
def test_what_sources_say_of_prep_is_not_said_of_score(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Score reads what prep reads, by the same code; options of prep are called by its name."""
    try:
        texts = list(open_source(make(tmp_path)).notes)
    except GantoolsError as e:
        texts = [e.message, e.hint or ""]
    assert [wrong for text in texts for wrong in missing("metrics/", text)] == []
    if make in (several_columns, one_of_two_usual, several_arrays, several_in_a_sample):
        assert re.search(r"gantools prep --(column|key|label-column)", " ".join(texts))
