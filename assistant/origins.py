"""Which pages may embed the chat: the allow-list of origins that the owner writes down.

An origin is what a browser says of a page: scheme, host, and port unless it is the scheme's own (RFC 6454).
"""

import re
from dataclasses import dataclass

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN = re.compile(rf"(?P<scheme>https?)://(?P<any>\*\.)?(?P<host>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>\d{{1,5}}))?")
_OWN_PORT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origins:
    """Origins, `https://example.org`, and all sub-domains of a name, `https://*.example.org`; none by default."""

    listed: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Origins":
        """Read origins with spaces or commas between them.

        Raises:
            ValueError: one of them is none. What it says reaches a response header, so nothing else may pass.
        """
        return cls(tuple(dict.fromkeys(_normal(word) for word in re.split(r"[\s,]+", text) if word)))

    def __contains__(self, origin: str) -> bool:
        """Say whether a page of this origin may embed the chat; "null", a sandboxed page's origin, never may."""
        return re.fullmatch(self.pattern, origin) is not None

    @property
    def pattern(self) -> str:
        """The regular expression that the whole of a listed origin matches."""
        return "|".join(map(_pattern, self.listed)) or r"(?!)"


def _normal(word: str) -> str:
    found = _ORIGIN.fullmatch(word.lower())
    if found is None:
        raise ValueError(
            f"{word!r} is no origin. Write https://example.org, https://example.org:8443 or https://*.example.org, "
            "without a path; a name with other letters than a to z as browsers do, xn--…"
        )
    scheme, any_, host, port = found["scheme"], found["any"] or "", found["host"], int(found["port"] or 0)
    if any_ and (scheme != "https" or "." not in host):
        raise ValueError(f"{word!r} would allow too much. Write https://*.example.org, or every origin by itself")
    if port > 65535:
        raise ValueError(f"{word!r} has a port that there is not")
    return f"{scheme}://{any_}{host}" + (f":{port}" if port not in {0, _OWN_PORT[scheme]} else "")


def _pattern(origin: str) -> str:
    return re.escape(origin).replace(r"\*\.", rf"(?:{_LABEL}\.)+")
