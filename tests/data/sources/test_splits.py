"""Which names are parts of a set, and what is chosen of a set that has parts: the same in every kind of source."""

from __future__ import annotations

import pytest
from tests.data.sources.makers import png, write_files, write_tar, write_zip
from tests.data.sources.test_stores import write_parquet

from gantools.data.sources import folder, parquet, tar
from gantools.data.sources.splits import choose, part_of_file, split_of, split_within
from gantools.errors import ConfigError, DataError

IMAGE = png(0)


@pytest.mark.parametrize(
    ("names", "split"),
    [
        ("train Train TRAIN training trainval train2017 train_2014 train1 seg_train trainA train_images", "train"),
        ("training_set Training-Set trainset train_data images_train imgs-train train_256 TrainB", "train"),
        ("val valid validation Validate dev eval evaluation val2017 val_256 minival valB", "val"),
        ("test Testing test2017 test1 seg_test testA test_B holdout test_images", "test"),
        ("extra additional EXTRA extra_data", "extra"),
        ("unlabeled unlabelled unlabeled2017 unsupervised pred seg_pred", "unlabeled"),
        ("cat trains testament evaluator device extras img 0 2017 A B data images set trainC", None),
    ],
)
def test_what_a_name_stands_for(names, split):
    for name in names.split():
        assert split_of(name) == split, name


def test_a_word_within_a_name_and_the_part_of_a_file():
    assert split_within("DIV2K_train_HR") == "train"
    assert split_within("imagenet-1k-validation") == "val"
    assert split_within("train_test") is None
    assert split_within("bullet trains") is None
    for path, part in (
        ("data/train-00000-of-00002.parquet", "train"),
        ("plain_text/test-00000-of-00001.parquet", "test"),
        ("data/train-00000-of-00001-0123456789abcdef.parquet", "train"),
        ("default/validation/0000.parquet", "validation"),
        ("train.parquet", "train"),
        ("train2017/00001.tar", "train2017"),
        ("imagenet-val-000012.tar", "imagenet-val"),
        ("00001.tar", ""),
        ("train-000.tar.gz", "train"),
        ("val-000.tar.zst", "val"),
        ("s-01.tar", "s"),
    ):
        assert part_of_file(path) == part, path


def layout(parts: dict[str, list[str]]) -> dict[str, bytes]:
    return {f"{part}/{name}" if part else name: IMAGE for part, names in parts.items() for name in names}


def opened(kind, tmp_path, parts, split=None):
    files = layout(parts)
    path = tmp_path / f"{kind}{len(list(tmp_path.iterdir()))}"
    if kind == "zip":
        return folder.open_source(write_zip(path.with_suffix(".zip"), files), split)
    if kind == "tar":
        return tar.open_source(write_tar(path.with_suffix(".tar"), files), split)
    return folder.open_source(write_files(path, files), split)


