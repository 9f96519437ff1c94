"""Tables as text: Markdown, LaTeX, CSV; everything as JSON."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pcdenoise.bench.log import Record, without_nan
from pcdenoise.bench.summary import ARROWS, COSTS, Block, Results, Table, Value
from pcdenoise.metrics.table import METRICS

LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "†": r"$^\dagger$"}
LATEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}


def text_of(value: Value, digits: int) -> str:
    """A cell as words: nothing where there is nothing, `lost` where a mean would hide something."""
    if value.number is None:
        return ""
    if math.isnan(value.number):
        return f"lost ({value.lost})" if value.lost else "lost"
    if value.interval is None:
        return f"{_rounded(value.number, digits)}{value.mark}"
    centre, low, high = value.interval
    limits = "" if math.isnan(low) else f" [{_signed(low, digits)}, {_signed(high, digits)}]"
    return f"{_signed(centre, digits)}{limits}"


def _rounded(number: float, digits: int) -> str:
    return f"{round(number, digits) + 0.0:.{digits}f}"  # no -0.000


def _signed(number: float, digits: int) -> str:
    return f"{round(number, digits) + 0.0:+.{digits}f}"


def is_best(table: Table, block: Block, column: int, value: Value) -> bool:
    """Whether a cell is printed bold: the best of its block, as far as the printed digits tell."""
    best = table.best(block, column)
    if best is None or value.number is None or math.isnan(value.number):
        return False
    return round(value.number, table.digits) == round(best, table.digits)


def heading(table: Table) -> str:
    """Title, unit and what is better."""
    return f"{table.title} ({', '.join(part for part in (table.unit, ARROWS[table.direction]) if part)})"


def markdown(tables: Iterable[Table], notes: Sequence[str] = ()) -> str:
    """GitHub's tables, one after the other, then notes."""
    lines = []
    for table in tables:
        lines += [f"**{heading(table)}**", "", "| |" + "".join(f" {header} |" for header in table.headers)]
        lines.append("|---|" + "---:|" * len(table.headers))
        for block in table.blocks:
            if block.title:
                lines.append(f"| *{block.title}* |" + " |" * len(table.headers))
            for row in block.rows:
                cells = []
                for column, value in enumerate(row.values):
                    text = text_of(value, table.digits)
                    cells.append(f"**{text}**" if is_best(table, block, column, value) else text)
                lines.append(f"| {row.name.replace('|', '∣')} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join([*lines, *(f"{note}\n" for note in notes)])


def latex(tables: Iterable[Table], notes: Sequence[str] = ()) -> str:
    """Tables for `\\usepackage{booktabs}`, to be read in with `\\input`; notes are comments."""
    lines = [f"% {note}" for note in notes]
    for table in tables:
        lines += [
            rf"\begin{{tabular}}{{l{'r' * len(table.headers)}}}",
            r"\toprule",
            " & ".join([escaped(heading(table)), *map(escaped, table.headers)]) + r" \\",
        ]
        for block in table.blocks:
            lines.append(r"\midrule")
            if block.title:
                lines.append(rf"\multicolumn{{{1 + len(table.headers)}}}{{l}}{{\emph{{{escaped(block.title)}}}}} \\")
            for row in block.rows:
                cells = [escaped(row.name)]
                for column, value in enumerate(row.values):
                    text = escaped(text_of(value, table.digits))
                    cells.append(rf"\textbf{{{text}}}" if is_best(table, block, column, value) else text)
                lines.append(" & ".join(cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """For LaTeX."""
    return re.sub(r"[&%$#_{}~^\\†]", lambda found: LATEX[found[0]], text)


def summary_rows(results: Results, compared: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each method, condition, group of shapes and number; NaN where something is lost.

    Args:
        results: of a benchmark.
        compared: the numbers for which differences from the baseline are given.
    """
    rows = []
    for column in (*(metric.name for metric in METRICS), *COSTS):
        for title, shapes in results.groups.items():
            for condition in results.conditions:
                for entrant in results.entrants:
                    value = results.value(entrant.name, condition, column, shapes)
                    if value.number is None:
                        continue
                    row = {"metric": column, "group": title, "method": entrant.name} | vars(condition)
                    row |= {"mean": value.number, "shapes": value.shapes, "lost": value.lost}
                    if results.baseline:
                        is_compared = column in compared and entrant.name != results.baseline
                        gap = results.difference(entrant.name, condition, column, shapes) if is_compared else Value()
                        row["baseline"] = results.baseline
                        row |= dict(zip(("difference", "low", "high"), gap.interval or (math.nan,) * 3, strict=True))
                    rows.append(row)
    return rows


def cell_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """One row a cell, with every metric: what each shape scored."""
    names = [metric.name for metric in METRICS]
    rows = []
    for record in records:
        row = {key: value for key, value in vars(record).items() if key != "metrics"}
        rows.append(row | {name: record.metrics.get(name) for name in names})
    return rows


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows with the same keys; NaN as nothing, for no program may take it for a number."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: "" if value is None else value for key, value in without_nan(row).items()} for row in rows
        )
    return text.getvalue()
