import numpy as np
import pytest
import torch

from gantools.editing.factors import closed_form, oriented, principal, regressed

RNG = torch.Generator().manual_seed(0)


def test_the_closed_form_is_the_right_singular_vectors():
    a = torch.randn(20, 6, generator=RNG, dtype=torch.float64)
    vectors, values = closed_form(a, 4)
    _, s, v = np.linalg.svd(a.numpy())
    assert vectors.shape == (4, 6)
    np.testing.assert_allclose(values, s[:4] ** 2, rtol=1e-10)
    np.testing.assert_allclose(np.abs(vectors.numpy() @ v[:4].T), np.eye(4), atol=1e-10)
    # Of A Aᵀ, the mistake that is easily made, they would be of another length; of A alone they would turn.
    turned = torch.linalg.qr(torch.randn(20, 20, generator=RNG, dtype=torch.float64))[0] @ a
    torch.testing.assert_close(closed_form(turned, 4)[0], vectors, atol=1e-8, rtol=0)


def test_what_the_weights_do_not_read_is_no_direction():
    a = torch.zeros(10, 4)
    a[:, 1] = 2
    vectors, values = closed_form(a, 4)
    assert vectors.tolist() == [[0, 1, 0, 0]] and values.tolist() == [40]


@pytest.mark.parametrize("dim", [5, 400])
def test_principal_components_of_points(dim):
    x = torch.randn(100, dim, generator=RNG, dtype=torch.float64) @ torch.randn(dim, dim, generator=RNG).double() + 7
    vectors, shares, coordinates = principal(x, 3)
    centred = x.numpy() - x.numpy().mean(0)
    _, s, v = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(vectors.numpy() @ v[:3].T), np.eye(3), atol=1e-7)
    np.testing.assert_allclose(shares, s[:3] ** 2 / (s**2).sum(), rtol=1e-8)
    np.testing.assert_allclose(coordinates, centred @ vectors.numpy().T, atol=1e-8)
    # Not centred, the first one would be the mean.
    first = np.linalg.svd(x.numpy(), full_matrices=False)[2][0]
    assert abs(first @ vectors[0].numpy()) < 0.99


def test_signs_are_settled():
    rows = oriented(torch.tensor([[0.0, -3.0, 4.0], [0.0, 3.0, -4.0]]))
    torch.testing.assert_close(rows, torch.tensor([[0.0, -0.6, 0.8], [0.0, -0.6, 0.8]]))


def test_regression_finds_the_latents_behind_features():
    z = torch.randn(4000, 5, generator=RNG, dtype=torch.float64)
    axis = torch.tensor([1.0, -2.0, 0.0, 0.0, 2.0], dtype=torch.float64) / 3
    coordinates = torch.stack([(z @ axis) ** 3, z[:, 2]], 1)
    found = regressed(z, coordinates - coordinates.mean(0))
    assert found[0] @ axis > 0.99 and found[1, 2] > 0.99
