from itertools import pairwise

import pytest
import torch
from torch import nn

from gantools.errors import ConfigError
from gantools.models import NAMES, find_system
from gantools.models.games import FEATURED, Auxiliary, Bursts, TwoPlayer, clip_weights, scores, two_player
from gantools.models.system import Batch, Seen
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties, gradient_penalty
from gantools.objectives.terms import classification, feature_matching, historical, pulling_away
from gantools.recipes.recipe import load_recipe
from gantools.training.compiled import plain
from gantools.training.state import TrainingState
from gantools.training.step import run_phase


class Recorder(nn.Module):
    """A discriminator that remembers the size of each batch it sees."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.sizes = inner, []

    def forward(self, x, *labels):
        self.sizes.append(len(x))
        return self.inner(x, *labels)


def phases_of(config=None, **game):
    (stage,) = two_player(config, TwoPlayer(**game))
    return {phase.name: phase for phase in stage.phases}


@pytest.fixture
def networks(tiny):
    return TrainingState(load_recipe(tiny), torch.device("cpu")).networks


def batch(n=8):
    torch.manual_seed(3)
    return Batch(torch.rand(n, 3, 8, 8) * 2 - 1)


def test_discriminator_sees_real_and_fake_apart(networks):
    # BatchNorm in D would otherwise mix their statistics.
    recorder = Recorder(networks["discriminator"])
    phases = phases_of()
    phases["discriminator"].loss({**networks, "discriminator": recorder}, batch(), {})
    assert recorder.sizes == [8, 8]
    phases["generator"].loss({**networks, "discriminator": recorder}, batch(), {})
    assert recorder.sizes == [8, 8, 8]


def test_values_are_the_losses_of_the_logits(networks):
    loss = LossConfig("non_saturating", {"real_target": 0.9})
    phases = phases_of(loss=loss)
    rows = batch()
    torch.manual_seed(1)
    value, means, _ = phases["discriminator"].loss(networks, rows, {})
    torch.manual_seed(1)
    fake = networks["generator"](torch.randn(8, 6))
    r, f = networks["discriminator"](rows.images), networks["discriminator"](fake)
    torch.testing.assert_close(value, loss.discriminator(r, f))
    torch.testing.assert_close(means["real_score"], r.sigmoid().mean())
    torch.testing.assert_close(means["fake_score"], f.sigmoid().mean())
    assert means["discriminator_accuracy"].item() == ((r > 0).sum() + (f < 0).sum()).item() / 16
    torch.manual_seed(1)
    value, means, _ = phases["generator"].loss(networks, rows, {})
    torch.testing.assert_close(value, loss.generator(f))
    assert not means["loss_g"].requires_grad


def test_scores_are_on_the_scale_of_the_loss():
    real, fake = torch.tensor([0.9, 0.4]), torch.tensor([0.1, 0.2])
    squares = scores(LossConfig("least_squares"), real, fake)
    # Targets are 1 and 0, so the border is a half, and the outputs themselves are the scores.
    assert squares["discriminator_accuracy"].item() == pytest.approx(0.75)
    assert squares["real_score"].item() == pytest.approx(0.65)
    critic = scores(LossConfig("wasserstein"), real, fake)
    assert "discriminator_accuracy" not in critic and critic["fake_score"].item() == pytest.approx(0.15)
    pairs = scores(LossConfig("relativistic"), real, torch.tensor([0.5, 0.5]))
    assert pairs["discriminator_accuracy"].item() == 0.5


def test_a_penalty_is_part_of_the_step_or_a_lazy_phase(networks):
    always = phases_of(penalties=Penalties.from_plain({"gradient": 10}))
    assert list(always) == ["discriminator", "generator"] and always["discriminator"].uncoupled == ("discriminator",)
    networks = {**networks, "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Flatten(0))}
    rows = batch()
    torch.manual_seed(1)
    value, means, _ = always["discriminator"].loss(networks, rows, {})
    torch.manual_seed(1)
    plain, _, _ = phases_of()["discriminator"].loss(networks, rows, {})
    torch.manual_seed(1)
    fake = networks["generator"](torch.randn(8, 6)).detach()
    expected = 10 * gradient_penalty(networks["discriminator"], rows.images, fake, rows)
    torch.testing.assert_close(value - plain, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(means["gradient"], expected)
    lazy = phases_of(penalties=Penalties.from_plain({"r1": {"weight": 5, "every": 16}}))
    assert list(lazy) == ["discriminator", "r1", "generator"]
    assert lazy["r1"].lazy and lazy["r1"].every == 16
    assert [step for step in range(40) if lazy["r1"].due(step)] == [0, 16, 32]


def test_critic_steps_come_before_the_generators():
    phases = phases_of(critic_steps=5)
    assert [step for step in range(12) if phases["generator"].due(step)] == [4, 9]
    assert all(phases["discriminator"].due(step) for step in range(12))


def test_a_penalty_of_gradients_refuses_batch_normalisation(tiny):
    recipe = load_recipe(tiny, ["network.size=16", "penalties.r1=1"])
    with pytest.raises(ConfigError, match=r"discriminator has BatchNorm2d at 'layers\.3'"):
        TrainingState(recipe, torch.device("cpu"))
    # Without a layer of it there is nothing to refuse: at 8 px the discriminator has none.
    TrainingState(load_recipe(tiny, ["penalties.r1=1"]), torch.device("cpu"))


def test_clipping():
    network = nn.Linear(3, 3)
    with torch.no_grad():
        clip_weights(network, 0.1)
    assert all(p.abs().max() <= 0.1 for p in network.parameters())
    assert any(p.abs().max().item() == pytest.approx(0.1) for p in network.parameters())


@pytest.mark.parametrize("labels", ["uniform", "data"])
def test_classes_of_generated_images(labels):
    seen = []

    class Told(nn.Module):
        latent = 2

        def forward(self, z, y):
            seen.append(y)
            return torch.zeros(len(z), 3, 8, 8)

    class Judge(nn.Module):
        def forward(self, x, y):
            return x.sum((1, 2, 3))

    config = find_system("dcgan").config(size=8, classes=4)
    (stage,) = two_player(config, TwoPlayer(labels=labels))
    assert stage.needs == ("images", "labels")
    rows = Batch(torch.zeros(64, 3, 8, 8), torch.full((64,), 2))
    stage.phases[0].loss({"generator": Told(), "discriminator": Judge()}, rows, {})
    assert sorted(set(seen[0].tolist())) == ([2] if labels == "data" else [0, 1, 2, 3])


def test_real_and_generated_images_as_one_batch(networks):
    recorder = Recorder(networks["discriminator"])
    rows = batch()
    values = []
    for together in (False, True):
        phase = phases_of(together=together)["discriminator"]
        assert phase.uncoupled == (("discriminator",) if together else ())
        torch.manual_seed(1)
        values.append(phase.loss({**networks, "discriminator": recorder}, rows, {}))
    assert recorder.sizes == [8, 8, 16]
    # Without anything that couples the rows it is the same number.
    torch.testing.assert_close(values[0].value, values[1].value)
    for key in ("real_score", "fake_score"):
        torch.testing.assert_close(values[0].means[key], values[1].means[key])


def test_one_batch_tells_each_half_its_own_classes():
    class Told(nn.Module):
        latent = 2

        def forward(self, z, y):
            return torch.zeros(len(z), 1, 4, 4)

    class Judge(nn.Module):
        def forward(self, x, y):
            seen.append(y.tolist())
            return x.sum((1, 2, 3))

    seen = []
    phase = phases_of(find_system("mlp").config(size=4, classes=9), together=True)["discriminator"]
    rows = Batch(torch.ones(64, 1, 4, 4), torch.full((64,), 7))
    phase.loss({"generator": Told(), "discriminator": Judge()}, rows, {})
    assert seen[0][:64] == [7] * 64 and len(set(seen[0][64:])) == 9


def test_one_batch_refuses_batch_normalisation(tiny):
    with pytest.raises(ConfigError, match=r"discriminator has BatchNorm2d at 'layers\.3'") as e:
        TrainingState(load_recipe(tiny, ["network.size=16", "together=true"]), torch.device("cpu"))
    assert "game.together=false" in e.value.hint


def by_the_code(generator_steps, steps=100, first=25, every=500, critic_steps=5):
    """Arjovsky's main.py: the critic steps that are done before each generator step."""
    return [steps if g < first or g % every == 0 else critic_steps for g in range(generator_steps)]


