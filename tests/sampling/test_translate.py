import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tests.conftest import blobs, write_prepared

from gantools.cli.translate import command
from gantools.errors import ConfigError, DataError, Interrupted
from gantools.layers.super_resolution import DenseBlock, scaled_init
from gantools.metrics.scorer import score
from gantools.models import cyclegan, pix2pix
from gantools.models.cyclegan import CycleGANConfig
from gantools.models.pix2pix import Pix2PixConfig
from gantools.models.srgan import SYSTEM as SRGAN
from gantools.models.srgan import SRGANConfig, build
from gantools.sampling.generator import Generator
from gantools.sampling.translate import Translator
from gantools.sampling.translations import translate
from gantools.sampling.write import sample


@pytest.fixture(scope="module")
def run(images_run: Path) -> Path:
    return images_run


def picture(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def generator(run: Path) -> Generator:
    return Generator.load(run, device="cpu")


def test_any_size_is_taken_and_kept(generator):
    images = [picture(*shape) for shape in ((16, 16), (17, 30), (5, 9), (2, 3), (40, 21))]
    made = generator.translate(images)
    assert [m.shape for m in made] == [i.shape for i in images]
    # A side that is a multiple of 4 already is not continued.
    x = torch.from_numpy(images[0]).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        y = generator.networks["generator"](x)[0].permute(1, 2, 0)
    assert np.abs(made[0] - (127.5 * y.numpy() + 127.5)).max() <= 1


def test_an_image_does_not_depend_on_the_others(generator):
    images = [picture(16, 16, i) for i in range(3)]
    together = generator.translate(np.stack(images))
    assert isinstance(together, np.ndarray) and together.shape == (3, 16, 16, 3) and together.dtype == np.uint8
    for i in (2, 0, 1):
        (alone,) = generator.translate([images[i]])
        assert np.array_equal(alone, together[i])
    assert generator.translate([]) == []


def test_the_other_way_and_wrong_controls(generator):
    there, back = (generator.translate([picture(16, 16)], controls={"back": b})[0] for b in (0.0, 1.0))
    assert not np.array_equal(there, back)
    with pytest.raises(ConfigError, match=r"'bakc'[^?]*Did you mean 'back'"):
        generator.translate([picture(16, 16)], controls={"bakc": 1.0})
    with pytest.raises(ConfigError, match=r"back: must be in \[0, 1\]"):
        generator.translate([picture(16, 16)], controls={"back": 2.0})
    for wrong in (picture(16, 16)[..., :1], picture(16, 16)[0], picture(16, 16).astype(np.float32), "a.png"):
        with pytest.raises(DataError, match="this network takes"):
            generator.translate([wrong])


def test_what_starts_from_images_makes_none_from_latents(generator, run):
    calls = [
        lambda: generator.sample(4),
        lambda: next(generator.batches(4)),
        lambda: generator.numbered(0, 1),
        lambda: generator.of_seeds([1]),
        lambda: generator.from_latents(np.zeros((1, 4), np.float32)),
        lambda: generator.interpolate(0, 1, 3),
        lambda: generator.walk(4),
        lambda: sample(run, n=2, device="cpu"),
        lambda: score(run, metrics=["fid"], n=4, device="cpu"),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="makes images from images, not from latents") as error:
            call()
        assert error.value.hint == f"Give it some: gantools translate {run} IMAGES"


@pytest.mark.parametrize(("h", "w"), [(70, 90), (33, 140), (20, 20)])
def test_tiles_with_overlap_are_the_whole(h, w):
    # A generator whose network sees no farther than its margin, and enlarges twice.
    torch.manual_seed(0)
    config = SRGANConfig(size=32, scale=2, kind="msrresnet", width=4, blocks=2, judge_width=4)
    translator = Translator(SRGAN, {name: n.eval() for name, n in build(config).items()}, config)
    controls = {"interpolation": 1.0}
    image = picture(h, w)
    (whole,) = translator.translate([image], controls=controls)
    assert whole.shape == (2 * h, 2 * w, 3)
    assert translator.margin == config.reach == 7
    (tiled,) = translator.translate([image], tile=2 * translator.margin + 20, controls=controls)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    with pytest.raises(ConfigError, match="tile"):
        translator.translate([image], tile=2 * translator.margin, controls=controls)


def test_a_folder_keeps_its_names_and_says_what_was_left_out(run, tmp_path):
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    Image.fromarray(picture(20, 12)).save(photos / "one.jpg")
    Image.fromarray(picture(9, 16)).save(photos / "deep" / "two.png")
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(photos / "wide.png")
    clear = np.zeros((8, 8, 4), np.uint8)
    Image.fromarray(clear).save(photos / "clear.png")
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    out, rejects = translate(run, [photos], out=tmp_path / "out", device="cpu")
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.png")} == {"one.png", "deep/two.png", "wide.png"}
    assert Image.open(out / "deep" / "two.png").size == (16, 9)
    assert {name for name, _ in rejects} == {"clear.png", "broken.png"}
    assert all(reason for _, reason in rejects)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["format"], manifest["count"]) == ("gantools-translations", 3)
    assert manifest["files"]["one.png"] == "one.jpg"
    assert [r["name"] for r in manifest["rejects"]] == [name for name, _ in rejects]
    # Again, with transparency on white; only what is its own is replaced.
    with pytest.raises(DataError, match="exists already"):
        translate(run, [photos], out=out, device="cpu")
    _, rejects = translate(run, [photos], out=out, alpha="white", device="cpu", overwrite=True)
    assert [name for name, _ in rejects] == ["broken.png"]
    with pytest.raises(DataError, match="other things"):
        translate(run, [photos], out=photos, device="cpu", overwrite=True)


