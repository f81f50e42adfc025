"""The only place where the parts of the assistant are joined; below it there are plain values, no settings."""

from collections.abc import Callable

from langchain_core.runnables import Runnable

from assistant.answer import Assistant, Trace
from assistant.cite import Citer
from assistant.condense import Condense, by_history, by_model
from assistant.errors import ModelUnavailable
from assistant.extract import extractor, rereader
from assistant.generate import Patience, Reach, context_of, failing, generator, open_model, or_else
from assistant.reader.fit import FitReader
from assistant.reader.model import TrainedReader
from assistant.reader.reading import Reader
from assistant.settings import EXTRACTIVE, AssistantSettings
from assistant.types import Said, Task
from index import Index, SentenceTransformerEmbeddings
from index.models import PACKAGED, PUBLIC_NAME


def open_assistant(index: Index, settings: AssistantSettings, trace: Callable[[], Trace] = Trace) -> Assistant:
    """Join an index, a retriever and whoever answers. trace: makes what sees a question.

    Raises ModelUnavailable when the language model of the settings cannot be opened and nothing may stand in for it.
    """
    tokens = token_embeddings(index.embeddings)
    reader = READERS[settings.reader](tokens)
    extractive = extractor(reader.probability, settings.caution)
    answerer, condense = (
        (extractive, by_history) if settings.model == EXTRACTIVE else _with_model(index, settings, extractive)
    )
    retriever = index.retriever(settings.passages)
    citer = Citer(tokens, index.text)
    reread = rereader(reader, settings.caution)
    return Assistant(index, retriever, answerer, citer, condense=condense, reread=reread, trace=trace)


READERS: dict[str, Callable[[SentenceTransformerEmbeddings], Reader]] = {"trained": TrainedReader, "none": FitReader}


def _with_model(
    index: Index, settings: AssistantSettings, extractive: Runnable[Task, Said]
) -> tuple[Runnable[Task, Said], Condense]:
    """Join the language model and, if the settings want it, the reader who stands in for it."""
    timeout_seconds = float(settings.model_timeout_seconds)
    url = str(settings.model_url) if settings.model_url else None
    try:
        model = open_model(settings.model, url, timeout_seconds)
    except ModelUnavailable as error:
        if settings.fallback != EXTRACTIVE:
            raise
        return or_else(failing(error), extractive), by_history

    def count_tokens(text: str) -> int:
        return len(index.embeddings.token_spans(text))

    reach = Reach(context_of(model, settings.context_tokens), count_tokens)
    generated = generator(model, settings.model, reach, Patience(timeout_seconds))
    answerer = or_else(generated, extractive) if settings.fallback == EXTRACTIVE else generated
    return answerer, by_model(model, count_tokens)


def token_embeddings(embeddings: SentenceTransformerEmbeddings) -> SentenceTransformerEmbeddings:
    """Return the model whose token vectors the reader was trained on; the index's own where it is that one."""
    return embeddings if embeddings.model in (PACKAGED, PUBLIC_NAME) else SentenceTransformerEmbeddings(PACKAGED)
