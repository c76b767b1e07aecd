import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gantools.layers.spectral import SpectralNorm, iterate, spectral
from gantools.training.state import freeze_first

WIDE = torch.float64

LAYERS = {
    "convolution": lambda: nn.Conv2d(3, 6, 3),
    "transposed": lambda: nn.ConvTranspose2d(3, 6, 4),
    "dense": lambda: nn.Linear(9, 4),
    "embedding": lambda: nn.Embedding(5, 7),
}


def normalised(kind):
    torch.manual_seed(0)
    layer = LAYERS[kind]().to(WIDE)
    spectral(layer)
    (norm,) = layer.parametrizations.weight
    return layer, norm


def largest(layer, norm):
    return torch.linalg.svdvals(norm.matrix(layer.parametrizations.weight.original.detach()))[0]


def start_of(kind, layer):
    return torch.tensor([0, 3, 3]) if kind == "embedding" else torch.randn(2, 9 if kind == "dense" else 3, *(
        () if kind == "dense" else (5, 5)), dtype=WIDE)  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
def test_the_estimate_is_the_largest_singular_value(kind):
    layer, norm = normalised(kind)
    weight = layer.parametrizations.weight.original
    rows = weight.shape[1 if kind == "transposed" else 0]
    assert norm.u.shape == (rows,)
    assert norm.sigma(weight) <= largest(layer, norm) * (1 + 1e-12)
    torch.testing.assert_close(norm.sigma(weight), largest(layer, norm), rtol=0.01, atol=0)
    norm.iterate(weight, 300)
    torch.testing.assert_close(norm.sigma(weight), largest(layer, norm), rtol=1e-9, atol=0)
    torch.testing.assert_close(layer.weight * norm.sigma(weight), weight)
    assert float(torch.linalg.svdvals(norm.matrix(layer.weight.detach()))[0]) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("kind", LAYERS)
def test_it_is_torchs_spectral_norm(kind):
    """The same weights, outputs, gradients and next vectors from the same vector."""
    layer, norm = normalised(kind)
    original = layer.parametrizations.weight.original
    torch.manual_seed(0)
    theirs = LAYERS[kind]().to(WIDE)
    theirs.load_state_dict({n.replace("parametrizations.weight.original", "weight"): t
                            for n, t in layer.state_dict().items() if not n.endswith(".u")})  # fmt: skip
    theirs = spectral_norm(theirs)
    peer = theirs.parametrizations.weight[0]
    matrix = norm.matrix(original.detach())
    with torch.no_grad():
        norm.u.copy_(nn.functional.normalize(torch.randn_like(norm.u), dim=0))  # far from converged
        peer._u.copy_(norm.u)
        peer._v.copy_(nn.functional.normalize(matrix.t() @ norm.u, dim=0))
    theirs.eval()
    x = start_of(kind, layer)
    torch.testing.assert_close(layer(x), theirs(x), rtol=0, atol=1e-13)
    (ours,) = torch.autograd.grad(layer(x).cos().sum(), original)
    (other,) = torch.autograd.grad(theirs(x).cos().sum(), theirs.parametrizations.weight.original)
    torch.testing.assert_close(ours, other, rtol=0, atol=1e-12)
    iterate(layer)
    theirs.train()(x)  # in training a pass moves theirs by one iteration
    torch.testing.assert_close(norm.u, peer._u, rtol=0, atol=1e-13)


def test_the_gradient_goes_through_the_norm():
    """Scaling W changes nothing, so no gradient points along W; with σ held fixed one would."""
    layer, norm = normalised("dense")
    weight = layer.parametrizations.weight.original
    norm.iterate(weight, 300)
    x = start_of("dense", layer)
    (right,) = torch.autograd.grad(layer(x).cos().sum(), weight)
    fixed = nn.functional.linear(x, weight / norm.sigma(weight).detach(), layer.bias)
    (wrong,) = torch.autograd.grad(fixed.cos().sum(), weight)
    assert (right * weight).sum().abs() < 1e-10 < 1e-3 < (wrong * weight).sum().abs()


