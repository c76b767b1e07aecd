"""The crops that are different for each image: CelebA's bounding box, and a square aligned to the eyes.

A region is four corners, north-west, south-west, south-east and north-east, each x and y: float64 (n, 8).

`box`: the smallest upright square around the middle of the annotated box that holds it; corners are whole numbers
between pixels. `landmarks`: the square of Karras et al., "Progressive Growing of GANs" (arXiv 1710.10196, appendix C),
as the alignment of CelebA-HQ and FFHQ computes it: with e from the left eye to the right one, m from between the eyes
to the middle of the mouth, and rot(x, y) = (-y, x), its upper edge has the direction of e - rot(m), half its side is
max(2 |e|, 1.8 |m|), and its centre is 0.1 m below the middle of the eyes. Whole numbers are the middles of pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gantools.data.sources.base import Source
from gantools.errors import ConfigError, DataError

#: Crops that take a region of each image, and the annotation they take it from.
REGION_CROPS = {"box": "boxes", "landmarks": "landmarks"}


def regions_of(images: Source, crop: str) -> NDArray[np.float64] | None:
    """The corners of what `crop` keeps of each image, float64 (n, 8); None for a crop that is the same for all.

    Raises:
        DataError: the images have no such annotation.
        ConfigError: boxes are asked for where they do not belong to the images.
    """
    key = REGION_CROPS.get(crop)
    if key is None:
        return None
    if key not in images.annotations:
        raise DataError(
            f"the crop {crop} needs {key}, and the source {images.kind} has none.",
            "CelebA has them: put list_bbox_celeba.txt and list_landmarks_celeba.txt (for aligned images "
            "list_landmarks_align_celeba.txt) beside its images.",
        )
    values = images.annotations[key].values
    if crop == "landmarks":
        return eye_squares(values)
    if not images.in_the_wild:
        raise ConfigError(
            "the crop box goes with CelebA's in-the-wild images; its boxes do not belong to the aligned ones.",
            "Give --source img_celeba, or choose --crop landmarks.",
        )
    return box_squares(values)


def box_squares(boxes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Boxes (n, 4) of x, y, width and height -> corners of the squares around them, float64 (n, 8)."""
    x, y, width, height = boxes.astype(np.int64).T
    side = np.maximum(width, height)
    # Rounded down, as all offsets of crops are.
    left, top = x - (side - width) // 2, y - (side - height) // 2
    return np.stack([left, top, left, top + side, left + side, top + side, left + side, top], 1).astype(np.float64)


def eye_squares(landmarks: NDArray[np.integer]) -> NDArray[np.float64]:
    """Landmarks (n, 10), x and y of eyes, nose and corners of the mouth -> corners of the squares, float64 (n, 8)."""
    points = landmarks.astype(np.float64).reshape(-1, 5, 2)
    left_eye, right_eye, mouth = points[:, 0], points[:, 1], (points[:, 3] + points[:, 4]) * 0.5
    eyes = (left_eye + right_eye) * 0.5
    eye_to_eye, eye_to_mouth = right_eye - left_eye, mouth - eyes
    x = eye_to_eye - eye_to_mouth[:, ::-1] * [-1, 1]
    with np.errstate(invalid="ignore", divide="ignore"):  # landmarks in one point end as a reject that says so
        x = x / np.hypot(*x.T)[:, None]
    x = x * np.maximum(np.hypot(*eye_to_eye.T) * 2.0, np.hypot(*eye_to_mouth.T) * 1.8)[:, None]
    y = x[:, ::-1] * [-1, 1]
    centre = eyes + eye_to_mouth * 0.1
    return np.concatenate([centre - x - y, centre - x + y, centre + x + y, centre + x - y], 1)


def into_region(points: NDArray[np.float64], region: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Where points (m, 2), from the corner of the image, are in the region's `size` x `size` picture; likewise.

    The region is a square, turned or not, from the same origin as the points.
    """
    corner, down, across = region[:2], region[2:4] - region[:2], region[6:8] - region[:2]
    moved = points - corner
    found = np.stack([moved @ across / (across @ across), moved @ down / (down @ down)], -1) * size
    return np.asarray(found, np.float64)
