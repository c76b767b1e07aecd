import pytest
import torch
from tests.conftest import blobs, write_prepared

from gantools.training import plan
from gantools.training.job import resolve
from gantools.training.state import TrainingState


@pytest.fixture
def job(tmp_path):
    def make(recipe, overrides, size=8, channels=3):
        data = write_prepared(tmp_path / f"set-{size}-{channels}", blobs(32, size, channels))
        return resolve(
            recipe, data=data, out=tmp_path / "runs", changes={}, overrides=overrides, resume=None, device="cpu"
        )

    return make


SMALL = ["network.width=4", "network.latent=6", "batch=8", "kimg=0.016"]


@pytest.mark.parametrize(
    "more",
    [[], ["ema.half_life_kimg=1"], ["optim.kind=sgd"], ["optim.kind=rmsprop"], ["optim.discriminator.momentum=0.5"]],
)
def test_what_is_counted_is_what_a_training_holds(job, more):
    """By shapes alone, against the tensors of a training after a step."""
    more = [*more, "optim.kind=sgd"] if "momentum" in str(more) else more
    made = job("dcgan", [*SMALL, *more])
    parameters, counted = plan.counted(made.recipe)
    state = TrainingState(made.recipe, torch.device("cpu"))
    assert parameters == {name: sum(p.numel() for p in net.parameters()) for name, net in state.networks.items()}
    held = [t for network in state.networks.values() for t in network.state_dict().values()]
    held += [t for average in state.averages.values() for t in average.network.state_dict().values()]
    for optimizer in state.optimizers.values():
        optimizer.step([torch.ones_like(p) for p in optimizer.parameters], 0)
        moments = [t for s in optimizer.inner.state.values() for t in s.values() if t is not None and t.dim()]
        held += [*optimizer.parameters, *moments]
    # Old gradients are still there when those of the larger network are made anew.
    held += max((o.parameters for o in state.optimizers.values()), key=lambda found: sum(p.numel() for p in found))
    assert counted == sum(t.numel() * t.element_size() for t in held)


def test_networks_that_do_not_fit_are_counted_and_not_built(job, monkeypatch):
    """The 317 million weights of conv-mnist: 5.9 GiB of them, and not one is made."""
    made = job("conv-mnist", [], 28, 1)
    monkeypatch.setattr(plan, "free_memory", lambda device: 5 << 30)
    monkeypatch.setattr(plan, "TrainingState", None)
    found = plan.measure(made)
    assert found.parameters["generator"] == 317_059_520
    assert found.weights_bytes == pytest.approx(4 * (5 * 317_059_520 + 4 * 412_033), rel=1e-3)
    text = found.text()
    assert "parameters, generator:" in text and "memory, weights:         6054.0" in text
    assert "not measured: the weights take more than the 5120 MiB that are free on cpu" in text
    assert "expected time" not in text


def test_uneven_steps_are_measured_as_often_as_they_come(job):
    """A generator that moves after 100 steps only would never be seen in a few of them."""
    seen = []
    made = job("wgan-celeba", [*SMALL, "network.size=8"])

    class Seen(plan.Work):
        def step(self):
            seen.append([phase.name for phase in self.stage.phases if phase.due(self.state.steps)])
            super().step()

    original, plan.Work = plan.Work, Seen
    try:
        found = plan.measure(made)
    finally:
        plan.Work = original
    assert seen.count(["discriminator", "generator"]) * 5 == len(seen)
    assert found.seconds > 0 and found.activation_bytes > 0


def test_free_memory_is_some_of_the_machines():
    from gantools.device import free_memory

    free = free_memory(torch.device("cpu"))
    assert free is None or 1 << 20 < free < 1 << 50
