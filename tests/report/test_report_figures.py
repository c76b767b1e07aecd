"""Figures for papers: their size, type and colours, and what happens without matplotlib."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from gantools.cli import main
from gantools.errors import ConfigError, DataError
from gantools.page import LIGHT
from gantools.report import figures
from gantools.report.write import report
from gantools.training.run import train


@pytest.fixture
def run(tiny, make_set, tmp_path):
    return train(tiny, data=make_set(48, 8), out=tmp_path / "runs", device="cpu", progress=False)


@pytest.mark.parametrize("width", [8.3, 17.0])
def test_a_png_of_each_chart_as_wide_as_asked_for(run, tmp_path, width):
    pytest.importorskip("matplotlib")
    report(run, png=tmp_path / "a" / "figures", width=width)
    files = sorted((tmp_path / "a" / "figures").iterdir())
    assert {"losses.png", "learning-rates.png", "what-the-discriminator-says.png"} <= {file.name for file in files}
    pixels = np.array(Image.open(tmp_path / "a" / "figures" / "losses.png").convert("RGB"))
    assert pixels.shape[1] == pytest.approx(width / 2.54 * 300, abs=1)
    colours = {tuple(row) for row in pixels.reshape(-1, 3).tolist()}
    for colour in LIGHT[:2]:
        assert tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) in colours
    assert tuple(pixels[0, 0]) == (255, 255, 255)


def test_a_pdf_has_its_text_as_text_and_a_page_a_chart(run, tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 40)  # the reader's own settings change nothing
    report(run, pdf=tmp_path / "a.pdf", png=tmp_path / "png")
    assert matplotlib.rcParams["font.size"] == 40
    data = (tmp_path / "a.pdf").read_bytes()
    boxes = [tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox \[([^]]*)\]", data)]
    assert len(boxes) == len(list((tmp_path / "png").iterdir()))
    assert all(box[2] / 72 * 2.54 == pytest.approx(8.3, abs=0.01) for box in boxes)
    assert b"/Subtype /Type0" in data and b"/Type3" not in data
    drawn = b"".join(
        zlib.decompress(part) for part in re.findall(rb"stream\n(.*?)\nendstream", data, re.S) if part[:1] == b"x"
    )
    assert re.findall(rb"/F\d+ (\d+(?:\.\d+)?) Tf", drawn) and set(re.findall(rb"/F\d+ ([\d.]+) Tf", drawn)) == {b"8"}


def test_figures_are_replaced_and_files_of_others_are_not(run, tmp_path):
    pytest.importorskip("matplotlib")
    for _ in range(2):
        report(run, pdf=tmp_path / "a.pdf", png=tmp_path / "png")
    assert Image.open(tmp_path / "png" / "losses.png").info["Software"] == figures.CREATOR
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    (tmp_path / "png" / "losses.png").write_bytes(buffer.getvalue())
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4 mine")
    (run / "report.html").unlink()
    for asked in ({"png": tmp_path / "png"}, {"pdf": tmp_path / "b.pdf"}):
        with pytest.raises(DataError, match="exists already"):
            report(run, **asked)
        assert not (run / "report.html").exists()
        report(run, **asked, overwrite=True)
        (run / "report.html").unlink()
    with pytest.raises(DataError, match="is no folder"):
        report(run, png=tmp_path / "a.pdf")
    with pytest.raises(ConfigError, match="4 to 40 cm"):
        report(run, pdf=tmp_path / "a.pdf", width=0.1)


def test_names_of_runs_are_words_and_no_formulas(run, tmp_path):
    pytest.importorskip("matplotlib")
    other = run.rename(run.parent / "_$x$ {b} \\\\alpha")
    report([other], out=tmp_path / "a.html", pdf=tmp_path / "a.pdf")
    second = run.parent / "$\\frac{"
    second.mkdir()
    for name in ("config.yaml", "stats.jsonl"):
        (second / name).write_bytes((other / name).read_bytes())
    report([other, second], out=tmp_path / "b.html", pdf=tmp_path / "b.pdf")
    assert (tmp_path / "b.pdf").stat().st_size > 1000


def test_without_matplotlib_one_line_says_how_to_get_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for option in ("--png", "--pdf"):
        with pytest.raises(SystemExit):
            main(["report", str(run), option, str(tmp_path / "x")])
        said = capsys.readouterr().err
        assert "pip install 'gantools[figures]'" in said and len(said.strip().splitlines()) == 2
    assert not (tmp_path / "x").exists() and not (run / "report.html").exists()


def test_the_page_needs_no_further_package(run):
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'starlette', 'uvicorn', 'playwright', 'PIL'): sys.modules[name] = None\n"
        "from gantools.cli import main\n"
        "main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "report", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").is_file()
