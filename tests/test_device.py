import torch

from gantools.device import full_precision


def state() -> tuple[str, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic


def test_full_precision_holds_within_and_leaves_what_was_there() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True):
            around = state()
            assert around == ("high", True, True, False)
            try:
                with full_precision():
                    assert state() == ("highest", False, False, True)
                    with full_precision():
                        pass
                    assert state() == ("highest", False, False, True)
                    raise KeyError
            except KeyError:
                pass
            assert state() == around
    finally:
        torch.set_float32_matmul_precision(before)