@pytest.mark.parametrize("training", [True, False])
def test_a_pass_leaves_the_vector_and_iterate_moves_it(training):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 12)).train(training)
    spectral(network)
    before = {name: b.clone() for name, b in network.named_buffers()}
    assert len(before) == 2
    network(torch.randn(2, 3, 3, 3)).sum().backward()
    assert all(torch.equal(b, before[name]) for name, b in network.named_buffers())
    iterate(network)
    assert not any(torch.equal(b, before[name]) for name, b in network.named_buffers())


def test_one_iteration_a_step_follows_the_weights():
    """c.22, 10: within 1 % of the largest singular value throughout; without iterations it is lost."""
    torch.manual_seed(0)
    layers = [nn.Linear(40, 30) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    target = torch.randn(30, 40) / 4
    worst = []
    for layer, follows in zip(layers, (True, False), strict=True):
        spectral(layer)
        (norm,) = layer.parametrizations.weight
        weight = layer.parametrizations.weight.original
        norm.iterate(weight, 200)
        worst.append(0.0)
        for _ in range(400):
            with torch.no_grad():
                weight.lerp_(target, 0.005)  # the leading vectors become others
            if follows:
                iterate(layer)
            worst[-1] = max(worst[-1], 1 - float(norm.sigma(weight.detach()) / largest(layer, norm)))
    assert worst[0] < 0.01 < 0.05 < worst[1]


def test_second_derivatives():
    """What a penalty on gradients needs."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3, 1)).to(WIDE)
    spectral(network)
    x = torch.randn(2, 2, 3, 3, dtype=WIDE, requires_grad=True)
    names, weights = zip(*network.named_parameters(), strict=True)

    def run(x, *weights):
        return torch.func.functional_call(network, dict(zip(names, weights, strict=True)), x)

    inputs = (x, *(w.detach().requires_grad_() for w in weights))
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_what_is_left_out_and_what_a_checkpoint_has():
    network = nn.ModuleDict({"table": nn.Embedding(3, 4), "conv": nn.Conv2d(2, 2, 1), "norm": nn.BatchNorm2d(2)})
    spectral(network, (network["table"],))
    names = set(network.state_dict())
    assert {"table.weight", "conv.parametrizations.weight.original", "conv.parametrizations.weight.0.u"} <= names
    assert len([n for n in names if n.endswith(".u")]) == 1
    twin = copy.deepcopy(network)
    twin.load_state_dict(network.state_dict())
    iterate(twin["conv"])
    assert torch.equal(twin["conv"].parametrizations.weight.original, network["conv"].parametrizations.weight.original)
    assert {n for n, _ in network.named_parameters()} == {n for n, _ in twin.named_parameters()}


def test_half_precision_spoils_no_estimate():
    torch.manual_seed(0)
    layer = nn.Linear(300, 300)
    spectral(layer)
    (norm,) = layer.parametrizations.weight
    weight = layer.parametrizations.weight.original
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(norm.sigma(weight), norm.sigma(weight.float()))
        found = norm.sigma(weight)
        assert layer(torch.randn(2, 300)).dtype == torch.bfloat16
    assert torch.equal(found, norm.sigma(weight)) and found.dtype == torch.float32


def test_weights_of_zeros_stay_finite():
    norm = SpectralNorm(torch.zeros(3, 2))
    weight = torch.zeros(3, 2, requires_grad=True)
    norm(weight).sum().backward()
    assert norm(weight).isfinite().all() and weight.grad.isfinite().all() and norm.u.isfinite().all()


def test_freezing_layers_counts_weights_under_a_norm():
    frozen = []
    for normed in (False, True):
        network = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
        if normed:
            spectral(network)
        freeze_first({"discriminator": network}, 2)
        frozen.append([[p.requires_grad for p in layer.parameters()] for layer in network])
    assert frozen[0] == frozen[1] == [[False, False], [False, False], [True, True], [True, True]]