@pytest.mark.parametrize(
    ("bursts", "critic_steps"),
    [((100, 25, 500), 5), ((7, 0, 3), 2), ((4, 3, 3), 1), ((6, 10, 4), 2), ((3, 2, 1), 5), ((5, 8, 4), 1)],
)
def test_bursts_are_those_of_the_papers_code(bursts, critic_steps):
    phases = phases_of(bursts=Bursts(*bursts), critic_steps=critic_steps)
    many = 1600 if bursts[0] == 100 else 60
    expected = by_the_code(many, *bursts, critic_steps)
    due = [step for step in range(sum(expected)) if phases["generator"].due(step)]
    assert [after - before for before, after in pairwise([-1, *due])] == expected
    assert all(phases["discriminator"].due(step) for step in range(50))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"every": 0}, {"first": -1}])
def test_bursts_that_are_none(wrong):
    with pytest.raises(ConfigError, match=r"game\.bursts"):
        Bursts(**wrong)


@pytest.mark.parametrize("clip", [0.01, None])
def test_the_critic_of_wgan_stays_within_its_box(clip):
    """Weights of its batch normalisation too; with clipping off they are outside, which the test would see."""
    overrides = {"network": {"size": 8, "width": 4, "latent": 4}, "batch": 8, "clip": clip, "optim.lr": 1e-3}
    state = TrainingState(load_recipe("wgan-celeba", overrides), torch.device("cpu"))
    state.enter()
    phase = state.stage_now.phases[0]
    run_phase(state, phase, plain(phase, state.device, False), batch(), {}, at=(0, 0, 0))
    largest = max(float(p.detach().abs().max()) for p in state.networks["discriminator"].parameters())
    assert (largest <= 0.01 + 1e-9) == (clip is not None)


