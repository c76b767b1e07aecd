from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gantools.layers.warp import (
    MatrixWarp,
    SplineWarp,
    affine_matrix,
    blurred,
    exponential,
    folded,
    homography_matrix,
    lay,
    make_warp,
    outside,
    sample,
    wider,
)

KINDS = pytest.mark.parametrize("kind", ["homography", "affine", "tps"])


def some(n: int, count: int, scale: float = 0.3) -> Tensor:
    return scale * torch.randn(n, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def algebra(p: Tensor) -> Tensor:
    """sl(3) written out, as the paper has it."""
    rows = []
    for p1, p2, p3, p4, p5, p6, p7, p8 in p.tolist():
        rows.append([[p1, p2, p3], [p4, -p1 - p8, p5], [p6, p7, p8]])
    return torch.tensor(rows, dtype=torch.float64)


def test_the_exponential_is_torchs():
    p = some(6, 8)
    torch.testing.assert_close(homography_matrix(p), torch.linalg.matrix_exp(algebra(p)), rtol=0, atol=1e-12)
    # Too few terms would be seen.
    assert (exponential(algebra(p), 5) - torch.linalg.matrix_exp(algebra(p))).abs().max() > 1e-6


def test_a_homography_has_determinant_1_and_its_inverse_is_minus_p():
    p = some(6, 8)
    torch.testing.assert_close(torch.linalg.det(homography_matrix(p)), torch.ones(6, dtype=torch.float64))
    both = homography_matrix(p) @ homography_matrix(-p)
    torch.testing.assert_close(both, torch.eye(3, dtype=torch.float64).expand(6, 3, 3), rtol=0, atol=1e-12)


def test_warps_that_commute_are_composed_by_addition():
    p, q = torch.zeros(1, 8, dtype=torch.float64), torch.zeros(1, 8, dtype=torch.float64)
    p[0, 2], p[0, 4], q[0, 2], q[0, 4] = 0.3, -0.2, -0.1, 0.5  # shifts
    torch.testing.assert_close(homography_matrix(p) @ homography_matrix(q), homography_matrix(p + q))


def test_an_affine_warp_keeps_lines_parallel():
    m = affine_matrix(some(4, 6))
    assert torch.equal(m[:, 2], torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(4, 3))
    assert (torch.linalg.det(m) > 0).all()


@KINDS
def test_no_parameters_are_no_warp(kind):
    warp = make_warp(kind, 4)
    x = torch.randn(2, 3, 12, 20, generator=torch.Generator().manual_seed(1))
    found = sample(x, warp(torch.zeros(2, warp.count), 12, 20))
    torch.testing.assert_close(found, x, rtol=0, atol=2e-5)
    aligned = torch.nn.functional.grid_sample(x, warp(torch.zeros(2, warp.count), 12, 20), align_corners=True)
    assert (aligned - x).abs().max() > 0.1  # the other convention would be seen


def test_a_shift_by_a_pixel_is_one_and_lets_nought_in():
    x = torch.arange(24.0).reshape(1, 1, 4, 6) + 1
    p = torch.zeros(1, 8)
    p[0, 2] = 2 / 6
    found = sample(x, MatrixWarp("homography")(p, 4, 6))
    torch.testing.assert_close(found[..., :-1], x[..., 1:], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[..., -1], torch.zeros(1, 1, 4), rtol=0, atol=1e-4)


def test_a_spline_leads_its_points_where_it_is_told():
    warp = SplineWarp(3)
    p = 0.1 * torch.randn(1, warp.count, generator=torch.Generator().manual_seed(2))
    # A frame of 3 pixels that is 3 / 2 as large has their centres in the spline's places.
    grid = warp(p, 3, 3, extent=1.5)
    torch.testing.assert_close(grid[0].reshape(-1, 2), warp.centres + p.reshape(-1, 2), rtol=0, atol=1e-4)


@KINDS
def test_gradients_of_warps(kind):
    warp = make_warp(kind, 3).double()
    p = some(1, warp.count, 0.1).requires_grad_(True)
    torch.autograd.gradcheck(lambda q: warp(q, 4, 5), p)


def test_a_foreground_without_opacity_leaves_every_bit():
    background = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(3)) * 2 - 1
    warped = torch.zeros(1, 4, 9, 7)
    warped[:, :, 2:5, 2:5] = 0.5
    made = lay(warped, background)
    free = made.alpha.expand_as(background) == 0
    assert torch.equal(made.images[free], background[free])
    torch.testing.assert_close(made.images[..., 3, 3], 0.5 + 0.5 * background[..., 3, 3])


