"""16-bit samples on their way into a set: what is asked for, what is noted, what the manifest says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from gantools.data.prepare import prep
from gantools.errors import ConfigError

VALUES = np.linspace(0, 4095, 32 * 32).astype(np.uint16).reshape(32, 32)


@pytest.fixture
def folder(tmp_path):
    """Two images of 12 bits in 16 and two of all 16, in both formats."""
    (tmp_path / "x").mkdir()
    for suffix in ("png", "tif"):
        Image.fromarray(VALUES).save(tmp_path / f"x/12.{suffix}")
        Image.fromarray(VALUES * 16).save(tmp_path / f"x/16.{suffix}")
    return tmp_path / "x"


def test_12_bit_data_are_noted_and_the_default_keeps_the_high_byte(folder, tmp_path, capsys):
    s = prep("folder", source=folder, size=32, channels=1, out=tmp_path / "set", progress=True)
    assert s.manifest["source"]["shallow_16_bit"] == 2
    assert s.manifest["policy"]["sixteen_bit"] == "high-byte"
    printed = capsys.readouterr()
    assert "2 images of 16 bits hold values below 4096" in " ".join((printed.out + printed.err).split())
    np.testing.assert_array_equal(s[0][:, :, 0], VALUES >> 8)


@pytest.mark.parametrize(
    ("asked", "want"), [("0:4095", (VALUES.astype(int) * 255 + 2047) // 4095), ("00:04095", None), ("stretch", None)]
)
def test_a_range_is_kept_in_the_manifest_and_applied(asked, want, folder, tmp_path):
    s = prep("folder", source=folder, size=32, channels=1, out=tmp_path / "set", sixteen_bit=asked)
    assert s.manifest["policy"]["sixteen_bit"] == ("stretch" if asked == "stretch" else "0:4095")
    assert s[0].max() == 255
    if want is not None:
        np.testing.assert_array_equal(s[0][:, :, 0], want)


@pytest.mark.parametrize("wrong", ["9:4", "5:5", "high", "0:65536", "", "1:2:3", "-1:5"])
def test_a_range_that_is_none_is_refused_before_anything_is_read(wrong, folder, tmp_path):
    with pytest.raises(ConfigError, match="--sixteen-bit is"):
        prep("folder", source=folder, size=32, out=tmp_path / "set", sixteen_bit=wrong)
    assert not (tmp_path / "set").exists()


def test_rejects_have_a_class_beside_their_reason(folder, tmp_path):
    (folder / "page.jpg").write_bytes(b"<!doctype html><html>login</html>")
    (folder / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    whole = (folder / "12.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGBA", (32, 32)).save(folder / "clear.png")
    s = prep("folder", source=folder, size=32, out=tmp_path / "set")
    lines = [json.loads(line) for line in (s.path / "rejects.jsonl").read_text().splitlines()]
    assert {line["name"]: line["class"] for line in lines} == {
        "page.jpg": "not-an-image",
        "phone.jpg": "unsupported",
        "cut.png": "damaged",
        "clear.png": "transparent",
    }
    reasons = {line["name"]: line["reason"] for line in lines}
    assert "an HTML page" in reasons["page.jpg"] and "HEIC, which is not read" in reasons["phone.jpg"]
