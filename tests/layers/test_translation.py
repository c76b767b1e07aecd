import pytest
import torch
from tests.models.by_hand import count

from gantools.layers.translation import ResNetTranslator


@pytest.mark.parametrize(
    ("blocks", "norm", "weights"),
    [(9, "batch", 11_383_427), (6, "batch", 7_841_411), (9, "instance", 11_378_179), (6, "instance", 7_837_699)],
)
def test_weights_of_the_published_networks(blocks, norm, weights):
    assert count(ResNetTranslator(3, 3, 64, blocks, norm)) == weights


def test_any_multiple_of_four_is_taken_and_values_are_in_range():
    network = ResNetTranslator(3, 1, 4, 1)
    y = network(3 * torch.randn(2, 3, 20, 28))
    assert y.shape == (2, 1, 20, 28)
    assert y.abs().max() <= 1


def test_an_image_does_not_depend_on_its_neighbours_or_on_the_mode():
    torch.manual_seed(0)
    network = ResNetTranslator(3, 3, 4, 2).double()
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    whole = network(x)
    assert torch.allclose(network(x[1:2]), whole[1:2], atol=1e-12)
    assert torch.allclose(network.eval()(x), whole, atol=1e-12)
    # With batch normalisation it does, which this would show.
    coupled = ResNetTranslator(3, 3, 4, 2, "batch").double()
    assert not torch.allclose(coupled(x[1:2]), coupled(x)[1:2], atol=1e-6)


def test_the_shortcut_is_not_changed_by_what_is_beside_it():
    # With an in-place ReLU before the sum, or one after it, no block could give a negative value back.
    network = ResNetTranslator(3, 3, 4, 1)
    block = next(m for m in network.modules() if type(m).__name__ == "TranslationBlock")
    for p in block.parameters():
        p.data.zero_()
    x = torch.randn(1, 16, 8, 8)
    assert torch.equal(block(x), x)
