"""One HTML page with everything in it: sortable tables, plots, pictures; it loads nothing from anywhere."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pcdenoise.bench.formats import heading, is_best, text_of
from pcdenoise.bench.log import Record
from pcdenoise.bench.summary import Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.4rem }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem }
p.note { color: #52606d; max-width: 60rem; margin: .3rem 0 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .18rem .8rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 2px solid #1f2933; cursor: pointer; user-select: none }
thead th[aria-sort=ascending]::after { content: " ▲" } thead th[aria-sort=descending]::after { content: " ▼" }
tr.block td { color: #52606d; font-style: italic; border-top: 1px solid #cbd2d9; padding-top: .5rem }
tbody tr:not(.block):hover { background: #f1f5f9 }
.facts td { text-align: left; white-space: normal; vertical-align: top }
td.best { font-weight: 700 } td.lost { color: #d1495b }
figure { display: inline-block; margin: .4rem; vertical-align: top; max-width: 17rem }
figure img { width: 100% } figcaption { font-size: .85rem; color: #52606d; text-align: center }
img.plot { max-width: 100% } details summary { cursor: pointer; margin: .6rem 0 } code { font-size: .9em }
"""
SCRIPT = """
for (const head of document.querySelectorAll("thead th")) {
  head.tabIndex = 0
  head.onkeydown = event => { if (event.key === "Enter") head.click() }
  head.onclick = () => {
    const table = head.closest("table"), column = head.cellIndex
    const up = head.getAttribute("aria-sort") !== "ascending"
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort")
    head.setAttribute("aria-sort", up ? "ascending" : "descending")
    const key = row => row.cells[column].dataset.value
    const less = (a, b) => {
      if (column === 0) return a.cells[0].textContent.localeCompare(b.cells[0].textContent) * (up ? 1 : -1)
      if (!key(a) || !key(b)) return !key(a) - !key(b)
      return (key(a) - key(b)) * (up ? 1 : -1)
    }
    for (const body of table.tBodies)
      body.append(...[...body.rows].filter(row => row.className !== "block").sort(less))
  }
}
"""


@dataclass(frozen=True)
class Picture:
    """A thumbnail.

    Attributes:
        group: of pictures that belong beside each other.
        caption: below it.
        png: the file.
    """

    group: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Page:
    """What stands on the page, from top to bottom.

    Attributes:
        title: of the page.
        notes: paragraphs below it.
        tables: means.
        differences: from the baseline.
        shape_tables: of single shapes, folded.
        plots: name -> SVG.
        pictures: thumbnails; where there are none, `without_pictures` says why.
        without_pictures: a sentence.
        failures: cells without a result.
        facts: name -> value, about versions and hardware.
        methods: name -> what it is.
    """

    title: str
    notes: Sequence[str]
    tables: Sequence[Table]
    differences: Sequence[Table]
    shape_tables: Sequence[Table]
    plots: dict[str, str]
    pictures: Sequence[Picture]
    without_pictures: str
    failures: Sequence[Record]
    facts: dict[str, str]
    methods: dict[str, str]

    def html(self) -> str:
        """The page."""
        parts = [f"<h1>{escape(self.title)}</h1>", *(f'<p class="note">{escape(note)}</p>' for note in self.notes)]
        if self.failures:
            parts += ["<h2>Lost cells</h2>", "<ul>", *map(_failure, self.failures), "</ul>"]
        parts += ["<h2>Means</h2>", *map(_table, self.tables)]
        if self.differences:
            parts += ["<h2>Differences</h2>", *map(_table, self.differences)]
        if self.plots:
            parts.append("<h2>Plots</h2>")
            parts += [
                f'<p><img class="plot" alt="{escape(name)}" src="{_svg(text)}"></p>'
                for name, text in self.plots.items()
            ]
        parts += ["<h2>Pictures</h2>", *self._figures()]
        parts += ["<h2>Single shapes</h2>"]
        for table in self.shape_tables:
            parts.append(f"<details><summary>{escape(heading(table))}</summary>{_table(table, titled=False)}</details>")
        parts += ["<h2>Methods</h2>", _list(self.methods), "<h2>Run</h2>", _list(self.facts)]
        body = "\n".join(parts)
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n"
            f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
        )

    def _figures(self) -> list[str]:
        if not self.pictures:
            return [f'<p class="note">{escape(self.without_pictures)}</p>']
        parts = []
        for group in dict.fromkeys(picture.group for picture in self.pictures):
            parts.append(f"<h3>{escape(group)}</h3>")
            for picture in self.pictures:
                if picture.group == group:
                    data, caption = base64.b64encode(picture.png).decode(), escape(picture.caption)
                    parts.append(
                        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
                        f"<figcaption>{caption}</figcaption></figure>"
                    )
        return parts


def _table(table: Table, *, titled: bool = True) -> str:
    heads = "".join(f"<th>{escape(header)}</th>" for header in ("", *table.headers))
    lines = [f"<h3>{escape(heading(table))}</h3>"] if titled else []
    lines += ['<div class="wide"><table>', f"<thead><tr>{heads}</tr></thead>"]
    for block in table.blocks:
        lines.append("<tbody>")
        if block.title:
            lines.append(f'<tr class="block"><td colspan="{1 + len(table.headers)}">{escape(block.title)}</td></tr>')
        for row in block.rows:
            cells = [f"<td>{escape(row.name)}</td>"]
            for column, value in enumerate(row.values):
                known = value.number is not None and math.isfinite(value.number)
                lost = value.number is not None and not known
                kind = ' class="best"' if is_best(table, block, column, value) else ' class="lost"' if lost else ""
                number = f' data-value="{value.number}"' if known else ""
                cells.append(f"<td{kind}{number}>{escape(text_of(value, table.digits))}</td>")
            lines.append(f"<tr>{''.join(cells)}</tr>")
        lines.append("</tbody>")
    lines.append("</table></div>")
    return "\n".join(lines)


def failure_text(record: Record) -> str:
    """Where, and why."""
    reason = record.error or f"{record.lost:,} of {record.points:,} points are NaN or infinite"
    return f"{record.method} on {record.shape}, {record.condition}, seed {record.seed}: {reason}"


def _failure(record: Record) -> str:
    return f"<li>{escape(failure_text(record))}</li>"


def _svg(text: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"


def _list(facts: dict[str, str]) -> str:
    rows = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in facts.items())
    return f'<div class="wide"><table class="facts">{rows}</table></div>'
