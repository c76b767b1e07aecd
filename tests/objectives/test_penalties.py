"""Each penalty against critics whose gradients are known, and against the bugs that others have had."""

import math

import pytest
import torch
from torch import nn

from gantools.errors import ConfigError
from gantools.objectives.penalties import PENALTIES, Penalties, PenaltyConfig, gradients, norms, read_penalties

SHAPES = [(1, 3, 8, 8), (6, 1, 1, 2), (5, 3, 4, 6)]


class Rows:
    """The same numbers for the same rows: what a batch gives, cut to some of them."""

    def __init__(self, n, rows=slice(None), dtype=torch.float32):
        self.n, self.rows, self.dtype = n, rows, dtype

    def normal(self, *shape):
        return torch.randn(self.n, *shape, generator=torch.Generator().manual_seed(1), dtype=self.dtype)[self.rows]

    def uniform(self, *shape):
        return torch.rand(self.n, *shape, generator=torch.Generator().manual_seed(2), dtype=self.dtype)[self.rows]


def images(shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(shape))
    return [torch.rand(shape, generator=generator, dtype=dtype) * 2 - 1 for _ in range(2)]


def penalty(name, critic, real, fake, draws=None, **options):
    draws = draws or Rows(len(real), dtype=real.dtype)
    return float(PENALTIES[name].function(critic, real, fake, draws, **options).detach())


def norm_of_the_whole_batch(critic, real, fake, draws, *, target=1.0):
    """The bug: one norm for all samples."""
    x = real + draws.uniform(1, 1, 1) * (fake - real)
    return (gradients(critic, x).norm() - target) ** 2


def mean_before_gradient(critic, real, fake, draws, *, target=1.0):
    """The bug: the gradient of the mean over samples, n times too small."""
    x = (real + draws.uniform(1, 1, 1) * (fake - real)).requires_grad_()
    (found,) = torch.autograd.grad(critic(x).mean(), x, create_graph=True)
    return (norms(found) - target).square().mean()


