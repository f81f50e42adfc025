"""Indexes a folder of real files and looks for what each is known to say, or for why it cannot be read.

    python -m tests.evaluation.shared_files FOLDER

FOLDER holds facts.jsonl, a line for each file: {"file", "answer_in_text"}, null for what cannot be read; a file
whose name begins with scan_ may be read where OCR is installed. Prints a row for
each file; exit status 1 where one is wrong. The embedding model is a stand-in: it is the stored text that is looked at.
"""

import json
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from index.catalog import Catalog
from index.loaders import ocr
from index.split import SentenceSplitter
from index.sync import plan, sync
from tests.fakes import HashingEmbeddings, word_spans


def main(folder: Path) -> bool:
    """Print a row for each file, and say whether all are right."""
    splitter = SentenceSplitter(word_spans, chunk_tokens=120, overlap_tokens=20)
    with TemporaryDirectory() as temporary, closing(Catalog.create(Path(temporary) / "catalog", "hashing")) as catalog:
        report = sync(plan([folder], catalog), catalog, splitter, HashingEmbeddings(), lambda _: None)
        sources = {Path(source.path).name: source for source in catalog.sources()}
        texts = {name: catalog.text(source.id) for name, source in sources.items()}
    reasons = {Path(row.path).name: row.reason for row in report.unreadable}
    right = True
    for line in (folder / "facts.jsonl").read_text("utf-8").splitlines():
        fact = json.loads(line)
        name, answer = fact["file"], fact["answer_in_text"]
        read_by_ocr = ocr.installed() and name.startswith("scan_") and name in sources
        found = answer in texts.get(name, "") if answer else name in reasons or read_by_ocr
        right = right and found
        if name in sources:
            source = sources[name]
            said = ", ".join(filter(None, [source.title, source.language, source.date, source.author]))
            row = f"{source.chunks} chunks, {answer or 'by OCR'}, in: {said}"
        else:
            row = f"not read: {reasons.get(name, 'not even looked at')}"
        print(f"{'ok   ' if found else 'WRONG'} {name:32} {row}")
    return right


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1]).resolve()) else 1)
