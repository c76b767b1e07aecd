"""Each loss against its formula written out anew, on several sizes and types of batch."""

import math

import pytest
import torch
import torch.nn.functional as F

from gantools.errors import ConfigError
from gantools.objectives.losses import LOSSES, LossConfig, wide


def sigmoid_log(x):
    return torch.log(1 / (1 + torch.exp(-x)))


# name, options -> the discriminator's and the generator's half, as the papers write them: E is a mean over samples.
DEFINITIONS = [
    (
        "non_saturating",
        {},
        lambda r, f: -sigmoid_log(r).mean() - sigmoid_log(-f).mean(),
        lambda f, r: -sigmoid_log(f).mean(),
    ),
    (
        "non_saturating",
        {"real_target": 0.9},
        lambda r, f: -(0.9 * sigmoid_log(r) + 0.1 * sigmoid_log(-r)).mean() - sigmoid_log(-f).mean(),
        lambda f, r: -sigmoid_log(f).mean(),
    ),
    (
        "least_squares",
        {},
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda f, r: ((f - 1) ** 2).mean() / 2,
    ),
    (
        "least_squares",
        {"a": -1, "b": 1, "c": 0},
        lambda r, f: ((r - 1) ** 2).mean() / 2 + ((f + 1) ** 2).mean() / 2,
        lambda f, r: (f**2).mean() / 2,
    ),
    (
        "hinge",
        {},
        lambda r, f: (
            sum(max(0.0, 1 - x) for x in r.tolist()) / len(r) + sum(max(0.0, 1 + x) for x in f.tolist()) / len(f)
        ),
        lambda f, r: -f.mean(),
    ),
    ("wasserstein", {}, lambda r, f: f.mean() - r.mean(), lambda f, r: -f.mean()),
    (
        "relativistic",
        {},
        lambda r, f: -torch.stack([sigmoid_log(a - b) for a, b in zip(r, f, strict=True)]).mean(),
        lambda f, r: -torch.stack([sigmoid_log(a - b) for a, b in zip(f, r, strict=True)]).mean(),
    ),
    (
        "relativistic_average",
        {},
        lambda r, f: -(sigmoid_log(r - f.mean()).mean() + sigmoid_log(-(f - r.mean())).mean()) / 2,
        lambda f, r: -(sigmoid_log(f - r.mean()).mean() + sigmoid_log(-(r - f.mean())).mean()) / 2,
    ),
    (
        "relativistic_average_detached",
        {},
        lambda r, f: -(sigmoid_log(r - f.mean()).mean() + sigmoid_log(-(f - r.mean())).mean()) / 2,
        lambda f, r: -(sigmoid_log(f - r.mean()).mean() + sigmoid_log(-(r - f.mean())).mean()) / 2,
    ),
    (
        "energy",
        {"margin": 3},
        lambda r, f: sum(-x for x in r.tolist()) / len(r) + sum(max(0.0, 3 + x) for x in f.tolist()) / len(f),
        lambda f, r: -f.mean(),
    ),
    (
        "relativistic_average_hinge",
        {},
        lambda r, f: (1 - (r - f.mean())).clamp(min=0).mean() + (1 + (f - r.mean())).clamp(min=0).mean(),
        lambda f, r: (1 + (r - f.mean())).clamp(min=0).mean() + (1 - (f - r.mean())).clamp(min=0).mean(),
    ),
]


def outputs(n, dtype=torch.float32):
    generator = torch.Generator().manual_seed(n)
    return 2 * torch.randn(n, generator=generator, dtype=dtype) + 0.5, 2 * torch.randn(
        n, generator=generator, dtype=dtype
    )


def test_every_loss_has_a_definition_here():
    assert {name for name, *_ in DEFINITIONS} == set(LOSSES)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize(("name", "options", "discriminator", "generator"), DEFINITIONS)
