"""Faces aligned by their landmarks: frontal ones with what a turn of the head would make of them, and profiles.

An aligned face is a square whose numbers are those of a side of 128, whole numbers being the middles of pixels: the
eyes are level, their middle is at (63.5, 40), and the middle of the mouth is 48 below it, as in the code of Huang et
al. 2017 (arXiv:1704.04086). Its `marks` are x and y of eyes, nose and corners of the mouth there, of a turned face
where the turn moves them; `yaw` is the turn in degrees, above 0 with the nose to the right. The turn itself is in Rust
(`rust/image/src/turn.rs`): poses of a set that is made so are synthetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.annotations import TABLES, Annotation
from gantools.data.pairs import Inputs
from gantools.data.policy import Policy
from gantools.data.sources.base import Source, nearby
from gantools.data.sources.metadata import matching
from gantools.data.sources.tables import read_table
from gantools.errors import ConfigError, DataError, cause, unknown_name

#: What is wanted of the faces, and the pose that divides them: the least of profiles, the most of frontal ones.
KINDS = {"frontal": 0.06, "profiles": 0.28, "all": 0.0}
#: Degrees by which each frontal face is turned, once by each.
ANGLES = (15.0, 30.0, 45.0, 60.0)
#: Beyond this nothing is left of a face that is seen from the front.
STEEPEST = 75.0
#: The square, the middle of the eyes in it, and how far below them the mouth is.
SIDE, EYES, MOUTH = 128.0, (63.5, 40.0), 48.0
#: The annotations of a set of aligned faces.
MARKS, YAW = "marks", "yaw"
COLUMNS = list(TABLES["landmarks"].columns or ())
FILE = "A table has the columns image_id, " + ", ".join(COLUMNS) + ", as CelebA's list_landmarks_align_celeba.txt."


@dataclass(frozen=True)
class Faces:
    """Which faces of a source, and what is made of them.

    Attributes:
        kind: a name in `KINDS`.
        landmarks: the table of landmarks; None: those that the source has.
        pose: `KINDS` says what it is; None: as there.
        angles: degrees, of frontal faces.
        seed: with the name of a face it decides to which side it is turned.
    """

    kind: str
    landmarks: Path | None = None
    pose: float | None = None
    angles: tuple[float, ...] = ANGLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind of faces", self.kind, KINDS)
        if self.pose is not None and not 0 < self.pose < 10:
            raise ConfigError(f"the pose is {self.pose:g}; it has to be above 0.", f"For example {KINDS[self.kind]:g}.")
        if (
            not self.angles
            or len(set(self.angles)) < len(self.angles)
            or not all(0 < angle <= STEEPEST for angle in self.angles)
        ):
            raise ConfigError(
                f"the angles {', '.join(f'{a:g}' for a in self.angles)} have to be different ones above 0 and at most "
                f"{STEEPEST:g} degrees.",
                "For example --angles 15,30,45,60.",
            )


def poses(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each face looks aside: (nose - middle of the eyes) / distance of the eyes, along the line of the eyes.

    Args:
        points: float64 (n, 5, 2), x and y of the eyes, the nose and the corners of the mouth.

    Returns:
        float64 (n,): 0 from the front, above 0 with the nose to the right; nan where both eyes are one point.
    """
    left, right, nose = points[:, 0], points[:, 1], points[:, 2]
    across = right - left
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = ((nose - (left + right) / 2) * across).sum(1) / np.square(across).sum(1)
    return found


