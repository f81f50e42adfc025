"""JSON, and JSON lines: one line for each field, named by its way from the outside: "address.town: Paris"."""

import json
from collections.abc import Iterator
from typing import Any

from index.errors import UnreadableFile
from index.loaders.parts import Loaded, Part, grouped, iso_day, written_author, written_title
from index.loaders.text import decode


def read_json(content: bytes) -> Loaded:
    """Read one JSON document: a list is one record for each entry; raises UnreadableFile."""
    document = _parsed(decode(content), "")
    if isinstance(document, list):
        return Loaded(_records(document))
    about = document if isinstance(document, dict) else {}
    return Loaded(
        [Part("\n".join(_fields(document)))],
        title=written_title(_text(about, "title")),
        date=iso_day(_text(about, "date")),
        author=written_author(_text(about, "author")),
    )


def read_json_lines(content: bytes) -> Loaded:
    """Read one JSON record from each line; raises UnreadableFile."""
    lines = enumerate(decode(content).split("\n"), start=1)
    return Loaded(_records([_parsed(line, f" in line {number}") for number, line in lines if line.strip()]))


def _records(records: list[Any]) -> list[Part]:
    return grouped("\n".join(_fields(record)) for record in records)


def _parsed(text: str, where: str) -> Any:
    try:
        # Numbers stay as they are written.
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"broken: no JSON{where}: {error}") from None


def _fields(value: Any, name: str = "") -> Iterator[str]:
    """Give "name: value" for every value that is not empty."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _fields(inner, f"{name}.{key}" if name else key)
        case list() if all(isinstance(entry, str) for entry in value):
            if value:
                yield from _fields(", ".join(value), name)
        case list():
            for entry in value:
                yield from _fields(entry, name)
        case None | "":
            return
        case bool():
            yield from _fields(str(value).lower(), name)
        case _:
            yield f"{name}: {value}" if name else str(value)


def _text(about: dict[str, Any], key: str) -> str | None:
    value = about.get(key)
    return value if isinstance(value, str) else None
