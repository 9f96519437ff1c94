"""Colours of any type as bytes, and as the 16 bits of LAS."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_uint8(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours (n, 3) as bytes: bytes as they are, floats as 0 to 1, wider integers by their upper byte.

    16-bit colours that never pass 255 are taken for bytes, as many LAS files hold them.
    """
    highest = np.nanmax(colors, initial=0)
    if colors.dtype.kind == "f":
        return _scaled(colors, 255 if highest <= 1 else 1, 255).astype(np.uint8)
    if highest > 255:
        return np.asarray(np.clip(colors, 0, 65535).astype(np.uint16) >> 8, dtype=np.uint8)
    return np.asarray(np.clip(colors, 0, 255), dtype=np.uint8)


def to_uint16(colors: NDArray[Any]) -> NDArray[np.uint16]:
    """Colours (n, 3) as LAS wants them: bytes times 257, floats of 0 to 1 times 65535, 16 bits as they are."""
    if colors.dtype == np.uint16:
        return colors
    highest = np.nanmax(colors, initial=0)
    if colors.dtype.kind == "f" and highest <= 1:
        return _scaled(colors, 65535, 65535).astype(np.uint16)
    if highest > 255:
        return _scaled(colors, 1, 65535).astype(np.uint16)
    return to_uint8(colors).astype(np.uint16) * np.uint16(257)


def _scaled(colors: NDArray[Any], factor: int, highest: int) -> NDArray[np.float64]:
    return np.clip(np.rint(np.nan_to_num(colors.astype(np.float64)) * factor), 0, highest)
