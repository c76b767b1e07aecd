from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from gantools.models.stylegan2 import SYSTEM, PathLength, StyleGAN2Config, StyleGAN2Game, build, mixed_styles, stages
from gantools.models.system import Batch, Seen
from gantools.recipes.recipe import load_recipe

SMALL = StyleGAN2Config(size=8, latent=6, style=6, mapping=2, width=4, widest=8)


def counted(config: StyleGAN2Config) -> dict[str, int]:
    with torch.device("meta"):
        networks = build(config)
    return {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}


def test_parameters_by_layers() -> None:
    """The sums of what the papers' networks have in each layer, for `paper256`."""
    widths = [512, 512, 512, 512, 256, 128, 64]  # 4x4 to 256x256
    mapping = 8 * (512 * 512 + 512)
    const = 512 * 16

    def styled(a: int, b: int) -> int:  # style, weights, bias, strength of noise
        return 512 * a + a + a * b * 9 + b + 1

    layers = styled(512, 512) + sum(styled(a, b) + styled(b, b) for a, b in pairwise(widths))
    images = sum(512 * a + a + a * 3 + 3 for a in widths)
    down = sum((b * b * 9 + b) + (b * a * 9 + a) + a * b for a, b in pairwise(widths))
    judge = (3 * 64 + 64) + down + (513 * 512 * 9 + 512) + (512 * 16 * 512 + 512) + 513
    found = counted(load_recipe("stylegan2-256").network)
    assert found == {
        "generator": mapping + const + layers + images,
        "discriminator": judge,
        "path_length": 0,
        "augment": 0,
    }
    # Which are the totals that stylegan2-ada-pytorch prints for it, to the first digits.
    assert round(found["generator"] / 1e6, 1) == 24.8 and round(found["discriminator"] / 1e6, 1) == 24.0


@pytest.mark.parametrize("size", [8, 16, 28, 64])
@pytest.mark.parametrize("classes", [0, 3])
def test_sizes_and_classes(size: int, classes: int) -> None:
    config = StyleGAN2Config(size=size, channels=1, classes=classes, latent=6, style=6, mapping=2, width=4, widest=8)
    networks = build(config)
    labels = torch.tensor([0, 1, 2, 0]) if classes else None
    images = networks["generator"](torch.randn(4, 6), labels)
    assert images.shape == (4, 1, size, size)
    assert networks["discriminator"](images, labels).shape == (4,)
    assert config.layers == 2 * config.doublings + 2


def test_truncation_and_noise() -> None:
    torch.manual_seed(0)
    networks = {"generator": build(SMALL)["generator"].eval()}
    for module in networks["generator"].modules():
        if hasattr(module, "strength"):
            torch.nn.init.constant_(module.strength, 0.5)
    z = torch.randn(4, 6)

    def image(psi: float, noise: float = 1.0) -> torch.Tensor:
        return SYSTEM.render(networks, z, None, {"truncation": psi, "noise": noise})

    assert image(0.0).std(0).max() < 1e-5  # all are the image of the mean style
    assert image(1.0).std(0).max() > image(0.5).std(0).max() > 1e-3
    torch.testing.assert_close(image(1.0), networks["generator"](z))
    assert not torch.allclose(image(1.0, 0.0), image(1.0))
    assert torch.equal(image(1.0), image(1.0))  # the noise of images is fixed


def test_mixed_styles_are_those_of_two_latents() -> None:
    generator = build(StyleGAN2Config(size=16, latent=6, style=6, mapping=2, width=4, widest=8))["generator"]
    batch = Batch(torch.zeros(64, 3, 16, 16))
    torch.manual_seed(0)
    styles, first = mixed_styles(generator, batch, None, 1.0)
    torch.manual_seed(0)
    second = generator.mapping((batch.normal(6), batch.normal(6))[1])
    from_first = torch.isclose(styles, first[:, None]).all(2)
    from_second = torch.isclose(styles, second[:, None]).all(2)
    assert (from_first ^ from_second).all() and from_first[:, 0].all() and from_second[:, -1].all()
    cuts = from_first.sum(1)
    assert set(cuts.tolist()) == set(range(1, 6))  # every border comes
    styles, first = mixed_styles(generator, batch, None, 0.0)
    assert torch.equal(styles, first[:, None].expand_as(styles))


def phases(**game: object) -> dict[str, object]:
    (stage,) = stages(SMALL, StyleGAN2Game(**game))  # type: ignore[arg-type]
    return {phase.name: phase for phase in stage.phases}


def test_regularisers_can_be_left_out() -> None:
    assert list(phases()) == ["generator", "path", "discriminator", "r1"]
    assert list(phases(path=0.0, r1=0.0)) == ["generator", "discriminator"]
    assert phases(augment="")["discriminator"].after is None  # type: ignore[attr-defined]
    assert phases(ada_target=None)["discriminator"].after is None  # type: ignore[attr-defined]


def test_path_length_is_the_norm_of_the_jacobian() -> None:
    """Of a synthesis that is linear in w with known lengths, which the mean then follows."""
    torch.manual_seed(0)
    networks = build(SMALL)
    layers, style = SMALL.layers, SMALL.style
    direction = torch.randn(layers * style, 3 * 64)

    class Linear(torch.nn.Module):
        def forward(self, w: torch.Tensor, noise: object) -> torch.Tensor:
            return (w.flatten(1) @ direction).view(-1, 3, 8, 8)

    networks["generator"].synthesis = Linear()
    phase = phases(mixing=0.0)["path"]
    batch = Batch(torch.zeros(512, 3, 8, 8))
    networks["path_length"].mean.fill_(2.0)
    out = phase.loss(networks, batch, {})  # type: ignore[attr-defined]
    # E over y of √(mean over layers of ‖Jᵀy‖²), y ~ N(0, 1) / √(h w).
    y = torch.randn(4000, 3 * 64) / 8
    lengths = (y @ direction.T).view(-1, layers, style).square().sum(2).mean(1).sqrt()
    assert out.means["path_length"].item() == pytest.approx(lengths.mean().item(), rel=0.05)
    assert out.value.item() == pytest.approx(2 * (lengths - 2).square().mean().item(), rel=0.15)
    phase.after(networks, Seen(512, {"path_length": torch.tensor(4.0)}, {}))  # type: ignore[attr-defined]
    assert networks["path_length"].mean.item() == pytest.approx(2.02)
    assert "mean" in PathLength().state_dict()  # a checkpoint has it


def test_r1_is_taken_through_the_augmentation_of_the_image_before_it() -> None:
    torch.manual_seed(0)
    networks = build(SMALL)
    weights = torch.randn(3, 8, 8)

    class Linear(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * weights).sum((1, 2, 3))

    networks["discriminator"] = Linear()
    batch = Batch(torch.rand(16, 3, 8, 8))
    # Blits move pixels, so the gradient before them is as long as the one behind them.
    out = phases(r1=3.0, augment="b", ada_target=None, augment_p=1.0)["r1"].loss(networks, batch, {})  # type: ignore[attr-defined]
    plain = 0.5 * 3.0 * weights.square().sum().item()
    assert out.value.item() == pytest.approx(plain, rel=0.5) and out.value.item() != pytest.approx(plain, rel=1e-6)
    flipped = phases(r1=3.0, augment="", ada_target=None)["r1"].loss(networks, batch, {})  # type: ignore[attr-defined]
    assert flipped.value.item() == pytest.approx(plain, rel=1e-5)
