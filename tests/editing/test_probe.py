import pytest
import torch

from gantools.editing.probe import probe, read_labels
from gantools.errors import DataError


def test_a_probe_finds_a_planted_axis_in_latents_of_different_scales():
    generator = torch.Generator().manual_seed(1)
    scale = torch.tensor([1.0, 10.0, 0.1, 3.0])
    x = torch.randn(2000, 4, generator=generator) * scale
    axis = torch.tensor([0.6, 0.0, 0.8, 0.0])
    result = probe(x, x @ axis > 0)
    assert result.direction.double() @ axis.double() > 0.99
    assert result.right > 0.97 and result.chance < 0.6
    again = probe(x, x @ axis > 0)
    assert torch.equal(again.direction, result.direction)
    # Answers that have nothing to do with the latents are told no better than by chance.
    assert probe(x, torch.rand(2000, generator=generator) > 0.5).right < 0.6


def test_labels_are_read(tmp_path):
    file = tmp_path / "labels.csv"
    rows = [
        f"{i:06d}.png,{i % 2},{'red' if i % 3 else 'blue'},{'' if i > 15 else 'yes' if i > 7 else 'No'}"
        for i in range(20)
    ]
    file.write_text("name,odd,colour,late\n" + "\n".join(rows) + "\n")
    odd, blue, red, late = read_labels(file, 20)
    assert [label.name for label in (odd, blue, red, late)] == ["odd", "colour:blue", "colour:red", "late"]
    assert odd.answers.tolist() == [bool(i % 2) for i in range(20)]
    assert blue.answers.tolist() == [i % 3 == 0 for i in range(20)] == (~red.answers).tolist()
    assert late.rows.tolist() == list(range(16)) and late.answers.tolist() == [i > 7 for i in range(16)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a header"),
        ("name\n1\n", "needs a header"),
        ("name,a\n1\n", "row 2 has 1 cells, the header 2"),
        ("name,a\ncat.png,1\n", "row 2: 'cat.png' is none of the 20 samples"),
        ("name,a\n000020.png,1\n", "row 2: '000020.png' is none"),
        ("name,a\n3,1\n3,0\n", "000003.png is in it twice"),
        (
            "name,a\n" + "".join(f"{i},{int(i < 4)}\n" for i in range(20)),
            "'a': 4 yes and 16 no; each is needed",
        ),
        ("name,a\n" + "".join(f"{i},{i / 7}\n" for i in range(20)), "each is needed 5 times"),
    ],
)
def test_wrong_tables(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / "labels.csv", 20)


def test_no_table(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "labels.csv", 20)
    (tmp_path / "labels.csv").write_text("name,a\n" + "".join(f"{i},{i / 7}\n" for i in range(100)))
    with pytest.raises(DataError, match="column 'a' has 100 different words"):
        read_labels(tmp_path / "labels.csv", 100)
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe,\xff\n")
    with pytest.raises(DataError, match="no table"):
        read_labels(tmp_path / "labels.csv", 20)
