"""From records to tables: one table a number, one column a condition, one row a method."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pcdenoise.bench.entrants import Entrant
from pcdenoise.bench.log import Record
from pcdenoise.bench.published import FAMILIES, RECALLED, PublishedResult
from pcdenoise.bench.scenes import Condition
from pcdenoise.bench.statistics import CONFIDENCE, Interval, mean, paired_difference
from pcdenoise.errors import UsageError
from pcdenoise.metrics.table import METRICS, SHARE, Direction

COSTS = {"seconds": "s", "peak_memory": "MB"}
ARROWS: dict[Direction, str] = {
    "lower": "lower is better",
    "higher": "higher is better",
    "zero": "0 is best",
    "none": "",
}
FLOOR_TITLE = "floor"


@dataclass(frozen=True)
class Value:
    """One cell of a table.

    Attributes:
        number: None where there is nothing to show, NaN where it is lost.
        interval: of a difference.
        lost: cells that failed, or whose result has NaN, so that there is no mean.
        shapes: that the mean is over.
        mark: of a published figure.
    """

    number: float | None = None
    interval: Interval | None = None
    lost: int = 0
    shapes: int = 0
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A method, and its value in each column."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Block:
    """Rows that may be compared with each other; `ranked` ones for the best of each column."""

    title: str
    rows: tuple[Row, ...]
    ranked: bool = False


@dataclass(frozen=True)
class Table:
    """A number, in blocks of rows.

    Attributes:
        column: the metric, or one of `COSTS`.
        title: says what it is.
        unit: of the numbers.
        direction: what is better.
        digits: after the point.
        headers: one a column.
        blocks: of rows.
        is_difference: whether the values are differences with intervals.
    """

    column: str
    title: str
    unit: str
    direction: Direction
    digits: int
    headers: tuple[str, ...]
    blocks: tuple[Block, ...]
    is_difference: bool = False

    def best(self, block: Block, column: int) -> float | None:
        """The best number of a ranked block in a column."""
        numbers = [row.values[column].number for row in block.rows]
        known = [number for number in numbers if number is not None and math.isfinite(number)]
        if not block.ranked or len(known) < 2 or self.direction == "none":
            return None
        if self.direction == "zero":
            return min(known, key=abs)
        return max(known) if self.direction == "higher" else min(known)


@dataclass(frozen=True)
class Results:
    """All records of a benchmark, by method and condition.

    Attributes:
        records: see `run`.
        entrants: the floor first.
        conditions: in the order of the columns.
        apart: shapes without which all means are given as well.
        baseline: the entrant that others are compared with; empty for none.
    """

    records: Sequence[Record]
    entrants: Sequence[Entrant]
    conditions: Sequence[Condition]
    apart: Sequence[str] = ()
    baseline: str = ""
    _cells: dict[tuple[str, Condition], list[Record]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        names = [entrant.name for entrant in self.entrants]
        if self.baseline and self.baseline not in names:
            raise UsageError(f"the baseline {self.baseline!r} is not among the methods; choose from {', '.join(names)}")
        for record in self.records:
            self._cells.setdefault((record.method, record.condition), []).append(record)

    @property
    def shapes(self) -> list[str]:
        """Names of all shapes, in the order of the data set."""
        return list(dict.fromkeys(record.shape for record in self.records))

    @property
    def groups(self) -> dict[str, list[str]]:
        """Title -> shapes over which means are made."""
        shapes = self.shapes
        some = [shape for shape in shapes if shape not in self.apart]
        apart = [shape for shape in shapes if shape in self.apart]
        groups = {f"{len(shapes)} shape{'s' if len(shapes) != 1 else ''}": shapes}
        if some and apart:
            groups[f"{len(some)} shape{'s' if len(some) != 1 else ''}, without {', '.join(apart)}"] = some
        return groups

    @property
    def failures(self) -> list[Record]:
        """Cells without a result, or with rows that are NaN."""
        return [record for record in self.records if record.is_lost]

    def cells(self, method: str, condition: Condition) -> list[Record]:
        """Records of a method under a condition: each shape with each seed."""
        return self._cells.get((method, condition), [])

    def by_shape(self, method: str, condition: Condition, column: str, shapes: Sequence[str]) -> dict[str, float]:
        """Mean over the seeds of each shape that has the number; NaN if it is lost for one of the seeds."""
        found: dict[str, list[float]] = {}
        for record in self.cells(method, condition):
            value = record.value(column)
            if value is not None and record.shape in shapes:
                found.setdefault(record.shape, []).append(value)
        return {shape: math.fsum(found[shape]) / len(found[shape]) for shape in shapes if shape in found}

    def value(self, method: str, condition: Condition, column: str, shapes: Sequence[str]) -> Value:
        """The mean over shapes; NaN, with the number of them, if cells are lost."""
        values = self.by_shape(method, condition, column, shapes)
        cells = [record for record in self.cells(method, condition) if record.shape in shapes]
        lost = sum(record.is_lost for record in cells)
        if not values:
            return Value(math.nan if lost else None, lost=lost)
        return Value(mean(values), lost=lost, shapes=len(values))

    def difference(self, method: str, condition: Condition, column: str, shapes: Sequence[str]) -> Value:
        """Of the mean from that of the baseline."""
        values, base = (self.by_shape(name, condition, column, shapes) for name in (method, self.baseline))
        if not values or not base:
            return Value()
        interval = paired_difference(values, base)
        return Value(interval.mean, interval, shapes=len(values))

    def table(self, column: str, published: Sequence[PublishedResult] = ()) -> Table:
        """Means of one metric or cost, and beside them what papers say."""
        known = {metric.name: metric for metric in METRICS}
        is_cost = column in COSTS
        blocks: list[Block] = []
        methods = [entrant for entrant in self.entrants if not entrant.is_floor]
        floor = [entrant for entrant in self.entrants if entrant.is_floor]
        for title, shapes in self.groups.items():
            if is_cost and blocks:
                break
            blocks.append(self._block(title, methods, column, shapes, ranked=True))
            if not is_cost:
                blocks.append(self._block(f"{FLOOR_TITLE}, {title}", floor, column, shapes))
        direction: Direction = "lower" if is_cost else known[column].direction
        unit = COSTS[column] if is_cost else known[column].unit.text
        return Table(
            column=column,
            title=column.replace("_", " "),
            unit=unit,
            direction=direction,
            digits=digits(column),
            headers=tuple(map(str, self.conditions)),
            blocks=(
                *(block for block in blocks if block.rows),
                *published_blocks(published, column, self.conditions),
            ),
        )

    def difference_table(self, column: str) -> Table:
        """Differences of all methods from the baseline in a metric, with intervals."""
        plain = self.table(column)
        blocks = []
        for title, shapes in self.groups.items():
            rows = [
                Row(e.name, tuple(self.difference(e.name, c, column, shapes) for c in self.conditions))
                for e in self.entrants
                if e.name != self.baseline
            ]
            blocks.append(Block(title, tuple(rows)))
        title = f"{plain.title} minus that of {self.baseline} [{CONFIDENCE:.0%} interval]"
        return Table(column, title, plain.unit, plain.direction, plain.digits, plain.headers, tuple(blocks), True)

    def shape_table(self, column: str, condition: Condition) -> Table:
        """Each shape in a row, each method in a column."""
        rows = []
        for shape in self.shapes:
            values = tuple(self.value(entrant.name, condition, column, [shape]) for entrant in self.entrants)
            rows.append(Row(shape, values))
        plain = self.table(column)
        headers = tuple(entrant.name for entrant in self.entrants)
        title = f"{plain.title} of each shape, {condition}"
        return Table(column, title, plain.unit, "none", plain.digits, headers, (Block("", tuple(rows)),))

    def _block(
        self, title: str, entrants: Sequence[Entrant], column: str, shapes: Sequence[str], *, ranked: bool = False
    ) -> Block:
        rows = [Row(e.name, tuple(self.value(e.name, c, column, shapes) for c in self.conditions)) for e in entrants]
        return Block(title, tuple(rows), ranked)


def digits(column: str) -> int:
    """Places after the point that are shown."""
    units: Mapping[str, object] = {metric.name: metric.unit for metric in METRICS}
    if column == "peak_memory":
        return 0
    return 2 if column == "seconds" or units[column] == SHARE else 3


def check_columns(columns: Sequence[str]) -> None:
    """Refuse what is no number of a cell.

    Raises:
        UsageError: an unknown metric; lists the known ones.
    """
    known = [metric.name for metric in METRICS] + list(COSTS)
    for column in columns:
        if column not in known:
            raise UsageError(f"there is no metric {column!r}; choose columns from {', '.join(known)}")


def published_blocks(
    published: Sequence[PublishedResult], column: str, conditions: Sequence[Condition]
) -> tuple[Block, ...]:
    """One block for each family of P2M, of those methods that have a figure in one of the columns."""
    blocks = []
    for family in FAMILIES:
        rows = []
        mine = [result for result in published if result.family == family]
        for method in dict.fromkeys(result.method for result in mine):
            values = []
            for condition in conditions:
                found = next((r for r in mine if r.method == method and r.at(condition)), None)
                number = None if found is None else found.value(column)
                mark = "†" if found is not None and number is not None and found.status == RECALLED else ""
                values.append(Value(number, mark=mark))
            if any(value.number is not None for value in values):
                rows.append(Row(method, tuple(values)))
        if rows:
            blocks.append(Block(f"published, family {family}", tuple(rows)))
    return tuple(blocks)
