"""Films through `translate`: windows of frames, ends and cuts, colours, tiles, going on, an .mp4."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tests.conftest import blobs

from gantools import _native
from gantools.cli.translate import command
from gantools.data import clips as reading
from gantools.data.clips import luma
from gantools.data.video import prep_video
from gantools.errors import ConfigError, DataError, Interrupted
from gantools.metrics.pixels.paired import paired_scores
from gantools.metrics.pixels.similarity import planes
from gantools.models.vsrgan import SYSTEM, VSRGANConfig, build
from gantools.sampling.generator import Generator
from gantools.sampling.translate import Translator
from gantools.sampling.translations import translate
from gantools.sampling.video import write_video
from gantools.sampling.windows import coloured, shots_of
from gantools.training.run import train

SMALL = {
    "network": {"size": 16, "scale": 2, "width": 4, "blocks": 1, "judge_width": 4},
    "data": {"crop": 16},
    "game": {"pretrain_kimg": 0.008, "perceptual": {"weight": 0.0}},
    "batch": 4,
    "grid": 2,
    "kimg": 0.008,
}


def film_of(n: int, h: int = 20, w: int = 24, seed: int = 0) -> np.ndarray:
    """A film that moves."""
    still = np.asarray(Image.fromarray(blobs(1, 64, 3, seed)[0]).resize((w + 2 * n, h)))
    noise = np.random.default_rng(seed).integers(-20, 21, (h, w + 2 * n, 3))
    still = np.clip(still + noise, 0, 255).astype(np.uint8)
    return np.stack([still[:, 2 * i : 2 * i + w] for i in range(n)])


def write_frames(place, frames):
    place.mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(place / f"{i:03d}.png")
    return place


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a tiny network that takes five frames of luma."""
    place = tmp_path_factory.mktemp("vsrgan")
    frames = write_frames(place / "film", film_of(8, 16, 16))
    data = prep_video([frames], out=place / "set", size=16, scale=2, channels=1, progress=False).path
    found = train("vsrgan-x2", data=data, out=place / "runs", overrides=SMALL, progress=False, device="cpu")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def translator():
    """One with weights at random, so that every frame shows in its results."""
    torch.manual_seed(0)
    config = VSRGANConfig(size=16, scale=2, width=6, blocks=2, judge_width=4)
    networks = {"generator": build(config)["generator"].eval()}
    for parameter in networks["generator"].parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape))
    return Translator(SYSTEM, networks, config)


def window(translator, frames, numbers):
    """What the network makes of these frames, by hand."""
    x = torch.from_numpy(np.stack([luma(frames[i]) for i in numbers])).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        y = translator.networks["generator"](x)[0, 0]
    return np.clip(np.floor(y.numpy() * 127.5 + 128), 0, 255).astype(np.uint8)[..., None]


def test_each_frame_is_made_of_the_two_before_and_the_two_after(translator):
    frames = film_of(7)
    made = translator.translate(frames, controls={})
    assert [m.shape for m in made] == [(40, 48, 3)] * 7
    windows = ("00012", "00123", "01234", "12345", "23456", "34566", "45666")
    for i, numbers in enumerate(windows):
        wanted = coloured(frames[i], window(translator, frames, list(map(int, numbers))))
        assert np.abs(made[i].astype(int) - wanted).max() <= 1
    # Two levels in most pixels would be another window's.
    assert np.abs(made[0].astype(int) - coloured(frames[0], window(translator, frames, [0, 0, 0, 0, 0]))).max() > 2


@pytest.mark.parametrize("bug", [None, "one shot"])
def test_no_frame_is_taken_from_another_shot(translator, monkeypatch, bug):
    first, second = film_of(4), 255 - film_of(3, seed=1)
    both = np.concatenate([first, second])
    assert shots_of(both) == [0, 4]
    if bug:
        monkeypatch.setattr("gantools.sampling.translate.shots_of", lambda film: [0])
    made = translator.translate(both, controls={})
    apart = [*translator.translate(first, controls={}), *translator.translate(second, controls={})]
    assert all(map(np.array_equal, made, apart)) == (bug is None)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_short_films(translator, n):
    frames = film_of(n)
    made = translator.translate(frames, controls={})
    assert len(made) == n
    if n == 1:
        wanted = coloured(frames[0], window(translator, frames, [0] * 5))
        assert np.abs(made[0].astype(int) - wanted).max() <= 1
    assert translator.translate(frames[:0], controls={}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["a.png"],
        [np.zeros((8, 8), np.uint8)],
        [np.zeros((8, 8, 3))],
        [np.zeros((8, 8, 3), np.uint8)[:n] for n in (8, 7)],
    ],
)
def test_what_is_no_film_is_refused(translator, wrong):
    with pytest.raises(DataError, match="this network takes"):
        translator.translate(wrong, controls={})


