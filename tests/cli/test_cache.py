"""`gantools cache`: what is there, what goes, and that nothing else does."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gantools import cache
from gantools.cli import cli, main
from gantools.errors import ConfigError

DAY = 86400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an entry of each kind, unused for 1, 2, 3, ... days, and among them what is not gantools'."""
    root = tmp_path / "cache"
    monkeypatch.setenv(cache.VARIABLE, str(root))
    outside = tmp_path / "outside"
    (outside / "MNIST").mkdir(parents=True)
    (outside / "MNIST/x.gz").write_bytes(b"x" * 9)
    (outside / "vgg16-397923af.pth").write_bytes(b"x" * 9)
    names = [
        f"statistics/{'a' * 64}.npz",
        f"features/{'b' * 64}.npz",
        "vgg16-397923af.pth",
        "data/MNIST/raw/t.gz",
        "dinov2_vitl14_pretrain.pth",
        # Not gantools':
        "statistics/mine.npz",
        "model.pth",
        "data/holiday/1.jpg",
        "thesis.tex",
    ]
    for i, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1000)
        when = time.time() - (i + 1) * DAY - 60
        os.utime(file, (when, when))
        for parent in file.relative_to(root).parents:
            os.utime(root / parent, (when, when))
    (root / "alexnet-owt-7be5be79.pth").symlink_to(outside / "vgg16-397923af.pth")
    (root / "data/CIFAR10").symlink_to(outside / "MNIST")
    when = time.time() - 4 * DAY - 60
    for f in (root / "data/MNIST", root / "data/MNIST/raw"):
        os.utime(f, (when, when))
    return root


def tree(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if not p.is_dir()}


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["cache", *arguments], input=answer)


OURS = [f"statistics/{'a' * 64}.npz", f"features/{'b' * 64}.npz", "vgg16-397923af.pth", "data/MNIST/raw/t.gz"]


def test_the_list_names_kind_size_age_and_use(folder: Path) -> None:
    lines = run("list").stdout.splitlines()
    assert lines[0].split() == ["KIND", "SIZE", "AGE", "LAST", "USE", "NAME"]
    assert [line.split("  ")[0] for line in lines[1:-1]] == [
        "given weights",
        "downloads",
        "weights",
        "features",
        "statistics",
    ]
    assert [line.split()[-1] for line in lines[1:-1]] == ["dinov2_vitl14_pretrain.pth", "data/MNIST", *OURS[2::-1]]
    assert "1000 B" in lines[1] and "5 d" in lines[1] and "1 d" in lines[5]
    assert lines[-1] == f"{folder}: 5 entries, 4.9 KiB."


@pytest.mark.parametrize("yes", [True, False])
def test_clear_removes_all_of_gantools_and_nothing_else(folder: Path, yes: bool) -> None:
    before, outside = tree(folder), tree(folder.parent / "outside")
    ran = run("clear", "--yes") if yes else run("clear", answer="y\n")
    assert ran.exit_code == 0 and f"{folder}: removed 4 entries, 3.9 KiB; 1 entry, 1000 B left." in ran.stdout
    assert before - tree(folder) == set(OURS)
    assert tree(folder.parent / "outside") == outside
    assert "removed 0 entries, 0 B" in run("clear").stdout  # nothing to ask about


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_clear_asks(folder: Path, answer: str) -> None:
    before = tree(folder)
    assert run("clear", answer=answer).exit_code != 0
    assert tree(folder) == before


@pytest.mark.parametrize(("age", "gone"), [("90h", 1), ("3d", 2), ("2.5", 2), ("1w", 0), ("12h", 4), ("1y", 0)])
def test_prune_by_age(folder: Path, age: str, gone: int) -> None:
    before = tree(folder)
    assert f"removed {gone} entr" in run("prune", "--older-than", age).stdout
    assert before - tree(folder) == set(OURS[4 - gone :])


@pytest.mark.parametrize(("size", "gone"), [("10K", 0), ("5000", 0), ("4999", 1), ("2K", 3), ("0", 4), ("3.5 kib", 2)])
def test_prune_by_size_takes_the_longest_unused(folder: Path, size: str, gone: int) -> None:
    before = tree(folder)
    run("prune", "--keep-bytes", size)
    assert before - tree(folder) == set(OURS[4 - gone :])


def test_what_was_read_lately_is_not_old(folder: Path) -> None:
    os.utime(folder / OURS[3], (time.time(), (folder / OURS[3]).stat().st_mtime))
    run("prune", "--older-than", "2d")
    assert (folder / OURS[3]).exists() and not (folder / OURS[2]).exists()


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "none"))
    assert run("list").stdout == f"{tmp_path / 'none'}: 0 entries, 0 B.\n"
    assert run("clear", "--yes").exit_code == 0 and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prune"], "--older-than 30d, or --keep-bytes 2G"),
        (["prune", "--older-than", "soon"], "'soon' is no age"),
        (["prune", "--keep-bytes", "much"], "'much' is no size"),
        (["prune", "--keep-bytes", "-3G"], "'-3G' is no size"),
    ],
)
def test_wrong_commands_are_refused(
    folder: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(folder)
    with pytest.raises(SystemExit) as e:
        main(["cache", *arguments])
    assert e.value.code == 2 and words in capsys.readouterr().err
    assert tree(folder) == before


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("2k", 2048), ("1.5 MiB", 3 << 19), ("3GB", 3 << 30)])
def test_sizes(text: str, expected: int) -> None:
    assert cache.parse_bytes(text) == expected
    with pytest.raises(ConfigError):
        cache.parse_bytes(f"{text}x")


def test_every_weights_file_that_gantools_looks_for_is_known() -> None:
    """A name that the list does not know would stay for ever; one that is never fetched must not be removed."""
    from gantools.metrics.networks import published as features
    from gantools.metrics.pixels import lpips, niqe
    from gantools.pretrained import backbones, mobilefacenet, vgg19
    from gantools.pretrained import weights as files
    from gantools.pretrained.inception import WEIGHTS

    del lpips, niqe, backbones, features, mobilefacenet, vgg19
    known = [o for o in gc.get_objects() if type(o) is files.WeightsFile and o.variable.startswith("GANTOOLS_")]
    assert len(known) >= 10
    for file in known:
        pattern = cache._GIVEN if file.url is None else cache._WEIGHTS
        if file.what != "test":
            assert pattern.fullmatch(file.name), file
    assert cache._WEIGHTS.fullmatch(WEIGHTS.name)
