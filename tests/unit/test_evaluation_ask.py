from dataclasses import replace

import pytest
from langchain_core.runnables import RunnableGenerator

from assistant import Assistant, Claim, Confidence, Message
from assistant.cite import Citer
from assistant.evaluation.ask import DEPTH, Examiner
from assistant.evaluation.corpus import record_key
from assistant.evaluation.data import WHOLE, Gold, Question, Record
from index.search import HybridRetriever
from index.types import File, Passage
from tests.fakes import HashingEmbeddings

BREAD = Record("bread", "Le pain", "Le pain coûte un euro. Il est bon. Le sel coûte deux euros.", "fr")
SALT = Record("salt", "Salz", "Salz kostet zwei Euro. Es ist weiß.", "de")
PRICE = Gold("bread", 14, 21, is_answer=True)


def passages(*spans):
    return [
        Passage(
            f"{record_key(record)}-{start}", record.text[start:end], record_key(record), record.title, None, start, 1.0
        )
        for record, start, end in spans
    ]


def question(gold=(PRICE,), **fields):
    given = {"id": "q", "text": "Combien coûte le pain ?", "language": "fr", "answerable": bool(gold)}
    defaults = {"answers": ("un euro",), "document": "bread", "starts": (14,), "document_language": None}
    return Question(**(given | defaults | {"gold": tuple(gold), "quotable": bool(gold)} | fields))


def examiner(found, said=(), records=(BREAD,), stored=None, searches=None):
    """Make an examiner of an assistant that finds these passages, and says this of them."""
    embeddings = HashingEmbeddings()

    def retriever(k):
        return HybridRetriever(
            embeddings=embeddings,
            dense=lambda vector, depth, documents: [(str(place), 1 / (1 + place)) for place in range(len(found))],
            lexical=lambda query, depth, documents: [] if searches is None else searches.append(query) or [],
            chosen=lambda where: None,
            read=lambda ranking: [found[int(place)] for place, _ in ranking],
            k=k,
        )

    def answer(tasks):
        for _ in tasks:
            yield from said

    texts = stored or {record_key(record): record.text for record in records}
    assistant = Assistant(None, retriever(8), RunnableGenerator(answer), Citer(embeddings, texts.__getitem__))
    return Examiner(assistant, retriever(DEPTH), records)


def numbers(examined, asked):
    return examined.answered(asked).numbers


def ranked(found, gold, **fields):
    return examiner(found, **fields).searched(question(gold)).numbers


WITH_PRICE, WITHOUT, HALF = (BREAD, 0, 22), (BREAD, 23, 58), (BREAD, 0, 17)


def test_a_passage_answers_that_holds_the_words_whole():
    assert ranked(passages(WITHOUT, WITH_PRICE), [PRICE])["rank"] == 2
    assert ranked(passages(HALF, WITH_PRICE), [PRICE])["rank"] == 2
    assert ranked(passages(WITHOUT), [PRICE])["rank"] == 0


def test_of_several_answers_any_will_do():
    other = Gold("bread", 46, 57, is_answer=True)

    found = ranked(passages(WITHOUT), [PRICE, other])

    assert found["rank"] == 1
    assert found["recall"] == 1


def test_of_a_judged_place_a_part_will_do_and_recall_counts_all_places():
    judged = [Gold("bread", 0, 22), Gold("bread", 35, 58), Gold("salt", 0, 22)]

    found = ranked(passages(HALF), judged, records=(BREAD, SALT))

    assert found["rank"] == 1
    assert found["recall"] == pytest.approx(1 / 3)


def test_recall_looks_at_five_passages_and_the_rank_at_ten():
    words = Record("words", "Mots", "".join(f"a{n:02} b{n:02} c{n:02}. " for n in range(20)), "fr")
    others = [(words, 13 * n, 13 * n + 12) for n in range(20)]
    corpus = (BREAD, words)

    found = ranked(passages(*others[:7], WITH_PRICE), [PRICE], records=corpus)

    assert (found["rank"], found["recall"]) == (8, 0)
    assert ranked(passages(*others[:10], WITH_PRICE), [PRICE], records=corpus)["rank"] == 0


def test_ndcg_counts_each_document_once_with_its_grade():
    graded = [Gold("bread", 0, WHOLE, grade=1), Gold("salt", 0, WHOLE, grade=3)]

    found = ranked(passages(WITHOUT, WITH_PRICE, (SALT, 0, 20)), graded, records=(BREAD, SALT))

    assert found["ndcg"] == pytest.approx((1 + 3 / 2) / (3 + 1 / 1.5849625), abs=1e-4)


def test_where_nobody_says_what_answers_retrieval_is_not_measured():
    found = ranked(passages(WITH_PRICE), [])

    assert found.keys() == {"answerable", "retrieval_seconds"}


