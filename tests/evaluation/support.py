"""Measure how well sentences are told that a passage supports from those that it does not.

python -m tests.evaluation.support [--misses]

support_pairs.jsonl has passages of public data and sentences about them, written and labelled by hand; what was tuned
on one half is reported on the other. tests/evaluation/support_pairs.md says where the passages come from.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.support import Support, SupportCheck
from assistant.types import Doubt
from index import Passage, SentenceTransformerEmbeddings
from index.models import PACKAGED

PAIRS = Path(__file__).with_name("support_pairs.jsonl")
HALVES = ("tuned", "held back")
KINDS = ("number", "name", "negation", "direction", "addition", "roles")


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence, a passage, and whether this supports it."""

    half: str
    passage: Passage
    sentence: str
    language: str
    kind: str
    """quote, paraphrase; or what was changed: a number, a name, a denial, a direction, roles exchanged, an addition."""
    supported: bool

    @property
    def across(self) -> bool:
        """Say whether sentence and passage are in two languages."""
        return self.language != self.passage.language


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair, and what the check says."""

    pair: Pair
    support: Support

    @property
    def accepted(self) -> bool:
        """Say whether the check takes the sentence for supported."""
        return self.support.doubt is None


def read_pairs(path: Path = PAIRS) -> list[Pair]:
    """Read the labelled pairs."""
    pairs = []
    for place, line in enumerate(path.read_text("utf-8").splitlines()):
        row = json.loads(line)
        passage = Passage(str(place), row["text"], row["data"], row["title"], None, 0, 1.0, row["language"])
        pairs += [
            Pair(row["half"], passage, one["claim"], one["language"], one["kind"], one["supported"])
            for one in row["pairs"]
        ]
    return pairs


def judged(pairs: Iterable[Pair], check: SupportCheck) -> Iterator[Judged]:
    """Check each pair."""
    for pair in pairs:
        support = check.check(pair.sentence, pair.language, pair.passage)
        assert support is not None
        yield Judged(pair, support)


def precision(found: Iterable[Judged]) -> float:
    """Return the share of what was accepted that is supported."""
    accepted = [one for one in found if one.accepted]
    return sum(one.pair.supported for one in accepted) / len(accepted) if accepted else 1.0


def recall(found: Iterable[Judged]) -> float:
    """Return the share of what is supported that was accepted."""
    supported = [one for one in found if one.pair.supported]
    return sum(one.accepted for one in supported) / len(supported) if supported else 1.0


def table(found: list[Judged]) -> Iterator[str]:
    """Give precision and recall of each half, by language, and what share of each change was noticed, as Markdown."""
    rows: dict[str, Callable[[Pair], bool]] = {
        "all": lambda pair: True,
        "French sentence, French passage": lambda pair: pair.language == "fr" and not pair.across,
        "English sentence, English passage": lambda pair: pair.language == "en" and not pair.across,
        "across languages": lambda pair: pair.across,
    }
    yield "| pairs | " + " | ".join(f"{half}: pairs | precision | recall" for half in HALVES) + " |"
    yield "| --- " * (1 + 3 * len(HALVES)) + "|"
    for name, chosen in rows.items():
        cells = []
        for half in HALVES:
            some = [one for one in found if one.pair.half == half and chosen(one.pair)]
            cells += [str(len(some)), f"{precision(some):.2f}", f"{recall(some):.2f}"]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    yield "| what was changed | " + " | ".join(f"{half}: noticed" for half in HALVES) + " |"
    yield "| --- " * (1 + len(HALVES)) + "|"
    for kind in KINDS:
        cells = []
        for half in HALVES:
            some = [one for one in found if one.pair.half == half and one.pair.kind == kind]
            cells.append(f"{sum(not one.accepted for one in some)} of {len(some)}")
        yield f"| {kind} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the tables, and with --misses each pair that was judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--misses", action="store_true", help="print what was judged wrongly, of the tuned half")
    arguments = parser.parse_args()
    found = list(judged(read_pairs(), SupportCheck(SentenceTransformerEmbeddings(PACKAGED))))
    print("\n".join(table(found)))
    if arguments.misses:
        for one in found:
            if one.accepted != one.pair.supported and one.pair.half == HALVES[0]:
                print(doubt(one), f"{one.support.score:.2f}", one.pair.kind, "|", one.pair.sentence)


def doubt(one: Judged) -> Doubt | str:
    """Name what the check doubts."""
    return one.support.doubt or "accepted"


if __name__ == "__main__":
    main()
