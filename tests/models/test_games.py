import torch
from torch import nn

from gantools.models import SYSTEMS
from gantools.models.games import two_player
from gantools.models.system import Phase, System
from gantools.objectives.losses import LossConfig, non_saturating_discriminator, non_saturating_generator
from gantools.recipes.recipe import load_recipe
from gantools.training.run import train
from gantools.training.state import TrainingState


class Recorder(nn.Module):
    """A discriminator that remembers the size of each batch it sees."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.sizes = inner, []

    def forward(self, x):
        self.sizes.append(len(x))
        return self.inner(x)


def tiny_state(tiny):
    torch.manual_seed(0)
    return TrainingState(load_recipe(tiny), torch.device("cpu"))


def test_discriminator_sees_real_and_fake_apart(tiny):
    # BatchNorm in D would otherwise mix their statistics.
    state = tiny_state(tiny)
    recorder = Recorder(state.networks["discriminator"])
    discriminator, generator = two_player(LossConfig())
    discriminator.loss({**state.networks, "discriminator": recorder}, torch.rand(8, 3, 8, 8))
    assert recorder.sizes == [8, 8]
    generator.loss({**state.networks, "discriminator": recorder}, torch.rand(8, 3, 8, 8))
    assert recorder.sizes == [8, 8, 8]


def test_values_are_the_losses_of_the_logits(tiny):
    state, real = tiny_state(tiny), torch.rand(8, 3, 8, 8)
    networks = state.networks
    discriminator, generator = two_player(LossConfig("non_saturating", 0.9))
    torch.manual_seed(1)
    value, logged = discriminator.loss(networks, real)
    torch.manual_seed(1)
    fake = networks["generator"](torch.randn(8, 6))
    r, f = networks["discriminator"](real), networks["discriminator"](fake)
    torch.testing.assert_close(value, non_saturating_discriminator(r, f, 0.9))
    torch.testing.assert_close(logged["real_score"], r.sigmoid().mean())
    torch.testing.assert_close(logged["fake_score"], f.sigmoid().mean())
    assert logged["discriminator_accuracy"].item() == ((r > 0).sum() + (f < 0).sum()).item() / 16
    torch.manual_seed(1)
    value, logged = generator.loss(networks, real)
    torch.testing.assert_close(value, non_saturating_generator(f))
    assert not logged["loss_g"].requires_grad


def test_a_lazy_phase_runs_every_so_many_steps(tiny, make_set, tmp_path, monkeypatch):
    steps = []

    def phases(loss):
        def lazy(networks, real):
            steps.append(len(steps))
            value = networks["discriminator"](real).square().mean()
            return value, {"penalty": value.detach()}

        return [*two_player(loss), Phase("lazy", ("discriminator",), lazy, every=4)]

    system = SYSTEMS["dcgan"]
    with_lazy = System(system.config, system.build, phases, "test")
    monkeypatch.setitem(SYSTEMS, "dcgan", with_lazy)
    run = train(tiny, data=make_set(n=48, size=8), out=tmp_path / "runs", progress=False, device="cpu")
    assert len(steps) == 3  # of 12 steps
    assert '"penalty"' in (run / "stats.jsonl").read_text()
