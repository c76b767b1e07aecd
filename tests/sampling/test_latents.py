import numpy as np

from gantools.sampling.latents import latents


def test_latents_are_a_function_of_seed_and_index():
    whole = latents(3, 0, 50, 7)
    assert whole.dtype == np.float32
    assert np.array_equal(latents(3, 20, 5, 7), whole[20:25])
    assert not np.array_equal(latents(4, 0, 50, 7), whole)
    many = latents(0, 0, 4000, 16)
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02
    assert abs(np.corrcoef(many[:-1].ravel(), many[1:].ravel())[0, 1]) < 0.02
