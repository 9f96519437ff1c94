"""LAS and LAZ 1.1 to 1.5, all point formats, through laspy and lazrs.

Every dimension is an attribute, extra bytes included. Writing starts from the source file's header and records, so
scale, offset, coordinate system, VLRs, EVLRs, GPS time and bit fields come back as they were; points that did not move
keep their integers.
"""

import struct
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.io import columns
from pcdenoise.io.colors import to_uint16

Values = NDArray[Any]

_INT32 = np.iinfo(np.int32)
_EXTRA_TYPES = {"i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"}
_NAME_LENGTH = 32
_VLR, _EVLR, _COMPRESSED = 54, 60, 128  # bytes of the two record heads; the bit of the point format that means LAZ
_UNSCALED = "scalar_"  # prefix of an extra dimension that holds what a standard one is too narrow for


@dataclass(frozen=True)
class LasLayout:
    """What a LAS file said besides its points: stored as `las_layout` in the metadata.

    Attributes:
        header: laspy's, with VLRs, EVLRs and extra dimensions.
        record: laspy's point record, as it was in the file.
        places: what each dimension but X, Y and Z is.
    """

    header: Any
    record: Any
    places: tuple[columns.Column, ...]


def read(path: Path) -> PointCloud:
    """Read a file; `colors` are uint16, `time` is GPS time, the other dimensions keep their LAS names."""
    import laspy

    _check_header(path)
    try:
        las = laspy.read(path)
    except laspy.errors.LaspyException as error:
        raise InputError(
            f"laspy cannot read it ({str(error).splitlines()[0]}); copy or export the file again"
        ) from None
    promised = las.header.point_count
    if promised == 0:
        raise InputError("the header says 0 points; export the file again")
    if len(las.points) != promised:
        raise InputError(f"the header promises {promised} points, the file holds {len(las.points)}; copy it again")
    names = [name for name in las.point_format.dimension_names if name not in ("X", "Y", "Z")]
    arrays = [np.array(las.points[name]) for name in names]
    places = columns.assign(
        ["x", "y", "z", *names],
        [np.dtype(float)] * 3 + [np.dtype((values.dtype, values.shape[1:])) for values in arrays],
    )[3:]
    places, kept = _prefer_unscaled(places, arrays)
    _, attributes = columns.gather(
        [columns.Column(axis, None, i) for i, axis in enumerate("xyz")] + [places[i] for i in kept],
        [*las.xyz.T, *(arrays[i] for i in kept)],
    )
    layout = LasLayout(las.header, las.points, tuple(places[i] for i in kept))
    return PointCloud(las.xyz, attributes, {"las_layout": layout})


def write(cloud: PointCloud, path: Path) -> None:
    """Write the source file with moved points; a new file is LAS 1.4 with the finest scale its extent allows.

    Raises:
        OutputError: a coordinate is not finite, or leaves the range of the source file's scale and offset.
    """
    import laspy

    if not cloud.finite.all():
        raise OutputError(
            f"LAS cannot hold {int((~cloud.finite).sum())} points whose coordinates are not finite; write .ply or .pcd"
        )
    attributes = columns.numeric(cloud.attributes, "LAS")
    if "colors" in attributes:
        attributes["colors"] = to_uint16(attributes["colors"])
    layout: LasLayout | None = cloud.metadata.get("las_layout")
    header = deepcopy(layout.header) if layout is not None else _new_header(cloud, attributes)
    _drop_copc(header)
    same_rows = layout is not None and len(layout.record) == len(cloud)
    record = (
        layout.record.copy()
        if layout is not None and same_rows
        else laspy.ScaleAwarePointRecord.zeros(len(cloud), header=header)
    )
    if layout is None:
        record["return_number"] = record["number_of_returns"] = np.ones(len(cloud), np.uint8)
    for axis, coordinates in zip("xyz", cloud.points.T, strict=True):
        record[axis.upper()] = _integers(record, header, axis, coordinates, same_rows)
    pairs = columns.spread(PointCloud(cloud.points, attributes), _wanted(attributes, header, layout), _legal)[3:]
    extra = [
        laspy.ExtraBytesParams(name=column.name, type=_extra_type(values))
        for column, values in pairs
        if column.name not in set(header.point_format.dimension_names)
    ]
    if extra:
        header.add_extra_dims(extra)
        grown = laspy.ScaleAwarePointRecord.zeros(len(cloud), header=header)
        grown.copy_fields_from(record)
        record = grown
    for column, values in pairs:
        if not same_rows or not np.array_equal(np.array(record[column.name]), values):
            record[column.name] = values
    header.update(record)
    compress = path.suffix.lower() == ".laz"
    try:
        # Texts that are not ASCII are written as the bytes they were.
        with laspy.LasWriter(path.open("wb+"), header, do_compress=compress, encoding_errors="ignore") as writer:
            writer.write_points(record)
            if header.version.minor >= 4 and header.evlrs:
                writer.write_evlrs(header.evlrs)
    except (laspy.errors.LaspyException, ValueError) as error:
        raise OutputError(f"laspy cannot write it ({str(error).splitlines()[0]}); write .ply") from None
    if compress and "wavepacket_index" in set(header.point_format.dimension_names):
        _check_wave_packets(path, record)