def length(scale):
    """D(x) = scale ‖x‖, whose gradient has the length `scale` everywhere."""
    return lambda x: scale * x.flatten(1).norm(dim=1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("scale", "target"), [(1.0, 1.0), (3.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("name", ["gradient", "dragan"])
def test_gradient_penalty_of_a_known_slope(name, scale, target, shape):
    real, fake = images(shape)
    assert penalty(name, length(scale), real, fake, target=target) == pytest.approx((scale - target) ** 2, abs=1e-5)


@pytest.mark.parametrize("bug", [norm_of_the_whole_batch, mean_before_gradient])
def test_the_known_slope_catches_a_penalty_that_is_not_of_each_sample(bug):
    for shape in SHAPES[1:]:
        real, fake = images(shape)
        assert abs(float(bug(length(1.0), real, fake, Rows(len(real))).detach())) > 0.1


def plain_critic():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(1, 8), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(192, 1)
    ).double()


def coupled_critic():
    """The bug: batch normalisation in a critic, so that a sample's gradient depends on the others."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(192, 1)
    ).double()


def value_and_mean_of_singles(function, critic):
    """The penalty of a batch, and the mean of the penalties of its samples, one at a time with the same numbers."""
    real, fake = images((5, 3, 4, 6), torch.float64)
    whole = function(critic, real, fake, Rows(5, dtype=torch.float64))
    singles = [
        function(critic, real[i : i + 1], fake[i : i + 1], Rows(5, slice(i, i + 1), torch.float64)) for i in range(5)
    ]
    return float(whole.detach()), sum(float(x.detach()) for x in singles) / 5


@pytest.mark.parametrize("name", PENALTIES)
def test_a_batchs_penalty_is_the_mean_of_its_samples(name):
    whole, singles = value_and_mean_of_singles(PENALTIES[name].function, plain_critic())
    assert whole == pytest.approx(singles, rel=1e-12)


@pytest.mark.parametrize(
    ("function", "critic"),
    [
        (norm_of_the_whole_batch, plain_critic),
        (mean_before_gradient, plain_critic),
        *((PENALTIES[name].function, coupled_critic) for name in ("gradient", "dragan", "r1", "r2")),
    ],
)
def test_single_samples_catch_a_coupled_penalty(function, critic):
    whole, singles = value_and_mean_of_singles(function, critic())
    assert whole != pytest.approx(singles, rel=1e-2)


@pytest.mark.parametrize("name", PENALTIES)
def test_order_of_samples_does_not_matter(name):
    real, fake = images((5, 3, 4, 6), torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    critic = plain_critic()
    shuffled = penalty(name, critic, real[order], fake[order], Rows(5, order, torch.float64))
    assert shuffled == pytest.approx(penalty(name, critic, real, fake), rel=1e-12)


def test_interpolates_lie_between_real_and_generated_images_with_one_share_a_sample():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake = images((64, 3, 4, 4))
    penalty("gradient", critic, real, fake)
    share = (seen[0] - real) / (fake - real)
    torch.testing.assert_close(share, share[:, :1, :1, :1].expand_as(share), rtol=0, atol=2e-2)
    assert 0 <= share[:, 0, 0, 0].min() < 0.1 and 0.9 < share[:, 0, 0, 0].max() <= 1


def test_r1_is_of_real_and_r2_of_generated_images():
    """D(x) = ½ ‖x‖² has the gradient x: the penalties are ½ E‖x‖²."""
    real, fake = images((5, 3, 4, 6))
    critic = lambda x: x.flatten(1).square().sum(1) / 2  # noqa: E731
    for name, of in (("r1", real), ("r2", fake)):
        assert penalty(name, critic, real, fake) == pytest.approx(float(of.square().sum()) / 5 / 2, rel=1e-5)
    assert penalty("drift", critic, real, fake) == pytest.approx(float(critic(real).square().mean()), rel=1e-6)


def test_dragan_stays_around_real_images():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake = images((5, 3, 4, 6))
    penalty("dragan", critic, real, fake)
    noise = (seen[0] - real).flatten(1)
    reach = 0.5 * real.flatten(1).std(1, keepdim=True)
    # Uniform a pixel up to a share a sample of half its own deviation, as α and u of its reference code.
    share = Rows(5).uniform(1, 1, 1).flatten(1)
    assert (noise >= -1e-6).all() and (noise <= share * reach + 1e-6).all()
    assert (noise.max(1).values > 0.9 * (share * reach)[:, 0]).all()


@pytest.mark.parametrize("name", ["gradient", "dragan", "r1", "r2"])
def test_a_penalty_reaches_the_weights_and_nothing_else(name):
    """Its derivative by the weights is that of finite differences; real and generated images get none."""
    real, fake = (x.requires_grad_() for x in images((3, 1, 2, 2), torch.float64))
    weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()

    def value(w):
        return PENALTIES[name].function(
            lambda x: (x.flatten(1) @ w).tanh().sum(1), real, fake, Rows(3, dtype=torch.float64)
        )

    assert torch.autograd.gradcheck(value, (weight,))
    assert torch.autograd.grad(value(weight), (real, fake), allow_unused=True) == (None, None)


@pytest.mark.parametrize("name", ["gradient", "r1", "r2", "dragan"])
def test_a_flat_critic_has_a_finite_derivative(name):
    real, fake = images((4, 3, 4, 4))
    weight = torch.zeros(48, requires_grad=True)
    value = PENALTIES[name].function(lambda x: x.flatten(1) @ weight, real, fake, Rows(4))
    (found,) = torch.autograd.grad(value, weight)
    assert found.isfinite().all()


def test_penalties_are_computed_in_float32_where_losses_are_not():
    real, fake = images((4, 3, 4, 6))
    critic = plain_critic().float()
    apart = PenaltyConfig("gradient", 10.0)(critic, real, fake, Rows(4))
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(real).dtype == torch.bfloat16
        within = PenaltyConfig("gradient", 10.0)(critic, real.bfloat16().float(), fake, Rows(4))
        torch.testing.assert_close(PenaltyConfig("gradient", 10.0)(critic, real, fake, Rows(4)), apart, rtol=0, atol=0)
    assert within.dtype == torch.float32
    assert float(apart) == pytest.approx(10 * penalty("gradient", critic, real, fake), rel=1e-6)


def test_a_recipes_section():
    penalties = Penalties.from_plain(
        {"gradient": {"weight": 5, "target": 2}, "r1": {"every": 16}, "drift": 0.01, "r2": None}
    )
    assert [p.name for p in penalties.always] == ["gradient", "drift"]
    assert [p.name for p in penalties.lazy] == ["r1"]
    assert penalties.of["gradient"] == PenaltyConfig("gradient", 5.0, 1, {"target": 2.0})
    assert penalties.of["r1"] == PenaltyConfig("r1", 10.0, 16, {})
    assert penalties.of["drift"].weight == 0.01
    assert Penalties.from_plain(penalties.to_plain()) == penalties
    assert penalties.gradient and not Penalties.from_plain({"drift": {}}).gradient and not Penalties().gradient


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"gradien": 1}, "gradien", "gradient"),
        ({"r1": {"weigt": 1}}, r"game.penalties.r1.weigt: unknown key. Did you mean 'weight'\?", "Keys: weight, every"),
        ({"r1": {"target": 1}}, "game.penalties.r1.target: unknown key", "Keys: weight, every"),
        ({"r1": {"weight": -1}}, "r1.weight: must not be below 0", ""),
        ({"r1": {"weight": math.inf}}, "expected a number, found inf", ""),
        ({"r1": {"weight": "10"}}, "expected a number, found '10'", ""),
        ({"r1": {"every": 0}}, "every: must be a whole number from 1 on, not 0", ""),
        ({"r1": {"every": 1.5}}, "every: must be a whole number from 1 on, not 1.5", ""),
        ({"r1": True}, "expected its weight or keys and values, found True", ""),
        ({"r1": "on"}, "expected its weight or keys and values, found 'on'", ""),
        ("gradient", "game.penalties: expected penalties by name, found 'gradient'", "{gradient: 10}"),
        (["r1"], "game.penalties: expected penalties by name", ""),
    ],
)
def test_what_is_wrong_is_said(values, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        read_penalties(values)
    assert hint in str(error.value)
