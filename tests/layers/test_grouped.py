import pytest
import torch
import torch.nn.functional as F

from gantools.layers.grouped import GAIN, BiasedLeaky, GroupedBlock, convolution


def test_the_gain_keeps_the_mean_square_before_an_activation():
    torch.manual_seed(0)
    x = torch.randn(1_000_000)
    assert float((F.leaky_relu(x, 0.2) * GAIN).square().mean()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("blocks", [1, 8])
def test_weights_are_scaled_by_the_inputs_of_a_group_and_by_the_blocks_of_the_network(blocks):
    torch.manual_seed(0)
    block = GroupedBlock(64, 2, 16, blocks)
    gain = (2 / 1.04) ** 0.5 * blocks**-0.25
    assert float(block.widen.weight.detach().std()) == pytest.approx(gain / 64**0.5, rel=0.03)
    # Of 16 channels in a group, not of 128.
    assert block.conv.weight.shape == (128, 16, 3, 3) and block.conv.groups == 8
    assert float(block.conv.weight.detach().std()) == pytest.approx(gain / (16 * 9) ** 0.5, rel=0.03)
    assert block.narrow.weight.abs().max() == 0
    assert all(layer.bias is None for layer in (block.widen, block.conv, block.narrow))


def test_a_new_block_changes_nothing_and_a_trained_one_is_its_formula():
    torch.manual_seed(0)
    block, x = GroupedBlock(4, 2, 4, 3), torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x)
    for parameter in block.parameters():
        parameter.data.normal_()
    y = F.conv2d(x, block.widen.weight)
    y = F.leaky_relu(y + block.first.bias[:, None, None], 0.2)
    y = torch.cat([F.conv2d(y[:, i : i + 4], block.conv.weight[i : i + 4], padding=1) for i in (0, 4)], 1)
    y = F.conv2d(F.leaky_relu(y + block.second.bias[:, None, None], 0.2), block.narrow.weight)
    torch.testing.assert_close(block(x), x + y, rtol=1e-4, atol=1e-4)


def test_the_bias_is_added_before_the_activation():
    layer = BiasedLeaky(2)
    layer.bias.data.copy_(torch.tensor([1.0, -1.0]))
    assert layer(torch.zeros(1, 2, 1, 1)).flatten().tolist() == pytest.approx([1.0, -0.2])
    assert convolution(3, 5, 3).padding == (1, 1)
