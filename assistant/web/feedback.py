"""What people thought of answers, as questions to measure with (see assistant/evaluation/data.py)."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from assistant.web.conversations import Opinion
from index import detect

Reason = Literal["", "wrong", "incomplete", "unanswerable", "answerable"]
"""Why an answer was bad: it is wrong, something is missing, the documents do not say it, or they do."""


def as_questions(opinions: Mapping[str, Opinion]) -> list[dict[str, Any]]:
    """Give each opinion as a line of questions.jsonl, and beside it the answer that it is about.

    The places that answer (`gold`) are known where somebody called an answer with citations good.
    """
    return [_as_question(id, opinion) for id, opinion in opinions.items()]


def _as_question(id: str, opinion: Opinion) -> dict[str, Any]:
    answer = opinion.answer
    is_right = opinion.good and answer.answered
    question: dict[str, Any] = {
        "id": id[:16],
        "question": opinion.question,
        "lang": detect(opinion.question) or "",
        "answerable": _answerable(opinion),
        "history": [{"role": message["role"], "text": message["content"]} for message in opinion.history],
        "good": opinion.good,
        "reason": opinion.reason,
        "comment": opinion.comment,
        "answer": answer.as_dict(),
    }
    return question | ({"gold": list(_gold(answer.citations))} if is_right else {})


def _answerable(opinion: Opinion) -> bool:
    """Say whether the documents hold the answer, as far as the opinion tells."""
    if opinion.good:
        return opinion.answer.answered
    return opinion.reason != "unanswerable"


def _gold(citations: Iterable[Any]) -> Iterable[dict[str, Any]]:
    return ({"doc_id": citation.passage.source, "start": citation.start, "end": citation.end} for citation in citations)
