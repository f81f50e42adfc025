import json

import pytest

from assistant import InvalidData
from assistant.evaluation.data import (
    WHOLE,
    Gold,
    Record,
    Selection,
    by_language,
    is_held_back,
    read_data_set,
    read_records,
)

RECORDS = [
    {"id": "pain", "title": "Le pain", "text": "Le pain coûte un euro.\n\nIl est bon.", "lang": "fr"},
    {"id": "bread", "title": "Bread", "text": "Bread costs one euro. It is good.", "lang": "en"},
]
QUESTION = {"id": "q", "question": "Combien coûte le pain ?", "lang": "fr", "answerable": True, "doc_id": "pain"}
ANSWERED = {**QUESTION, "answers": ["un euro"], "answer_start": 14, "answer_starts": [14]}


def write(folder, questions, records=RECORDS, name="questions.jsonl"):
    for file, rows in (("corpus.jsonl", records), (name, questions)):
        folder.joinpath(file).write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return folder


def only_question(folder, row):
    [question] = read_data_set(write(folder, [row]), Selection()).questions
    return question


@pytest.mark.parametrize(
    ("fields", "gold"),
    [
        ({"answers": ["un euro"], "answer_starts": [14]}, [Gold("pain", 14, 21, is_answer=True)]),
        ({"answers": ["un euro"], "answer_start": 14}, [Gold("pain", 14, 21, is_answer=True)]),
        ({"answers": [], "answer_start": None, "answer_starts": [], "context_span": [0, 22]}, [Gold("pain", 0, 22)]),
        ({"gold": [{"doc_id": "bread", "start": 0, "end": 21}], "context_span": [0, 22]}, [Gold("bread", 0, 21)]),
        ({"qrels": {"bread": 2, "pain": 0}, "qtype": "title"}, [Gold("bread", 0, WHOLE, grade=2)]),
        ({"answers": ["un euro"], "answer_start": 14, "qtype": "paraphrase"}, [Gold("pain", 0, WHOLE)]),
        ({}, [Gold("pain", 0, WHOLE)]),
        ({"doc_id": None}, []),
        ({"answerable": False, "gold": [{"doc_id": "pain", "start": 0, "end": 9}]}, []),
    ],
)
def test_the_first_field_that_says_where_it_is_answered_counts(tmp_path, fields, gold):
    assert list(only_question(tmp_path, {**QUESTION, **fields}).gold) == gold


@pytest.mark.parametrize(
    ("fields", "quotable"),
    [({}, True), ({"answer_type": "abstractive"}, False), ({"answer_type": "yesno"}, False), ({"qtype": "t"}, False)],
)
def test_a_quote_compares_only_with_words_of_the_document(tmp_path, fields, quotable):
    assert only_question(tmp_path, {**ANSWERED, **fields}).quotable is quotable


def test_a_conversation_comes_in_the_shape_of_messages(tmp_path):
    history = [{"role": "user", "text": "Le pain ?"}, {"role": "assistant", "text": "Il est bon."}]

    question = only_question(tmp_path, {**QUESTION, "history": history})

    assert list(question.history) == [
        {"role": "user", "content": "Le pain ?"},
        {"role": "assistant", "content": "Il est bon."},
    ]


def questions(count, prefix="q"):
    return [{**QUESTION, "id": f"{prefix}{number}"} for number in range(count)]


def ids(folder, **selection):
    return [question.id for question in read_data_set(folder, Selection(**selection)).questions]


def test_a_sample_is_the_same_every_time_and_grows_at_its_end(tmp_path):
    folder = write(tmp_path, questions(50))

    ten = ids(folder, limit=10)

    assert len(ten) == 10
    assert ids(folder, limit=20)[:10] == ten


def test_questions_that_are_added_change_a_sample_little(tmp_path):
    before = ids(write(tmp_path, questions(100)), limit=20)

    after = ids(write(tmp_path, questions(110)), limit=20)

    assert len(set(after) - set(before)) <= 6


