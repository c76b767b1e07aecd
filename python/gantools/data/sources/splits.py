"""Which part of a set a name stands for: one table for folders, archives and files.

A part is chosen only where its name says what it is. Of a set with parts the default is what is named as training
data, and nothing else; where that is not certain, the user is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gantools.errors import ConfigError

TRAIN = "train"
ALL, NONE = "all", "none"
#: What people call a part -> what it is.
NAMES = {
    **dict.fromkeys(("train", "training", "trainval", "trn"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "minival", "dev", "eval", "evaluation"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
    **dict.fromkeys(("extra", "additional"), "extra"),
    **dict.fromkeys(("unlabeled", "unlabelled", "unsupervised", "pred", "predict", "prediction"), "unlabeled"),
}
#: seg_train, images_train; train_images, training-set; train2017, val_256, test1.
_BEFORE = re.compile(r"^(?:seg|images?|imgs?)[-_ .]")
_AFTER = re.compile(r"[-_ .]?(?:images?|imgs?|set|dataset|data|split)$")
_NUMBER = re.compile(r"[-_ .]?\d{1,4}$")
#: trainA, test_B: the two domains of unpaired translation.
_DOMAIN = re.compile(r"^([a-z]{2,}?)[-_ .]?([AB])$")
#: The numbering of shards: train-00000-of-00002, s-003.
_SHARD = re.compile(r"(?:^|[-_.])\d+(?:[-_.]of[-_.]\d+)?(?:-[0-9a-f]{16})?$")


def split_of(name: str) -> str | None:
    """What a name that is wholly one of a part stands for: train, val, test, extra or unlabeled; None: no part.

    Capitals, years, sizes and words such as `images` and `set` around it do not matter.
    """
    if found := NAMES.get(name.casefold()):
        return found
    if domain := _DOMAIN.match(name[:1].lower() + name[1:]):
        name = domain[1]
    key = _NUMBER.sub("", _AFTER.sub("", _BEFORE.sub("", name.casefold())))
    return NAMES.get(key)


def split_within(name: str) -> str | None:
    """What the one word for a part in a longer name stands for, as in `DIV2K_train_HR`; None: none, or several."""
    found = {split_of(word) for word in re.split(r"[^0-9A-Za-z]+", name) if word} - {None}
    return found.pop() if len(found) == 1 else None


def part_of_file(path: str) -> str:
    """The name of the part that a file of a set belongs to, by a folder of its path, else by its own name.

    `default/train/0000.parquet` and `data/train-00000-of-00002.parquet` are of `train`; `00000.tar` is of no part.
    """
    pure = PurePosixPath(path)
    for folder in pure.parts[:-1]:
        if split_of(folder):
            return folder
    return _SHARD.sub("", pure.stem.removesuffix(".tar"))


@dataclass(frozen=True)
class Choice:
    """The items of a set that were chosen by their parts.

    Attributes:
        rows: int64, the positions of the chosen items.
        split: the name of the part, `all`, or None where there is nothing to choose.
        usual: what is chosen without being asked for, if anything.
        left_out: name of a part -> items of it that were not chosen.
        domains: name of a part -> A or B, where the chosen ones are the domains of unpaired translation.
    """

    rows: NDArray[np.int64]
    split: str | None
    usual: str | None
    left_out: dict[str, int] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)


def known_parts(parts: Sequence[str]) -> dict[str, str]:
    """Of the names of parts those that stand for one -> what they stand for."""
    names = set(parts)
    known = {name: split for name in names if (split := split_of(name))}
    if known or "" in names:
        return known
    # A word within longer names says something only where all of them have one and they differ.
    within = {name: split for name in names if (split := split_within(name))}
    return within if len(within) == len(names) and len(set(within.values())) > 1 else {}


def choose(parts: Sequence[str], asked: str | None, where: str) -> Choice | None:
    """The items that a user wants, by the part that each lies in.

    Args:
        parts: of each item the name of its part; empty for an item that lies in none.
        asked: the user's `--split`: what a part stands for, its own name, `all`, or `none` (these are no parts).
        where: the path of the source; where its own name is that of the only part there is, this is chosen.

    Returns:
        None where no name is that of a part.

    Raises:
        ConfigError: there is no such part; or none was asked for and it is not certain which is meant.
    """
    counts = Counter(parts)
    known = known_parts(parts)
    if not known or asked == NONE:
        return None
    names = sorted(counts)
    listed = ", ".join(name or "files outside of folders" for name in names)
    train = [name for name in names if known.get(name) == TRAIN]
    if asked == ALL:
        chosen = names
    elif asked is not None:
        meant = split_of(asked) or asked
        own = [name for name in names if name.casefold() == asked.casefold()]
        chosen = own or [name for name in names if known.get(name) == meant]
        if not chosen:
            raise ConfigError(f"{where} has no split {asked!r}.", f"Splits: {listed}, all.")
    else:
        chosen = train
        unknown = [name for name in names if name not in known]
        if unknown:
            there = ", ".join(name or "files outside of folders" for name in unknown)
            raise ConfigError(
                f"{where}: {', '.join(sorted(known))} {'is a split' if len(known) == 1 else 'are splits'}, "
                f"{there} beside {'it' if len(known) == 1 else 'them'} is none that is known.",
                f"Say what is meant: --split {sorted(known)[0]}; --split all; or --split none where all are classes.",
            )
        # Who points at `val.zip` or `shards/val-*.tar` has said which part it is.
        named = split_of(PurePosixPath(where).stem) or split_within(PurePosixPath(where).stem)
        if not train and set(known.values()) == {named}:
            chosen = names
        elif not train:
            raise ConfigError(
                f"{where} has no training data, only {listed}.", f"Say which is meant: --split {names[0]}, or all."
            )
    domains = {name: match[2] for name in chosen if (match := _DOMAIN.match(name[:1].lower() + name[1:]))}
    domains = domains if len(domains) == len(chosen) and len(set(domains.values())) > 1 else {}
    if len(chosen) > 1 and asked != ALL and not domains:
        raise ConfigError(
            f"{where}: {', '.join(chosen)} are all {known[chosen[0]]}.",
            f"Say which is meant: --split {chosen[0]}; or --split all.",
        )
    wanted = set(chosen)
    return Choice(
        rows=np.array([i for i, part in enumerate(parts) if part in wanted], dtype=np.int64),
        split=ALL if asked == ALL else _label(chosen, known),
        usual=_label(train or chosen, known) if train or asked is None else None,
        left_out={name or "outside": counts[name] for name in names if name not in wanted},
        domains=domains,
    )


def _label(names: list[str], known: dict[str, str]) -> str:
    return names[0] if len(names) == 1 else known[names[0]]