def test_a_loss_is_its_formula(name, options, discriminator, generator, n):
    loss, (real, fake) = LossConfig(name, options), outputs(n, torch.float64)
    assert float(loss.discriminator(real, fake)) == pytest.approx(float(discriminator(real, fake)), abs=1e-12)
    assert float(loss.generator(fake, real)) == pytest.approx(float(generator(fake, real)), abs=1e-12)
    assert loss.discriminator(real, fake).shape == loss.generator(fake, real).shape == ()


@pytest.mark.parametrize("name", LOSSES)
def test_whether_the_generator_looks_at_real_outputs(name):
    real, fake = outputs(5)
    loss = LossConfig(name)
    if LOSSES[name].pairs:
        assert loss.generator(fake, real) != loss.generator(fake, real + 1)
    else:
        assert loss.generator(fake) == loss.generator(fake, real + 1)


def hinge_of_the_mean(real, fake):
    """The bug: one hinge for the batch."""
    return F.relu(1 - real.mean()) + F.relu(1 + fake.mean())


@pytest.mark.parametrize("bug", [False, True])
def test_the_hinge_is_each_samples_own(bug):
    # Two samples on either side of the margin: the mean has no loss, one of the samples has.
    real, fake = torch.tensor([3.0, 0.0]), torch.tensor([-3.0, 0.0])
    value = (hinge_of_the_mean if bug else LOSSES["hinge"].discriminator)(real, fake)
    assert (float(value) == 1.0) != bug


def margin_of_the_mean(real, fake, margin):
    """The bug of PyTorch-GAN's ebgan.py: one margin for the batch."""
    return -real.mean() + F.relu(margin + fake.mean())


@pytest.mark.parametrize("bug", [False, True])
def test_the_margin_is_each_samples_own(bug):
    # Energies 1 and 9 about a margin of 4: the mean is beyond it, one of the samples is not.
    real, fake = torch.tensor([0.0, 0.0]), torch.tensor([-1.0, -9.0])
    value = (margin_of_the_mean if bug else LOSSES["energy"].discriminator)(real, fake, margin=4.0)
    assert (float(value) == 1.5) != bug


def square_of_the_mean(real, fake):
    """The bug: (E[D(x)] - 1)² instead of E[(D(x) - 1)²]."""
    return 0.5 * (real.mean() - 1) ** 2 + 0.5 * fake.mean() ** 2


@pytest.mark.parametrize("bug", [False, True])
def test_least_squares_is_a_mean_of_squares(bug):
    real, fake = torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 1.0])
    value = (square_of_the_mean if bug else LOSSES["least_squares"].discriminator)(real, fake)
    assert (float(value) == 1.0) != bug


def test_cross_entropy_is_stable_for_large_logits():
    loss, large = LossConfig(), torch.tensor([1e4, -1e4])
    assert loss.discriminator(large, large).item() == pytest.approx(1e4)
    assert loss.generator(large).item() == pytest.approx(5e3)


@pytest.mark.parametrize("target", [0.6, 0.9, 1.0])
def test_the_least_value_is_that_of_the_best_discriminator(target):
    loss = LossConfig("non_saturating", {"real_target": target})
    logits = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    values = torch.stack([loss.discriminator(x[None], torch.tensor([-60.0])) for x in logits])
    assert float(values.min()) == pytest.approx(loss.least(), abs=1e-5)
    # It says of real images what it is told to.
    assert float(logits[values.argmin()].sigmoid()) == pytest.approx(target, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "options", "threshold", "least"),
    [
        ("non_saturating", {}, 0.0, 0.0),
        ("least_squares", {}, 0.5, 0.0),
        ("least_squares", {"a": -1, "b": 1, "c": 0}, 0.0, 0.0),
        ("hinge", {}, 0.0, 0.0),
        ("wasserstein", {}, None, None),
        ("relativistic", {}, None, 0.0),
        ("relativistic_average", {}, None, 0.0),
        ("energy", {}, -5.0, 0.0),
        ("energy", {"margin": 4.0}, -2.0, 0.0),
        ("relativistic_average_hinge", {}, None, 0.0),
    ],
)
def test_the_outputs_above_which_an_image_counts_as_real(name, options, threshold, least):
    loss = LossConfig(name, options)
    assert loss.threshold() == threshold
    assert loss.least() == least


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_computed_in_float32_at_least(name):
    loss = LOSSES[name]
    real, fake = outputs(9)
    low = real.bfloat16(), fake.bfloat16()
    for half in (loss.discriminator, loss.generator):
        assert half(*low).dtype == torch.float32
        torch.testing.assert_close(half(*low), half(*(x.float() for x in low)), rtol=0, atol=0)
        assert half(real.double(), fake.double()).dtype == torch.float64
    assert wide(real) is real


