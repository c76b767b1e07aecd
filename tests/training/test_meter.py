import torch

from gantools.training.meter import Meter


def test_means_of_phases_that_run_at_different_rates():
    meter = Meter()
    for i in range(4):
        meter.add("d", {"loss_d": torch.tensor(float(i)), "score": torch.tensor(0.5)})
        if i % 2 == 0:
            meter.add("g", {"loss_g": torch.tensor(10.0 + i)})
    assert meter.means() == {"loss_d": 1.5, "score": 0.5, "loss_g": 11.0}
    copy = Meter()
    copy.load_state_dict(meter.state_dict(), torch.device("cpu"))
    assert copy.means() == meter.means()
    meter.reset()
    assert meter.means() == {}
