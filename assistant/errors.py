"""What can go wrong between a question and its answer.

AssistantError
├── InvalidQuestion     empty, or longer than the limit
├── InvalidData         questions to measure with, or measured results, that cannot be read
├── ModelUnavailable    the language model's package, key or server is missing
├── ModelFailed         the language model broke off or answered with an error
├── TracesUnavailable   what would send traces is not installed
├── ReaderUnavailable   the weights of the embedded reader are damaged or missing
├── OwnerUnreachable    the server that owns the index does not answer
├── RateLimited         too many requests; try again after a while
│   └── TooManyQuestions  of a visitor, an address, or all
├── KeyNotFound         no API key with this id
├── KeysUnreadable      the file of the API keys is damaged, or not for us to read
├── ConversationsUnavailable  the file of the conversations is damaged or gone, or its disk full
├── OriginNotListed     a page that may not embed the chat
├── UploadRefused       a file that is not taken in
│   ├── FileTooLarge    longer than one file may be
│   └── NoRoom          too many files, or too large together, or the disk is full
├── UploadNotFound      no file of this name was added
└── NotAllowed          no key, or no token of a visitor, that opens this
    ├── TokenExpired    a token whose time is over
    └── TokenRefused    a token that this server did not make, or made for another page

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


class TracesUnavailable(AssistantError):
    """What would send traces is not installed."""


class ReaderUnavailable(AssistantError):
    """The weights of the embedded reader are damaged or missing."""


class OwnerUnreachable(AssistantError):
    """The server that owns the index does not answer, or broke off."""


class RateLimited(AssistantError):
    """Too many requests, here or at the language model's provider."""


class TooManyQuestions(RateLimited):
    """A limit of this server is reached.

    Args:
        retry_seconds: when there is room again.
    """

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"Too many questions. There is room again in {retry_seconds} seconds.")
        self.retry_seconds = retry_seconds


class KeyNotFound(AssistantError):
    """There is no API key with this id."""


class KeysUnreadable(AssistantError):
    """The file of the API keys is damaged, or this user may not read it."""


class ConversationsUnavailable(AssistantError):
    """The file of the conversations cannot be read or written to."""


class OriginNotListed(AssistantError):
    """Pages of this origin may not embed the chat."""


class UploadRefused(AssistantError):
    """A file is not taken in."""


class FileTooLarge(UploadRefused):
    """A file is longer than one file may be."""


class NoRoom(UploadRefused):
    """There are too many files already, or they are too large together, or the disk is full."""


class UploadNotFound(AssistantError):
    """No file of this name was added."""


class NotAllowed(AssistantError):
    """What was asked for needs an API key, or the token of a visitor."""


class TokenExpired(NotAllowed):
    """The time of a token is over."""


class TokenRefused(NotAllowed):
    """A token was not made by this server, or was made for a page of another origin."""
