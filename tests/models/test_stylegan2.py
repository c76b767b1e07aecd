import pytest
import torch

from gantools.errors import ConfigError
from gantools.models import find_system
from gantools.models.stylegan2 import (
    AugmentConfig,
    StyleGAN2Config,
    StyleGAN2Game,
    build,
    path_lengths,
    render,
    stages,
)
from gantools.models.styling import mixed
from gantools.models.system import Batch, Seen
from gantools.training.compiled import plain

SMALL = StyleGAN2Config(size=8, channels=3, latent=6, style=8, mapping_layers=2, width=64, max_width=8)
CPU = torch.device("cpu")


def phases(game=None, config=SMALL):
    return {phase.name: phase for phase in stages(config, game or StyleGAN2Game())[0].phases}


def batch(n=8, config=SMALL):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(n, config.channels, config.size, config.size, generator=generator) * 2 - 1
    return Batch(images, torch.arange(n) % config.classes if config.classes else None)


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return build(SMALL)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_networks_of_256_pixels_have_the_published_numbers_of_parameters():
    config = StyleGAN2Config()
    with torch.device("meta"):
        networks = build(config)
    width = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
    assert dict(zip(config.sizes, config.widths, strict=True)) == width

    def conv(inputs, outputs):  # weights, bias, style, strength of noise
        return inputs * outputs * 9 + outputs + 513 * inputs + 1

    def image(inputs):
        return 513 * inputs + 3 * inputs + 3

    generator = 8 * 513 * 512 + 512 * 16 + conv(512, 512) + image(512)
    discriminator = 3 * 64 + 64 + (513 * 512 * 9 + 512) + (512 * 16 * 512 + 512) + 513
    for small, large in [(4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 256)]:
        a, b = width[small], width[large]
        generator += conv(a, b) + conv(b, b) + image(b)
        discriminator += (b * b * 9 + b) + (b * a * 9 + a) + b * a
    # stylegan2-ada-pytorch prints these for its preset paper256.
    assert count(networks["generator"]) == generator == 24_767_458
    assert count(networks["discriminator"]) == discriminator == 24_001_089
    assert networks["generator"].count == 14


@pytest.mark.parametrize("size", [8, 28, 32])
def test_images_have_the_shape_asked_for_and_both_forms_draw_the_same(size):
    config = StyleGAN2Config(size=size, channels=1, latent=6, style=8, mapping_layers=2, width=64, max_width=8)
    networks = build(config)
    styles = networks["generator"].styles(torch.randn(4, 6))
    one, other = (networks["generator"].synthesis(styles, fused=fused) for fused in (False, True))
    assert one.shape == (4, 1, size, size)
    assert (one - other).abs().max() <= 1e-5 * one.abs().max()
    assert networks["discriminator"](one).shape == (4,)


def test_lazy_r1_adds_up_to_what_it_is_when_computed_at_every_step(networks):
    rows = batch()
    found = {}
    for every in (1, 4):
        game = StyleGAN2Game(r1_every=every, augment=AugmentConfig(kind="none"))
        phase = phases(game)["discriminator_r1"]
        total = [torch.zeros_like(p) for p in networks["discriminator"].parameters()]
        for step in range(16):
            if phase.due(step):
                for sum_, g in zip(total, plain(phase, CPU, False)(networks, rows, {}).gradients, strict=True):
                    if g is not None:
                        sum_ += g
        found[every] = torch.cat([t.flatten() for t in total])
    torch.testing.assert_close(found[1], found[4], rtol=1e-4, atol=1e-6)
    assert found[1].abs().max() > 0


def test_the_path_length_of_a_linear_map_is_that_of_its_matrix():
    torch.manual_seed(0)
    styles = torch.randn(5, 3, 4, requires_grad=True)
    matrix, noise = torch.randn(12, 2 * 6 * 6), torch.randn(5, 2, 6, 6)
    images = (styles.flatten(1) @ matrix).reshape(5, 2, 6, 6)
    rows = (noise.flatten(1) / 6 @ matrix.T).reshape(5, 3, 4)
    expected = rows.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(path_lengths(styles, images, noise), expected)


