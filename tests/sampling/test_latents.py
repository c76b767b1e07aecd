import numpy as np

from gantools.sampling.latents import latents, slerp


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
