import math

import pytest
import torch

from gantools.errors import ConfigError
from gantools.layers.minibatch import (
    MinibatchDeviation,
    MinibatchDiscrimination,
    minibatch_deviation,
    minibatch_kernels,
)


def by_hand(x, members):
    """The statistic of one group in plain words."""
    rows = x[members]
    return math.sqrt(1e-8) if len(members) == 1 else (rows.var(0, unbiased=False) + 1e-8).sqrt().mean().item()


@pytest.mark.parametrize(
    ("rows", "groups"),
    [("consecutive", [[0, 1, 2, 3], [4, 5, 6, 7]]), ("strided", [[0, 2, 4, 6], [1, 3, 5, 7]])],
)
def test_each_group_has_its_own_statistic(rows, groups):
    x = torch.randn(8, 6, 3, 3)
    y = minibatch_deviation(x, 4, rows=rows)
    assert y.shape == (8, 1, 3, 3)
    for members in groups:
        for row in members:
            torch.testing.assert_close(y[row], torch.full((1, 3, 3), by_hand(x, members)))


def test_parts_of_the_channels_have_a_statistic_each():
    x = torch.randn(4, 6, 2, 2)
    y = minibatch_deviation(x, 4, features=2)
    assert y[0, 0, 0, 0].item() == pytest.approx(by_hand(x[:, :3], [0, 1, 2, 3]))
    assert y[0, 1, 0, 0].item() == pytest.approx(by_hand(x[:, 3:], [0, 1, 2, 3]))


def test_a_single_sample_differs_from_nothing():
    assert minibatch_deviation(torch.randn(1, 6, 3, 3)).max() < 1.1e-4
    assert minibatch_deviation(torch.randn(8, 6, 3, 3), 1).max() < 1.1e-4


def test_equal_samples_do_not_differ_and_have_a_finite_gradient():
    x = torch.randn(1, 6, 3, 3).repeat(4, 1, 1, 1).requires_grad_(True)
    minibatch_deviation(x).sum().backward()
    assert x.grad.isfinite().all()


def test_consecutive_groups_are_those_of_the_whole_batch_in_its_parts_and_strided_ones_are_not():
    x = torch.randn(16, 6, 3, 3, dtype=torch.float64)
    for rows, equal in [("consecutive", True), ("strided", False)]:
        parts = torch.cat([minibatch_deviation(x[:8], 4, rows=rows), minibatch_deviation(x[8:], 4, rows=rows)])
        assert torch.allclose(minibatch_deviation(x, 4, rows=rows), parts, rtol=0, atol=1e-12) is equal


def test_a_sample_of_another_group_changes_nothing():
    x = torch.randn(8, 6, 3, 3)
    other = x.clone()
    other[4:] += 3
    torch.testing.assert_close(minibatch_deviation(x)[:4], minibatch_deviation(other)[:4])


def test_a_batch_that_makes_no_groups_is_refused_with_one_that_does():
    with pytest.raises(ConfigError, match="7 images"):
        MinibatchDeviation(4)(torch.zeros(7, 3, 2, 2))
    assert MinibatchDeviation(4)(torch.zeros(3, 3, 2, 2)).shape == (3, 4, 2, 2)


def near(m):
    """The kernels in plain words: of each other sample, one by one."""
    n, kernels, _ = m.shape
    out = torch.zeros(n, kernels, dtype=m.dtype)
    for i in range(n):
        for j in range(n):
            if i != j:
                out[i] += torch.exp(-(m[i] - m[j]).abs().sum(1))
    return out


@pytest.mark.parametrize("n", [1, 2, 6])
def test_kernels_are_their_definition(n):
    m = torch.randn(n, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(minibatch_kernels(m), near(m), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "bug",
    [
        lambda m: (-(m[:, None] - m[None]).abs().sum(3)).exp().sum(1),  # the sample itself counts
        lambda m: (-(m[:, None] - m[None]).norm(dim=3)).exp().sum(1) - 1,  # Euclidean distances
        lambda m: (-(m[:, None] - m[None]).abs().sum((2, 3))).exp().sum(1)[:, None] - 1,  # one kernel for all
    ],
)
def test_the_definition_of_kernels_tells_bugs(bug):
    m = 0.3 * torch.randn(6, 4, 5, dtype=torch.float64)
    assert float((bug(m) - near(m)).abs().max()) > 0.05


def test_equal_samples_are_near_and_far_ones_are_not():
    same, far = torch.ones(7, 2, 5), 100 * torch.arange(7.0)[:, None, None].expand(7, 2, 5)
    assert minibatch_kernels(same).tolist() == [[6.0, 6.0]] * 7
    assert minibatch_kernels(far).abs().max() == 0
    assert minibatch_kernels(same.bfloat16()).dtype == torch.float32


def test_kernels_have_second_derivatives():
    m = torch.randn(4, 2, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(minibatch_kernels, (m,)) and torch.autograd.gradgradcheck(minibatch_kernels, (m,))


def test_a_projection_has_columns_of_learnt_length():
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(12, kernels=7).double()
    x = torch.randn(5, 12, dtype=torch.float64)
    columns = layer.weight / layer.weight.square().sum(0).sqrt()
    m = torch.einsum("ni,ibc->nbc", x, columns)
    torch.testing.assert_close(layer(x), near(m) - 1)
    with torch.no_grad():
        layer.log_length += math.log(2)
        layer.weight *= 5  # which its length does not follow
    torch.testing.assert_close(layer(x), near(2 * m) - 1)
    assert sum(p.numel() for p in layer.parameters()) == 12 * 7 * 5 + 7 * 5 + 7