def test_the_first_passage_should_be_in_the_language_of_the_question_or_answer():
    both = (BREAD, SALT)

    assert ranked(passages(WITHOUT), [PRICE], records=both)["own_language"]
    assert not ranked(passages((SALT, 0, 20)), [PRICE], records=both)["own_language"]
    assert ranked(passages((SALT, 0, 20)), [Gold("salt", 0, 5)], records=both)["own_language"]
    assert "own_language" not in ranked(passages(WITHOUT), [PRICE])


def test_an_answer_is_measured_by_its_quotes():
    said = [Confidence(0.7), Claim("Le pain coûte un euro.", (1,)), Claim("Il est bon.", (2,))]

    found = numbers(examiner(passages(WITH_PRICE, WITHOUT), said), question())

    assert {name: found[name] for name in ("answered", "confidence", "exact_match", "holds_answer", "words")} == {
        "answered": 1,
        "confidence": 0.7,
        "exact_match": 0,
        "holds_answer": 1,
        "words": 8,
    }
    # Without articles the quotes have six words, of which one, "euro", is all of the answer.
    assert found["f1"] == pytest.approx(2 / (6 + 1))
    assert found["cited_precision"] == 0.5
    assert found["cited_recall"] == 1
    assert found["verbatim"] == 1
    assert found["answer_seconds"] > 0
    assert found["retrieval_seconds"] > 0


def test_a_declined_answer_is_wrong_but_quotes_nothing_wrongly():
    found = numbers(examiner(passages(WITH_PRICE), [Confidence(0.1)]), question())

    assert {name: found[name] for name in ("answered", "confidence", "f1", "holds_answer", "cited_recall")} == {
        "answered": 0,
        "confidence": 0.1,
        "f1": 0,
        "holds_answer": 0,
        "cited_recall": 0,
    }
    assert not found.keys() & {"words", "cited_precision", "verbatim"}


def test_an_answerer_without_a_confidence_has_none():
    found = numbers(examiner(passages(WITH_PRICE), [Claim("Le pain coûte un euro.", (1,))]), question())

    assert "confidence" not in found


def test_answers_in_prose_are_compared_with_no_quote():
    found = numbers(examiner(passages(WITH_PRICE), [Claim("Il est bon.", (1,))]), question(quotable=False))

    assert not found.keys() & {"exact_match", "f1", "holds_answer"}


def test_verbatim_is_checked_against_the_corpus_and_not_against_the_index():
    stored = {record_key(BREAD): BREAD.text.replace("pain", "PAIN")}
    found = [Passage("p", stored[record_key(BREAD)][:22], record_key(BREAD), "", None, 0, 1.0)]

    said = numbers(examiner(found, [Claim("Le PAIN coûte un euro.", (1,))], stored=stored), question())

    assert said["verbatim"] == 0


def test_a_conversation_is_asked_as_one():
    queries = []
    examined = examiner(passages(WITH_PRICE), searches=queries)

    examined.answered(question(text="Et pourquoi ?", history=(Message(role="user", content="Le pain de Miami ?"),)))

    assert queries == ["Et pourquoi ?", "Le pain de Miami ? Et pourquoi ?"] * 2


@pytest.mark.parametrize(
    ("records", "fields", "pair"),
    [
        ((BREAD,), {"language": "en"}, "en→fr"),
        ((BREAD, SALT), {"document": "salt"}, "fr→de"),
        ((BREAD, SALT), {"document": None}, "fr→*"),
        ((BREAD,), {"document": None}, "fr→fr"),
    ],
)
def test_a_pair_is_the_language_of_the_question_and_that_of_the_documents(records, fields, pair):
    assert examiner(passages(WITH_PRICE), records=records).searched(question(**fields)).pair == pair


def test_a_passage_that_stands_for_its_copy_in_another_document_answers_where_that_one_does():
    copy = Record("copy", "Copie", f"Bonjour. {BREAD.text}", "fr")
    retold = Record("retold", "Autrement", "Le prix du pain est de un euro.", "fr")
    [found] = passages(WITH_PRICE)
    files = tuple(File(record_key(record), record.title, "") for record in (copy, retold))

    def rank(*gold):
        return ranked([replace(found, also_in=files)], gold, records=(BREAD, copy, retold))["rank"]

    assert rank(Gold("copy", 23, 30, is_answer=True)) == 1
    assert rank(Gold("copy", 0, 7)) == 0
    assert rank(Gold("retold", 0, WHOLE)) == 1
    assert rank(Gold("retold", 0, 20)) == 0


def test_records_with_the_same_title_and_text_are_one_document():
    twin = Record("twin", BREAD.title, BREAD.text, "fr")

    assert ranked(passages(WITH_PRICE), [Gold("twin", 0, WHOLE)], records=(BREAD, twin))["rank"] == 1