def test_transparent_colours_do_not_bleed_into_the_edges():
    # A white square whose transparent surroundings are black, as files have them, moved by half a pixel.
    colour, alpha = torch.full((1, 1, 8, 8), -1.0), torch.zeros(1, 1, 8, 8)
    colour[..., 2:6, 2:6], alpha[..., 2:6, 2:6] = 1.0, 1.0
    p = torch.zeros(1, 8)
    p[0, 2] = 1 / 8
    grid = MatrixWarp("homography")(p, 8, 8)
    white = torch.ones(1, 1, 8, 8)
    made = lay(sample(torch.cat((colour * alpha, alpha), 1), grid), white).images
    torch.testing.assert_close(made, white, rtol=0, atol=1e-5)
    bled = lay(torch.cat((sample(colour, grid) * sample(alpha, grid), sample(alpha, grid)), 1), white).images
    assert (bled - white).abs().max() > 0.2


def test_folds_are_seen():
    warp = MatrixWarp("homography")
    assert folded(warp(torch.zeros(1, 8), 16, 16)).item() == 0
    p = torch.zeros(2, 8)
    p[0, 5], p[1, 5] = 0.3, 2.0  # a tilt, and one by which the horizon lies within the frame
    share = folded(warp(p, 16, 16))
    assert share[0] == 0 and 0.1 < share[1] < 0.9
    spline = SplineWarp(3)
    q = torch.zeros(1, spline.count)
    q[0, 8] = 3.0  # the middle beyond the right border
    assert folded(spline(q, 16, 16)).item() > 0.05
    mirrored = warp(torch.zeros(1, 8), 16, 16) * torch.tensor([-1.0, 1.0])
    assert folded(mirrored).item() == 1


def test_what_is_outside_of_the_frame_is_measured():
    alpha = torch.zeros(1, 1, 20, 20)
    alpha[..., 5:15, 5:15] = 1.0
    warp = MatrixWarp("homography")
    shares = []
    for shift in (0.0, 0.5, 1.0, 1.5, 2.0):
        p = torch.zeros(1, 8)
        p[0, 2] = -shift  # the frame shows places to the left: what is there moves to the right
        shares.append(outside(sample(alpha, warp(p, *wider(20, 20)))).item())
    assert shares == pytest.approx([0, 0, 0.5, 1, 1], abs=0.06)
    assert all(a <= b + 1e-6 for a, b in pairwise(shares))
    assert outside(torch.zeros(1, 1, 40, 40)).item() == 0


def test_the_blur_is_a_gaussian_of_its_deviation():
    x = torch.zeros(1, 2, 41, 41, dtype=torch.float64)
    x[..., 20, 20] = 1
    y = blurred(x, 2.0)
    at = torch.arange(41, dtype=torch.float64) - 20
    assert y.sum((2, 3)).flatten().tolist() == pytest.approx([1, 1])
    variance = (y[0, 0].sum(0) * at.square()).sum().item()
    assert variance == pytest.approx(4, rel=0.03)
    assert torch.equal(blurred(x, 0.0), x)
    flat = torch.full((1, 1, 8, 8), 0.7)
    torch.testing.assert_close(blurred(flat, 1.5), flat)
