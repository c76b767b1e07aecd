import torch

from gantools.training.stats import Meter, append_line, cut_after, read_lines


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


def test_lines_are_cut_and_a_torn_line_is_left_out(tmp_path):
    path = tmp_path / "stats.jsonl"
    for nimg in (10, 20, 30):
        append_line(path, {"nimg": nimg})
    with path.open("a") as f:
        f.write('{"nimg": 4')
    assert [line["nimg"] for line in read_lines(path)] == [10, 20, 30]
    cut_after(path, 20)
    assert path.read_text() == '{"nimg": 10}\n{"nimg": 20}\n'
    assert read_lines(tmp_path / "none") == []