def test_the_penalty_uses_the_mean_that_is_remembered_and_a_step_moves_it(networks):
    phase = phases()["generator_path_length"]
    torch.manual_seed(3)
    first = phase.loss(networks, batch(), {})
    assert networks["path_length"].mean == 0  # a loss writes nothing
    with torch.no_grad():
        phase.after(networks, Seen(8, first.means, {}))
    torch.testing.assert_close(networks["path_length"].mean, 0.01 * first.means["path_length"])
    networks["path_length"].mean.fill_(first.means["path_length"].item())
    torch.manual_seed(3)
    second = phase.loss(networks, batch(), {})
    torch.testing.assert_close(second.means["path_length"], first.means["path_length"])
    assert second.value < first.value
    kept = networks["path_length"].state_dict()
    assert set(kept) == {"mean"}


def test_what_is_remembered_is_in_the_state(networks):
    assert {"mapping.mean"} <= set(networks["generator"].state_dict())
    assert set(networks["augment"].state_dict()) == {"p", "signs", "rows", "steps"}


def test_the_mean_style_follows_the_generators_latents_alone(networks):
    found = phases()
    out = found["generator"].loss(networks, batch(), {})
    with torch.no_grad():
        found["generator"].after(networks, Seen(8, out.means, {}))
    torch.testing.assert_close(networks["generator"].mapping.mean, 0.005 * out.means["style"])
    assert found["discriminator"].after is not None


def test_mixing_takes_the_second_style_from_a_layer_on_in_as_many_rows_as_asked(networks):
    torch.manual_seed(0)
    rows = Batch(torch.zeros(2000, 3, 8, 8))
    with torch.no_grad():
        styles, _ = mixed(networks["generator"], rows, None, 0.9)
        changes = (styles[:, 1:] != styles[:, :-1]).any(2)
        assert set(changes.sum(1).tolist()) == {0, 1}
        assert changes.any(1).float().mean().item() == pytest.approx(0.9, abs=0.03)
        assert (changes.float().mean(0) > 0.9 / changes.shape[1] - 0.05).all()
        plain_styles, _ = mixed(networks["generator"], rows, None, 0.0)
    assert torch.equal(plain_styles[:, 0], plain_styles[:, -1])


@pytest.mark.parametrize("kind", ["ada", "diffaugment", "none"])
@pytest.mark.parametrize("classes", [0, 3])
def test_each_phase_has_finite_gradients_and_writes_nothing(kind, classes):
    torch.manual_seed(0)
    config = StyleGAN2Config(**{**vars(SMALL), "classes": classes})
    networks = build(config)
    networks["augment"].p.fill_(0.7)
    before = {name: {k: v.clone() for k, v in m.state_dict().items()} for name, m in networks.items()}
    for phase in phases(StyleGAN2Game(augment=AugmentConfig(kind=kind)), config).values():
        out = plain(phase, CPU, False)(networks, batch(config=config), {})
        assert all(g is None or g.isfinite().all() for g in out.gradients), phase.name
        assert any(g is not None and g.abs().max() > 0 for g in out.gradients), phase.name
    for name, module in networks.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, before[name][key]), (name, key)


