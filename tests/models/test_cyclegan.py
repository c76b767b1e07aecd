import dataclasses

import pytest
import torch
from tests.models.by_hand import adams, count, gradients, step

from gantools.errors import ConfigError
from gantools.models.cyclegan import SYSTEM, CycleGANConfig, CycleGANGame, build, render, stages
from gantools.models.system import Batch
from gantools.objectives.losses import LossConfig

SMALL = CycleGANConfig(size=16, width=4, blocks=1, judge_width=4, judge_halvings=1, pool=4)


def batch_of(n: int = 2, size: int = 16, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    source = torch.rand(n, 3, size, size) * 2 - 1
    return Batch(images=torch.rand(n, 3, size, size) * 2 - 1, inputs=source)


def small(seed: int = 0, game: CycleGANGame | None = None):
    torch.manual_seed(seed)
    networks = build(SMALL)
    (stage,) = stages(SMALL, game or CycleGANGame())
    return networks, {phase.name: phase for phase in stage.phases}


def test_weights_of_the_published_networks():
    networks = build(CycleGANConfig())
    found = {name: count(network) for name, network in networks.items()}
    assert found == {
        "generator": 11_378_179,
        "back": 11_378_179,
        "judge_target": 2_764_737,
        "judge_source": 2_764_737,
        "pool_target": 0,
        "pool_source": 0,
    }
    assert count(build(CycleGANConfig(size=64, blocks=6))["generator"]) == 7_837_699
    assert networks["generator"].layers[1].weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_translators_first_then_either_judge():
    (stage,) = stages(SMALL, CycleGANGame())
    assert [(p.name, p.updates) for p in stage.phases] == [
        ("translators", ("generator", "back")),
        ("judge_target", ("judge_target",)),
        ("judge_source", ("judge_source",)),
    ]
    assert stage.needs == ("images", "inputs")


class Times(torch.nn.Module):
    """x times a weight, and the inputs it was called with."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.detach())
        return self.factor * x


def test_the_translators_loss_by_hand():
    """Every term of the objective with translators and judges that multiply, so that a wrong side shows."""
    phases = small()[1]
    networks = {"generator": Times(0.5), "back": Times(3.0), "judge_target": Times(2.0), "judge_source": Times(-1.0)}
    batch = batch_of(3)
    a, b = batch.inputs, batch.images
    means = phases["translators"].loss(networks, batch, {}).means
    expected = {
        "gan_target": (2 * 0.5 * a - 1).square().mean(),  # without a half, as the authors
        "gan_source": (-3 * b - 1).square().mean(),
        "cycle": 10 * ((1.5 * a - a).abs().mean() + (1.5 * b - b).abs().mean()),
        # The generator is given images of its own target set, b, and not what it translates.
        "identity": 5 * ((0.5 * b - b).abs().mean() + (3 * a - a).abs().mean()),
    }
    for name, value in expected.items():
        torch.testing.assert_close(means[name], value)
    torch.testing.assert_close(means["loss_g"], sum(expected.values()))
    swapped = 5 * ((0.5 * a - a).abs().mean() + (3 * b - b).abs().mean())
    assert abs(swapped - means["identity"]) > 0.05  # the usual misreading would be seen


def test_without_identity_no_translator_sees_its_own_set():
    phases = small(game=CycleGANGame(identity=0.0))[1]
    networks = {name: Times(1.0) for name in ("generator", "back", "judge_target", "judge_source")}
    out = phases["translators"].loss(networks, batch_of(), {})
    assert "identity" not in out.means
    assert len(networks["generator"].seen) == 2


def test_inverted_light_and_dark_is_logged():
    phases = small()[1]
    networks = {name: Times(f) for name, f in [("generator", -1.0), ("back", -1.0)]}
    networks |= {"judge_target": Times(1.0), "judge_source": Times(1.0)}
    out = phases["translators"].loss(networks, batch_of(), {})
    assert out.means["luma_correlation"].item() == pytest.approx(-1, abs=1e-3)
    assert out.means["cycle"].item() == pytest.approx(0, abs=1e-5)  # which the cycle does not show


def test_judges_see_what_the_translators_made_before_their_step():
    networks, phases = small()
    batch = batch_of()
    with torch.no_grad():
        before = networks["generator"](batch.inputs).clone()
    step(networks, phases["translators"], batch, adams(networks, 0.01, (0.5, 0.999)))
    with torch.no_grad():
        assert not torch.allclose(networks["generator"](batch.inputs), before)
    assert torch.equal(networks["pool_target"].take(batch), before)
    seen: list[torch.Tensor] = []
    networks["judge_target"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    out = phases["judge_target"].loss(networks, batch, {})
    assert torch.equal(seen[0], batch.images)  # the generator's judge is shown the target set as real
    assert torch.equal(seen[1], before)
    real, fake = (networks["judge_target"](x) for x in (batch.images, before))
    torch.testing.assert_close(out.value, 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean())


def test_only_what_a_phase_updates_has_gradients_and_the_rest_stays():
    networks, phases = small()
    batch = batch_of()
    optimizers = adams(networks, 0.01, (0.5, 0.999))
    for phase in phases.values():
        before = {n: [p.clone() for p in net.parameters()] for n, net in networks.items()}
        _, found = gradients(networks, phase, batch) if phase.name == "translators" else (None, {})
        for tensors in found.values():
            assert all(g.isfinite().all() for g in tensors)
        step(networks, phase, batch, optimizers)
        for name, net in networks.items():
            same = all(torch.equal(p, q) for p, q in zip(net.parameters(), before[name], strict=True))
            assert same == (name not in phase.updates or not before[name])


def test_two_halves_of_a_batch_are_the_whole_batch():
    networks, phases = small()
    networks = {name: network.double() for name, network in networks.items()}
    batch = dataclasses.replace(
        batch_of(4), images=batch_of(4).images.double(), inputs=batch_of(4, seed=1).images.double()
    )
    step(networks, phases["translators"], batch, adams(networks, 0.001, (0.5, 0.999)))
    for phase in phases.values():
        _, whole = gradients(networks, phase, batch)
        halves = [gradients(networks, phase, batch.part(i, i + 2))[1] for i in (0, 2)]
        for name in phase.updates:
            for w, a, b in zip(whole[name], halves[0][name], halves[1][name], strict=True):
                torch.testing.assert_close((a + b) / 2, w, rtol=1e-10, atol=1e-10)


def test_golden_losses():
    networks, phases = small(7)
    optimizers = adams(networks, 0.002, (0.5, 0.999))
    found = []
    for i in range(3):
        for phase in phases.values():
            found.append(step(networks, phase, batch_of(seed=i), optimizers, seed=i).value.item())
    assert found == pytest.approx(GOLDEN, rel=1e-3)


GOLDEN = [17.5332, 0.494564, 0.570711, 17.2942, 0.435932, 0.508611, 17.2258, 0.358354, 0.420122]


def test_phases_compile_whole():
    torch._dynamo.reset()
    networks, phases = small()
    batch = batch_of()
    step(networks, phases["translators"], batch, adams(networks, 0.0, (0.5, 0.999)))
    for phase in phases.values():
        compiled = torch.compile(phase.loss, backend="eager", fullgraph=True, dynamic=False)
        torch.testing.assert_close(compiled(networks, batch, {}).value, phase.loss(networks, batch, {}).value)


def test_the_other_way_is_a_control():
    networks = {"generator": Times(2.0), "back": Times(5.0)}
    x = torch.ones(1, 3, 4, 4)
    assert render(networks, x, None, {}).mean() == 2
    assert render(networks, x, None, {"back": 1.0}).mean() == 5
    assert SYSTEM.takes == "images"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CycleGANConfig(size=66), "multiple of 4"),
        (lambda: CycleGANConfig(size=16, judge_halvings=4), "judge_halvings"),
        (lambda: CycleGANConfig(width=0), "at least 1"),
        (lambda: CycleGANGame(cycle=-1.0), "negative"),
        (lambda: CycleGANGame(loss=LossConfig("relativistic")), "unpaired"),
    ],
)
def test_what_cannot_be(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_every_size_that_is_taken_can_be_judged():
    for size in (16, 20, 64, 256):
        for halvings in range(1, 7):
            try:
                config = CycleGANConfig(size=size, judge_halvings=halvings, judge_width=1)
            except ConfigError:
                continue
            assert build(config)["judge_target"](torch.zeros(1, 3, size, size)).numel() > 0
