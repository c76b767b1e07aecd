import pytest
import torch
from torch import nn

from gantools.recipes.recipe import OptimConfig
from gantools.schedules import Schedule
from gantools.training.optimizers import Optimizer


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
def test_a_scheduled_beta_is_that_of_the_images_shown(kind):
    """Beside one of torch's whose constant is set by hand at every step, corrected for lazy phases."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    share, schedule = 0.8, Schedule(0.9, 0.99, over_kimg=0.1)
    optimizer = Optimizer(ours, OptimConfig(0.01, kind, (0.0, schedule)), share, torch.device("cpu"))
    beta = 0.9**share
    if kind == "adam":
        by_hand = torch.optim.Adam(theirs.parameters(), 0.01 * share, (0.0, beta))
    else:
        by_hand = torch.optim.RMSprop(theirs.parameters(), 0.01 * share, beta)
    constant = nn.Linear(3, 2)
    constant.load_state_dict(ours.state_dict())
    still = Optimizer(constant, OptimConfig(0.01, kind, (0.0, 0.9)), share, torch.device("cpu"))
    for step in range(5):
        gradients = [torch.randn_like(p) * (step + 1) for p in ours.parameters()]
        optimizer.step([g.clone() for g in gradients], 20 * step)
        still.step([g.clone() for g in gradients], 20 * step)
        for p, g in zip(theirs.parameters(), gradients, strict=True):
            p.grad = g
        beta = (0.9 + 0.09 * step / 5) ** share
        for group in by_hand.param_groups:
            group.update({"betas": (0.0, beta)} if kind == "adam" else {"alpha": beta})
        by_hand.step()
    for a, b, c in zip(ours.parameters(), theirs.parameters(), constant.parameters(), strict=True):
        torch.testing.assert_close(a, b)
        assert not torch.allclose(a, c)


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "sgd"])
def test_a_gradient_of_another_layout_changes_the_weights_it_is_of(kind):
    """Gradients of gradients come in the order of rows, where weights may lie channels last."""
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    gradients = [torch.randn(p.shape) for p in layer.parameters()]
    assert gradients[0].stride() != layer.weight.stride()
    Optimizer(layer, OptimConfig(lr=0.1, kind=kind), 1.0, torch.device("cpu")).step(gradients, 0)
    for (name, p), gradient in zip(layer.named_parameters(), gradients, strict=True):
        moved = before[name] - p
        assert torch.equal(moved.sign(), gradient.sign()), name
        if kind == "sgd":
            torch.testing.assert_close(moved, 0.1 * gradient)