def test_colours_are_those_of_the_bicubic():
    frame = np.random.default_rng(0).integers(60, 200, (8, 9, 3), dtype=np.uint8)
    large = _native.resize(frame, 16, 18, "bicubic")
    made = (luma(large).astype(int) + np.random.default_rng(1).integers(-20, 21, (16, 18, 1))).astype(np.uint8)
    found = coloured(frame, made)
    assert np.abs(luma(found).astype(int) - made).max() <= 1

    def chroma(x):
        return np.asarray(Image.fromarray(x).convert("YCbCr"), int)[..., 1:]

    assert np.abs(chroma(found) - chroma(large)).max() <= 1
    grey = np.repeat(luma(frame), 3, 2)
    assert np.ptp(coloured(grey, made).astype(int), axis=2).max() == 0
    # What is grey, or has colours of its own, is as it is.
    assert coloured(luma(frame), made) is made and coloured(frame, large) is large


def test_tiles_are_the_whole(translator):
    frames = film_of(5, 70, 90)
    whole = translator.translate(frames, controls={})
    tiled = translator.translate(frames, tile=2 * translator.margin + 11, controls={})
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(whole, tiled, strict=True)) <= 1


def test_a_folder_of_frames(run, tmp_path):
    frames = film_of(6)
    place = write_frames(tmp_path / "film", frames)
    out, rejects = translate(run, [place], out=tmp_path / "large", device="cpu")
    assert rejects == [] and sorted(p.name for p in out.glob("*.png")) == [f"{i:03d}.png" for i in range(6)]
    made = Generator.load(run, device="cpu").translate(frames)
    assert isinstance(made, np.ndarray) and made.shape == (6, 40, 48, 3)
    for i in range(6):
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"{i:03d}.png")), made[i])
    told = json.loads((out / "manifest.json").read_text())
    assert (told["count"], told["fps"], told["shots"]) == (6, None, [0])
    # Scored as any pairs are, frame by frame by their names.
    truth = write_frames(tmp_path / "truth", frames.repeat(2, 1).repeat(2, 2))
    scored = paired_scores(out, truth, ["psnr"], channel="y", crop=8)
    x, y = (planes(np.stack(v), "y", 8) for v in (made, frames.repeat(2, 1).repeat(2, 2)))
    by_hand = (10 * np.log10(255**2 / ((x - y) ** 2).mean((1, 2, 3)))).mean()
    assert scored.mean["psnr"] == pytest.approx(by_hand)
    with pytest.raises(DataError, match="exists already"):
        translate(run, [place], out=out, device="cpu")
    assert not (tmp_path / "large.partial").exists()


def shown(path):
    with av.open(str(path)) as film:
        (stream,) = film.streams
        return np.stack([f.to_ndarray(format="rgb24") for f in film.decode(stream)]), stream.average_rate


