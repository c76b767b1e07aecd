"""`gantools prep video`: films become pairs that know which film and frame they are of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.conftest import blobs

from gantools import _native
from gantools.cli.prep import command
from gantools.data import clips as reading
from gantools.data.inspect import verify
from gantools.data.video import prep_video
from gantools.errors import ConfigError, DataError, Interrupted
from gantools.metrics.pixels.similarity import planes
from gantools.sampling.video import write_video


def frames_of(n: int, h: int, w: int, seed: int = 0) -> np.ndarray:
    """A film that moves a little."""
    still = np.asarray(Image.fromarray(blobs(1, 64, 3, seed)[0]).resize((w + n, h)))
    return np.stack([still[:, i : i + w] for i in range(n)])


def write_frames(place, frames):
    place.mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(place / f"{i:03d}.png")
    return place


@pytest.fixture
def film(tmp_path):
    """Two shots of 5 and 4 frames, 40 x 32."""
    frames = np.concatenate([frames_of(5, 32, 40), 255 - frames_of(4, 32, 40, 1)])
    return write_frames(tmp_path / "film", frames), frames


def test_shots_and_places_are_films_of_their_own(film, tmp_path):
    place, frames = film
    made = prep_video([place], out=tmp_path / "set", size=16, stride=16, scale=2, progress=False)
    assert made.shape == (16, 16, 3) and made.inputs.shape == (8, 8, 3)
    # 40 x 32 has tiles at x 0, 16, 24 and y 0, 16.
    assert len(made) == 9 * 6 and len(set(made.names)) == len(made)
    clip, shot, frame = (made.annotations[name] for name in ("clip", "shot", "frame"))
    assert sorted(set(clip.tolist())) == list(range(12)) and shot.tolist() == [0] * 30 + [1] * 24
    small = np.stack([np.asarray(Image.fromarray(f).resize((20, 16), Image.Resampling.BICUBIC)) for f in frames])
    place_of = {}
    for i, name in enumerate(made.names):
        file, y, x = name.removesuffix(".png").rsplit("_", 2)
        number, y, x = int(file.rsplit("/", 1)[1]), int(y), int(x)
        assert frame[i] == number - 5 * shot[i] and file.split("/")[1] == f"{shot[i]:04d}"
        np.testing.assert_array_equal(made[i], frames[number, y : y + 16, x : x + 16])
        # Of the whole frame made smaller, not of the tile: what lies beside it counts for its border.
        np.testing.assert_array_equal(made.inputs[i], small[number, y // 2 : y // 2 + 8, x // 2 : x // 2 + 8])
        assert place_of.setdefault(int(clip[i]), (int(shot[i]), y, x)) == (int(shot[i]), y, x)
    verify(made.path)
    told = made.manifest["source"]["video"]
    assert told["clips"] == [
        {"name": "film", "frames": 9, "size": [40, 32], "fps": None, "notes": [], "shots": 2},
    ]
    assert not (tmp_path / "set.frames").exists()


def test_luma_every_second_frame_and_a_limit(film, tmp_path):
    place, frames = film
    made = prep_video(
        [place], out=tmp_path / "set", size=32, scale=4, channels=1, every=2, limit=3, rest="drop", progress=False
    )
    assert made.shape == (32, 32, 1) and len(made) == 3 and made.annotations["frame"].tolist() == [0, 1, 2]
    grey = np.asarray(Image.fromarray(frames[2]).convert("L"))
    np.testing.assert_array_equal(made[1][..., 0], grey[:, :32])
    assert made.names[1].startswith("film/0000/000002_")


def test_a_video_and_folders_together_and_the_same_again(film, tmp_path, capsys):
    write_video(tmp_path / "clip.mp4", map(_native.encode_png, frames_of(6, 32, 32)), 6, 24, least=1)
    options = {"out": tmp_path / "set", "size": 16, "scale": 2}
    made = prep_video([tmp_path / "clip.mp4", film[0]], **options)
    told = made.manifest["source"]["video"]["clips"]
    assert [(c["name"], c["frames"], c["fps"], c["shots"]) for c in told] == [
        ("clip", 6, "24", 1),
        ("film", 9, None, 2),
    ]
    before = {p: p.read_bytes() for p in made.path.rglob("*") if p.is_file()}
    capsys.readouterr()
    prep_video([tmp_path / "clip.mp4", film[0]], **options)
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(DataError, match="exists and is something else"):
        prep_video([film[0]], **options)
    prep_video([tmp_path / "clip.mp4", film[0]], **options, overwrite=True)
    assert {p: p.read_bytes() for p in made.path.rglob("*") if p.is_file()} == before


def test_after_ctrl_c_the_same_call_goes_on(film, tmp_path, monkeypatch):
    other = write_frames(tmp_path / "other", frames_of(4, 32, 40, 2))
    straight = prep_video([film[0], other], out=tmp_path / "a" / "set", size=16, scale=2, progress=False)
    out = tmp_path / "b" / "set"
    read = reading.Clip.read

    def stopped(self, **options):
        if self.name == "other":
            raise KeyboardInterrupt
        yield from read(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(reading.Clip, "read", stopped)
        with pytest.raises(Interrupted, match="1 of 2 films are read and kept") as found:
            prep_video([film[0], other], out=out, size=16, scale=2, progress=False)
    assert found.value.exit_code == 130 and not out.exists() and (out.parent / "set.frames" / "film").is_dir()
    with pytest.raises(DataError, match="stopped run of another source"):
        prep_video([film[0]], out=out, size=16, scale=2, progress=False)
    again = []

    def recorded(self, **options):
        again.append(self.name)
        yield from read(self, **options)

    monkeypatch.setattr(reading.Clip, "read", recorded)
    made = prep_video([film[0], other], out=out, size=16, scale=2, progress=False)
    assert again == ["other"] and made.fingerprint == straight.fingerprint
    assert (made.path / "manifest.json").read_bytes() == (straight.path / "manifest.json").read_bytes()


def test_what_a_cut_off_video_has_is_taken_and_said(tmp_path, film, monkeypatch, capsys):
    def early(self, **options):
        for i in range(3):
            yield film[1][i]
        raise reading.EndsEarly(str(self.path), 3, 9)

    monkeypatch.setattr(reading.Clip, "read", early)
    made = prep_video([film[0]], out=tmp_path / "set", size=32, scale=2)
    said = capsys.readouterr().err
    assert "warning: " in said and "damaged or cut off, 3 of 9 frames could be read" in said
    assert len(set(made.annotations["frame"].tolist())) == 3
    assert "3 of 9 frames" in json.dumps(made.manifest["source"]["video"])


def test_mistakes(tmp_path, film):
    one = write_frames(tmp_path / "one", film[1][:1])
    for paths, options, words in (
        ([one], {}, "has 1 frame, a film needs 2"),
        ([film[0]], {"size": 64}, "frames are 40 x 32, smaller than a tile of 64"),
        ([film[0], film[0]], {}, "have one name, film"),
        ([tmp_path / "gone"], {}, "no such file"),
        ([film[0]], {"size": 18, "scale": 4}, "no multiple of the scale 4"),
    ):
        with pytest.raises((DataError, ConfigError), match=words) as refused:
            prep_video(paths, **{"out": tmp_path / "set", "size": 16, "progress": False, **options})
        assert "\n" not in refused.value.message and refused.value.hint
        assert not (tmp_path / "set").exists() and not (tmp_path / "set.frames").exists()


def test_the_command(tmp_path, film):
    out = tmp_path / "set"
    arguments = ["video", str(film[0]), "--out", str(out), "--size", "16", "--scale", "2", "--channels", "1"]
    done = CliRunner().invoke(command, [*arguments, "--no-progress"])
    assert done.exit_code == 0 and done.output.splitlines()[-1] == str(out)
    assert "--every" in CliRunner().invoke(command, ["video", "--help"]).output


@pytest.mark.parametrize(
    ("name", "frames", "shots", "bicubic"),
    [("carphone_pristine", 120, 1, 26.09), ("bikes", 250, 6, 32.99), ("bigbuckbunny", 132, 1, 32.04)],
)
def test_real_films(test_data, tmp_path, name, frames, shots, bicubic):
    """Their shots, and how near bicubic x4 comes: luma of the third frame to the last but two, border 8."""
    (clip,) = reading.find_clips(test_data / "data" / "video" / f"{name}.mp4")
    # Of the large one every fourth frame: it takes long.
    every = 4 if name == "bigbuckbunny" else 1
    differences, found, before = [], [], None
    for i, frame in enumerate(clip.read()):
        if before is not None:
            differences.append(reading.difference(before, frame))
        before = frame
        if i < 2 or i >= frames - 2 or i % every:
            continue
        h, w = (side // 4 * 4 for side in frame.shape[:2])
        large = np.ascontiguousarray(frame[:h, :w])
        small = _native.resize(large, h // 4, w // 4, "bicubic")
        sample, target = (planes(x[None], "y", 8) for x in (_native.resize(small, h, w, "bicubic"), large))
        found.append(10 * np.log10(255**2 / ((sample - target) ** 2).mean()))
    assert i + 1 == frames == clip.declared
    assert len(reading.cuts(differences)) == shots
    assert np.mean(found) == pytest.approx(bicubic, abs=0.02)