def test_a_sample_does_not_depend_on_the_order_of_the_lines(tmp_path):
    forwards = ids(write(tmp_path, questions(50)), limit=10)

    assert ids(write(tmp_path, questions(50)[::-1]), limit=10) == forwards


def test_each_file_of_questions_gives_as_many(tmp_path):
    write(tmp_path, questions(5))
    write(tmp_path, questions(5, "other"), name="questions.outofcorpus.jsonl")

    assert sorted(id[0] for id in ids(tmp_path, limit=3)) == ["o", "o", "o", "q", "q", "q"]


def test_short_questions_are_left_out(tmp_path):
    write(tmp_path, [QUESTION, {**QUESTION, "id": "short", "question": "Combien ?"}])

    assert ids(tmp_path, min_words=3) == ["q"]


def test_only_some_are_answered_the_first_of_the_sample(tmp_path):
    data = read_data_set(write(tmp_path, questions(9)), Selection(limit=6, answers=2))

    assert len(data.questions) == 6
    assert data.to_answer == {question.id for question in data.questions[:2]}


def test_held_back_are_one_title_in_five_with_its_translations_and_two_questions_in_five(tmp_path):
    question = only_question(tmp_path, QUESTION)
    titles = [is_held_back(question, Record("id", f"Titre {number}", "", "fr")) for number in range(2000)]
    rows = [{**QUESTION, "id": str(number), "doc_id": None} for number in range(2000)]
    nowhere = read_data_set(write(tmp_path, rows), Selection(held_back=True))

    assert 0.17 < sum(titles) / 2000 < 0.23
    assert 0.37 < len(nowhere.to_answer) / 2000 < 0.43
    assert len(nowhere.questions) == 2000


def test_documents_of_one_language_are_asked_at_a_time(tmp_path):
    rows = [{**QUESTION, "doc_lang": "fr"}, {**QUESTION, "id": "r", "doc_lang": "en", "doc_id": "bread"}]
    data = read_data_set(write(tmp_path, rows), Selection())

    groups = {
        records[0].id: [question.id for question in asked]
        for records, asked in by_language(RECORDS_READ, data.questions)
    }

    assert groups == {"pain": ["q"], "bread": ["r"]}
    assert all(len(records) == 1 for records, _ in by_language(RECORDS_READ, data.questions))


RECORDS_READ = [Record(row["id"], row["title"], row["text"], row["lang"]) for row in RECORDS]


def test_together_each_question_is_asked_of_all_documents_and_its_own_language_answers(tmp_path):
    rows = [
        {**QUESTION, "id": f"{language}-{of}", "lang": language, "doc_lang": of, "doc_id": None}
        for language in ("fr", "de")
        for of in ("fr", "de")
    ]
    data = read_data_set(write(tmp_path, rows), Selection(together=True))

    [(records, asked)] = by_language(data.records, data.questions)

    assert records == data.records
    assert {question.id for question in asked} == {"fr-fr", "de-de"}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"qtype": "title"}, "title"),
        ({"history": [{"role": "user", "text": "Bonjour"}]}, "conversation"),
        ({"history": []}, ""),
        ({}, ""),
    ],
)
def test_a_kind_is_what_the_set_calls_it_or_a_conversation(tmp_path, fields, kind):
    assert only_question(tmp_path, {**QUESTION, **fields}).kind == kind


def test_a_language_without_documents_is_named(tmp_path):
    data = read_data_set(write(tmp_path, [{**QUESTION, "doc_id": None, "doc_lang": "it"}]), Selection())

    with pytest.raises(InvalidData, match="'it'"):
        list(by_language(data.records, data.questions))


