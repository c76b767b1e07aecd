"""Each term against its formula written out anew, and against the bugs that others have had."""

import math

import pytest
import torch
import torch.nn.functional as F

from gantools.objectives.terms import (
    classification,
    feature_matching,
    historical,
    margin_ranking,
    pulling_away,
    ranked,
    recognised,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_each_sample(real, fake):
    """The bug: the distance of samples, not of the means."""
    return (real - fake).square().sum(1).mean()


@pytest.mark.parametrize("bug", [False, True])
def test_feature_matching_is_of_the_means_over_each_batch(bug):
    function = of_each_sample if bug else feature_matching
    real, fake = draw(6, 4), draw(6, 4, seed=1)
    mean = [sum(real[:, k].tolist()) / 6 - sum(fake[:, k].tolist()) / 6 for k in range(4)]
    assert (float(function(real, fake)) == pytest.approx(sum(m * m for m in mean))) != bug
    # The same samples in another order have the same means.
    assert (float(function(real, real.flip(0))) == pytest.approx(0, abs=1e-12)) != bug


def test_feature_matching_of_maps_and_of_batches_of_other_sizes():
    real, fake = draw(6, 2, 3, 3), draw(4, 2, 3, 3, seed=1)
    assert float(feature_matching(real, fake)) == pytest.approx(
        float(feature_matching(real.flatten(1), fake.flatten(1)))
    )


def test_feature_matching_takes_real_features_for_a_constant():
    real, fake = draw(6, 4).requires_grad_(), draw(6, 4, seed=1).requires_grad_()
    assert torch.autograd.grad(feature_matching(real, fake), (real, fake), allow_unused=True)[0] is None


def without_the_square(codes):
    """The bug of PyTorch-GAN's ebgan.py."""
    n = len(codes)
    cosines = F.normalize(codes, dim=1) @ F.normalize(codes, dim=1).T
    return (cosines.sum() - n) / (n * (n - 1))


def along_the_batch(codes):
    """The bug of torchgan's functional.py: directions of features over the batch, with the diagonal."""
    n = len(codes)
    directions = F.normalize(codes, dim=0)
    return (directions @ directions.T).square().sum() / (n * (n - 1))


def with_itself(codes):
    """The bug: each code is compared with itself too."""
    directions = F.normalize(codes, dim=1)
    return (directions @ directions.T).square().mean()


CASES = {
    "orthogonal": (torch.eye(4, dtype=torch.float64) * torch.tensor([1.0, 2.0, 5.0, 0.1]).double(), 0.0),
    "equal": (torch.ones(4, 3, dtype=torch.float64), 1.0),
    "opposite": (torch.tensor([[1.0, 2.0], [-3.0, -6.0]], dtype=torch.float64), 1.0),
    "at 60 degrees": (torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]], dtype=torch.float64), 0.25),
}


@pytest.mark.parametrize("name", CASES)
def test_pulling_away_of_known_codes(name):
    codes, expected = CASES[name]
    assert float(pulling_away(codes)) == pytest.approx(expected, abs=1e-12)
    assert float(pulling_away(7 * codes)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("bug", [without_the_square, along_the_batch, with_itself])
def test_known_codes_catch_the_bugs(bug):
    assert any(abs(float(bug(codes)) - expected) > 0.1 for codes, expected in CASES.values())


def test_pulling_away_is_the_mean_over_pairs():
    codes = draw(5, 3)
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                a, b = codes[i], codes[j]
                total += float((a @ b) / (a.norm() * b.norm())) ** 2
    assert float(pulling_away(codes)) == pytest.approx(total / 20)


def test_codes_of_one_sample_or_of_zeros_have_a_finite_gradient():
    for codes in (torch.zeros(3, 4), torch.ones(1, 4)):
        codes.requires_grad_()
        value = pulling_away(codes)
        (found,) = torch.autograd.grad(value, codes)
        assert float(value) == 0 and found.isfinite().all()


def test_classes():
    logits, labels = draw(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    expected = -sum(math.log(float(shares[i, c])) for i, c in enumerate(labels.tolist())) / 6
    assert float(classification(logits, labels)) == pytest.approx(expected)
    assert classification(logits.bfloat16(), labels).dtype == torch.float32
    right = torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 1.0], [5.0, 4.0]])
    assert float(recognised(right, torch.tensor([0, 1, 0, 1]))) == 0.5


def test_history_is_a_square_distance_and_pulls_towards_the_mean():
    weights = [draw(3, 2).requires_grad_(), draw(4, seed=1).requires_grad_()]
    means = [draw(3, 2, seed=2), draw(4, seed=3)]
    value = historical(weights, means)
    flat, middle = torch.cat([w.flatten() for w in weights]), torch.cat([m.flatten() for m in means])
    assert float(value) == pytest.approx(float((flat - middle).norm()) ** 2)
    found = torch.autograd.grad(value, weights)
    for gradient, weight, mean in zip(found, weights, means, strict=True):
        torch.testing.assert_close(gradient, 2 * (weight.detach() - mean))


@pytest.mark.parametrize("bug", [False, True])
def test_scores_of_a_ranker_rise_from_the_better_to_the_worse(bug):
    better, worse = torch.tensor([0.0, 0.0, 2.0]), torch.tensor([1.0, 0.2, 0.0])
    # The bug: the sign of a score that rises with quality, as of Ma et al.; and one margin for the batch.
    value = margin_ranking(worse, better) if bug else margin_ranking(better, worse, 0.5)
    assert (float(value) == pytest.approx((0 + 0.3 + 2.5) / 3)) != bug
    x = torch.tensor([8.0, -9.0], requires_grad=True)
    (slope,) = torch.autograd.grad(margin_ranking(x[:1], x[1:]), x)
    assert slope.tolist() == [1.0, -1.0]  # also beyond 5, where the authors' clamp leaves no gradient


def test_what_a_ranker_says_is_a_mean_not_a_sum():
    scores = torch.tensor([0.0, 3.0, -2.0, 5.0])
    assert float(ranked(scores)) == pytest.approx(float((1 / (1 + torch.exp(-scores))).sum()) / 4)
    # 0.03 of the sum over a batch of 8 is 0.24 of the mean.
    eight = torch.linspace(-2, 2, 8)
    assert 0.24 * float(ranked(eight)) == pytest.approx(0.03 * float(torch.sigmoid(eight).sum()))
