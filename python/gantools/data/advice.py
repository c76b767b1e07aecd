"""What to do about images that could not be used, made of their reasons; and the reasons in plain words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

# What a reason has in it -> what such images are called, and what would take them; the first that fits counts.
ADVICE: tuple[tuple[str, str, str], ...] = (
    ("has transparency", "transparent", "--alpha drop, white or black takes them"),
    ("no aligned CelebA image", "not 178x218, as aligned CelebA images are", "--crop center or another takes any size"),
    ("gantools[heif]", "HEIC or AVIF", "pip install 'gantools[heif]' reads them"),
    ("is more than", "larger than any image that is read", "shrink them first"),
    (
        "is too small or too wide",
        "too small or too wide for the picture",
        "a smaller --size or --crop center takes them",
    ),
)
# What decoders say, in other words; the first that fits counts.
DECODERS = (
    (re.compile(r"CRC|checksum|adler", re.IGNORECASE), "a checksum is wrong"),
    (
        re.compile(r"unexpected (end|eof)|\beof\b|truncat|premature|fill whole buffer|end of", re.IGNORECASE),
        "it ends early",
    ),
)
#: Words that are names of a decoder's code.
CODE = re.compile(
    r"0x[0-9a-f]|[{}]|::|[A-Za-z]+Error|[a-z][A-Z]|\w_\w|\bzune|image-\w|\b[iu](8|16|32|64|size)\b|\bErr\b"
)
# A few odd files are listed; from this share on they look like a choice that was not made.
SHARE = 0.01
MANY = 10


def in_words(reason: str) -> str:
    """The reason of a reject on one line, without names of a decoder's code."""
    reason = " ".join(reason.split())
    what, colon, said = reason.partition(": ")
    if not colon or not CODE.search(said):
        return reason
    plain = next((words for mark, words in DECODERS if mark.search(said)), None)
    return f"{what}: {plain}" if plain else what


def advice(reasons: Iterable[str]) -> list[str]:
    """A line for each kind of reason that an option would do away with, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for reason in reasons:
        found = next(((what, how) for mark, what, how in ADVICE if mark in reason), None)
        if found is not None:
            counts[found] += 1
    return [f"{n:,} {'is' if n == 1 else 'are'} {what}: {how}." for (what, how), n in counts.most_common()]


def worth_saying(reasons: Sequence[str], total: int) -> list[str]:
    """The lines of `advice` where so many images are rejected that it looks like a choice that was not made.

    Args:
        reasons: of each reject.
        total: images of the set, rejects included.
    """
    return advice(reasons) if len(reasons) >= min(MANY, max(1, total * SHARE)) else []


def none_left(reasons: Sequence[str]) -> str:
    """The hint where every image is a reject."""
    lines = advice(reasons)
    if lines:
        return " ".join(lines)
    if any(reason.startswith(("not an image", "no file")) for reason in reasons):
        return "Check that --source holds images."
    if any(reason.startswith("damaged") for reason in reasons):
        return "Fetch or make the files again; they are cut off or damaged."
    if any(reason.startswith("unsupported") for reason in reasons):
        return "Convert them to PNG or JPEG first."
    return "Look at one of the files, or try --crop center."
