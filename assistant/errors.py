"""What can go wrong between a question and its answer.

AssistantError
├── InvalidQuestion     empty, or longer than the limit
├── InvalidData         questions to measure with, or measured results, that cannot be read
├── ModelUnavailable    the language model's package, key or server is missing
├── ModelFailed         the language model broke off or answered with an error
├── OwnerUnreachable    the server that owns the index does not answer
└── RateLimited         too many requests; try again after a while

A question that the documents do not answer is an Answer with `answered` false, not an error.
"""


class AssistantError(Exception):
    """Anything that stops an answer; its message is meant for the user and never holds a key."""


class InvalidQuestion(AssistantError):
    """The question is empty or longer than the limit."""


class InvalidData(AssistantError):
    """Questions to measure with, or measured results, that cannot be read."""


class ModelUnavailable(AssistantError):
    """The language model's package, key or server is missing."""


class ModelFailed(AssistantError):
    """The language model broke off or answered with an error."""


class OwnerUnreachable(AssistantError):
    """The server that owns the index does not answer, or broke off."""


class RateLimited(AssistantError):
    """Too many requests, here or at the language model's provider."""
