"""What a language model or a document writes, as bare prose: a face that renders Markdown or HTML must not be misled.

An image in an answer is asked for as soon as it is drawn, with whatever a model was talked into putting in its address.
"""

import re
import unicodedata
from collections.abc import Callable

IMAGE = re.compile(r"!\[([^\]]*)\](?:\([^)]*\)?|\[[^\]]*\])")
LINK = re.compile(r"\[([^\]]*)\]\(\s*<?([^)\s>]*)[^)]*\)?")
REFERENCE = re.compile(r"^[^\S\n]*\[[^\]]+\]:\s*\S+.*$", re.MULTILINE)
TAG = re.compile(r"<!--.*?(?:-->|$)|<[!?][^<>]*>?|</?[A-Za-z][^<>]*(?:>|$)", re.DOTALL)
ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{1,20}://|\b(?:data|javascript|mailto|vbscript):|\bwww\.)\S+")
MARKS = re.compile(r"\*\*|__|`+|~{3,}|^[^\S\n]*(?:#{1,6}|>)\s", re.MULTILINE)
JOINERS = "\u200c\u200d"
"""Unseen, but Persian and emoji are written with them."""


def prose(text: str, stands: Callable[[str], bool]) -> str:
    """Take images, links, tags, marks of Markdown and unseen characters out of a text.

    stands: says whether an address stands in the documents; of others only the words remain.
    """
    bare = "".join(map(_seen, text))
    # What is taken out may have stood between the halves of something else: <**img …>.
    while (barer := _without_marks(bare, stands)) != bare:
        bare = barer
    return bare


def _without_marks(text: str, stands: Callable[[str], bool]) -> str:
    without = TAG.sub(" ", REFERENCE.sub(" ", LINK.sub(_words_of_link, IMAGE.sub(r" \1 ", text))))
    kept = ADDRESS.sub(lambda found: found.group() if stands(found.group().rstrip(".,;:!?)»”\"'")) else " ", without)
    return re.sub(r" ([,.])(?=\s|$)", r"\1", " ".join(MARKS.sub("", kept).split()))


def _words_of_link(link: re.Match[str]) -> str:
    words, address = link.groups()
    return f"{words} ({address})" if ADDRESS.match(address) else f"{words} "


def _seen(sign: str) -> str:
    category = unicodedata.category(sign)
    if category == "Cc":
        return "\n" if sign == "\n" else " "
    return "" if category in ("Cf", "Co", "Cs") and sign not in JOINERS else sign
