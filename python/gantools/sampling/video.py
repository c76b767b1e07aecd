"""Films as MP4 (H.264), for programs that play no animated PNG; PyAV encodes them, the extra `film`.

Sides are made even and colours kept at half the resolution, as players want it, so unlike an animated PNG such a film
is not what the frames were to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from gantools import _native
from gantools.errors import ConfigError
from gantools.files import atomic_write

#: Constant quality of x264: 0 is lossless, 18 is taken for what the eye does not see.
QUALITY = 16
#: Smallest side: frames of fewer pixels are enlarged by a whole factor, as players blur what they enlarge.
LEAST = 256


def check_video() -> None:
    """Refuse where PyAV is missing.

    Raises:
        ConfigError: it is.
    """
    try:
        import av  # noqa: F401
    except ImportError:
        raise ConfigError("an .mp4 film needs PyAV, which is not here.", "pip install 'gantools[film]'") from None


def write_video(path: Path, frames: Iterable[bytes], n: int, fps: int | Fraction, *, least: int = LEAST) -> None:
    """Write an MP4 film, whole or not at all.

    Args:
        path: the file.
        frames: PNG files of one size.
        n: how many there are, at least 1.
        fps: frames a second, from 1 to 1000.
        least: frames with a smaller side are enlarged by a whole factor.

    Raises:
        ConfigError: PyAV is missing.
        ValueError: frames of different sizes, or not `n` of them.
    """
    check_video()
    import av

    count, size, factor = 0, (0, 0), 1
    with atomic_write(path) as f, av.open(f, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=fps)
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / Fraction(fps)
        stream.options = {"crf": str(QUALITY)}
        for count, png in enumerate(frames, 1):
            image = _native.decode(png, channels=3)
            if count == 1:
                size = image.shape[:2]
                factor = max(1, -(-least // min(size)))
                stream.height, stream.width = (side * factor + side * factor % 2 for side in size)
            if image.shape[:2] != size:
                raise ValueError("frames differ in size")
            large = image.repeat(factor, 0).repeat(factor, 1)
            even = np.pad(large, ((0, large.shape[0] % 2), (0, large.shape[1] % 2), (0, 0)), "edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame.pts, frame.time_base = count - 1, 1 / Fraction(fps)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if count != n:
            raise ValueError(f"{count} frames, not {n}")
