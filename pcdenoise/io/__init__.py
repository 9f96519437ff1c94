"""Point cloud files: `read` and `write` for every suffix in `FORMATS`.

To add a format: one module with `read(path) -> PointCloud` and `write(cloud, path)`, and one row in `formats.py`.
"""

from pcdenoise.io.files import check_place, check_target, read, replacing, write
from pcdenoise.io.formats import FORMATS, Format

__all__ = ["FORMATS", "Format", "check_place", "check_target", "read", "replacing", "write"]