def test_a_video_becomes_a_video_of_its_rate(run, tmp_path):
    frames = film_of(6, 20, 24)
    write_video(tmp_path / "a.mp4", map(_native.encode_png, frames), 6, reading.Fraction(30000, 1001), least=1)
    arguments = [str(run), str(tmp_path / "a.mp4"), "--out", str(tmp_path / "b.mp4"), "--device", "cpu"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    found, rate = shown(tmp_path / "b.mp4")
    assert found.shape == (6, 40, 48, 3) and rate == reading.Fraction(30000, 1001)
    made = Generator.load(run, device="cpu").translate(list(next(iter(reading.find_clips(tmp_path / "a.mp4"))).read()))
    assert np.abs(found.astype(int) - np.stack(made)).mean() < 8
    assert not (tmp_path / "b.mp4.partial").exists()
    with pytest.raises(DataError, match="exists already"):
        translate(run, [tmp_path / "a.mp4"], out=tmp_path / "b.mp4", device="cpu")
    with pytest.raises(DataError, match="is the film itself"):
        translate(run, [tmp_path / "a.mp4"], out=tmp_path / "a.mp4", device="cpu", overwrite=True)
    translate(run, [tmp_path / "a.mp4"], out=tmp_path / "b.mp4", fps=12, device="cpu", overwrite=True)
    assert shown(tmp_path / "b.mp4")[1] == 12


def test_after_ctrl_c_the_same_command_goes_on(run, tmp_path, monkeypatch):
    frames = np.concatenate([film_of(4), 255 - film_of(3, seed=1)])
    place = write_frames(tmp_path / "film", frames)
    straight, _ = translate(run, [place], out=tmp_path / "straight", device="cpu")
    made, computed = Translator.made, []

    def interrupted_after(n):
        computed.clear()

        def counting(self, *arguments, **options):
            if len(computed) == n:
                raise KeyboardInterrupt
            computed.append(1)
            return made(self, *arguments, **options)

        monkeypatch.setattr(Translator, "made", counting)

    interrupted_after(3)
    with pytest.raises(Interrupted, match="3 frames are translated and kept") as error:
        translate(run, [place], out=tmp_path / "out", device="cpu")
    assert error.value.exit_code == 130 and not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="stopped call of other images or settings"):
        translate(run, [place], out=tmp_path / "out", tile=64, device="cpu")
    interrupted_after(99)
    out, _ = translate(run, [place], out=tmp_path / "out", device="cpu")
    assert len(computed) == 4
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in straight.iterdir()}


def test_a_film_that_ends_early_is_translated_as_far_and_said(run, tmp_path, monkeypatch):
    place = write_frames(tmp_path / "film", film_of(5))
    read = reading.Clip.read

    def early(self, **options):
        for _, frame in zip(range(3), read(self, **options), strict=False):
            yield frame
        raise reading.EndsEarly(str(self.path), 3, 5)

    monkeypatch.setattr(reading.Clip, "read", early)
    out, rejects = translate(run, [place], out=tmp_path / "out", device="cpu")
    assert rejects == [("film", "damaged or cut off, 3 of 5 frames could be read.")]
    assert len(list(out.glob("*.png"))) == 3
    assert json.loads((out / "manifest.json").read_text())["rejects"][0]["name"] == "film"


def test_a_network_of_single_images_takes_a_film_frame_by_frame(images_run, tmp_path):
    frames = film_of(3, 16, 16)
    write_video(tmp_path / "a.mp4", map(_native.encode_png, frames), 3, 25, least=1)
    out, _ = translate(images_run, [tmp_path / "a.mp4"], out=tmp_path / "out", device="cpu")
    read = list(reading.find_clips(tmp_path / "a.mp4")[0].read())
    made = Generator.load(images_run, device="cpu").translate(np.stack(read))
    for i in range(3):
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"{i:06d}.png")), made[i])
    place = write_frames(tmp_path / "film", frames)
    translate(images_run, [place], out=tmp_path / "out.mp4", device="cpu")
    assert shown(tmp_path / "out.mp4")[0].shape == (3, 16, 16, 3)


def test_mistakes(run, images_run, tmp_path):
    place = write_frames(tmp_path / "films" / "a", film_of(2))
    write_frames(tmp_path / "films" / "b", film_of(2))
    Image.fromarray(film_of(1)[0]).save(tmp_path / "one.png")
    for found, inputs, options, words in (
        (run, [tmp_path / "films"], {}, "2 films: a, b"),
        (run, [tmp_path / "one.png"], {}, "is one image, no film"),
        (run, [tmp_path / "gone.mp4"], {}, "no such file"),
        (run, [place], {"fps": 0.0}, "fps: must be from 1 to 1000"),
        (images_run, [place], {"fps": 12.0}, "fps: goes with a film"),
    ):
        with pytest.raises((ConfigError, DataError), match=words) as refused:
            translate(found, inputs, out=tmp_path / "out", device="cpu", **options)
        assert "\n" not in refused.value.message and refused.value.hint
        assert not (tmp_path / "out").exists()
