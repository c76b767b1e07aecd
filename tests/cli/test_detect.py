import numpy as np
import pytest
from tests.conftest import blobs, write_prepared


@pytest.fixture
def sets(tmp_path):
    write_prepared(tmp_path / "real", blobs(150, 8, 3, 1))
    write_prepared(tmp_path / "fake", 255 - blobs(150, 8, 3, 2))
    np.save(tmp_path / "large.npy", blobs(150, 16, 3))


def test_train_and_run(call, sets, tmp_path):
    code, out, err = call(
        "detect", "train", "--real", "real", "--fake", "a=fake", "--fake", "b=fake", "--leave-out", "b", "--network",
        "spectrum", "--device", "cpu",
    )  # fmt: skip
    assert (code, out.strip()) == (0, "detector"), err
    assert "spectrum, as they are, b (left out): AUC" in err
    assert sorted(p.name for p in (tmp_path / "detector").iterdir()) == ["detector.json", "detector.safetensors"]
    code, out, err = call("detect", "run", "detector", "fake", "-n", "3", "--device", "cpu")
    assert code == 0 and out.splitlines()[0] == "image,p,answer" and len(out.splitlines()) == 4, err
    code, out, err = call("detect", "run", "detector", "large.npy", "--device", "cpu")
    assert code == 1 and "16 x 16, not 8 x 8" in err and "Traceback" not in err
    assert call("detect", "run", "detector", "real", "--out", "a.json", "--device", "cpu")[0] == 0
    assert call("detect", "run", "detector", "real", "--out", "a.json", "--device", "cpu")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fake", "fake"], "expected NAME=PATH"),
        ([], "no generator is left"),
        (["--fake", "a=fake", "--leave-out", "a"], "no generator is left"),
        (["--fake", "a=fake", "--leave-out", "b"], "unknown generator to leave out 'b'"),
        (["--fake", "a=fake", "--fake", "a=real"], "given twice"),
        (["--fake", "real=fake"], "cannot be called"),
        (["--fake", "a=nowhere"], "no such file"),
        (["--fake", "a=large.npy"], "is 16 x 16, not 8 x 8"),
        (["--fake", "a=fake", "--batch", "7"], "batch even"),
        (["--fake", "a=fake", "-n", "30"], "30 images are too few"),
        (["--fake", "a=fake", "--out", "real"], "exists already"),
        (["--fake", "a=fake", "--out", "real", "--overwrite"], "holds other things"),
        (["--fake", "a=fake", "--device", "tpu"], "not a device"),
    ],
)
def test_mistakes_are_a_line(call, sets, tmp_path, arguments, words):
    code, out, err = call("detect", "train", "--real", "real", "--network", "spectrum", *arguments)
    assert code in (1, 2) and words in err and "Traceback" not in err, err
    assert not out and not (tmp_path / "detector").exists()


def test_no_detector(call, tmp_path):
    code, _, err = call("detect", "run", str(tmp_path), "x")
    assert code == 1 and "no detector" in err and "gantools detect train" in err