def test_a_folder_of_documents_is_a_corpus_too(tmp_path, caplog):
    tmp_path.joinpath("prix.txt").write_text("Les prix\n\nLe pain coûte un euro.", "utf-8")
    tmp_path.joinpath("2024").mkdir()
    tmp_path.joinpath("2024", "prix.md").write_text("# Salz\n\nSalz kostet im Winter zwei Euro.", "utf-8")
    for name in ("program.exe", "broken.txt", ".hidden.txt", "questions.jsonl"):
        tmp_path.joinpath(name).write_bytes(b"\xff\xd8\x00\x01")

    assert read_records(tmp_path) == [
        Record("2024/prix", "Salz", "# Salz\n\nSalz kostet im Winter zwei Euro.", "de"),
        Record("prix", "Les prix", "Les prix\n\nLe pain coûte un euro.", "fr"),
    ]
    assert [record.message for record in caplog.records] == [
        f"left out: {tmp_path / 'broken.txt'}: not a text file, though its name ends like one",
        f"left out: {tmp_path / 'program.exe'}: no loader for .exe",
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "questions.jsonl:2: Invalid JSON"),
        ('{"id": "x"}', "questions.jsonl:2: question: Field required"),
        (json.dumps({**QUESTION, "answers": ["a", 3]}), r"questions.jsonl:2: answers.1: .*string"),
        (json.dumps({**QUESTION, "answerable": "no"}), "questions.jsonl:2: answerable: .*boolean"),
        (json.dumps({**QUESTION, "history": [{"role": "system", "text": ""}]}), "questions.jsonl:2: history.0.role"),
        ("[]", "questions.jsonl:2: "),
        ('"\udcff"', "questions.jsonl:2: "),
    ],
)
def test_a_malformed_line_is_named_with_its_file_and_number(tmp_path, line, fault):
    write(tmp_path, [{**QUESTION, "id": "first"}])
    with tmp_path.joinpath("questions.jsonl").open("ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n")

    with pytest.raises(InvalidData, match=fault):
        read_data_set(tmp_path, Selection())


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([{**QUESTION, "doc_id": "cake"}], "question 'q': there is no document 'cake'"),
        ([{**QUESTION, "qrels": {"cake": 1}}], "there is no document 'cake'"),
        ([{**QUESTION, "doc_lang": "en"}], "document 'pain' is in 'fr', not in 'en'"),
        ([{**QUESTION, "gold": [{"doc_id": "pain", "start": 3, "end": 99}]}], "3-99 is no part of document 'pain'"),
        ([{**QUESTION, "gold": [{"doc_id": "pain", "start": 3, "end": 3}]}], "3-3 is no part of document 'pain'"),
        ([{**ANSWERED, "answer_starts": [15]}], "none of its answers stands at 15 of document 'pain'"),
        ([{**QUESTION, "question": " ? "}], "The question is empty"),
        ([{**QUESTION, "question": "x" * 3000}], "3,000 characters"),
        ([QUESTION, QUESTION], "two questions have the id 'q'"),
        ([], "questions.jsonl is empty"),
    ],
)
def test_questions_that_cannot_be_measured_are_named(tmp_path, rows, fault):
    with pytest.raises(InvalidData, match=fault):
        read_data_set(write(tmp_path, rows), Selection())


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        ([], "corpus.jsonl is empty"),
        ([{"id": "a", "text": " \n"}], "document 'a' has no text"),
        ([{"id": "a", "text": "Un \0 signe"}], "document 'a' has a null character in its text"),
        ([RECORDS[0], RECORDS[0]], "two documents have the id 'pain'"),
    ],
)
def test_a_corpus_that_cannot_be_asked_is_named(tmp_path, records, fault):
    with pytest.raises(InvalidData, match=fault):
        read_data_set(write(tmp_path, [QUESTION], records), Selection())


def test_a_folder_without_the_files_says_what_it_needs(tmp_path):
    with pytest.raises(InvalidData, match=r"holds no corpus.jsonl and no document"):
        read_data_set(tmp_path, Selection())
    write(tmp_path, [QUESTION]).joinpath("questions.jsonl").unlink()
    with pytest.raises(InvalidData, match=r"questions.jsonl cannot be read: No such file"):
        read_data_set(tmp_path, Selection())


def test_when_all_questions_are_too_short_it_is_said(tmp_path):
    with pytest.raises(InvalidData, match="no question of 30 words or more"):
        read_data_set(write(tmp_path, [QUESTION]), Selection(min_words=30))
