from pathlib import Path

import numpy as np
import pytest

from gantools.errors import ConfigError, DataError
from gantools.sampling.given import given_latents, load_sampler


def test_latents_of_a_file_of_an_array_and_none(tmp_path: Path) -> None:
    z = np.random.default_rng(0).standard_normal((3, 6), np.float32)
    np.save(tmp_path / "z.npy", z)
    assert given_latents(None) == (None, {})
    for place in (tmp_path / "z.npy", str(tmp_path / "z.npy")):
        found, said = given_latents(place)
        assert found is not None and np.array_equal(found, z) and said == {"latents": str(place)}
    found, said = given_latents(z)
    assert found is z and said == {"latents": "an array"}
    with pytest.raises(DataError, match="no such file"):
        given_latents(tmp_path / "none.npy")


def test_only_runs_that_start_from_latents_are_sampled(run: Path, images_run: Path) -> None:
    generator = load_sampler(run, device="cpu")
    assert generator.latent == 6 and generator.device.type == "cpu"
    with pytest.raises(ConfigError, match="makes images from images"):
        load_sampler(images_run)
