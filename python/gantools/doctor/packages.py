"""The packages that gantools and its extras need, as its own metadata name them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata

from gantools.doctor.lines import Line


def requirements(extra: str | None) -> list[tuple[str, str]]:
    """What gantools itself (None) or one of its extras needs, as its metadata say: (package, versions)."""
    found = []
    for text in metadata.requires("gantools") or []:
        spec, _, marker = text.partition(";")
        of = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
        parts = re.match(r"([\w.-]+)\s*(?:\[[^]]*\])?\s*(.*)", spec.strip())
        if parts is not None and (of[1] if of else None) == extra:
            found.append((parts[1], parts[2].strip(" ()")))
    return found


def lacking(needed: Iterable[tuple[str, str]]) -> list[str]:
    """Which of some (package, versions) are not installed, or in another version."""
    found = []
    for package, versions in needed:
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            found.append(f"{package}{versions}")
            continue
        if not fits(installed, versions):
            found.append(f"{package}{versions} (there is {installed})")
    return found


_COMPARE: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


def fits(version: str, versions: str) -> bool:
    """Whether the numbers of a version, `2.15.0+cu132` for example, are within `versions`: `>=2.11,<3`."""

    def numbers(text: str) -> tuple[int, ...]:
        start = re.match(r"\d+(?:\.\d+)*", text)
        parts = [int(part) for part in start[0].split(".")] if start else []
        return (*parts, *(0 for _ in range(8 - len(parts))))

    rules = re.findall(r"(>=|<=|==|!=|<|>)\s*([\d.]*\d)", versions)
    return all(_COMPARE[rule](numbers(version), numbers(bound)) for rule, bound in rules)


def packages() -> Iterator[Line]:
    """What gantools needs itself, and a line an extra."""
    try:
        extras = metadata.metadata("gantools").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        yield Line("packages", "note", "gantools is on the path, but not installed; it cannot say what it needs.")
        return
    if missing := lacking(requirements(None)):
        command = " ".join(f"'{name.partition(' ')[0]}'" for name in missing)
        yield Line(
            "packages", "problem", f"missing: {', '.join(missing)}.", f"pip install {command}", {"missing": missing}
        )
    else:
        yield Line("packages", "ok", "all that gantools needs are here.", None, {"missing": []})
    for extra in extras:
        missing = lacking(requirements(extra))
        facts = {"extra": extra, "installed": not missing, "missing": missing}
        if missing:
            hint = f"Only where you want it: pip install 'gantools[{extra}]'"
            yield Line("extra", "note", f"{extra}: not here: {', '.join(missing)}.", hint, facts)
        else:
            yield Line("extra", "ok", f"{extra}: installed.", None, facts)