def player(name, **config):
    torch.manual_seed(0)
    system = find_system(name)
    config = system.config(size=8, latent=6, width=4, **config)
    return config, system.build(config)


def drawn(config, networks, rows, labels=False):
    """What the generator's phase makes of `rows` after `torch.manual_seed(1)`: classes first, then latents."""
    torch.manual_seed(1)
    told = torch.randint(config.classes, (len(rows),)) if labels else None
    z = torch.randn(len(rows), 6)
    return (networks["generator"](z) if told is None else networks["generator"](z, told)), told


def value_of(config, networks, rows, name, **game):
    (stage,) = two_player(config, TwoPlayer(**game))
    torch.manual_seed(1)
    return {phase.name: phase for phase in stage.phases}[name].loss(networks, rows, {})


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_feature_matching_takes_the_place_of_the_adversarial_loss_or_stands_beside_it(name):
    config, networks = player(name)
    rows = batch()
    judge = networks["discriminator"]
    fake, _ = drawn(config, networks, rows)
    outputs, features = judge.examine(fake)
    expected = feature_matching(judge.examine(rows.images)[1], features)
    alone = value_of(config, networks, rows, "generator", feature_matching=0.5, adversarial=0)
    torch.testing.assert_close(alone.value, 0.5 * expected, rtol=1e-4, atol=1e-6)
    both = value_of(config, networks, rows, "generator", feature_matching=0.5)
    torch.testing.assert_close(both.value, LossConfig().generator(outputs) + 0.5 * expected, rtol=1e-4, atol=1e-6)
    assert set(both.means) == {"loss_g", "adversarial", "feature_matching"} and set(alone.means) == {"loss_g"}


