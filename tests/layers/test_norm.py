"""Virtual batch normalisation against its definition, and against the bugs that others have had in it."""

import pytest
import torch

from gantools.layers.norm import VirtualBatchNorm2d

R, C = 5, 3


def make(dtype=torch.float64):
    torch.manual_seed(0)
    norm = VirtualBatchNorm2d(C, R).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(C) + 0.5)
        norm.bias.copy_(torch.randn(C))
    return norm


def features(n, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, C, 4, 6, generator=generator, dtype=dtype) + 3


def by_definition(norm, x):
    """Each sample by the mean and variance of the reference batch and itself, taken together."""
    rows = []
    for i in range(len(x)):
        group = x[:R] if i < R else torch.cat((x[:R], x[i : i + 1]))
        mean = group.mean((0, 2, 3))[:, None, None]
        deviation = (group.var((0, 2, 3), unbiased=False) + norm.eps).sqrt()[:, None, None]
        rows.append((x[i] - mean) / deviation * norm.weight[:, None, None] + norm.bias[:, None, None])
    return torch.stack(rows)


def of_each_pixel(norm, x):
    """The bug: statistics of each pixel."""
    group = x[:R]
    return (x - group.mean(0)) / (group.var(0, unbiased=False) + norm.eps).sqrt()


def of_the_batch(norm, x):
    """The bug: every sample counts for the others."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + norm.eps).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]


def virtual(norm, x):
    return norm(x)


@pytest.mark.parametrize("n", [0, 1, 4])
def test_it_is_its_definition(n):
    norm, x = make(), features(R + n)
    torch.testing.assert_close(norm(x), by_definition(norm, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bug", [of_each_pixel, of_the_batch])
def test_the_definition_tells_the_bugs(bug):
    norm, x = make(), features(R + 4)
    assert float((bug(norm, x) - by_definition(norm, x)).detach().abs().max()) > 0.05


@pytest.mark.parametrize(("function", "apart"), [(virtual, True), (of_the_batch, False)])
def test_a_sample_does_not_depend_on_the_others_of_its_batch(function, apart):
    norm, x = make(), features(R + 4)
    other = x.clone()
    other[R + 1 :] += 5
    unchanged = torch.equal(function(norm, x)[: R + 1], function(norm, other)[: R + 1])
    assert unchanged == apart


def test_training_and_evaluation_are_alike():
    norm, x = make(), features(R + 2)
    assert torch.equal(norm.train()(x), norm.eval()(x))
    assert not list(norm.buffers())


def test_gradients_flow_through_the_reference_batch():
    norm, x = make(), features(R + 2).requires_grad_()
    (found,) = torch.autograd.grad(norm(x)[R:].square().sum(), x)
    assert (found[:R].flatten(1).abs().amax(1) > 1e-9).all()
    assert torch.autograd.gradcheck(norm, (features(R + 1)[:, :, :2, :2].clone().requires_grad_(),))


def test_large_means_cost_no_digits():
    norm, x = make(torch.float32), features(R + 3, dtype=torch.float32)
    torch.testing.assert_close(norm(x + 1000), norm(x), rtol=0, atol=2e-3)


def test_half_precision_comes_back_as_it_came():
    norm, x = make(torch.float32), features(R + 3, dtype=torch.float32)
    low = norm(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), norm(x), rtol=0.02, atol=0.05)
