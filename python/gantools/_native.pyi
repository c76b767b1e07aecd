"""The Rust extension. Every function releases the interpreter lock while it works."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

# --- images -------------------------------------------------------------------------------------------------------

def encode_png(image: NDArray[np.uint8]) -> bytes:
    """The PNG file of uint8 (h, w), (h, w, 1), (h, w, 3) or (h, w, 4); the same pixels always give the same bytes."""
