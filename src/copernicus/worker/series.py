"""Tables that grow while a job runs, read from its files: every look reads only what is new."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import regex

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.jobs import Series
from copernicus.worker.folder import JobFolder
from copernicus.worker.patterns import find_all

_OVERLAP = 1 << 14
MOST_ROWS = 100_000
Row = dict[str, str]


class SeriesReader:
    """One series of a job; beyond ``MOST_ROWS`` rows every other one is dropped; blocking."""

    def __init__(self, folder: JobFolder, rule: Series) -> None:
        self._folder = folder
        self._rule = rule
        self._regex = rule.regex
        self._is_hopeless = False
        self._offsets: dict[str, int] = {}
        self._heads: dict[str, list[str]] = {}
        self._rows: list[Row] = []
        self._columns: dict[str, None] = {}

    def text(self) -> str:
        """The table so far as CSV; empty if there is no row yet. Units are in the names."""
        for path in () if self._is_hopeless else self._folder.matching(self._rule.pattern):
            try:
                for row in self._new_rows(path):
                    self._add(row)
            except (OSError, BadValue):
                continue
            except BadDefinition:
                self._is_hopeless = True  # it would take as long at every look
                break
        if not self._rows:
            return ""
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow([self._title(column) for column in self._columns])
        writer.writerows([row.get(column, "") for column in self._columns] for row in self._rows)
        return written.getvalue()

    def _title(self, column: str) -> str:
        unit = self._rule.units.get(column) or self._rule.units.get("*", "")
        return f"{column} ({unit})" if unit and "(" not in column else column

    def _add(self, row: Row) -> None:
        self._columns.update(dict.fromkeys(row))
        place = _number(next(iter(row.values()), ""))
        if place is not None:
            while self._rows and not _is_before(self._rows[-1], place):
                self._rows.pop()
        self._rows.append(row)
        if len(self._rows) > MOST_ROWS:
            del self._rows[1::2]

    def _new_rows(self, path: str) -> Iterator[Row]:
        with self._folder.reading(path) as file:
            size = file.seek(0, 2)
            start = self._offsets.get(path, 0)
            if size < start:
                start = 0
            file.seek(start)
            data = file.read(size - start)
        if not self._regex:
            whole = data[: data.rfind(b"\n") + 1]
            self._offsets[path] = start + len(whole)
            yield from self._csv_rows(path, whole.decode("utf-8", "replace"))
        else:
            last = 0
            text = data.decode("latin-1")
            for found in find_all(self._regex, text):
                last = found.end()
                yield self._row_of(found)
            # What has not matched yet may be the beginning of a row.
            self._offsets[path] = start + max(last, len(text) - _OVERLAP)

    def _csv_rows(self, path: str, text: str) -> Iterator[Row]:
        for cells in csv.reader(io.StringIO(text)):
            head = self._heads.setdefault(path, [cell.strip("# ") for cell in cells])
            if _number(cells[0] if cells else "") is not None and len(cells) == len(head):
                yield dict(zip(head, cells, strict=True))

    def _row_of(self, found: regex.Match[str]) -> Row:
        row: Row = {}
        for name, text in found.groupdict().items():
            if name == "block":
                row |= _block(text or "", self._rule.width)
            elif text is not None:
                row[name] = text.strip()
        return row


def _is_before(row: Row, place: float) -> bool:
    found = _number(next(iter(row.values()), ""))
    return found is None or found < place


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _block(text: str, width: int) -> Row:
    """Lines of names and lines of numbers below them, in columns of ``width`` characters."""
    lines = [line for line in text.splitlines() if line.strip()]
    row: Row = {}
    for names, numbers in zip(lines[::2], lines[1::2], strict=False):
        for start in range(0, max(len(names), len(numbers)), width):
            name, number = names[start : start + width].strip(), numbers[start : start + width]
            if name and _number(number) is not None:
                row[name] = number.strip()
    return row