def test_two_halves_of_a_batch_have_the_gradient_of_the_whole(networks):
    torch.set_default_dtype(torch.float64)
    try:
        for module in networks.values():
            module.double()
        networks["augment"].p.fill_(0.5)
        rows = Batch(batch(16).images.double())
        for phase in phases().values():
            found = []
            for parts in ([rows], [rows.part(0, 8), rows.part(8, 16)]):
                total = 0
                for part in parts:
                    torch.manual_seed(5)
                    gradients = plain(phase, CPU, False)(networks, part, {}).gradients
                    total = total + torch.cat([g.flatten() for g in gradients if g is not None]) / len(parts)
                found.append(total)
            # Penalties and losses are computed in float32.
            assert (found[0] - found[1]).abs().max() <= 1e-6 * found[0].abs().max(), phase.name
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_gradient_of_r1_is_by_the_image_before_its_augmentation(networks):
    game = StyleGAN2Game(augment=AugmentConfig(target=None, p=1.0))
    torch.manual_seed(2)
    found = phases(game)["discriminator_r1"].loss(networks, batch(), {}).value
    torch.manual_seed(2)
    rows = batch()
    images = rows.images.requires_grad_(True)
    uniform, normal = rows.uniform(21), rows.normal(7)
    seen = networks["augment"](images, uniform, normal, torch.tensor(1.0))
    (g,) = torch.autograd.grad(networks["discriminator"](seen).sum(), images, retain_graph=True)
    torch.testing.assert_close(found, g.square().sum((1, 2, 3)).mean() / 2)
    (wrong,) = torch.autograd.grad(networks["discriminator"](seen).sum(), seen)
    assert (wrong.square().sum((1, 2, 3)).mean() / 2 - found).abs() > 1e-3 * found


def test_an_image_depends_on_its_own_latent_and_controls_turn_what_they_say(networks):
    z = torch.randn(4, 6)
    networks["generator"].mapping.mean.normal_()
    for conv in networks["generator"].convs:
        conv.strength.data.fill_(0.3)
    with torch.no_grad():
        images = render(networks, z, None, {})
        torch.testing.assert_close(render(networks, z[2:3], None, {}), images[2:3], atol=1e-5, rtol=1e-5)
        usual = render(networks, z, None, {"truncation": 0.0})
        torch.testing.assert_close(usual, usual[:1].expand_as(usual), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(render(networks, z, None, {"noise": 0.0}), images)
        whole = render(networks, z, None, {"mixing": 1.0})
        torch.testing.assert_close(whole, render(networks, z.flip(1), None, {}))
        assert not torch.allclose(render(networks, z, None, {"mixing": 0.5}), images)


def test_classes_change_images_and_judgements():
    torch.manual_seed(0)
    config = StyleGAN2Config(**{**vars(SMALL), "classes": 3})
    networks = build(config)
    z = torch.randn(1, 6).expand(3, 6)
    with torch.no_grad():
        images = networks["generator"](z, torch.arange(3))
        assert not torch.allclose(images[0], images[1])
        same = images[:1].expand(3, -1, -1, -1)
        outputs = networks["discriminator"](same, torch.arange(3))
    assert len(set(outputs.tolist())) == 3
    assert stages(config, StyleGAN2Game())[0].needs == ("images", "labels")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generator", "generator_path_length", "discriminator", "discriminator_r1"])
def test_each_phase_compiles_to_one_graph_with_the_same_gradients(networks, name):
    networks["augment"].p.fill_(0.5)
    function = plain(phases()[name], CPU, False)
    torch.manual_seed(4)
    expected = function(networks, batch(), {})
    torch.manual_seed(4)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        found = torch.compile(function, fullgraph=True, backend="aot_eager")(networks, batch(), {})
    largest = max(g.abs().max() for g in expected.gradients if g is not None)
    for one, other in zip(found.gradients, expected.gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one - other).abs().max() <= 1e-5 * largest


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"size": 30}, {"size": 4}, {"classes": -1}, {"style": 0}):
        with pytest.raises(ConfigError):
            StyleGAN2Config(**wrong)
    for wrong in ({"r1": -1.0}, {"r1_every": 0}, {"mixing": 1.5}):
        with pytest.raises(ConfigError):
            StyleGAN2Game(**wrong)
    for wrong in ({"target": 2.0}, {"p": 0.5}, {"target": None, "p": 2.0}, {"kimg": 0.0}):
        with pytest.raises(ConfigError):
            AugmentConfig(**wrong)


def test_without_weights_there_are_no_regularisers():
    assert list(phases(StyleGAN2Game(r1=0, path_length=0))) == ["generator", "discriminator"]
    assert phases(StyleGAN2Game(augment=AugmentConfig(kind="none")))["discriminator"].after is None
    assert find_system("stylegan2").controls[0].name == "truncation"
