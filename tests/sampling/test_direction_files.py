import json

import numpy as np
import pytest

from gantools.errors import ConfigError, DataError
from gantools.sampling.directions import About, Directions, read_directions, write_directions

FOUND = Directions(
    "w",
    "kimg-000001.000",
    (About("sefa0", "sefa", 2.5), About("Lächeln", "label", 0.9, 0.6)),
    np.array([[1, 0, 0], [0, 0.6, 0.8]], np.float32),
    np.array([2.0, 0.5]),
)


def test_what_is_written_is_read_and_the_bytes_are_the_same(tmp_path):
    write_directions(tmp_path / "a.npz", FOUND)
    write_directions(tmp_path / "b.npz", FOUND)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_directions(tmp_path / "a.npz")
    assert (found.space, found.checkpoint, found.about) == (FOUND.space, FOUND.checkpoint, FOUND.about)
    assert np.array_equal(found.vectors, FOUND.vectors) and np.array_equal(found.scales, FOUND.scales)


def test_a_move_is_so_many_deviations_along_each():
    move = FOUND.move({"sefa0": 3, "Lächeln": -2})
    assert move.space == "w"
    np.testing.assert_allclose(move.by, [6, -0.6, -0.8], rtol=1e-6)
    with pytest.raises(ConfigError, match=r"unknown direction 'sefa1'. Did you mean 'sefa0'"):
        FOUND.move({"sefa1": 1})


@pytest.mark.parametrize("key", ["vectors", "scales", "note", "space", "kind", "version", "count"])
def test_damage_is_said_in_a_line(tmp_path, key):
    file = tmp_path / "a.npz"
    write_directions(file, FOUND)
    with np.load(file) as z:
        parts = dict(z)
    note = json.loads(str(parts["note"]))
    if key in parts:
        del parts[key]
    elif key == "space":
        note["space"] = "q"
    elif key == "version":
        note["version"] = 2
    elif key == "kind":
        note["format"] = "other"
    else:
        note["directions"].pop()
    if key != "note":
        parts["note"] = np.array(json.dumps(note))
    np.savez(file, **parts)
    with pytest.raises(DataError, match="version 2" if key == "version" else "damaged") as e:
        read_directions(file)
    assert "gantools directions" in e.value.hint
    for content in (b"", b"PK\x03\x04", b"abc"):
        file.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            read_directions(file)
