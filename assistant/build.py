"""The only place where the parts of the assistant are joined; below it there are plain values, no settings."""

from langchain_core.runnables import Runnable

from assistant.answer import Assistant
from assistant.cite import Citer
from assistant.extract import extractor
from assistant.generate import generator, open_model
from assistant.settings import EXTRACTIVE, AssistantSettings
from assistant.types import Said, Task
from index import Index, SentenceTransformerEmbeddings
from index.models import PACKAGED, PUBLIC_NAME


def open_assistant(index: Index, settings: AssistantSettings) -> Assistant:
    """Join an index, a retriever and whoever answers.

    Raises ModelUnavailable when the language model of the settings cannot be opened.
    """
    answerer: Runnable[Task, Said] = (
        extractor(token_embeddings(index.embeddings))
        if settings.model == EXTRACTIVE
        else generator(open_model(settings.model, settings.model_url))
    )
    retriever = index.retriever(settings.passages)
    return Assistant(index, retriever, answerer, Citer(index.embeddings, index.text))


def token_embeddings(embeddings: SentenceTransformerEmbeddings) -> SentenceTransformerEmbeddings:
    """Return the model whose token vectors the reader was trained on; the index's own where it is that one."""
    return embeddings if embeddings.model in (PACKAGED, PUBLIC_NAME) else SentenceTransformerEmbeddings(PACKAGED)
