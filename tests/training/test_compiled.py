from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gantools.models.system import Batch, Networks, Out, Phase, Scalars
from gantools.objectives.penalties import gradient_penalty
from gantools.training.compiled import Compiled, Computed, difference, plain
from gantools.training.seeds import reseed

CPU = torch.device("cpu")


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Flatten(0))
    return {"critic": critic, "norm": nn.BatchNorm2d(3)}


def penalised(nets: Networks, batch: Batch, scalars: Scalars) -> Out:
    """A Wasserstein critic with a gradient penalty, on images through a network that has buffers."""
    real = nets["norm"](batch.images)
    fake = batch.normal(3, 2, 2)
    value = (
        nets["critic"](fake).mean()
        - nets["critic"](real).mean()
        + scalars["weight"] * gradient_penalty(nets["critic"], real, fake, batch)
    )
    return Out(value, {"loss_d": value.detach()})


def waits(nets: Networks, batch: Batch, scalars: Scalars) -> Out:
    """A loss that reads a number from the device, which no compiler can see through."""
    count = int(batch.images.sum() > 0) + 1
    value = nets["critic"](batch.images).mean() * count
    return Out(value, {"loss_d": value.detach()})


def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(torch.rand(6, 3, 2, 2))


WEIGHT: dict[str, Tensor] = {"weight": torch.tensor(10.0)}


def first(function: Any, nets: Networks) -> Computed:
    reseed(CPU, 5)
    found: Computed = function(nets, batch(), WEIGHT)
    return found


@pytest.mark.slow
def test_a_penalty_compiles_and_agrees_with_the_plain_form() -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    said: list[str] = []
    nets, phase = networks(), Phase("critic", ("critic",), penalised)
    compiled = Compiled(phase, CPU, False, False, said.append)
    found = first(compiled, nets)
    # By default torch computes this without compiling it, and says nothing.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    assert said == [said[0]] and "phase critic: compiled, gradients within" in said[0]
    other = networks()
    expected = first(plain(phase, CPU, False), other)
    apart, scale = difference(found, expected)
    assert apart < 1e-5 * scale
    for ours, theirs in zip(nets["norm"].buffers(), other["norm"].buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)  # the check at first use left no trace
    # Scheduled numbers are read at each use, not baked in.
    WEIGHT["weight"].fill_(0.0)
    assert difference(first(compiled, nets), first(plain(phase, CPU, False), networks()))[0] < 1e-5
    WEIGHT["weight"].fill_(10.0)
    torch._dynamo.reset()


def test_what_does_not_compile_runs_plainly_and_says_so() -> None:
    said: list[str] = []
    nets, phase = networks(), Phase("judge", ("critic",), waits)
    found = first(Compiled(phase, CPU, False, False, said.append), nets)
    assert difference(found, first(plain(phase, CPU, False), nets))[0] == 0
    assert len(said) == 1 and said[0].startswith("phase judge: not compiled (")


def test_a_compiled_form_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, phase = networks(), Phase("critic", ("critic",), penalised)
    right = plain(phase, CPU, False)

    def wrong(*arguments: Any) -> Computed:
        found = right(*arguments)
        return found._replace(gradients=tuple(None if g is None else g * 1.01 for g in found.gradients))

    monkeypatch.setattr("gantools.training.compiled.compiled_function", lambda function: wrong)
    said: list[str] = []
    found = first(Compiled(phase, CPU, False, False, said.append), nets)
    assert difference(found, first(right, networks()))[0] == 0
    assert "ArithmeticError: its gradients are" in said[0]


def test_gradients_of_the_phases_own_networks_only() -> None:
    nets = networks()
    found = first(plain(Phase("critic", ("critic",), penalised), CPU, False), nets)
    assert len(found.gradients) == len(list(nets["critic"].parameters()))
    assert all(p.grad is None for p in [*nets["critic"].parameters(), *nets["norm"].parameters()])
    # A lazy phase stands for as many steps as it is left out of.
    lazy = first(plain(Phase("critic", ("critic",), penalised, every=4, lazy=True), CPU, False), networks())
    for once, four in zip(found.gradients, lazy.gradients, strict=True):
        if once is not None and four is not None:
            torch.testing.assert_close(four, 4 * once)


@pytest.mark.gpu
def test_a_graph_draws_anew_after_re_seeding_and_equals_the_plain_form() -> None:
    device = torch.device("cuda")
    nets = {name: network.to(device) for name, network in networks().items()}
    phase = Phase("critic", ("critic",), penalised)
    said: list[str] = []
    graph, eager = Compiled(phase, device, False, True, said.append), plain(phase, device, False)
    images, weight = batch().images.to(device), {"weight": torch.tensor(10.0, device=device)}
    for step in range(8):
        reseed(device, 3, step)
        ours = graph(nets, Batch(images + step), weight)
        copied = ours._replace(gradients=tuple(None if g is None else g.clone() for g in ours.gradients))
        reseed(device, 3, step)
        apart, scale = difference(copied, eager(nets, Batch(images + step), weight))
        assert apart < 1e-3 * scale, step
    assert any("runs as a CUDA graph" in line for line in said), said
