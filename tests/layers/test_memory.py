import pytest
import torch

from gantools.layers.memory import History, Pool
from gantools.models.system import Batch


def numbered(first: int, n: int) -> torch.Tensor:
    """Images whose pixels are all their number, so that one knows which is which."""
    return torch.arange(first, first + n, dtype=torch.float32)[:, None, None, None].expand(n, 1, 2, 2).contiguous()


def shown(pool: Pool, images: torch.Tensor) -> list[int]:
    pool.put(images)
    return [int(v) for v in pool.take(Batch(images))[:, 0, 0, 0]]


def test_until_it_is_full_every_image_is_shown_as_it_is():
    torch.manual_seed(0)
    pool = Pool(50, (1, 2, 2))
    for i in range(0, 50, 5):
        assert shown(pool, numbered(i, 5)) == list(range(i, i + 5))
    assert int(pool.count) == 50
    assert sorted(pool.images[:, 0, 0, 0].tolist()) == list(range(50))


def test_half_of_those_shown_later_are_old_and_each_is_replaced_by_the_new_one():
    torch.manual_seed(1)
    pool = Pool(50, (1, 2, 2))
    stored = set(range(50))
    shown(pool, numbered(0, 50))
    old = 0
    for i in range(50, 10050):
        (seen,) = shown(pool, numbered(i, 1))
        if seen != i:
            old += 1
            assert seen in stored  # what is shown was stored, and is not any more
            stored = (stored - {seen}) | {i}
    assert old / 10000 == pytest.approx(0.5, abs=0.02)
    assert {int(v) for v in pool.images[:, 0, 0, 0]} == stored
    assert int(pool.count) == 50


def test_what_is_shown_does_not_alias_the_pool_or_what_was_put():
    torch.manual_seed(0)
    pool = Pool(2, (1, 2, 2))
    images = numbered(0, 2)
    pool.put(images)
    first = pool.take(Batch(images)).clone()
    images.fill_(99)
    pool.images.fill_(77)
    assert torch.equal(pool.take(Batch(images)), first)


def test_a_part_of_a_batch_takes_its_own_rows():
    torch.manual_seed(0)
    pool = Pool(0, (1, 2, 2))
    batch = Batch(numbered(0, 6))
    pool.put(batch.images)
    assert pool.take(batch.part(2, 6, 2))[:, 0, 0, 0].tolist() == [2, 4]


def test_a_pool_of_nothing_shows_what_it_is_given_and_draws_nothing():
    pool = Pool(0, (1, 2, 2))
    state = torch.get_rng_state()
    assert shown(pool, numbered(3, 4)) == [3, 4, 5, 6]
    assert torch.equal(torch.get_rng_state(), state)


def test_a_saved_pool_goes_on_alike():
    torch.manual_seed(0)
    pool = Pool(4, (1, 2, 2))
    for i in range(0, 20, 2):
        pool.put(numbered(i, 2))
    other = Pool(4, (1, 2, 2))
    other.load_state_dict(pool.state_dict())
    for i in range(20, 60, 3):
        torch.manual_seed(i)
        one = shown(pool, numbered(i, 3))
        torch.manual_seed(i)
        assert shown(other, numbered(i, 3)) == one


def test_two_puts_draw_alike_after_the_same_seed_and_differently_after_another():
    def run(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        pool = Pool(3, (1, 2, 2))
        return [shown(pool, numbered(i, 4)) for i in range(0, 80, 4)]

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_a_history_is_the_mean_of_all_weights_so_far():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double()
    history, seen = History(network), [[p.detach().clone() for p in network.parameters()]]
    for _ in range(9):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(torch.randn_like(p))
            history.remember(network)
        seen.append([p.detach().clone() for p in network.parameters()])
    for mean, *weights in zip(history.means(), *seen, strict=True):
        torch.testing.assert_close(mean, torch.stack(weights).mean(0), rtol=0, atol=1e-6)
    assert int(history.count) == 10
    # A checkpoint holds it, and no optimizer finds anything to train in it.
    assert set(history.state_dict()) == {"count", "mean0", "mean1", "mean2", "mean3"}
    assert not list(history.parameters())
