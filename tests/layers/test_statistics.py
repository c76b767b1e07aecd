import torch
from torch import nn

from gantools.layers.statistics import has_statistics, measure_statistics, measured_statistics


def test_measured_statistics_are_those_of_the_batches():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5, momentum=0.1), nn.Dropout(0.5)).eval()
    assert has_statistics(network) and not has_statistics(nn.Sequential(nn.Linear(3, 5), nn.InstanceNorm1d(5)))
    batches = torch.randn(16, 64, 3) * 2 + 1
    before = network[1].running_mean.clone()
    measure_statistics(network, lambda number: network(batches[number]))
    features = network[0](batches)
    torch.testing.assert_close(network[1].running_mean, features.mean((0, 1)))
    torch.testing.assert_close(network[1].running_var, features.var(1).mean(0))
    assert not torch.equal(before, network[1].running_mean)
    assert not network[1].training and network[1].momentum == 0.1


def test_statistics_may_be_measured_beside_those_that_are_there():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5)).eval()
    network[1](torch.randn(9, 5))
    network[1].running_mean.normal_()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    batches = torch.randn(16, 64, 3) * 2 + 1
    found = measured_statistics(network, lambda number: network(batches[number]))
    assert set(found) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert not network[1].training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    measure_statistics(network, lambda number: network(batches[number]))
    for name, value in found.items():
        assert torch.equal(value, network.state_dict()[name]), name
