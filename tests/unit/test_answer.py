import pytest
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from assistant import (
    Answer,
    Assistant,
    Claim,
    Confidence,
    InvalidQuestion,
    Message,
    Notice,
    Searched,
    Token,
    Usage,
)
from assistant.answer import MAX_QUESTION_CHARACTERS
from assistant.cite import Citer
from assistant.prompts import CANNOT_ANSWER
from index import Filter
from index.search import HybridRetriever
from tests.fakes import HashingEmbeddings, passage

TEXT = "Le train part à huit heures. Le pain coûte un euro."
PASSAGE = passage(TEXT)
CITER = Citer(HashingEmbeddings(), {"source": TEXT}.__getitem__)


def assistant(answer, text=TEXT) -> Assistant:
    embeddings = HashingEmbeddings()
    retriever: BaseRetriever = HybridRetriever(
        embeddings=embeddings,
        dense=lambda vector, depth, documents: [(PASSAGE.id, 1.0)],
        lexical=lambda query, depth, documents: [],
        chosen=lambda where: None,
        read=lambda ranking: [PASSAGE],
    )
    return Assistant(None, retriever, answer, Citer(embeddings, {"source": text}.__getitem__))


def saying(*claims):
    def answer(tasks):
        for _ in tasks:
            yield from claims

    return RunnableGenerator(answer)


BREAD = Claim("Le pain coûte un euro.", (1,))


def test_events_come_in_order_and_their_text_adds_up():
    events = list(assistant(saying(Claim("Le train part à huit heures.", (1,)), BREAD)).stream("Combien ?"))

    assert isinstance(events[0], Searched)
    assert isinstance(events[-1], Answer)
    assert all(isinstance(event, Token) for event in events[1:-1])
    assert "".join(event.text for event in events[1:-1]) == events[-1].text
    assert events[-1].text == "Le train part à huit heures. [1] Le pain coûte un euro. [2]"


def test_ask_is_the_last_event_of_stream():
    answer = assistant(saying(BREAD)).ask("Combien coûte le pain ?")

    assert answer.answered
    assert answer.query == "Combien coûte le pain ?"
    assert [citation.quote for citation in answer.citations] == ["Le pain coûte un euro."]


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Quel est le prix du baril de pétrole ?", "fr"),
        ("What is the price of oil today?", "en"),
        ("¿Cuál es el precio del petróleo?", "es"),
        ("Wie hoch ist der Ölpreis heute?", "de"),
    ],
)
def test_without_a_citation_the_answer_says_so_in_the_language_of_the_question(question, language):
    answer = assistant(saying(Claim("Je crois que oui.", ()))).ask(question)

    assert not answer.answered
    assert answer.text == CANNOT_ANSWER[language]
    assert answer.passages == (PASSAGE,)


def test_a_quote_that_the_stored_text_no_longer_has_makes_the_answer_declined():
    answer = assistant(saying(BREAD), text="Tout autre chose.").ask("Combien coûte le pain ?")

    assert not answer.answered


@pytest.mark.parametrize("question", ["", " \n\t", "?!…", "x" * (MAX_QUESTION_CHARACTERS + 1), "a" * 100_000])
def test_a_question_that_cannot_be_asked_is_refused_before_anything_is_searched(question):
    with pytest.raises(InvalidQuestion):
        assistant(RunnableLambda(lambda _: pytest.fail("asked"))).stream(question)


def filtering(answer) -> Assistant:
    """An assistant whose index holds one French document."""
    retriever = HybridRetriever(
        embeddings=HashingEmbeddings(),
        dense=lambda vector, depth, documents: [(PASSAGE.id, 1.0)],
        lexical=lambda query, depth, documents: [],
        chosen=lambda where: {"source"} if where.languages in ((), ("fr",)) else set(),
        read=lambda ranking: [PASSAGE],
    )
    return Assistant(None, retriever, answer, CITER)


