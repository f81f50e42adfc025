"""E-mails: who wrote to whom, when and about what, and the text; attachments are left out."""

from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr
from typing import cast

from index.loaders.markup import blocks, parse_html
from index.loaders.parts import Loaded, Part, by_headings, written_author, written_title
from index.loaders.text import decode

SHOWN = ("Subject", "From", "To", "Cc", "Date")


def read_eml(content: bytes) -> Loaded:
    """Read a message: its text part, or the HTML part where there is no other."""
    message = BytesParser(policy=policy.default).parsebytes(content)
    headers = "\n".join(f"{name}: {value}" for name in SHOWN if (value := _header(message, name)))
    texts = list(_texts(message))
    return Loaded(
        [Part("\n\n".join([headers, *texts]))] if texts else [],
        title=written_title(_header(message, "Subject")),
        date=_day(message),
        author=written_author(next(filter(None, parseaddr(_header(message, "From"))), None)),
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, LookupError, AttributeError, IndexError):
        # Python's parser of addresses and dates fails on some that are none.
        return ""


def _day(message: EmailMessage) -> str | None:
    try:
        return cast(str, message["Date"].datetime.date().isoformat())
    except (ValueError, LookupError, AttributeError, TypeError, IndexError):
        return None


def _texts(message: EmailMessage) -> Iterator[str]:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return
    payload = body.get_payload(decode=True)
    text = _decoded(payload if isinstance(payload, bytes) else b"", body.get_content_charset())
    if body.get_content_subtype() != "html":
        yield text.replace("\r\n", "\n").strip("\n")
        return
    page = parse_html(text)
    yield from (part.text for part in by_headings(blocks(page) if page is not None else ()))


def _decoded(payload: bytes, charset: str | None) -> str:
    try:
        return payload.decode(charset or "ascii")
    except (LookupError, ValueError):
        return decode(payload)
