"""History and follow-up to a query that stands alone."""

from collections.abc import Sequence

from assistant.types import Message
from index import detect
from index.terms import content_terms

FOLLOW_UP_TERMS = 2
"""A question with fewer words of its own leans on the one before: "Et pourquoi ?", "What about Kiev?"."""


def standalone_query(question: str, history: Sequence[Message] = ()) -> str:
    """Return what to search for: the question, after the user's last one where it says too little by itself."""
    asked = [message["content"] for message in history if message["role"] == "user" and message["content"].strip()]
    if not asked or len(set(content_terms(question, detect(question)))) >= FOLLOW_UP_TERMS:
        return question
    return f"{asked[-1]} {question}"
