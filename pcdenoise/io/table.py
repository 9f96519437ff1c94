"""Tables of numbers in text: parse them exactly, name the line that is wrong, write them so they read back the same.

Used by every ASCII format. Parsing is pandas' C reader (0.3 s for a million rows of three); only a table it refuses
is looked at line by line, to say what is wrong with it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError

COMMENTS = ("#", "//")
_NAN = ["nan", "NaN", "NAN", "-nan", "-NaN", "+nan"]
_ROWS_AT_ONCE = 100_000


def parse(
    text: bytes,
    *,
    separator: str | None = None,
    decimal: str = ".",
    first_line: int = 1,
    numbers: Collection[int] | None = None,
    encoding: str = "latin-1",
) -> list[NDArray[Any]]:
    """Read rows of equal length as columns.

    Args:
        text: the rows, without any header.
        separator: between two values; None stands for any white space.
        first_line: the number of the first row's line in its file, for messages.
        numbers: which columns must be numbers (None: all); the others may hold text.

    Returns:
        One array per column: int64, uint64, float64, bool or text. Blank lines and comment lines are skipped.

    Raises:
        InputError: rows of different length, or text where a number should be; the message names the line.
    """

    def must(i: int) -> bool:
        return numbers is None or i in numbers

    columns = _parse_fast(text, separator, decimal, encoding)
    if columns is None or any(
        values.dtype.kind not in "iuf" and (must(i) or (values == "").any()) for i, values in enumerate(columns)
    ):
        lines = list(_rows(text.decode(encoding), first_line))
        _check_lengths(lines, separator)
        columns = _parse_fast("\n".join(line for _, line in lines).encode(encoding), separator, decimal, encoding)
        if columns is None:
            raise InputError(f"the rows from line {first_line} on are not a table of numbers; export the file again")
        for i, values in enumerate(columns):
            if values.dtype.kind not in "iuf" and must(i):
                columns[i] = _as_numbers(values, decimal, [number for number, _ in lines])
    return columns


def rows(columns: Sequence[NDArray[Any]], separator: str = " ", decimal: str = ".") -> Iterator[bytes]:
    """Write columns as lines that `parse` reads back bit for bit, some thousand lines at a time."""
    for start in range(0, len(columns[0]), _ROWS_AT_ONCE):
        part = [spell(values[start : start + _ROWS_AT_ONCE], separator, decimal) for values in columns]
        yield ("\n".join(map(separator.join, zip(*part, strict=True))) + "\n").encode()


def spell(values: NDArray[Any], separator: str = " ", decimal: str = ".") -> list[str]:
    """The shortest text that gives each value back in its own type."""
    if values.dtype == np.float64:
        words = list(map(repr, values.tolist()))
    elif values.dtype.kind in "iu":
        return list(map(str, values.tolist()))
    elif values.dtype.kind == "f":
        words = [str(value) for value in values]
    else:
        return [_quote(str(value), separator) for value in values.tolist()]
    return words if decimal == "." else [word.replace(".", decimal) for word in words]


def is_number(word: str, decimal: str = ".") -> bool:
    """Whether a word is one number; a decimal comma counts where `decimal` says so."""
    if "_" in word or (decimal != "." and "." in word):
        return False
    try:
        float(word.replace(decimal, "."))
    except ValueError:
        return False
    return True


def _quote(word: str, separator: str) -> str:
    if (word or separator.strip()) and not any(mark in word for mark in (separator, '"', " ", "\n", "#")):
        return word
    return '"' + word.replace('"', '""').replace("\n", " ") + '"'


def _parse_fast(text: bytes, separator: str | None, decimal: str, encoding: str) -> list[NDArray[Any]] | None:
    import pandas as pd

    exact: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}
    try:
        frame = pd.read_csv(
            BytesIO(text),
            header=None,
            sep=r"\s+" if separator is None else separator,
            decimal=decimal,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=_NAN,
            low_memory=False,
            encoding=encoding,
            engine="c",
            **exact,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError):
        return None
    return [
        values.to_numpy() if values.dtype.kind in "iufb" else values.fillna("nan").to_numpy(dtype=str)
        for values in (frame[i] for i in frame.columns)
    ]


def _rows(text: str, first_line: int) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), first_line):
        bare = line.strip()
        if bare and not bare.startswith(COMMENTS):
            yield number, bare if '"' in bare else bare.split(" #")[0].split(" //")[0]


def _check_lengths(lines: Iterable[tuple[int, str]], separator: str | None) -> None:
    expected = 0
    for number, line in lines:
        if separator is not None or '"' not in line:
            length = len(line.split(separator)) if '"' not in line else expected
            expected = expected or length
            if length != expected:
                raise InputError(
                    f"line {number} has {length} values where {expected} were expected; give every row the same length"
                )


def _as_numbers(words: NDArray[Any], decimal: str, line_numbers: Sequence[int]) -> NDArray[np.float64]:
    for number, word in zip(line_numbers, map(str, words), strict=False):
        if not is_number(word, decimal):
            shown = word if len(word) <= 40 else word[:37] + "..."
            raise InputError(f"line {number}: {shown!r} is not a number; correct or remove that line")
    return np.array([float(str(word).replace(decimal, ".")) for word in words])
