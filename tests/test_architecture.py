"""The floors of docs/architecture.md beyond what `lint-imports` checks: circles between single files, and sizes."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

import gantools

PACKAGE = Path(gantools.__file__).parent
ROOT = Path(__file__).parents[1]
LINES = 500
ENTRIES_OF_METRICS = 12
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules that import each other, by way of others or not (Tarjan's strongly connected components)."""
    found: list[set[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in imports[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(group) > 1 or module in imports[module]:
                found.append(group)

    for module in imports:
        if module not in index:
            visit(module)
    return found


def test_circles_are_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"e"}, "f": {"a"}}
    assert sorted(map(sorted, circles(imports))) == [["a", "b", "c"], ["e"]]


def test_no_files_import_each_other_in_a_circle() -> None:
    # Imports within functions and for types alone count; a folder's __init__.py is a file like others.
    graph = grimp.build_graph("gantools", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    imports["gantools"] = set()  # the package's own names are imported on first use
    assert len(imports) > 100
    assert circles(imports) == []


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_file_can_be_read_in_one_go(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LINES


def test_metrics_has_few_rooms() -> None:
    entries = [p for p in (PACKAGE / "metrics").iterdir() if (p / "__init__.py").is_file() or p.suffix == ".py"]
    names = sorted(p.name for p in entries if p.name != "__init__.py")
    assert len(names) <= ENTRIES_OF_METRICS, names


def place(name: str) -> Path:
    """What the page means by a path: from the project's folder, or from the package's."""
    return ROOT / name if (ROOT / name.split("/")[0]).exists() else PACKAGE / name


def test_the_page_names_what_is_there() -> None:
    named = set(re.findall(r"`([\w.-]*[\w-](?:/[\w.-]+)+/?|\w+/|\w+\.(?:py|md|toml))`", PAGE))
    assert len(named) > 50
    assert [name for name in sorted(named) if name != "rejects.jsonl" and not place(name).exists()] == []


def test_the_page_names_every_folder_of_the_package() -> None:
    folders = [p.parent.name for p in PACKAGE.glob("*/__init__.py")]
    assert len(folders) > 8
    assert [name for name in folders if f"\n{name}/ " not in PAGE and f" {name}/ " not in PAGE] == []


def rows() -> list[list[str]]:
    """The cells of the table of what can be added."""
    table = PAGE[PAGE.index("| to add |") :]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:] if line.startswith("|")]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_what_lists_the_additions_is_where_the_page_says(row: list[str]) -> None:
    _, write, listed, tested = row
    assert all(place(name).exists() for name in re.findall(r"`([\w.-]+/[\w./-]*)`", write))
    found = re.findall(r"`(\w+)`[^`]* in `([\w./-]+)`", listed)
    assert found or listed.startswith("—")
    for name, file in found:
        # The table is made there, not only imported: `NAME = `, `NAME: type =`, `[NAME]`, `enum NAME`.
        assert re.search(rf"\b{name}\b\s*[=:]|^{name} =|\benum {name}\b", place(file).read_text(), re.M), (name, file)
    assert re.search(r"`(?:tests/|rust/|lint-imports)", tested)