def test_pulling_away_is_of_the_generated_images_features():
    config, networks = player("dcgan")
    fake, _ = drawn(config, networks, batch())
    features = networks["discriminator"].examine(fake)[1]
    found = value_of(config, networks, batch(), "generator", pulling_away=0.3).means["pulling_away"]
    torch.testing.assert_close(found, 0.3 * pulling_away(features.flatten(1)).detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_the_discriminator_names_classes_and_is_not_told_them(name):
    config, networks = player(name, classes=3)
    rows = Batch(batch().images, torch.arange(8) % 3)
    judge = networks["discriminator"]
    weights = Auxiliary(discriminator=0.7, generator=0.2)
    fake, told = drawn(config, networks, rows, labels=True)
    (r, rf), (f, ff) = judge.examine(rows.images), judge.examine(fake)
    out = value_of(config, networks, rows, "discriminator", auxiliary=weights)
    entropy = classification(judge.recognise(rf), rows.labels) + classification(judge.recognise(ff), told)
    torch.testing.assert_close(out.value, LossConfig().discriminator(r, f) + 0.7 * entropy, rtol=1e-4, atol=1e-5)
    share = (judge.recognise(rf).argmax(1) == rows.labels).float().mean()
    torch.testing.assert_close(out.means["recognised_real"], share)
    torch.testing.assert_close(out.means["loss_d"], LossConfig().discriminator(r, f).detach(), rtol=1e-4, atol=1e-5)
    out = value_of(config, networks, rows, "generator", auxiliary=weights)
    entropy = classification(judge.recognise(ff), told)
    torch.testing.assert_close(out.value, LossConfig().generator(f) + 0.2 * entropy, rtol=1e-4, atol=1e-5)
    assert set(out.means) == {"loss_g", "adversarial", "auxiliary"}


def test_a_penalty_is_of_a_discriminator_that_is_not_told_classes_either():
    config, networks = player("resnet", classes=3)
    rows = Batch(batch().images, torch.arange(8) % 3)
    for every in (1, 4):
        game = TwoPlayer(
            auxiliary=Auxiliary(1, 1), penalties=Penalties.from_plain({"r1": {"weight": 1, "every": every}})
        )
        (stage,) = two_player(config, game)
        phase = stage.phases[0 if every == 1 else 1]
        found = phase.loss(networks, rows, {}).means["r1"]
        expected = game.penalties.of["r1"](networks["discriminator"], rows.images, rows.images, rows)
        torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


def test_history_is_in_both_losses_and_written_after_each_step():
    config, networks = player("dcgan")
    game = TwoPlayer(historical=0.1, clip=0.05)
    networks = {**networks, **game.prepare(networks)}
    (stage,) = two_player(config, game)
    rows = batch()
    for phase in stage.phases:
        name = phase.name
        with torch.no_grad():
            for p in networks[name].parameters():
                p.add_(0.1)
        plain = value_of(config, networks, rows, name)
        term = 0.1 * historical(networks[name].parameters(), networks[f"{name}_history"].means())
        torch.manual_seed(1)
        found = phase.loss(networks, rows, {})
        torch.testing.assert_close(found.value - plain.value, term, rtol=1e-3, atol=1e-4)
        before = [m.clone() for m in networks[f"{name}_history"].means()]
        with torch.no_grad():
            phase.after(networks, Seen(8, found.means, found.rows))
        # Clipped first, then counted.
        weights = list(networks[name].parameters())
        assert all(p.abs().max() <= 0.05 for p in weights) == (name == "discriminator")
        for mean, old, weight in zip(networks[f"{name}_history"].means(), before, weights, strict=True):
            torch.testing.assert_close(mean, (old + weight) / 2)


class Blind(nn.Module):
    def forward(self, x, *labels):
        return x.flatten(1).sum(1)


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ({"feature_matching": 1.0}, r"game.feature_matching: the discriminator of this model shows no features"),
        ({"pulling_away": 1.0}, r"game.pulling_away: the discriminator"),
        ({"auxiliary": Auxiliary(1, 0)}, r"game.auxiliary: the discriminator"),
        ({"loss": LossConfig("energy")}, r"game.loss.name: energy does not fit the discriminator"),
    ],
)
def test_switches_that_the_networks_have_not_what_it_takes_for(networks, game, message):
    with pytest.raises(ConfigError, match=message):
        TwoPlayer(**game).prepare({**networks, "discriminator": Blind()})


def test_naming_classes_needs_some(networks, tiny):
    with pytest.raises(ConfigError, match="names no classes"):
        TwoPlayer(auxiliary=Auxiliary(1, 1)).prepare(networks)
    with pytest.raises(ConfigError, match="names no classes"):
        TrainingState(load_recipe(tiny, ["auxiliary.generator=1"]), torch.device("cpu"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"adversarial": 0.0}, "neither an adversarial loss nor feature matching"),
        ({"historical": -1.0}, "game.historical: must be at least 0, not -1"),
        ({"pulling_away": -1.0}, "game.pulling_away: must be at least 0"),
    ],
)
def test_weights_that_cannot_be(values, message):
    with pytest.raises(ConfigError, match=message):
        TwoPlayer(**values)
    with pytest.raises(ConfigError, match=r"game.auxiliary"):
        Auxiliary(-1.0)


def test_the_message_names_all_models_whose_discriminators_show_features():
    showing = []
    for name in NAMES:
        system = find_system(name)
        if system.game is TwoPlayer:
            with torch.device("meta"):
                showing += [name] * hasattr(system.build(system.config())["discriminator"], "examine")
    assert sorted(FEATURED.split(", ")) == sorted(showing)