@pytest.mark.parametrize("name", LOSSES)
def test_a_smaller_loss_is_a_better_player(name):
    """Both halves pull the outputs to their own side."""
    loss = LossConfig(name)
    real, fake = (x.requires_grad_() for x in outputs(6))
    d_real, d_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    (g_fake,) = torch.autograd.grad(loss.generator(fake, real), fake)
    # Least squares pulls back what is beyond its target; all else has one direction.
    if name != "least_squares":
        assert (d_real <= 0).all() and (d_fake >= 0).all() and (g_fake <= 0).all()
    else:
        assert torch.equal(d_real.sign(), (real - 1).sign()) and torch.equal(d_fake.sign(), fake.sign())
        assert torch.equal(g_fake.sign(), (fake - 1).sign())


def test_a_recipes_section_there_and_back():
    plain = {"name": "least_squares", "a": -1, "b": 1, "c": 0}
    assert LossConfig.from_plain(plain).to_plain() == plain
    assert LossConfig.from_plain({}) == LossConfig()
    assert math.isclose(LossConfig.from_plain({"real_target": 0.9}).least(), 0.325083, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"name": "hing"}, "game.loss.name", "hinge"),
        (
            {"name": "hinge", "real_target": 0.9},
            "game.loss.real_target: the loss hinge has no options",
            "non_saturating",
        ),
        ({"real_targt": 0.9}, "game.loss.real_targt: the loss non_saturating takes real_target", "real_target"),
        ({"real_target": 1.5}, r"real_target: must be in \(0.5, 1\]", ""),
        ({"real_target": 0.5}, r"real_target: must be in \(0.5, 1\]", ""),
        ({"real_target": True}, "expected a number, found True", ""),
        ({"real_target": math.nan}, "expected a number, found nan", ""),
        ({"real_target": "high"}, "expected a number, found 'high'", ""),
        ({"name": "energy", "margin": 0}, "game.loss.margin: must be above 0, not 0", ""),
        ({"name": "least_squares", "a": 1}, "b, the target of real images, must be above a", ""),
        ("wasserstien", "game.loss: expected keys and values", "{name: wasserstein}"),
    ],
)
def test_what_is_wrong_is_said(values, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        LossConfig.from_plain(values)
    assert hint in str(error.value)


def two_passes(real, fake):
    """Gradients as ESRGAN's code takes them: of real outputs first, then of generated ones, the partner's mean held."""
    r, f = (x.clone().requires_grad_() for x in (real, fake))
    ones, zeros = torch.ones_like(r), torch.zeros_like(f)
    (0.5 * F.binary_cross_entropy_with_logits(r - f.detach().mean(), ones)).backward()
    (0.5 * F.binary_cross_entropy_with_logits(f - r.detach().mean(), zeros)).backward()
    return r.grad, f.grad


@pytest.mark.parametrize("name", ["relativistic_average_detached", "relativistic_average"])
def test_partner_means_are_held_in_the_discriminators_half_of_esrgan(name):
    real, fake = (x.requires_grad_() for x in outputs(6, torch.float64))
    found = torch.autograd.grad(LOSSES[name].discriminator(real, fake), (real, fake))
    same = all(
        torch.allclose(a, b) for a, b in zip(found, two_passes(*(x.detach() for x in (real, fake))), strict=True)
    )
    # With the means' own gradients it is the loss of the paper before, of the same value.
    assert same == (name == "relativistic_average_detached")
