from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gantools.augment import ada
from gantools.augment.ada import Augment, blit, colour, geometry
from gantools.models.system import Batch


def images(n: int = 6, c: int = 3, side: int = 12, dtype: torch.dtype = torch.float32) -> Tensor:
    torch.manual_seed(0)
    return torch.rand(n, c, side, side, dtype=dtype) * 2 - 1


def none(n: int, count: int = 7) -> Tensor:
    """Uniform numbers of which none is below any p: nothing is done."""
    return torch.full((n, count), 2.0)


ONE = torch.tensor(1.0)


@pytest.mark.parametrize("kind", ["b", "g", "c", "bgc"])
@pytest.mark.parametrize("channels", [1, 3])
def test_at_strength_nought_images_are_as_they_were(kind: ada.Kind, channels: int) -> None:
    x = images(c=channels)
    assert torch.equal(Augment()(x, Batch(x), kind), x)
    changed = Augment()(x, Batch(x), kind, 1.0)
    assert changed.shape == x.shape and changed.isfinite().all() and not torch.equal(changed, x)


def test_blits_move_pixels_and_do_nothing_else() -> None:
    x = images()
    u = none(6)
    u[0, :2] = torch.tensor([0.0, 0.0])  # mirrored
    for row, quarter in ((1, 1), (2, 2), (3, 3)):
        u[row, 2:4] = torch.tensor([0.0, quarter / 4 + 0.1])
    u[4, 4:7] = torch.tensor([0.0, 1.0, 0.5])  # down by an eighth of 12, rounded to 2
    y = blit(x, u, ONE)
    assert torch.equal(y[0], x[0].flip(2))
    for row in (1, 2, 3):
        assert torch.equal(y[row], x[row].rot90(row, (1, 2)))
    assert torch.equal(y[4][:, 2:], x[4][:, :-2]) and torch.equal(y[4][:, 1], x[4][:, 1])
    assert torch.equal(y[4][:, 0], x[4][:, 2])  # mirrored at the edge
    assert torch.equal(y[5], x[5])


def test_each_change_comes_with_probability_p() -> None:
    n, p = 20_000, torch.tensor(0.3)
    torch.manual_seed(1)
    u, z = torch.rand(n, 7), torch.randn(n, 4)
    matrix, changed = geometry(u, z, p)
    # Scaled, stretched, shifted, and turned before or after: four changes.
    assert changed.float().mean().item() == pytest.approx(1 - 0.7**4, abs=0.015)
    identity = torch.eye(2, 3).expand(n, 2, 3)
    assert torch.equal((matrix != identity).flatten(1).any(1), changed)
    x = torch.zeros(n, 3, 1, 1) + torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    moved = (colour(x, u, z[:, :3], p) != x).flatten(1).any(1).float().mean().item()
    # Five changes, of which the inversion does something every second time.
    assert moved == pytest.approx(1 - 0.7**4 * 0.85, abs=0.015)


def test_geometry_is_what_it_says() -> None:
    z = torch.zeros(4, 4)
    u = none(4)
    u[0, 0], z[0, 0] = 0.0, 1.0  # scaled by one deviation
    u[1, 1], u[1, 4] = 0.0, 0.75  # turned by a quarter
    u[2, 6], z[2, 2] = 0.0, 2.0  # shifted by two deviations
    matrix, changed = geometry(u, z, ONE)
    assert changed.tolist() == [True, True, True, False]
    torch.testing.assert_close(matrix[0], torch.tensor([[2**0.2, 0, 0], [0, 2**0.2, 0]]))
    torch.testing.assert_close(matrix[1], torch.tensor([[0.0, -1, 0], [1, 0, 0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(matrix[2], torch.tensor([[1.0, 0, 0.5], [0, 1, 0]]))  # an image is 2 wide


def test_a_quarter_turn_by_geometry_is_nearly_one_by_pixels() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    smooth = (torch.sin(3 * x) + 0.5 * y)[None, None]
    u = none(1)
    u[0, 1], u[0, 4] = 0.0, 0.75
    turned = Augment()._transform(smooth, u, torch.zeros(1, 4), ONE)
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    apart = [(turned - smooth.rot90(k, (2, 3)))[inside].abs().max().item() for k in (1, 3)]
    assert min(apart) < 0.05 < max(apart)


def test_colours_are_what_they_say() -> None:
    x = images(4)
    u, z = none(4), torch.zeros(4, 3)
    u[0, 0], z[0, 0] = 0.0, 1.0
    u[1, 2], u[1, 5] = 0.0, 0.0
    u[2, 4], z[2, 2] = 0.0, 1.0
    y = colour(x, u, z, ONE)
    torch.testing.assert_close(y[0], x[0] + 0.2)
    torch.testing.assert_close(y[1].mean(0), -x[1].mean(0))  # the luma changes its sign, the differences stay
    torch.testing.assert_close(y[1] - y[1].mean(0), x[1] - x[1].mean(0))
    torch.testing.assert_close(y[2] - y[2].mean(0), 2 * (x[2] - x[2].mean(0)))
    assert torch.equal(y[3], x[3])


def test_it_can_be_differentiated_twice() -> None:
    x = images(2, 3, 4, torch.float64).requires_grad_(True)
    torch.manual_seed(3)
    u, z = torch.rand(2, ada.UNIFORMS, dtype=torch.float64), torch.randn(2, ada.NORMALS, dtype=torch.float64)

    class Fixed:
        def uniform(self, *shape: int) -> Tensor:
            return u

        def normal(self, *shape: int) -> Tensor:
            return z

    augment = Augment().double()

    def changed(x: Tensor) -> Tensor:
        return augment(x, Fixed(), "bgc", 1.0).square().sum()  # type: ignore[no-any-return]

    assert torch.autograd.gradgradcheck(changed, x, atol=1e-4)


def test_the_strength_follows_the_discriminator() -> None:
    augment = Augment()
    for step in range(1, 9):
        augment.adjust(torch.tensor(0.9), 100, kimg=4)
        assert augment.p.item() == pytest.approx(0.1 * (step // 4))  # every fourth step, by 4 · 100 / 4,000
    for _ in range(4):
        augment.adjust(torch.tensor(0.2), 100, kimg=4)
    assert augment.p.item() == pytest.approx(0.1)
    for _ in range(40):
        augment.adjust(torch.tensor(-1.0), 100, kimg=4)
    assert augment.p.item() == 0
    assert set(augment.state_dict()) == {"p", "signs"} and math.isfinite(float(augment.signs.sum()))
