"""Colours of any type as bytes, and as the 16 bits of LAS."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_uint8(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours (n, 3) as bytes: bytes as they are, floats as 0 to 1, wider integers by their upper byte.

    16-bit colours that never pass 255 are taken for bytes, as many LAS files hold them.
    """
    if colors.dtype.kind == "f":
        scale = 255.0 if colors.size == 0 or np.nanmax(colors, initial=0.0) <= 1.0 else 1.0
        return np.asarray(np.clip(np.rint(np.nan_to_num(colors.astype(np.float64)) * scale), 0, 255).astype(np.uint8))
    if colors.dtype.itemsize > 1 and colors.size and colors.max() > 255:
        return np.asarray(np.clip(colors, 0, 65535).astype(np.uint16) >> 8).astype(np.uint8)
    return np.clip(colors, 0, 255).astype(np.uint8)


def to_uint16(colors: NDArray[Any]) -> NDArray[np.uint16]:
    """Colours (n, 3) as LAS wants them: bytes times 257, floats of 0 to 1 times 65535, 16 bits as they are."""
    if colors.dtype == np.uint16:
        return colors
    if colors.dtype.kind == "f" and np.nanmax(colors, initial=0.0) <= 1.0:
        return np.asarray(
            np.clip(np.rint(np.nan_to_num(colors.astype(np.float64)) * 65535), 0, 65535).astype(np.uint16)
        )
    if colors.dtype.kind in "iu" and colors.size and colors.max() > 255:
        return np.clip(colors, 0, 65535).astype(np.uint16)
    return to_uint8(colors).astype(np.uint16) * np.uint16(257)
