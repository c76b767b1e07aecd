import pytest
import torch
from torch import nn

from gantools.objectives.orthogonal import orthogonality

WIDE = torch.float64


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 2, 3, 3), (3, 1)])
def test_its_gradient_is_the_published_one(shape):
    """2 (WWᵀ ⊙ (1 - I)) W, and the value is half the squares of what is off the diagonal."""
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=WIDE, requires_grad=True)
    value = orthogonality([weight])
    matrix = weight.detach().flatten(1)
    off = (matrix @ matrix.t()) * (1 - torch.eye(len(matrix), dtype=WIDE))
    torch.testing.assert_close(value, 0.5 * off.square().sum())
    (found,) = torch.autograd.grad(value, weight)
    torch.testing.assert_close(found, (2 * off @ matrix).view(shape), rtol=0, atol=1e-11)


def test_lengths_of_rows_are_free():
    """Rows at right angles cost nothing however long they are; ‖WWᵀ - I‖² would."""
    rows = 3 * torch.linalg.qr(torch.randn(6, 6, dtype=WIDE))[0][:4]
    assert orthogonality([rows]) < 1e-20
    assert (rows @ rows.t() - torch.eye(4, dtype=WIDE)).square().sum() > 100


def test_biases_and_scalars_count_nothing_and_matrices_add_up():
    torch.manual_seed(0)
    layer, gain = nn.Conv2d(3, 4, 3), torch.zeros(())
    one = orthogonality([layer.weight])
    torch.testing.assert_close(orthogonality([*layer.parameters(), gain, layer.weight]), 2 * one)
    with pytest.raises(ValueError, match="no tensor of two dimensions"):
        orthogonality([layer.bias])
