"""Every command and every line of Python in docs/scores.md works as it is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from gantools.cli.ref import command as ref_command
from gantools.cli.score import command as score_command
from gantools.data.prepared import PreparedSet
from gantools.pretrained.inception import WEIGHTS
from gantools.training.run import train

PAGE = (Path(__file__).parents[2] / "docs/scores.md").read_text()
# What cannot run here: several processes, and networks whose weights have to be downloaded.
ELSEWHERE = ("torchrun", "--lpips")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.S | re.M)


@pytest.fixture
def place(
    tmp_path: Path,
    make_set: Callable[..., Path],
    make_samples: Callable[..., Path],
    pictures: Callable[..., NDArray[np.uint8]],
    write_pngs: Callable[..., Path],
    inception_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with everything that the page speaks of."""
    data = make_set(n=24, size=16, name="celeba-64")
    make_samples(pictures(20, 16), PreparedSet(data))
    for i, name in enumerate(("a", "b", "out", "targets", "photos")):
        write_pngs(tmp_path / name, pictures(14, 16, seed=i))
    x = np.random.default_rng(0).normal(size=(40, 2048))
    np.savez(tmp_path / "VIRTUAL_imagenet256_labeled.npz", mu=x.mean(0), sigma=np.cov(x, rowvar=False))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WEIGHTS.variable, str(inception_file))
    return tmp_path


def commands() -> Iterator[list[str]]:
    for block in blocks("sh"):
        for line in block.splitlines():
            if not any(word in line for word in ELSEWHERE):
                yield shlex.split(line, comments=True)


def test_every_command_works(place: Path) -> None:
    ran = 0
    for _, name, *arguments in commands():
        if "--merge" in arguments:  # the page shows the first part
            for i in (2, 3, 4):
                part = ["--fid", "samples/", "--shard", f"{i}/4", "--part", f"part-{i}.npz"]
                assert CliRunner().invoke(score_command, part).exit_code == 0
        done = CliRunner().invoke({"score": score_command, "ref": ref_command}[name], arguments)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        assert done.stdout.strip(), arguments
        ran += 1
    assert ran >= 8
    assert (place / "report.html").stat().st_size > 10_000


def test_every_line_of_python_works(place: Path, make_set: Callable[..., Path]) -> None:
    overrides = {"network": {"size": 8, "channels": 3, "latent": 6, "width": 4}, "batch": 8, "kimg": 0.016, "grid": 4}
    data = make_set(n=16, size=8, name="faces")
    run = train("dcgan", data=data, out=place / "made", overrides=overrides, progress=False, device="cpu")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1200, 5))
    names: dict[str, Any] = {
        "mu1": x.mean(0),
        "sigma1": np.cov(x, rowvar=False),
        "mu2": y.mean(0),
        "sigma2": np.cov(y, rowvar=False),
        "samples": x,
        "reference": y,
        "loader": [rng.integers(0, 256, (8, 3, 16, 16), dtype=np.uint8).transpose(0, 2, 3, 1) for _ in range(2)],
    }
    found = blocks("python")
    assert len(found) == 3
    for block in found:
        code = (
            block.replace("runs/00000-dcgan-celeba-64", str(run)).replace("n=10_000", "n=12").replace("n=5_000", "n=16")
        )
        exec(code, names)
    assert len(names["s"]) == 4
