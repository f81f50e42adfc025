"""Plain text in any encoding."""

import codecs
import re

from charset_normalizer import from_bytes

from index.errors import UnreadableFile
from index.loaders.parts import TITLE_CHARACTERS, Loaded, Part

CONTROL_SHARE = 0.1
"""Of the characters: with more control characters than this, a file is not text."""


def read_text(content: bytes) -> Loaded:
    """Read plain text; a short first line without a full stop, with text below, is its title."""
    text = decode(content)
    return Loaded([Part(text)], title=_headline(text))


def decode(content: bytes) -> str:
    """Turn the bytes of a text file into its text, line ends as they are, a byte order mark left out.

    Tried in this order: the byte order mark, UTF-16 where there are zero bytes, strict UTF-8, Windows-1252
    where its signs are Western, the most plausible of the older encodings.
    Raises UnreadableFile when it is not text.
    """
    marked = next(((mark, encoding) for mark, encoding in MARKS if content.startswith(mark)), None)
    text = _decode_strictly(content.removeprefix(marked[0]), marked[1]) if marked else _decode_unmarked(content)
    if text is None or "\0" in text or _control_share(text) > CONTROL_SHARE:
        raise UnreadableFile("not a text file, though its name ends like one")
    return text


# UTF-32 before UTF-16: the mark of one begins with the mark of the other.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


WESTERN = frozenset("àâäáãåæçéèêëíîïñóôöõœúùûüÿßÀÂÄÁÃÅÆÇÉÈÊËÍÎÏÑÓÔÖÕŒÚÙÛÜŸ¡¿«»‹›‘’‚“”„–—…•·°§€£ªº²³©®™½\xa0")
"""Signs beyond ASCII that Western European text in Windows-1252 is likely to have."""


def _decode_unmarked(content: bytes) -> str | None:
    if b"\0" in content:
        return _decode_zeros(content)
    text = _decode_strictly(content, "utf-8")
    if text is not None:
        return text
    western = _decode_strictly(content, "cp1252")
    if western is not None and _is_western(western):
        return western
    best = from_bytes(content).best()
    return None if best is None else str(best)


def _is_western(text: str) -> bool:
    """Say whether the signs beyond ASCII are few and those of Western Europe.

    charset-normalizer takes short French for Polish or Baltic: "forêt" came out as "foręt".
    """
    beyond = re.findall("[^\x00-\x7f]", text)
    strange = sum(sign not in WESTERN for sign in beyond)
    return len(beyond) * 3 <= len(text) and strange * 50 <= len(beyond)


def _decode_zeros(content: bytes) -> str | None:
    """Read UTF-16 of Western text: every other byte is mostly zero. In binary files no side stands out."""
    even, odd = content[0::2].count(0), content[1::2].count(0)
    if 4 * max(even, odd) < len(content) or min(even, odd) * 20 > max(even, odd):
        return None
    return _decode_strictly(content, "utf-16-be" if even > odd else "utf-16-le")


def _decode_strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _control_share(text: str) -> float:
    return len(re.findall(r"[\x00-\x08\x0e-\x1f\x7f]", text)) / max(len(text), 1)


def _headline(text: str) -> str | None:
    first, _, rest = text.lstrip().partition("\n")
    first = first.strip()
    if not rest.strip() or len(first) > TITLE_CHARACTERS or first.endswith((".", "。", ",", ";", ":")):
        return None
    return first
