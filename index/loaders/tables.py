"""Tables: CSV as it is written, workbooks with each value named by its column. The only file that knows calamine.

A row is found alone, so it stays whole and brings its header with it.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO, StringIO

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum

from index.errors import UnreadableFile
from index.loaders.archive import Archive, described
from index.loaders.opendocument import described_opendocument, open_opendocument
from index.loaders.parts import Loaded, Part, grouped
from index.loaders.text import decode

DELIMITERS = ("\t", ";", "|", ",")
SAMPLE_ROWS = 50


def read_csv(content: bytes) -> Loaded:
    """Read values parted by tabs, semicolons, bars or commas; raises UnreadableFile.

    The header stands above every few rows. A row is on one line, parted as in the file.
    """
    text = decode(content)
    delimiter = max(DELIMITERS, key=lambda delimiter: (_columns(text, delimiter), text.count(delimiter)))
    try:
        rows = [[" ".join(cell.split()) for cell in cells] for cells in csv.reader(StringIO(text), delimiter=delimiter)]
    except csv.Error as error:
        raise UnreadableFile(f"broken: {error}") from None
    above, header, below = _parted([cells for cells in rows if any(cells)])
    lines = (_csv_line(cells, delimiter) for cells in below)
    return Loaded(
        [*grouped(_csv_line(cells, delimiter) for cells in above), *grouped(lines, _csv_line(header, delimiter))]
    )


def _columns(text: str, delimiter: str) -> int:
    """Count the columns of the first row; 0 where most of the next ones have more or fewer."""
    reader = csv.reader(StringIO(text), delimiter=delimiter)
    try:
        lengths = [len(cells) for _, cells in zip(range(SAMPLE_ROWS), reader, strict=False) if cells]
    except csv.Error:
        return 0
    return lengths[0] if lengths and lengths.count(lengths[0]) * 10 >= len(lengths) * 9 else 0


def _csv_line(cells: list[str], delimiter: str) -> str:
    line = StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(cells)
    return line.getvalue() if cells else ""


def read_xlsx(content: bytes) -> Loaded:
    """Read an .xlsx file: each sheet's rows; raises UnreadableFile."""
    archive = Archive(content)
    return Loaded(list(_sheets(content)), **described(archive))


def read_ods(content: bytes) -> Loaded:
    """Read an .ods file as an .xlsx file; raises UnreadableFile."""
    archive = open_opendocument(content)
    return Loaded(list(_sheets(content)), **described_opendocument(archive))


def _sheets(content: bytes) -> Iterator[Part]:
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(content))
        for number, sheet in enumerate(workbook.sheets_metadata, start=1):
            if sheet.typ == SheetTypeEnum.WorkSheet:
                yield from _sheet(workbook.get_sheet_by_name(sheet.name), number, sheet.name)
    except PasswordError:
        raise UnreadableFile("needs a password; save a copy without one") from None
    except (CalamineError, OSError) as error:
        raise UnreadableFile(f"broken: {error}") from None


def _sheet(sheet: CalamineSheet, number: int, name: str) -> list[Part]:
    rows = [[_written(value) for value in cells] for cells in sheet.iter_rows()]
    rows = [cells for cells in rows if any(cells)]
    above, header, below = _parted(rows)
    lines = [" | ".join(filter(None, cells)) for cells in above]
    return grouped([*lines, *(_named(cells, header) for cells in below)], page=number, name=name)


def _parted(rows: Sequence[list[str]]) -> tuple[Sequence[list[str]], list[str], Sequence[list[str]]]:
    """Find the header: the first row that names most columns, by words and not by numbers, with rows below it."""
    columns = max((sum(map(bool, cells)) for cells in rows), default=0)
    for place, cells in enumerate(rows[:SAMPLE_ROWS]):
        named = [cell for cell in cells if cell]
        if len(named) > 1 and 2 * len(named) >= columns:
            if place + 1 < len(rows) and all(re.search(r"[^\W\d]", cell) for cell in named):
                return rows[:place], cells, rows[place + 1 :]
            break
    return rows, [], []


def _named(cells: Iterable[str], header: Sequence[str]) -> str:
    names = [name.rstrip(" :") for name in header]
    fields = (
        f"{names[place]}: {value}" if place < len(names) and names[place] else value
        for place, value in enumerate(cells)
        if value
    )
    return "; ".join(fields)


def _written(value: object) -> str:
    """Write a cell as one reads it: no time where it is midnight, no decimals where there are none."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.15g}"
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat(" ", "minutes") if isinstance(value, datetime) else value.isoformat()
        case timedelta():
            return str(value)
        case _:
            return " ".join(str(value).split())
