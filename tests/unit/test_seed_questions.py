import json
from pathlib import Path

QUESTIONS = [json.loads(line) for line in Path("tests/evaluation/seed_questions.jsonl").read_text("utf-8").splitlines()]
SEEDS = {path.stem: path.read_text("utf-8") for path in Path("seeds").glob("*.txt")}


def test_every_answer_stands_in_its_document_where_the_question_says():
    for question in QUESTIONS:
        for answer, start in zip(question["answers"], question["answer_starts"], strict=True):
            assert SEEDS[question["doc_id"]][start:].startswith(answer), question["id"]


def test_there_are_enough_questions_of_each_kind():
    answerable = [question for question in QUESTIONS if question["answerable"]]

    assert len(answerable) >= 30
    assert len(QUESTIONS) - len(answerable) >= 12
    assert {question["lang"] for question in answerable} == {"fr", "en", "es", "de"}
    assert len({question["id"] for question in QUESTIONS}) == len(QUESTIONS)