def test_files_and_prepared_sets(run, tmp_path):
    Image.fromarray(picture(12, 12)).save(tmp_path / "a.png")
    data = write_prepared(tmp_path / "set", blobs(3, 16, 3))
    out, rejects = translate(run, [tmp_path / "a.png", data], out=tmp_path / "out", device="cpu")
    assert sorted(p.name for p in out.glob("*.png")) == ["000000.png", "000001.png", "000002.png", "a.png"]
    assert not rejects


def test_two_of_one_name_and_nothing_readable(run, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture(8, 8)).save(tmp_path / folder / "a.png")
    with pytest.raises(DataError, match=r"both be written as a\.png"):
        translate(run, [tmp_path / "x", tmp_path / "y"], out=tmp_path / "out", device="cpu")
    (tmp_path / "x" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match="none of the 1 images could be translated"):
        translate(run, [tmp_path / "x"], out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def translator_of(module, config, seed=0) -> Translator:
    """Random networks, lively enough that a pixel out of place would show."""
    torch.manual_seed(seed)
    networks = {name: network.eval() for name, network in module.build(config).items()}
    for network in networks.values():
        for p in network.parameters():
            if p.dim() > 1:
                p.data.mul_(6)
    return Translator(module.SYSTEM, networks, config)


UNETS = {
    "running": Pix2PixConfig(size=64, downs=6, width=2, judge_width=2, judge_halvings=2, norm_eval="running"),
    "shallow": Pix2PixConfig(size=16, downs=3, width=4, judge_width=2, judge_halvings=1, norm="none"),
}
FIXED = {"dropout": 1.0, "seed": 3.0, "back": 0.0}


@pytest.mark.parametrize(
    ("module", "config", "shape", "tile"),
    [
        (pix2pix, UNETS["shallow"], (136, 104), 72),
        (pix2pix, UNETS["shallow"], (61, 150), 56),
        (pix2pix, UNETS["running"], (448, 128), 320),
        (cyclegan, CycleGANConfig(size=16, width=4, blocks=2, norm="none", judge_halvings=1), (150, 91), 96),
    ],
)
def test_tiles_of_a_network_that_sees_no_farther_than_its_reach_are_the_whole(module, config, shape, tile, monkeypatch):
    translator = translator_of(module, config)
    assert translator.reach == config.reach
    image = picture(*shape)
    (whole,) = translator.translate([image], pad=True, controls=FIXED)
    assert whole.shape == image.shape and whole.std() > 3
    (tiled,) = translator.translate([image], tile=tile, pad=True, controls=FIXED)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    # With the margin that is enough for others, the places where tiles meet are seen.
    monkeypatch.setattr(translator, "reach", 0)
    (tiled,) = translator.translate([image], tile=tile // 2, pad=True, controls=FIXED)
    assert np.abs(whole.astype(int) - tiled).max() > 3


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(
    ("kind", "blocks"), [("srresnet", 2), ("msrresnet", 3), ("ranksrresnet", 3), ("rrdb", 1), ("rrdb", 4)]
)
def test_tiles_of_networks_that_enlarge_are_the_whole(kind, blocks, scale, monkeypatch):
    """Of weights ten times as large as those that dense blocks begin with, the range of levels filled."""
    torch.manual_seed(1)
    config = SRGANConfig(size=32, scale=scale, kind=kind, width=8, growth=4, blocks=blocks, judge_width=2)
    networks = {name: network.eval() for name, network in build(config).items()}
    for module in networks["generator"].modules():
        if isinstance(module, DenseBlock):
            for conv in module.convs:
                scaled_init(conv, 1.0)
    image = picture(2 * config.reach + 40, 60)
    start = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    tail, seen = networks["generator"].tail, []
    hook = tail.register_forward_hook(lambda module, given, made: seen.append(made))
    with torch.no_grad():
        networks["generator"](start)
        last = tail if kind == "srresnet" else tail[-1]
        last.bias.sub_(seen[0].mean((0, 2, 3)))
        spread = 0.5 / seen[0].std((0, 2, 3))
        last.bias.mul_(spread)
        last.weight.mul_(spread[:, None, None, None])
    hook.remove()
    translator = Translator(SRGAN, networks, config)
    assert translator.reach == config.reach
    controls = {"interpolation": 1.0}
    (whole,) = translator.translate([image], controls=controls)
    assert whole.std() > 40
    (tiled,) = translator.translate([image], tile=2 * translator.margin + 12, controls=controls)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    monkeypatch.setattr(translator, "reach", 1)
    (tiled,) = translator.translate([image], tile=14, controls=controls)
    assert np.abs(whole.astype(int) - tiled).max() > 3


def test_tiles_of_a_network_that_normalises_each_image_go_over_into_each_other(monkeypatch):
    config = Pix2PixConfig(size=64, downs=6, width=2, judge_width=2, judge_halvings=2)
    translator = translator_of(pix2pix, config)
    assert config.reach is None and translator.margin == 64
    y, x = np.mgrid[:256, :320]
    image = np.stack([(128 + 100 * np.sin(x / 40 + k) * np.cos(y / 50)).astype(np.uint8) for k in range(3)], 2)
    (tiled,) = translator.translate([image], tile=192, controls=FIXED)
    assert tiled.shape == image.shape
    # Tiles in tones of their own: where they meet, nothing jumps.
    tones = iter((40, 200, 90, 250, 10, 120))

    def flat(part, controls):
        return np.full(part.shape, next(tones), np.uint8)

    monkeypatch.setattr(translator, "_whole", flat)
    (tiled,) = translator.translate([image], tile=192, controls=FIXED)
    jumps = [np.abs(np.diff(tiled.astype(int), axis=axis)).max() for axis in (0, 1)]
    assert max(jumps) <= 4 and tiled[0, 0, 0] == 40 and tiled[-1, -1, 0] != 40


@pytest.mark.parametrize("tile", [16, 100, 191])
def test_a_tile_of_which_nothing_is_left_is_refused(tile):
    translator = translator_of(pix2pix, Pix2PixConfig(size=64, downs=6, width=2, judge_width=2, judge_halvings=2))
    with pytest.raises(ConfigError, match="at least 192") as error:
        translator.translate([picture(512, 512)], tile=tile, controls=FIXED)
    assert "\n" not in error.value.message and error.value.hint


def test_sizes_that_a_network_does_not_take_are_an_error_or_padded_on_request():
    translator = translator_of(pix2pix, Pix2PixConfig(size=64, downs=6, width=2, judge_width=2, judge_halvings=2))
    (made,) = translator.translate([picture(64, 128)], controls=FIXED)
    assert made.shape == (64, 128, 3)
    # A single map of one pixel is enough: no side is made larger than it has to be.
    x = torch.from_numpy(picture(64, 64)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        wanted = pix2pix.render(translator.networks, x, None, FIXED)[0].permute(1, 2, 0)
    (made,) = translator.translate([picture(64, 64)], controls=FIXED)
    assert np.abs(made - (127.5 * wanted.numpy() + 127.5)).max() <= 1
    with pytest.raises(
        DataError, match=r"70 x 64 pixels: this network takes sides that are multiples of 64\."
    ) as error:
        translator.translate([picture(64, 70)], controls=FIXED)
    assert "--pad" in (error.value.hint or "")
    odd = picture(50, 70)
    (made,) = translator.translate([odd], pad=True, controls=FIXED)
    mirrored = np.pad(odd, ((0, 14), (0, 58), (0, 0)), "symmetric")
    (whole,) = translator.translate([mirrored], controls=FIXED)
    assert np.array_equal(made, whole[:50, :70])


def interrupted_after(n: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ctrl-C while image `n` is computed; gives the list that counts how many were."""
    computed: list[int] = []
    usual = Translator._whole

    def whole(self, image, controls):
        computed.append(1)
        if len(computed) == n + 1:
            raise KeyboardInterrupt
        return usual(self, image, controls)

    monkeypatch.setattr(Translator, "_whole", whole)
    return computed


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_after_ctrl_c_the_same_call_goes_on(run, tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    for i in range(5):
        Image.fromarray(picture(16, 12, i)).save(photos / ("deep" if i % 2 else ".") / f"{i}.png")
    (photos / "2b.png").write_bytes(b"no image")
    straight, _ = translate(run, [photos], out=tmp_path / "straight", device="cpu")
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupted_after(3, patch)
        with pytest.raises(Interrupted, match="3 of 6 images are translated and kept") as error:
            translate(run, [photos], out=out, device="cpu")
    assert error.value.exit_code == 130 and "same command" in (error.value.hint or "")
    assert not out.exists() and len(list((tmp_path / "out.partial").rglob("*.png"))) == 3
    # Another call does not take what this one left, and does not throw it away unasked.
    with pytest.raises(DataError, match="stopped call of other images or settings"):
        translate(run, [photos], out=out, device="cpu", controls={"back": 1.0})
    with monkeypatch.context() as patch:
        computed = interrupted_after(99, patch)
        found, rejects = translate(run, [photos], out=out, device="cpu")
    assert len(computed) == 2 and [name for name, _ in rejects] == ["2b.png"]
    assert contents(found) == contents(straight) and not (tmp_path / "out.partial").exists()


def test_an_image_that_was_changed_meanwhile_is_not_what_was_translated(run, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for i in range(2):
        Image.fromarray(picture(16, 16, i)).save(tmp_path / "in" / f"{i}.png")
    with monkeypatch.context() as patch:
        interrupted_after(1, patch)
        with pytest.raises(Interrupted):
            translate(run, [tmp_path / "in"], out=tmp_path / "out", device="cpu")
    Image.fromarray(picture(20, 16, 7)).save(tmp_path / "in" / "0.png")
    with pytest.raises(DataError, match="other images"):
        translate(run, [tmp_path / "in"], out=tmp_path / "out", device="cpu")
    out, _ = translate(run, [tmp_path / "in"], out=tmp_path / "out", device="cpu", overwrite=True)
    assert Image.open(out / "0.png").size == (16, 20)
    (tmp_path / "mine.partial").mkdir()
    (tmp_path / "mine.partial" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="is in the way"):
        translate(run, [tmp_path / "in"], out=tmp_path / "mine", device="cpu", overwrite=True)
    assert (tmp_path / "mine.partial" / "letter.txt").read_text() == "dear"


def test_sixteen_bits_and_transparency_by_the_policies_of_prep(run, tmp_path):
    deep = np.linspace(0, 4095, 256).reshape(16, 16).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    glass = np.dstack([picture(16, 16), np.arange(256, dtype=np.uint8).reshape(16, 16)])
    Image.fromarray(glass).save(tmp_path / "glass.png")
    generator = Generator.load(run, device="cpu")

    def made(name, **policy):
        out, _ = translate(run, [tmp_path / name], out=tmp_path / "out", device="cpu", overwrite=True, **policy)
        return np.asarray(Image.open(out / name))

    def expected(levels):
        return generator.translate([levels])[0]

    shown = np.floor(deep / 4095 * 255 + 0.5).astype(np.uint8)
    apart = np.abs(made("deep.png", sixteen_bit="0:4095").astype(int) - expected(np.dstack([shown] * 3)))
    assert apart.max() <= 4  # of a level of the input
    high = (deep >> 8).astype(np.uint8)
    assert np.array_equal(made("deep.png"), expected(np.dstack([high] * 3)))
    assert np.array_equal(made("glass.png", alpha="drop"), expected(glass[..., :3].copy()))
    white = made("glass.png", alpha="white")
    assert not np.array_equal(white, made("glass.png", alpha="black"))
    done = CliRunner().invoke(command, [str(run), str(tmp_path / "glass.png"), "--out", str(tmp_path / "none")])
    assert isinstance(done.exception, DataError) and "--alpha drop" in (done.exception.hint or "")


def test_the_command_names_what_is_left_out(tmp_path, run):
    (tmp_path / "in").mkdir()
    Image.fromarray(picture(16, 16)).save(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"nothing")
    given = [str(run), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--pad", "--tile", "64", "--device", "cpu"]
    done = CliRunner().invoke(command, given)
    assert done.exit_code == 0, done.output
    assert "warning: left out: bad.png: " in done.stderr and done.stdout.strip() == str(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["pad"] is True and manifest["tile"] == 64
