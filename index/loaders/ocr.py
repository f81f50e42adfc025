"""Pictures of text → text, by tesseract, where the extra `ocr` is installed. The only file that knows pytesseract."""

import os
import shutil
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

from index.errors import UnreadableFile
from index.loaders.parts import Loaded, Part

if TYPE_CHECKING:
    from PIL.Image import Image

HOW_TO_INSTALL = (
    "to read it, install the OCR extra: pip install 'sourcier[ocr]' and apt-get install tesseract-ocr tesseract-ocr-fra"
)
CONFIDENCE = 60
"""Percent, of the mean word: below it tesseract saw letters in what are none, or of a language it does not have."""
SECONDS = 120
"""For one page."""
FRAMES = 500


def installed() -> bool:
    """Say whether text in pictures can be read: the package and the program are there."""
    return find_spec("pytesseract") is not None and shutil.which("tesseract") is not None


def read_picture(content: bytes) -> Loaded:
    """Read a picture of text, or each page of a TIFF; raises UnreadableFile."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(BytesIO(content)) as picture:
            pages = getattr(picture, "n_frames", 1)
            texts = [
                recognised(frame.convert("L"))
                for _, frame in zip(range(FRAMES), ImageSequence.Iterator(picture), strict=False)
            ]
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UnreadableFile(f"broken: {error}") from None
    except Image.DecompressionBombError as error:
        raise UnreadableFile(f"too many pixels: {error}") from None
    if not any(texts):
        raise UnreadableFile("a picture in which no text was found")
    return Loaded([Part(text, page if pages > 1 else None) for page, text in enumerate(texts, start=1)])


def recognised(picture: "Image") -> str:
    """Read the text in a picture, "" where there is none that is sure. Raises UnreadableFile when tesseract fails."""
    import pytesseract

    # Where the cores are busy its threads wait for each other: 26 s a page with them, 1 s without.
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")
    try:
        found = pytesseract.image_to_data(
            picture, lang=_languages(), timeout=SECONDS, output_type=pytesseract.Output.DICT
        )
    except (pytesseract.TesseractError, RuntimeError) as error:
        raise UnreadableFile(f"OCR failed: {error}") from None
    words = [
        ((block, paragraph), line, text, float(confidence))
        for block, paragraph, line, text, confidence in zip(
            found["block_num"], found["par_num"], found["line_num"], found["text"], found["conf"], strict=True
        )
        if text.strip()
    ]
    if not words or sum(confidence for *_, confidence in words) < CONFIDENCE * len(words):
        return ""
    paragraphs = (
        "\n".join(" ".join(text for _, _, text, _ in line) for _, line in groupby(paragraph, key=lambda word: word[1]))
        for _, paragraph in groupby(words, key=lambda word: word[0])
    )
    return "\n\n".join(paragraphs)


@cache
def _languages() -> str:
    """Name all languages that tesseract has, French first: "fra+eng"."""
    import pytesseract

    names = set(pytesseract.get_languages()) - {"osd", "equ"}
    return "+".join(sorted(names, key=lambda name: (name != "fra", name != "eng", name)))
