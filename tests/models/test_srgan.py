import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.models.by_hand import adams, count, gradients, step

from gantools.errors import ConfigError
from gantools.layers.super_resolution import ENLARGERS, RRDB_REACH, reach
from gantools.models.srgan import (
    SYSTEM,
    RankConfig,
    SRGANConfig,
    SRGANGame,
    build,
    frozen,
    render,
    stages,
)
from gantools.models.system import Batch
from gantools.objectives.content import l1, sharpened
from gantools.objectives.losses import LossConfig
from gantools.objectives.perceptual import LayerWeights, PerceptualConfig
from gantools.recipes.recipe import load_recipe, recipe_from_dict

SMALL = SRGANConfig(size=32, scale=4, width=4, blocks=1, judge_width=4, judge_hidden=8)
PIXELS = SRGANGame(pretrain_kimg=0.1, pixel=1.0, perceptual=PerceptualConfig(weight=0.0))


def batch_of(n: int = 3, config: SRGANConfig = SMALL, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    size, small = config.size, config.size // config.scale
    images = torch.rand(n, config.channels, size, size) * 2 - 1
    return Batch(images, inputs=torch.nn.functional.interpolate(images, (small, small), mode="area"))


def networks_of(config: SRGANConfig = SMALL, game: SRGANGame = PIXELS, seed: int = 0):
    torch.manual_seed(seed)
    return build(config) | frozen(config, game, False)


def test_weights_of_the_published_networks():
    networks = build(SRGANConfig())
    assert count(networks["generator"]) == count(networks["content"]) == 1_547_350
    assert count(networks["discriminator"]) == 23_563_649
    assert count(build(SRGANConfig(kind="msrresnet"))["generator"]) == 1_517_571
    assert count(build(SRGANConfig(scale=2, kind="msrresnet"))["generator"]) == 1_369_859


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(
    ("kind", "judge"), [("srresnet", "srgan"), ("msrresnet", "srgan"), ("rrdb", "vgg"), ("rrdb", "unet")]
)
def test_both_stages_step(scale, kind, judge):
    config = SRGANConfig(
        size=32, scale=scale, kind=kind, width=4, blocks=1, growth=2, judge=judge, judge_width=4, judge_hidden=8
    )
    networks = networks_of(config)
    optimizers = adams(networks, 0.001, (0.9, 0.999))
    for stage in stages(config, PIXELS):
        for phase in stage.phases:
            before = {n: [p.clone() for p in net.parameters()] for n, net in networks.items()}
            out = step(networks, phase, batch_of(config=config), optimizers)
            assert out.value.isfinite()
            for name, net in networks.items():
                same = all(torch.equal(p, q) for p, q in zip(net.parameters(), before[name], strict=True))
                assert same == (name not in phase.updates)


def test_stages_and_what_they_begin_with():
    first, second = stages(SMALL, PIXELS)
    assert (first.name, first.nimg, second.nimg) == ("pretrain", 100, None)
    assert second.fresh == ("generator",)
    assert second.copies == {"content": "generator"}
    assert [p.name for p in second.phases] == ["generator", "discriminator"]  # the generator first, as ESRGAN's code
    assert [s.name for s in stages(SMALL, SRGANGame(gan=False))] == ["pretrain"]
    (only,) = stages(SMALL, SRGANGame(pretrain_kimg=0))
    assert (only.name, only.nimg) == ("gan", None)


def test_the_discriminator_may_begin_alone():
    game = SRGANGame(pretrain_kimg=0.1, judge_kimg=0.05, pixel=1.0, perceptual=PerceptualConfig(weight=0.0))
    first, judge, last = stages(SMALL, game)
    assert (first.nimg, judge.nimg, last.nimg) == (100, 50, None)
    assert [phase.updates for phase in judge.phases] == [("discriminator",)]
    assert last.copies == {"content": "generator"} and last.fresh == ("generator",)


def test_the_generators_loss_by_hand(test_data):
    game = SRGANGame(
        pixel=0.5,
        variation=0.25,
        adversarial=0.125,
        content="l1",
        perceptual=PerceptualConfig(2.0, "vgg19-normalised", "relu2_1", "l1", str(test_data / "weights" / FILE)),
    )
    networks = networks_of() | frozen(SMALL, game, True)
    batch = batch_of()
    phase = stages(SMALL, game)[1].phases[0]
    out = phase.loss(networks, batch, {})
    for network in networks.values():
        network.train()
    x = networks["generator"](batch.inputs)
    y = batch.images
    features = networks["features"]
    expected = {
        "adversarial": 0.125 * torch.nn.functional.softplus(-networks["discriminator"](x)).mean(),
        "pixel": 0.5 * (x - y).abs().mean(),
        "variation": 0.25 * (x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()),
        "perceptual": 2 * (features(x)["relu2_1"] - features(y)["relu2_1"]).abs().mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(out.means[name], value.detach())
    torch.testing.assert_close(out.value, sum(expected.values()))
    _, found = gradients(networks, phase, batch)
    assert set(found) == {"generator"}
    assert len(networks["features"].sha256) == 64


FILE = "vgg_normalised_conv3_1.pth"


def test_a_loss_of_nothing_is_not_computed_and_its_network_not_loaded():
    assert frozen(SMALL, PIXELS, True) == {}
    out = stages(SMALL, PIXELS)[1].phases[0].loss(networks_of(), batch_of(), {})
    assert set(out.means) == {"adversarial", "pixel", "loss_g"}


def test_the_discriminator_gives_the_generator_no_gradient():
    networks = networks_of()
    phase = stages(SMALL, PIXELS)[1].phases[1]
    out = phase.loss(networks, batch_of(), {})
    found = torch.autograd.grad(out.value, list(networks["generator"].parameters()), allow_unused=True)
    assert all(g is None for g in found)
    assert 0 <= out.means["discriminator_accuracy"] <= 1


def test_relativistic_average_of_equal_logits_is_the_logarithm_of_two():
    game = SRGANGame(pixel=1.0, perceptual=PerceptualConfig(0.0), loss=LossConfig("relativistic_average"))
    networks = networks_of()
    for p in networks["discriminator"].parameters():
        p.data.zero_()
    generator, discriminator = stages(SMALL, game)[1].phases
    assert discriminator.loss(networks, batch_of(), {}).value.item() == pytest.approx(math.log(2))
    means = generator.loss(networks, batch_of(), {}).means
    assert means["adversarial"].item() == pytest.approx(0.001 * math.log(2))


ESRGAN = SRGANConfig(
    size=32, scale=2, kind="rrdb", width=8, blocks=1, growth=4, judge="vgg", judge_width=4, judge_hidden=8
)


@pytest.mark.parametrize("loss", ["relativistic_average", "relativistic_average_detached"])
def test_equal_logits_in_esrgans_game(loss):
    game = SRGANGame(pixel=1.0, perceptual=PerceptualConfig(0.0), loss=LossConfig(loss))
    for judge in ("vgg", "unet"):
        config = replace(ESRGAN, judge=judge)
        networks = networks_of(config)
        tail = networks["discriminator"].tail if judge == "unet" else networks["discriminator"].top[-1]
        tail.weight.data.zero_()  # constant logits
        generator, discriminator = stages(config, game)[1].phases
        out = discriminator.loss(networks, batch_of(config=config), {})
        assert out.value.item() == pytest.approx(math.log(2))
        adversarial = generator.loss(networks, batch_of(config=config), {}).means["adversarial"]
        assert adversarial.item() == pytest.approx(0.001 * math.log(2))


def test_esrgans_recipe_has_its_weights_layer_and_rates():
    recipe = load_recipe("esrgan-x4")
    game, x, y = recipe.game, torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    # 1e-2 of images in [0, 1]; ours are in [-1, 1].
    assert game.pixel * l1(2 * x - 1, 2 * y - 1).item() == pytest.approx(1e-2 * l1(x, y).item())
    assert (game.adversarial, game.perceptual.weight, game.perceptual.layer) == (5e-3, 1.0, "conv5_4")
    features = frozen(recipe.network, game, False)["features"](torch.rand(1, 3, 32, 32) * 2 - 1)
    assert features["conv5_4"].min() < 0  # before the ReLU: 35 modules of torchvision's, not 36


def test_real_esrgans_recipe_has_its_weights_and_layers():
    recipe = load_recipe("realesrgan-x4")
    game, x, y = recipe.game, torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    assert game.pixel * l1(2 * x - 1, 2 * y - 1).item() == pytest.approx(l1(x, y).item())
    wanted = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1}
    assert game.perceptual.compared == wanted and game.sharpen and game.adversarial == 0.1
    assert recipe.data.degrade.sharpen  # inputs are made of the sharpened image too
    assert recipe_from_dict(recipe.to_dict(), "again") == recipe
    with pytest.raises(ConfigError, match="both say what is compared"):
        load_recipe("realesrgan-x4", ["game.perceptual.layer=conv5_4"])
    one = load_recipe("realesrgan-x4", ["game.perceptual.layer=conv5_4", "game.perceptual.layers=null"])
    assert one.game.perceptual.compared == {"conv5_4": 1.0}
    less = load_recipe("realesrgan-x4", ["game.perceptual.layers.conv1_2=0.5", "data.degrade.first.jpeg=[60, 95]"])
    assert less.game.perceptual.compared == wanted | {"conv1_2": 0.5}
    assert less.data.degrade.first.jpeg == (60, 95) and less.data.degrade.second == recipe.data.degrade.second


def test_recipes_and_checkpoints_of_one_layer_are_still_read():
    plain = load_recipe("esrgan-x4").to_dict()
    del plain["game"]["perceptual"]["layers"], plain["game"]["sharpen"], plain["data"]["degrade"]
    assert plain["game"]["perceptual"]["layer"] == "conv5_4"
    assert recipe_from_dict(plain, "old") == load_recipe("esrgan-x4")
    assert PerceptualConfig().compared == {"relu5_4": 1.0}


@pytest.mark.parametrize("sharpen", [True, False])
def test_pixels_and_features_compare_with_the_sharpened_image_and_the_judge_does_not(sharpen, test_data):
    game = SRGANGame(
        pretrain_kimg=0.1,
        sharpen=sharpen,
        content="l1",
        pixel=0.5,
        adversarial=0.125,
        perceptual=PerceptualConfig(
            2.0,
            "vgg19-normalised",
            difference="l1",
            weights=str(test_data / "weights" / FILE),
            layers=LayerWeights({"conv1_2": 0.25, "relu2_1": 1.0}),
        ),
    )
    networks = networks_of() | frozen(SMALL, game, True)
    batch = batch_of()
    first, second = stages(SMALL, game)
    target = sharpened(batch.images) if sharpen else batch.images
    assert (l1(sharpened(batch.images), batch.images) > 0.05) and (sharpen or target is batch.images)
    for network in networks.values():
        network.train()
    x = networks["generator"](batch.inputs)
    torch.testing.assert_close(first.phases[0].loss(networks, batch, {}).value, l1(x, target))
    found = second.phases[0].loss(networks, batch, {}).means
    features = networks["features"]
    apart = {k: (features(x)[k] - features(target)[k]).abs().mean() for k in ("conv1_2", "relu2_1")}
    torch.testing.assert_close(found["pixel"], 0.5 * l1(x, target).detach())
    torch.testing.assert_close(found["perceptual"], 2 * (0.25 * apart["conv1_2"] + apart["relu2_1"]).detach())
    real, fake = networks["discriminator"](batch.images), networks["discriminator"](x)
    expected = torch.nn.functional.softplus(-real).mean() + torch.nn.functional.softplus(fake).mean()
    torch.testing.assert_close(second.phases[1].loss(networks, batch, {}).value, expected)


@pytest.mark.parametrize("kind", ENLARGERS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_reach_of_each_network_is_how_far_gradients_come_from(kind, scale):
    network = ENLARGERS[kind](1, scale, 2, 1, **({"growth": 2} if kind == "rrdb" else {})).double().eval()
    for p in network.parameters():
        p.data.abs_().add_(0.01)  # nothing cancels, and every ReLU lets pass
    wanted, half = reach(kind, scale, 1), 26
    x = torch.ones(1, 1, 2 * half + 1, 2 * half + 1, dtype=torch.float64, requires_grad=True)
    block = network(x)[0, 0, half * scale : (half + 1) * scale, half * scale : (half + 1) * scale]
    (gradient,) = torch.autograd.grad(block.sum(), x)
    rows = gradient[0, 0].abs().sum(1).nonzero()[:, 0] - half
    assert rows.min() == -rows.max()
    assert wanted - 1 <= rows.max() <= wanted < half


def test_the_reach_of_the_published_networks():
    found = {kind: reach(kind, 4, 23 if kind == "rrdb" else 16) for kind in ENLARGERS}
    assert found == {"srresnet": 40, "msrresnet": 35, "ranksrresnet": 36, "rrdb": RRDB_REACH}
    assert SRGANConfig(size=128, kind="rrdb", blocks=23).reach == RRDB_REACH
    assert reach("rrdb", 4, 1) == 19  # a small one is no farther than all that it sees


@pytest.fixture(scope="module")
def trained():
    """A tiny ESRGAN after its first stage and after its second, and a first stage of another beginning."""
    game = SRGANGame(
        pretrain_kimg=0.1,
        content="l1",
        pixel=0.1,
        adversarial=1.0,
        perceptual=PerceptualConfig(0.0),
        loss=LossConfig("relativistic_average_detached"),
    )
    first, second = stages(ESRGAN, game)

    def begun(seed):
        networks = networks_of(ESRGAN, game, seed)
        optimizers = adams(networks, 0.003, (0.9, 0.99))
        for _ in range(80):
            step(networks, first.phases[0], smooth(), optimizers)
        networks["content"].load_state_dict(networks["generator"].state_dict())
        return networks, optimizers

    networks, _ = begun(0)
    optimizers = adams(networks, 0.001, (0.9, 0.99))
    for _ in range(25):
        for phase in second.phases:
            step(networks, phase, smooth(), optimizers)
    return networks, begun(1)[0]["content"]


def smooth():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    rows = [torch.sin(0.3 * (i + 1) * x + 0.5 * c) * torch.cos(0.2 * y + i) for i in range(4) for c in range(3)]
    images = torch.stack(rows).reshape(4, 3, 32, 32)
    return Batch(images, inputs=torch.nn.functional.avg_pool2d(images, 2))


ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def psnr(networks, alpha):
    batch = smooth()
    with torch.no_grad():
        images = render(networks, batch.inputs, None, {"interpolation": alpha})
    return -10 * math.log10(((images - batch.images) / 2).square().mean().item())


def test_fidelity_falls_on_the_way_from_the_first_stage_to_the_second(trained):
    networks, _ = trained
    found = [psnr(networks, alpha) for alpha in ALPHAS]
    assert all(after <= before + 0.05 for before, after in pairwise(found)), found
    assert found[0] - found[-1] > 1


def test_weights_of_two_beginnings_are_no_way(trained):
    """The bug: an interpolation with a first stage that the second did not start from."""
    networks, other = trained
    found = [psnr({**networks, "content": other}, alpha) for alpha in ALPHAS]
    assert min(found[1:-1]) < min(found[0], found[-1]) - 1


RANK = SRGANGame(
    pretrain_kimg=0.1, pixel=1.0, perceptual=PerceptualConfig(0.0), rank=RankConfig(weight=0.24, kimg=0.2, least=0.9)
)
RANKING = replace(SMALL, kind="ranksrresnet", ranker=4)


def ranked_batch(n=4, seed=0):
    """Better images are smooth, worse ones noisy."""
    batch = batch_of(n, RANKING, seed)
    better = 0.2 * torch.rand(n, 3, 32, 32)
    return replace(batch, extras={"better": better, "worse": better + 0.8 * torch.randn(n, 3, 32, 32)})


def test_a_ranker_has_a_stage_of_its_own_and_stays_as_it_is_in_the_last():
    networks = networks_of(RANKING, RANK)
    assert RANK.prepare(networks) == {}
    first, rank, last = stages(RANKING, RANK)
    assert [s.name for s in (first, rank, last)] == ["pretrain", "rank", "gan"] and rank.nimg == 200
    assert {"better", "worse"} <= set(rank.needs) and {"better", "worse"} <= set(last.needs)
    optimizers = adams(networks, 0.003, (0.9, 0.999))
    batch = ranked_batch()
    for i in range(40):
        out = step(networks, rank.phases[0], ranked_batch(seed=i), optimizers, i)
    assert out.means["ranker_accuracy"] > 0.9 and out.means["loss_r"] < 0.1
    state = {k: v.clone() for k, v in networks["ranker"].state_dict().items()}
    out, found = gradients(networks, last.phases[0], batch)
    assert set(found) == {"generator"} and any(g.abs().max() > 0 for g in found["generator"])
    images = networks["generator"](batch.inputs)
    expected = 0.24 * torch.sigmoid(networks["ranker"].eval()(images)).mean()
    torch.testing.assert_close(out.means["rank"], expected.detach())
    assert all(torch.equal(v, state[k]) for k, v in networks["ranker"].state_dict().items())


def test_the_last_stage_waits_for_a_ranker_and_for_a_generator():
    networks = networks_of(RANKING, RANK)
    last = stages(RANKING, RANK)[-1]
    held = ranked_batch(16, seed=99)
    scores = {"good": lambda x: x.square().mean((1, 2, 3)), "wrong": lambda x: -x.square().mean((1, 2, 3))}
    networks["ranker"].judge = scores["wrong"]
    reason = last.gate(networks, held)
    assert "0 % of 16 pairs" in reason and "90 % are asked for" in reason and "game.rank.kimg" in reason
    networks["ranker"].judge = scores["good"]
    networks["generator"].tail[-1].bias.data.fill_(9.0)
    assert "--init-from RUN" in last.gate(networks, held)
    networks["generator"] = lambda_network(held)
    assert last.gate(networks, held) is None


def lambda_network(batch):
    """A generator that is right."""

    class Right(torch.nn.Module):
        def forward(self, x):
            return batch.images

    return Right()


def test_a_ranker_and_its_weight_go_together():
    for config, game in ((RANKING, PIXELS), (SMALL, RANK)):
        with pytest.raises(ConfigError, match="go together"):
            game.prepare(networks_of(config, game))


def test_weights_between_the_stages():
    networks = networks_of()
    batch = batch_of()
    optimizers = adams(networks, 0.01, (0.9, 0.999))
    first, second = stages(SMALL, PIXELS)
    step(networks, first.phases[0], batch, optimizers)
    networks["content"].load_state_dict(networks["generator"].state_dict())
    step(networks, second.phases[0], batch, optimizers)
    for network in networks.values():
        network.eval()
    with torch.no_grad():
        assert torch.equal(render(networks, batch.inputs, None, {}), networks["generator"](batch.inputs))
        at = {a: render(networks, batch.inputs, None, {"interpolation": a}) for a in (0.0, 0.25, 0.5, 1.0)}
        assert torch.equal(at[1.0], networks["generator"](batch.inputs))
        assert torch.equal(at[0.0], networks["content"](batch.inputs))
        # Blended by hand, buffers of the normalisation too.
        blend = build(SMALL)["generator"].eval()
        theirs = networks["generator"].state_dict()
        blend.load_state_dict({k: 0.75 * v + 0.25 * theirs[k] for k, v in networks["content"].state_dict().items()})
        torch.testing.assert_close(at[0.25], blend(batch.inputs), rtol=1e-4, atol=1e-5)
    assert not torch.equal(at[0.25], at[0.5])


def test_there_is_nothing_to_interpolate_with_in_the_first_stage():
    networks = networks_of()
    with pytest.raises(ConfigError, match="first stage is not over"):
        render(networks, batch_of().inputs, None, {"interpolation": 0.5})


def test_golden_losses():
    networks = networks_of(seed=7)
    optimizers = adams(networks, 0.002, (0.9, 0.999))
    found = []
    for i in range(3):
        for stage in stages(SMALL, PIXELS):
            for phase in stage.phases:
                found.append(step(networks, phase, batch_of(seed=i), optimizers, seed=i).value.item())
    assert found == pytest.approx(GOLDEN, rel=1e-3)


GOLDEN = [0.336399, 0.333063, 1.48562, 0.335897, 0.335043, 1.3952, 0.333818, 0.333483, 1.37534]


def test_phases_compile_whole():
    torch._dynamo.reset()
    networks, batch = networks_of(), batch_of()
    for stage in stages(SMALL, PIXELS):
        for phase in stage.phases:
            compiled = torch.compile(phase.loss, backend="eager", fullgraph=True, dynamic=False)
            torch.testing.assert_close(compiled(networks, batch, {}).value, phase.loss(networks, batch, {}).value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SRGANConfig(scale=5), "2, 3, 4, 8"),
        (lambda: SRGANConfig(size=100), "multiple of 16"),
        (lambda: SRGANConfig(size=32, scale=3), "multiple of 48 from 48"),
        (lambda: SRGANConfig(size=16, judge="vgg"), "multiple of 4 from 32 on"),
        (lambda: SRGANConfig(size=130, judge="vgg"), "multiple of 4 from 32 on"),
        (lambda: SRGANConfig(size=36, judge="unet"), "multiple of 8 from 16 on"),
        (lambda: SRGANConfig(kind="rrdb", growth=0), "growth"),
        (lambda: SRGANConfig(size=16, judge="unet", ranker=4), "ranker"),
        (lambda: RankConfig(kimg=0.0), "kimg and margin above 0"),
        (lambda: SRGANConfig(blocks=0), "at least 1"),
        (lambda: PerceptualConfig(layer="conv6_1"), "conv6_1"),
        (lambda: PerceptualConfig(layers=LayerWeights({"conv6_1": 1.0})), r"perceptual\.layers"),
        (lambda: PerceptualConfig(layers=LayerWeights({})), "needs a layer"),
        (lambda: PerceptualConfig(layers=LayerWeights({"conv1_1": 0.0})), "weights above 0"),
        (lambda: PerceptualConfig(layer="conv1_1", layers=LayerWeights({"conv1_1": 1.0})), "both say"),
        (lambda: LayerWeights.from_plain({"conv1_1": "much"}), "expected a number"),
        (lambda: PerceptualConfig(network="vgg19-normalised", layer="conv5_4"), "vgg19-normalised"),
        (lambda: SRGANGame(perceptual=PerceptualConfig(0.0)), "nothing ties"),
        (lambda: SRGANGame(gan=False, pretrain_kimg=0.0), "nothing to train"),
        (lambda: frozen(SRGANConfig(channels=2), SRGANGame(), False), "takes luma or colour"),
    ],
)
def test_what_cannot_be(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_its_sampler_starts_from_images():
    assert SYSTEM.takes == "images"
    assert SMALL.input_shape == (8, 8, 3)
    assert [c.name for c in SYSTEM.controls] == ["interpolation"]