TWO = ["a/0.png", "b/0.png"]


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize(
    ("parts", "split", "left_out"),
    [
        (("Train", "Test"), "Train", {"Test": 2}),
        (("training", "testing"), "training", {"testing": 2}),
        (("seg_train", "seg_test", "seg_pred"), "seg_train", {"seg_pred": 2, "seg_test": 2}),
        (("train2017", "val2017", "unlabeled2017"), "train2017", {"unlabeled2017": 2, "val2017": 2}),
        (("train", "extra"), "train", {"extra": 2}),
        (("train", "dev", "eval"), "train", {"dev": 2, "eval": 2}),
        (("outer/train", "outer/test"), "train", {"test": 2}),
        (("DIV2K_train_HR", "DIV2K_valid_HR"), "DIV2K_train_HR", {"DIV2K_valid_HR": 2}),
    ],
)
def test_only_training_data_is_in_the_default_set(tmp_path, kind, parts, split, left_out):
    source = opened(kind, tmp_path, dict.fromkeys(parts, TWO))
    assert (source.split, source.usual_split, source.left_out) == (split, split, left_out)
    assert (len(source), source.classes) == (2, ["a", "b"])
    everything = opened(kind, tmp_path, dict.fromkeys(parts, TWO), "all")
    assert (len(everything), everything.classes, everything.left_out) == (2 * len(parts), ["a", "b"], {})
    for part, n in left_out.items():
        # By its own name in any case, or by what it stands for where only one part does.
        assert len(opened(kind, tmp_path, dict.fromkeys(parts, TWO), part.upper())) == n


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_what_is_not_certain_is_asked(tmp_path, kind):
    for parts, words in (
        ({"train": TWO, "test": TWO, "more": TWO}, "train are splits|more beside them is none that is known"),
        ({"train": TWO, "apple": TWO}, "train is a split, apple beside it"),
        ({"train": TWO, "test": TWO, "": ["cover.png"]}, "files outside of folders beside them"),
        ({"val": TWO, "test": TWO}, "has no training data, only test, val"),
        ({"test": TWO}, "has no training data, only test"),
        ({"train2014": TWO, "train2017": TWO, "val2017": TWO}, "train2014, train2017 are all train"),
        ({"cat/train": ["0.png"], "cat/test": ["0.png"], "cat/mask": ["0.png"], "dog/train": ["0.png"]}, "mask beside"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            opened(kind, tmp_path, parts)
        assert "--split" in error.value.hint
        # What the hint says to type is understood.
        for word in error.value.hint.replace(";", " ").replace(",", " ").replace(".", " ").split("--split ")[1:]:
            try:
                opened(kind, tmp_path, parts, word.split()[0])
            except DataError as e:  # all of it may still not be a set of classes
                assert "some are not" in e.message
    assert opened(kind, tmp_path, {"train": TWO, "apple": TWO}, "none").classes == ["apple", "train"]
    assert opened(kind, tmp_path, {"train": TWO, "apple": TWO}, "train").classes == ["a", "b"]
    with pytest.raises(ConfigError, match="has no split 'val'"):
        opened(kind, tmp_path, {"train": TWO, "test": TWO}, "val")


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_other_layouts_of_splits(tmp_path, kind):
    # The class first.
    source = opened(kind, tmp_path, {f"{c}/{s}": ["0.png"] for c in ("cat", "dog") for s in ("train", "test")})
    assert (source.classes, source.left_out) == (["cat", "dog"], {"test": 2})
    # The domains of unpaired translation are classes of the split.
    parts = {"trainA": ["0.png"], "trainB": ["0.png", "1.png"], "testA": ["0.png"], "testB": ["0.png"]}
    source = opened(kind, tmp_path, parts)
    assert (source.split, source.classes, source.labels.tolist()) == ("train", ["A", "B"], [0, 1, 1])
    assert opened(kind, tmp_path, parts, "trainB").names == ["trainB/0.png", "trainB/1.png"]
    # Names of classes that only look like one.
    source = opened(kind, tmp_path, {"bullet_train": ["0.png"], "test tube": ["0.png"], "apple": ["0.png"]})
    assert (source.split, source.classes) == (None, ["apple", "bullet_train", "test tube"])
    # One part alone is the set.
    source = opened(kind, tmp_path, {"train": TWO})
    assert (len(source), source.classes, source.split) == (2, ["a", "b"], "train")
    assert len(opened(kind, tmp_path, {"x/test": TWO}, "test")) == 2
    assert len(opened(kind, tmp_path, {"test": ["0.png"]}, "all")) == 1


@pytest.mark.parametrize(
    ("names", "split", "n"),
    [
        (("train-000.tar", "train-001.tar", "val-000.tar"), "train", 2),
        (("train/000.tar", "train/001.tar", "test/000.tar"), "train", 2),
        (("in1k-train-000.tar", "in1k-validation-000.tar"), "in1k-train", 1),
        (("000.tar", "001.tar", "002.tar"), None, 3),
    ],
)
def test_archives_are_parts_by_their_names(tmp_path, names, split, n):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_tar(tmp_path / name, {"0.png": IMAGE, "0.cls": b"1"})
    source = tar.open_source(tmp_path)
    assert (len(source), source.split) == (n, split)
    assert len(tar.open_source(tmp_path, "all")) == len(names)
    write_tar(tmp_path / "other-000.tar", {"0.png": IMAGE, "0.cls": b"1"})
    if split == "train":
        with pytest.raises(ConfigError, match="other beside them"):
            tar.open_source(tmp_path)


@pytest.mark.parametrize(
    ("places", "split"),
    [
        (("data/train-00000-of-00001", "data/test-00000-of-00001"), "train"),
        (("plain_text/train-00000-of-00001", "plain_text/test-00000-of-00001"), "train"),
        (("default/train/0000", "default/validation/0000"), "train"),
        (("Training", "Testing"), "Training"),
        (("train-00000-of-00001", "unsupervised-00000-of-00001", "test-00000-of-00001"), "train"),
    ],
)
def test_parquet_files_are_parts_by_their_places(tmp_path, places, split):
    for i, place in enumerate(places):
        write_parquet(tmp_path / f"{place}.parquet", i + 1, labels=[0] * (i + 1))
    source = parquet.open_source(tmp_path)
    assert (len(source), source.split) == (1, split)
    assert len(source.left_out) == len(places) - 1
    assert len(parquet.open_source(tmp_path, "all")) == sum(range(1, len(places) + 1))


def test_several_sets_of_parquet_files_are_asked_about(tmp_path):
    for place in ("cropped_digits/train-00000-of-00001", "full_numbers/train-00000-of-00001"):
        write_parquet(tmp_path / f"{place}.parquet", 1)
    with pytest.raises(ConfigError, match="several sets: cropped_digits, full_numbers") as error:
        parquet.open_source(tmp_path)
    assert len(parquet.open_source(tmp_path / "full_numbers")) == 1
    assert str(tmp_path / "full_numbers") in error.value.hint


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("name", ["val", "Validation", "test_set", "imagenet_test", "extra"])
def test_who_points_at_a_part_by_name_has_chosen_it(tmp_path, kind, name):
    inner = {"val": "valid", "Validation": "Validation"}.get(name, "test" if "test" in name else "extra")
    files = layout({f"{inner}": TWO})
    if kind == "zip":
        path = write_zip(tmp_path / f"{name}.zip", files)
    elif kind == "tar":
        path = write_tar(tmp_path / f"{name}.tar", files)
    else:
        path = write_files(tmp_path / name, files)
    source = (tar if kind == "tar" else folder).open_source(path)
    assert (source.split, source.usual_split, source.classes) == (inner, inner, ["a", "b"])


def test_a_pattern_names_the_part(tmp_path):
    for name in ("train-0.tar", "val-0.tar", "val-1.tar"):
        write_tar(tmp_path / name, {f"{name}.png": IMAGE})
    assert len(tar.open_source(tmp_path / "val-*.tar")) == 2
    assert len(tar.open_source(tmp_path / "*.tar")) == 1
    with pytest.raises(ConfigError, match="has no split 'train'"):
        tar.open_source(tmp_path / "val-*.tar", "train")


def test_nothing_is_chosen_where_no_name_is_a_part():
    assert choose(["cat", "dog", ""], None, "x") is None
    assert choose(["train", "test"], "none", "x") is None
    assert choose(["train", "test", "train"], None, "x").rows.tolist() == [0, 2]
    assert choose(["train", "test", "train"], "all", "x").rows.tolist() == [0, 1, 2]
    assert choose(["valid", "train"], "validation", "x").rows.tolist() == [0]
