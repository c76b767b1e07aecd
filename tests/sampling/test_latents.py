import numpy as np
import pytest

from gantools.errors import ConfigError, DataError
from gantools.sampling.latents import latents, read_latents, slerp, way, write_array


def test_latents_are_a_function_of_seed_and_index():
    whole = latents(3, 0, 50, 7)
    assert whole.dtype == np.float32
    assert np.array_equal(latents(3, 20, 5, 7), whole[20:25])
    assert not np.array_equal(latents(4, 0, 50, 7), whole)
    many = latents(0, 0, 4000, 16)
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02
    assert abs(np.corrcoef(many[:-1].ravel(), many[1:].ravel())[0, 1]) < 0.02


def test_a_great_circle_between_two_latents():
    a, b = latents(0, 0, 2, 64)
    path = slerp(a, b, np.linspace(0, 1, 5))
    assert path.dtype == np.float32
    assert np.array_equal(path[0], a) and np.array_equal(path[-1], b)

    def angle(x, y):
        return np.arccos(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    # Of unit vectors it keeps the length and halves the angle; a straight line would be shorter in the middle.
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    middle = slerp(u, v, np.array([0.5]))[0]
    assert abs(np.linalg.norm(middle) - 1) < 1e-6 and np.linalg.norm((u + v) / 2) < 0.9
    assert abs(angle(u, middle) - angle(u, v) / 2) < 1e-3
    # 90 degrees by hand: (sin 60, sin 30) at a third of the way.
    third = slerp(np.array([1, 0], np.float32), np.array([0, 1], np.float32), np.array([1 / 3]))[0]
    assert np.allclose(third, [np.sqrt(3) / 2, 0.5], atol=1e-6)
    # The same way, opposite, and nothing: no division by nought.
    for other in (a, -a, np.zeros_like(a)):
        assert np.isfinite(slerp(a, other, np.linspace(0, 1, 3))).all()
    assert np.allclose(slerp(a, a, np.array([0.3]))[0], a)


def test_a_way_goes_by_its_keys():
    keys = latents(0, 0, 3, 16)
    closed = way(keys, 9)
    assert np.array_equal(closed[[0, 3, 6]], keys)
    steps = np.linalg.norm(np.diff(np.concatenate([closed, closed[:1]]), axis=0), axis=1)
    # The last step is the one that closes it, no longer than others of its leg.
    assert np.allclose(steps[-1], steps[-2], rtol=0.2)
    once = way(keys, 9, closed=False)
    assert np.array_equal(once[[0, 4, 8]], keys) and len(once) == 9
    assert np.array_equal(way(keys[:2], 2, closed=False), keys[:2])
    for n, points, ends in ((0, 2, True), (1, 2, False), (5, 1, True)):
        with pytest.raises(ConfigError, match="walk: at least"):
            way(keys[:points], n, ends)


def test_files_of_latents(tmp_path):
    file = tmp_path / "z.npy"
    for values in (latents(0, 0, 3, 4), np.ones((2, 3, 4), np.float32)):
        write_array(file, values)
        assert np.array_equal(np.load(file), values) and np.array_equal(read_latents(file), values)
    np.save(file, np.ones((2, 3)))
    assert read_latents(file).dtype == np.float32
    with pytest.raises(DataError, match="no such file"):
        read_latents(tmp_path / "none.npy")
    for wrong in (np.ones(3), np.ones((2, 3), int), np.ones((1, 1, 1, 1))):
        np.save(file, wrong)
        with pytest.raises(DataError, match=r"expected floating point \(n, latent\)"):
            read_latents(file)
    np.save(file, np.array([[np.nan]]))
    with pytest.raises(DataError, match="not finite"):
        read_latents(file)
    for content in (b"", b"abc"):
        file.write_bytes(content)
        with pytest.raises(DataError, match="not a readable"):
            read_latents(file)
    np.savez(tmp_path / "a.npz", a=np.ones((2, 3)))
    with pytest.raises(DataError, match="an archive"):
        read_latents(tmp_path / "a.npz")