def test_a_filter_that_the_documents_meet_changes_nothing_else():
    answer = filtering(saying(BREAD)).ask("Combien coûte le pain ?", where=Filter(languages=("fr",)))

    assert answer.answered


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Combien coûte le pain de Miami ?", "Aucun document de l'index ne correspond à : languages=de"),
        ("How much is the bread in Miami?", "No document of the index matches: languages=de"),
    ],
)
def test_where_no_document_meets_the_filter_nothing_is_asked_and_it_says_so(question, said):
    unasked = RunnableLambda(lambda _: pytest.fail("asked"))

    events = list(filtering(unasked).stream(question, where=Filter(languages=("de",))))

    assert events[-1].text == said
    assert (events[-1].answered, events[-1].passages) == (False, ())
    assert events[1:-1] == [Token(said)]


def test_a_retriever_that_knows_no_filter_is_asked_without_one():
    class Plain(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            return [Document(PASSAGE.text, metadata={"source": "source", "title": "Title", "start": 0})]

    answer = Assistant(None, Plain(), saying(BREAD), CITER).ask("Combien coûte le pain ?")

    assert answer.answered


@pytest.mark.parametrize("said", [[Confidence(0.7), BREAD], [Confidence(0.7)]])
def test_the_answer_has_the_confidence_of_the_answerer_also_when_it_declines(said):
    answer = assistant(saying(*said)).ask("Combien coûte le pain ?")

    assert answer.confidence == 0.7
    assert answer.answered == (BREAD in said)


def test_an_answerer_that_gives_no_confidence_has_none():
    assert assistant(saying(BREAD)).ask("Combien coûte le pain ?").confidence is None


NOTICE = Notice("ModelFailed", "The language model broke off.")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([NOTICE, BREAD], [NOTICE, Token("Le pain coûte un euro. [1]")]),
        (
            [Claim("Le train part à huit heures.", (1,)), NOTICE, BREAD],
            [Token("Le train part à huit heures. [1]"), NOTICE, Token(" Le pain coûte un euro. [2]")],
        ),
        ([NOTICE], [NOTICE, Token(CANNOT_ANSWER["fr"])]),
        ([BREAD, NOTICE], [Token("Le pain coûte un euro. [1]"), NOTICE]),
    ],
)
def test_a_notice_comes_before_the_words_it_is_about_and_stays_with_the_answer(said, expected):
    _, *events, answer = assistant(saying(*said)).stream("Combien coûte le pain ?")

    assert events == expected
    assert answer.notice == NOTICE


def test_the_tokens_that_models_count_are_told_with_the_answer():
    message = AIMessage(
        "Un euro.",
        response_metadata={"model_name": "petit"},
        usage_metadata={"input_tokens": 30, "output_tokens": 5, "total_tokens": 35},
    )
    model = GenericFakeChatModel(messages=iter([message] * 2))

    def answer(tasks):
        for _ in tasks:
            model.invoke("Un ?")
            model.invoke("Deux ?")
            yield BREAD

    told = assistant(RunnableGenerator(answer)).ask("Combien coûte le pain ?")

    assert told.usage == Usage("petit", 60, 10)
    assert told.as_dict()["usage"] == {"model": "petit", "input_tokens": 60, "output_tokens": 10}


def test_without_a_language_model_no_tokens_are_told_but_seconds_are():
    answer = assistant(saying(BREAD)).ask("Combien coûte le pain ?")

    assert answer.usage is None
    assert 0 < answer.seconds.first_token <= answer.seconds.total


def test_loading_has_a_passage_read_so_that_the_first_question_waits_for_no_part_of_a_reader():
    tasks = []

    class Index:
        load = staticmethod(lambda: None)

    def read(task):
        tasks.append(task)
        return task

    reader = RunnableLambda(read)
    loading = Assistant(Index(), HybridRetriever.model_construct(), saying(BREAD), CITER, reread=reader)
    loading.load()

    assert [len(task["passages"]) for task in tasks] == [1]
    assert loading.ready


def test_a_follow_up_is_searched_with_the_question_before():
    history = [Message(role="user", content="Combien coûte le pain de Miami ?")]

    answer = assistant(saying(BREAD)).ask("Et pourquoi ?", history)

    assert answer.query == "Combien coûte le pain de Miami ? Et pourquoi ?"


def test_an_answer_that_is_not_read_to_its_end_stops_the_answerer():
    closed = []

    def endless(tasks):
        try:
            for _ in tasks:
                while True:
                    yield BREAD
        finally:
            closed.append(True)

    events = assistant(RunnableGenerator(endless)).stream("Combien ?")
    next(events)
    next(events)
    events.close()

    assert closed == [True]