def _check_header(path: Path) -> None:
    """Compare what the header promises with the size of the file.

    A damaged number makes laspy read four billion records, or lazrs ask for so much memory that the process ends.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(375).ljust(375, b"\0")
        header_size, points, vlrs, kind, length, count = struct.unpack_from("<HIIBHI", head, 94)
        evlrs_at, evlrs, wide_count = struct.unpack_from("<QIQ", head, 235) if head[25] >= 4 else (0, 0, count)
        if head[:4] != b"LASF":
            raise InputError("the file does not begin with LASF; give it the suffix of its format")
        if points > size or vlrs * _VLR > points - header_size or (evlrs and evlrs * _EVLR > size - evlrs_at):
            raise InputError("the header promises more records than the file holds; copy or export it again")
        if not kind & _COMPRESSED:
            if wide_count * length > size - points:
                held = (size - points) // max(length, 1)
                raise InputError(f"the header promises {wide_count} points, the file holds {held}; copy it again")
            return
        file.seek(points)
        (table,) = struct.unpack("<q", file.read(8).ljust(8, b"\0"))
        if table == -1:
            file.seek(size - 8)
            (table,) = struct.unpack("<q", file.read(8).ljust(8, b"\0"))
        file.seek(max(table, 0) + 4)
        (chunks,) = struct.unpack("<I", file.read(4).ljust(4, b"\xff"))
        if not points < table or chunks > table - points or (wide_count and not chunks):
            raise InputError("the chunk table of the LAZ file is missing or damaged; copy or compress the file again")


def _prefer_unscaled(places: list[columns.Column], arrays: list[Values]) -> tuple[list[columns.Column], list[int]]:
    """Let `scalar_intensity`, which we write for a float intensity, stand in for an `intensity` of zeros."""
    by_name = {place.name: i for i, place in enumerate(places)}
    hidden: set[int] = set()
    for name, i in by_name.items():
        j = by_name.get(f"{_UNSCALED}{name}")
        if j is not None and not arrays[i].any():
            hidden.add(i)
            places[j] = columns.Column(places[j].name, places[i].attribute)
    return places, [i for i in range(len(places)) if i not in hidden]


def _new_header(cloud: PointCloud, attributes: dict[str, Values]) -> Any:
    import laspy

    point_format = 6 if "colors" not in attributes else 8 if "nir" in attributes else 7
    header = laspy.LasHeader(version="1.4", point_format=point_format)
    low, high = cloud.points.min(axis=0), cloud.points.max(axis=0)
    header.offsets = np.floor((low + high) / 2)
    reach = np.maximum(high - header.offsets, header.offsets - low).max()
    header.scales = np.full(3, 10.0 ** max(np.ceil(np.log10(max(reach, 1e-300) / _INT32.max)), -12.0))
    return header


def _drop_copc(header: Any) -> None:
    """A cloud-optimised file's index describes an order of the records that ours do not have."""
    for records in (header.vlrs, header.evlrs):
        for vlr in [vlr for vlr in records or () if vlr.user_id == "copc"]:
            records.remove(vlr)


def _integers(record: Any, header: Any, axis: str, coordinates: Values, same_rows: bool) -> Values:
    i = "xyz".index(axis)
    scale, offset = float(header.scales[i]), float(header.offsets[i])
    whole = np.rint((coordinates - offset) / scale)
    if (whole < _INT32.min).any() or (whole > _INT32.max).any():
        raise OutputError(
            f"{axis} leaves the range of this LAS file's scale {scale:g} and offset {offset:.10g}; "
            "write .ply, or change scale and offset of the input"
        )
    whole = whole.astype(np.int32)
    if same_rows:
        before = np.array(record[axis.upper()])
        whole = np.where(before * scale + offset == coordinates, before, whole)
    return whole


def _wanted(attributes: dict[str, Values], header: Any, layout: LasLayout | None) -> list[columns.Column]:
    """The coordinates, then where each attribute goes: its source dimension, a standard one, or extra bytes."""
    wanted = [columns.Column(axis, None, i) for i, axis in enumerate("xyz")]
    standard = {dimension.name: dimension for dimension in header.point_format.dimensions}
    known: set[str | None] = set()
    for column in layout.places if layout is not None else ():
        values = attributes.get(str(column.attribute))
        if values is not None and (column.component is not None or _holds(standard[column.name], values)):
            wanted.append(column)
            known.add(column.attribute)
    for name, values in attributes.items():
        if name in known:
            continue
        dimension = {"time": "gps_time"}.get(name, name)
        if name == "colors" and "red" in standard and values.shape[1:] == (3,):
            wanted += [columns.Column(color, name, i) for i, color in enumerate(columns.VECTORS["colors"][0])]
        elif dimension in standard:
            fits = _holds(standard[dimension], values)
            wanted.append(columns.Column(dimension if fits else f"{_UNSCALED}{dimension}", name))
        elif values.shape[1:] in ((2,), (3,)) and name not in columns.VECTORS:
            wanted.append(columns.Column(_legal(name), name))
    return wanted


def _holds(dimension: Any, values: Values) -> bool:
    """Whether a dimension of a point format holds these values exactly."""
    if values.shape[1:] != ((dimension.num_elements,) if dimension.num_elements > 1 else ()):
        return False
    if dimension.is_scaled:
        return True
    if dimension.dtype is not None:
        return columns.fits(values, dimension.dtype.base)
    return columns.fits(values, np.uint8) and int(values.max(initial=0)) < 2**dimension.num_bits


def _extra_type(values: Values) -> str:
    kind = {"b1": "u1", "f2": "f4", "f16": "f8"}.get(values.dtype.str[1:], values.dtype.str[1:])
    return (str(values.shape[1]) if values.ndim > 1 else "") + kind


def _legal(name: str) -> str:
    return name.encode("ascii", "replace").decode()[:_NAME_LENGTH] or "field"


def _check_wave_packets(path: Path, record: Any) -> None:
    """The compressor of point formats 9 and 10 (lazrs 0.8) damages some wave packets; never let that pass."""
    import laspy

    if laspy.read(path).points.array.tobytes() != record.array.tobytes():
        raise OutputError("LAZ compression damages the wave packets of this point format; write .las")
