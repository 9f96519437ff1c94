"""pcdenoise: clean noisy 3D point clouds.

import pcdenoise

cloud = pcdenoise.read("scan.ply")
pcdenoise.write(pcdenoise.denoise(cloud), "clean.ply")
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pcdenoise.api import denoise, load_model
    from pcdenoise.cloud import PointCloud
    from pcdenoise.io import read, write

__all__ = ["PointCloud", "__version__", "denoise", "load_model", "read", "write"]

_HOMES = {
    "PointCloud": "pcdenoise.cloud",
    "denoise": "pcdenoise.api",
    "load_model": "pcdenoise.api",
    "read": "pcdenoise.io",
    "write": "pcdenoise.io",
}


def __getattr__(name: str) -> Any:
    # Imported on use: `pcdenoise --help` must not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'pcdenoise' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