def aligned(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The square of each face, and where its points are in the square of 128.

    Args:
        points: float64 (n, 5, 2), in the image.

    Returns:
        Corners for `_native.prepare_shard`, float64 (n, 8), and points float64 (n, 5, 2). Of points that are no face
        (the mouth not below the eyes, or both eyes one point) they are nan, which becomes a reject.
    """
    left, right, mouth = points[:, 0], points[:, 1], (points[:, 3] + points[:, 4]) / 2
    eyes = (left + right) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        across = (right - left) / np.hypot(*(right - left).T)[:, None]
        down = np.stack([-across[:, 1], across[:, 0]], 1)
        scale = ((mouth - eyes) * down).sum(1) / MOUTH
        scale = np.where(scale > 0, scale, np.nan)
        moved = (points - eyes[:, None]) / scale[:, None, None]
    found = np.stack([(moved * axis[:, None]).sum(2) for axis in (across, down)], 2) + EYES
    first, last = -0.5, SIDE - 0.5
    corners = [
        eyes + scale[:, None] * ((x - EYES[0]) * across + (y - EYES[1]) * down)
        for x, y in ((first, first), (first, last), (last, last), (last, first))
    ]
    return np.concatenate(corners, 1), found


def in_pixels(points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Points of the square of 128 in one of `size` pixels a side."""
    return (points + 0.5) * (size / SIDE) - 0.5


def with_landmarks(source: Source, faces: Faces) -> Source:
    """The images that have landmarks and the wanted pose, with their points as the annotation `marks`, (n, 10).

    Raises:
        ConfigError: there are no landmarks. DataError: they are of other images, or no such face is left.
    """
    if faces.landmarks is None:
        if "landmarks" not in source.annotations:
            raise ConfigError(f"the source {source.kind} has no landmarks.", f"Give them: --landmarks FILE. {FILE}")
        kept, points = np.arange(len(source)), source.annotations["landmarks"].values.astype(np.float64)
    else:
        kept, points = _matched(source, faces.landmarks)
    pose = np.abs(poses(points.reshape(-1, 5, 2)))
    limit = KINDS[faces.kind] if faces.pose is None else faces.pose
    right = pose < limit if faces.kind == "frontal" else pose > limit if faces.kind == "profiles" else pose == pose
    left_out = dict(source.left_out)
    if without := len(source) - len(kept):
        left_out["without landmarks"] = without
    if other := len(kept) - int(right.sum()):
        left_out["of another pose"] = other
    if not right.any():
        wanted = {
            "frontal": f"no frontal face (pose below {limit:g})",
            "profiles": f"no profile (pose above {limit:g})",
        }
        least = f"; the poses are {np.nanmin(pose):.2f} to {np.nanmax(pose):.2f}" if np.isfinite(pose).any() else ""
        option = {"frontal": "--frontal", "profiles": "--profile"}.get(faces.kind)
        raise DataError(
            f"{wanted.get(faces.kind, 'no face')} is left of {len(source):,} images{least}.",
            "Give other images" + (f", or another {option}." if option else "."),
        )
    marks = Annotation(points[right])
    found = replace(source.select(kept[right]), left_out=left_out, name=f"{source.name}-{faces.kind}")
    return found.with_annotations({**found.annotations, MARKS: marks})


def with_frames(images: Source, size: int) -> tuple[Source, NDArray[np.float64]]:
    """The images with their `marks` in the aligned square of `size` pixels, and its corners float64 (n, 8)."""
    regions, points = aligned(images.annotations[MARKS].values.reshape(-1, 5, 2))
    return _marked(images, in_pixels(points, size)), regions


def with_identities(images: Source) -> Source:
    """The images with who is to be seen as their labels: those that there are, else CelebA's, else each its own."""
    if images.labels is not None:
        return images
    if "identity" in images.annotations:
        people, labels = np.unique(images.annotations["identity"].values, return_inverse=True)
        return images.with_labels(labels.astype(np.int64), [str(person) for person in people])
    return images.with_labels(np.arange(len(images), dtype=np.int64), list(images.names))


def turned(
    images: Source, regions: NDArray[np.float64], policy: Policy, faces: Faces
) -> tuple[Source, NDArray[np.float64], Inputs]:
    """Each frontal face once for each angle, as a target, and how its turned input is made.

    Args:
        images: of `with_frames`.
        regions: likewise.
        policy: of the targets.
        faces: says the angles, and the seed of the sides.

    Returns:
        The faces, named `name_+45.png` after their yaw, with `marks` and `yaw` of the inputs; their corners; inputs.
    """
    angles = np.array(faces.angles)
    of = np.repeat(np.arange(len(images)), len(angles))
    yaws = np.tile(angles, len(images)) * sides([images.names[row] for row in of], np.tile(angles, len(images)), faces)
    found = images.select(of)
    found.names[:] = [_turned_name(name, yaw) for name, yaw in zip(found.names, yaws, strict=True)]
    points = found.annotations[MARKS].values.astype(np.float64).reshape(-1, 2)
    points = _native.turned_points(points, np.repeat(yaws, 5), policy.width)
    found = _marked(found, points.reshape(-1, 5, 2))
    found = found.with_annotations({**found.annotations, YAW: Annotation(yaws.astype(np.float32))})
    entry: dict[str, Any] = {"folder": "inputs", "operation": "turn", "angles": list(faces.angles), "seed": faces.seed}
    store = policy.store if policy.store == "pixels" else "png"
    plain = replace(policy, crop="none", filter="bicubic", store=store)
    return found, regions[of], Inputs(plain, entry, found.names, yaws=yaws)


def sides(names: Sequence[str], angles: NDArray[np.float64], faces: Faces) -> NDArray[np.float64]:
    """1 or -1 for each face and angle: from SHA-256 of the seed, the name and the angle, so of nothing else."""
    text = (f"{faces.seed} {name} {angle:g}" for name, angle in zip(names, angles, strict=True))
    return np.array([1.0 - 2.0 * (hashlib.sha256(one.encode()).digest()[0] & 1) for one in text])


def read_landmarks(path: Path) -> dict[str, NDArray[np.float64]]:
    """Points float64 (10,) by the name of the image, of a table with CelebA's columns: its own `.txt`, or a `.csv`.

    Raises:
        DataError: no such file, or a damaged one.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({cause(e)}).", nearby(path) if not path.exists() else None) from e
    if path.suffix.lower() == ".txt":
        data = _as_csv(path, data)
    rows = read_table(str(path), path.name, data)
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise DataError(f"{path}: it has no column {missing[0]}, so it is no table of landmarks.", FILE)
    key = next(iter(rows[0]))
    found = {}
    for number, row in enumerate(rows, 2):
        try:
            found[str(row[key]).strip()] = np.array([float(row[name]) for name in COLUMNS])
        except (TypeError, ValueError):
            raise DataError(f"{path}: row {number} is no name and ten numbers.", FILE) from None
    return found


def _as_csv(path: Path, data: bytes) -> bytes:
    """CelebA's own table as one of comma-separated values."""
    lines = data.decode("utf-8-sig", "replace").splitlines()
    if len(lines) < 2 or not lines[0].strip().isdigit():
        raise DataError(f"{path}, line 1: expected the number of rows.", FILE)
    head = lines[1].split()
    head = head if head[:1] == ["image_id"] else ["image_id", *head]
    return "\n".join(",".join(fields) for fields in (head, *(line.split() for line in lines[2:] if line))).encode()


def _matched(source: Source, path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rows of the images that have landmarks in a table, and these, float64 (m, 10)."""
    table = read_landmarks(path)
    keys = [matching(table, name) for name in source.names]
    kept = np.array([row for row, key in enumerate(keys) if key is not None], np.int64)
    if not len(kept):
        raise DataError(
            f"{path}: has landmarks of none of the images: {next(iter(table), 'nothing')!r} is not "
            f"{source.names[0] if len(source) else 'one of them'!r}.",
            "Its first column holds their paths or file names, with or without suffix.",
        )
    return kept, np.stack([table[key] for key in keys if key is not None])


def _marked(images: Source, points: NDArray[np.float64]) -> Source:
    marks = Annotation(points.reshape(-1, 10).astype(np.float32), COLUMNS)
    return images.with_annotations({**images.annotations, MARKS: marks})


def _turned_name(name: str, yaw: float) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}_{yaw:+g}{path.suffix}"))
