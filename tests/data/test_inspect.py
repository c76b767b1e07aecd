"""`gantools verify` and `gantools info`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import gantools
from gantools.cli.info import command as info_command
from gantools.cli.verify import command as verify_command
from gantools.data.inspect import info, verify
from gantools.errors import DataError


@pytest.fixture
def made(tmp_path):
    """20 images in two classes, one a copy of another, and a file that is no image."""
    for i in range(20):
        folder = tmp_path / "photos" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        seed = 3 if i == 9 else i
        pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    (tmp_path / "photos/a/bad.png").write_bytes(b"")
    return gantools.prep(
        "folder", source=tmp_path / "photos", size=12, shard_size=8, out=tmp_path / "set", progress=False
    ).path


def test_a_whole_set_is_ok(made):
    assert verify(made) == []
    done = CliRunner().invoke(verify_command, [str(made)])
    assert (done.exit_code, done.stdout) == (0, "OK\n")


def test_a_changed_byte_of_any_file_is_found(made):
    files = [file for file in made.iterdir() if file.name != "manifest.json"]
    assert len(files) == 7  # three shards, labels, names, sizes, rejects
    for file in files:
        data = bytearray(file.read_bytes())
        data[-2] ^= 1
        file.write_bytes(data)
        assert any(line.startswith(f"{file.name}: changed") for line in verify(made)), file
        data[-2] ^= 1
        file.write_bytes(data)
    assert verify(made) == []


def test_a_missing_or_cut_file_is_found_and_the_command_fails(made):
    for name in ("images-00001.npy", "labels.npy", "names.jsonl", "rejects.jsonl"):
        data = (made / name).read_bytes()
        (made / name).write_bytes(data[:-5])
        assert any(line.startswith(name) for line in verify(made))
        (made / name).unlink()
        assert any(line == f"{name}: missing" for line in verify(made))
        done = CliRunner().invoke(verify_command, [str(made)])
        assert name in done.stdout
        assert isinstance(done.exception, DataError)
        (made / name).write_bytes(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 19}, "says 19 images"),
        ({"fingerprint": "0" * 32}, "fingerprint"),
        ({"shape": [12, 12, 1]}, "the manifest says"),
    ],
)
def test_a_manifest_that_does_not_fit_is_found(made, change, words):
    manifest = json.loads((made / "manifest.json").read_text())
    (made / "manifest.json").write_text(json.dumps({**manifest, **change}))
    assert any(words in line for line in verify(made))


def test_a_label_of_no_class_is_found_although_its_hash_is_right(made):
    np.save(made / "labels.npy", np.full(20, 2))
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["labels"]["xxh3"] = gantools._native.hash_file(made / "labels.npy")
    (made / "manifest.json").write_text(json.dumps(manifest))
    assert verify(made) == ["labels.npy: a label is none of the 2 classes"]


def test_a_damaged_manifest_is_an_error(made):
    manifest = json.loads((made / "manifest.json").read_text())
    del manifest["shards"][0]["count"]
    (made / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"manifest.json: damaged"):
        verify(made)


def test_info_counts_classes_rejects_and_duplicates(made):
    found = info(made)
    assert (found["count"], found["shape"], found["shards"]) == (20, [12, 12, 3], 3)
    assert found["classes"] == {"a": 10, "b": 10}
    assert list(found["rejects"].values()) == [1]
    assert found["duplicates"] == {"images": 1, "groups": 1, "examples": [["b/03.png", "b/09.png"]]}
    assert found["bytes"] == sum(file.stat().st_size for file in made.iterdir())
    assert "duplicates" not in info(made, duplicates=False)


def test_the_command_prints_tables_or_json(made):
    done = CliRunner().invoke(info_command, [str(made)])
    assert done.exit_code == 0, done.output
    for words in ("20", "12 x 12, RGB", "equal: b/03.png, b/09.png", "lanczos", "50.0 %"):
        assert words in done.stdout
    assert json.loads(CliRunner().invoke(info_command, [str(made), "--json"]).stdout) == info(made)


def test_celeba_has_a_histogram_of_its_attributes(test_data, tmp_path):
    s = gantools.prep("celeba", source=test_data / "data/celeba", size=8, limit=300, out=tmp_path / "c", progress=False)
    found = info(s.path)
    assert len(found["attributes"]) == 40
    smiling = s.manifest["annotations"]["attributes"]["columns"].index("Smiling")
    assert found["attributes"]["Smiling"] == (s.annotations["attributes"][:, smiling] == 1).sum() > 0
    assert sum(found["partition"].values()) == 300
    assert "Smiling" in CliRunner().invoke(info_command, [str(s.path)]).stdout
