"""Tables: CSV as it is written, workbooks with each value named by its column. The only file that knows calamine.

A row is found alone, so it stays whole and brings its header with it.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import reduce
from io import BytesIO, StringIO

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

from index.errors import UnreadableFile
from index.loaders.archive import Archive, described
from index.loaders.opendocument import described_opendocument, open_opendocument, sheets
from index.loaders.parts import Loaded, Part, grouped
from index.loaders.text import decode

DELIMITERS = ("\t", ";", "|", ",")
SAMPLE_ROWS = 50
CELLS = 20_000_000
"""Of a sheet, empty ones too: calamine takes 32 bytes for each, and ends the process where there is no room."""
CELL = re.compile(rb'\sr="(?P<column>[A-Z]{1,3})(?P<row>[0-9]{1,7})"')


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
    for name in sorted(archive.names):
        if name.startswith("xl/worksheets/sheet"):
            _refuse_desert(archive.read(name))
    return Loaded(list(_sheets(content)), **described(archive))


def read_ods(content: bytes) -> Loaded:
    """Read an .ods file as an .xlsx file; raises UnreadableFile."""
    archive = open_opendocument(content)
    parts = [
        part for number, (name, rows) in enumerate(sheets(archive), start=1) for part in _sheet(rows, number, name)
    ]
    return Loaded(parts, **described_opendocument(archive))


def _refuse_desert(sheet: bytes) -> None:
    """Raise UnreadableFile for a sheet with values so far from each other that all between them has no room."""
    columns, rows = b"", 0
    for cell in CELL.finditer(sheet):
        columns = max(columns, cell["column"], key=lambda name: (len(name), name))
        rows = max(rows, int(cell["row"]))
    width = reduce(lambda number, letter: 26 * number + letter - ord("A") + 1, columns, 0)
    if width * rows > CELLS:
        raise UnreadableFile(
            f"a sheet of {width:,} columns and {rows:,} rows, mostly empty; delete what stands far out"
        )


def _sheets(content: bytes) -> Iterator[Part]:
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(content))
        for number, sheet in enumerate(workbook.sheets_metadata, start=1):
            if sheet.typ == SheetTypeEnum.WorkSheet:
                rows = workbook.get_sheet_by_name(sheet.name).iter_rows()
                yield from _sheet([[_written(value) for value in cells] for cells in rows], number, sheet.name)
    except PasswordError:
        raise UnreadableFile("needs a password; save a copy without one") from None
    except (CalamineError, OSError) as error:
        raise UnreadableFile(f"broken: {error}") from None


def _sheet(rows: Iterable[list[str]], number: int, name: str) -> list[Part]:
    above, header, below = _parted([cells for cells in rows if any(cells)])
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
    """Write a cell as one reads it: no decimals where there are none, days and times in ISO 8601."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.15g}"
        case datetime():
            return value.isoformat(" ", "minutes")
        case _:
            return " ".join(str(value).split())
