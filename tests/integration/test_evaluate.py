"""`assistant evaluate` as a person runs it: a real process, the real model, a corpus of three documents."""

import json
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import platformdirs
import pytest
from typer.testing import CliRunner

from assistant import InvalidData
from assistant.cli import app
from assistant.evaluation.corpus import corpus_key, kept_index
from assistant.evaluation.data import Record, read_records
from tests.processes import command

RECORDS = [
    {"id": "fr", "title": "L'usine", "text": "L'usine d'Albi a ouvert en 1987. Elle fabrique des vélos.", "lang": "fr"},
    {"id": "en", "title": "The 'plant'", "text": "The Albi plant opened in 1987. It makes bicycles.", "lang": "en"},
    {"id": "salt", "title": "Le sel", "text": "\ufeffLe sel vient de la mer.\r\nIl est blanc.", "lang": "fr"},
]
QUESTIONS = [
    {"id": "1", "question": "En quelle année l'usine d'Albi a-t-elle ouvert ?", "lang": "fr", "doc_lang": "fr"}
    | {"answerable": True, "doc_id": "fr", "answers": ["1987"], "answer_starts": [27]},
    {"id": "2", "question": "En quelle année l'usine d'Albi a-t-elle ouvert ?", "lang": "fr", "doc_lang": "en"}
    | {"answerable": True, "doc_id": "en", "answers": ["1987"], "answer_starts": [25]},
    {"id": "3", "question": "Et pourquoi ?", "lang": "fr", "doc_lang": "fr", "answerable": False}
    | {"history": [{"role": "user", "text": "Combien de salariés l'usine d'Albi avait-elle en 2005 ?"}]},
    {"id": "4", "question": "D'où vient le sel ?", "lang": "fr", "doc_lang": "fr", "answerable": True}
    | {"doc_id": "salt", "gold": [{"doc_id": "salt", "start": 1, "end": 25}]},
]


NO_DATABASE = "postgresql://nobody@127.0.0.1:9/nobody"
NOBODY = "http://127.0.0.1:9"
"""Where no server listens."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny & small")
    for name, rows in (("corpus.jsonl", RECORDS), ("questions.jsonl", QUESTIONS)):
        folder.joinpath(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A cache folder with the decoded model and nothing else."""
    home = tmp_path_factory.mktemp("cache")
    home.joinpath("sourcier").mkdir()
    models = platformdirs.user_cache_path("sourcier") / "models"
    models.mkdir(parents=True, exist_ok=True)
    home.joinpath("sourcier", "models").symlink_to(models)
    return home


@pytest.fixture(scope="module")
def done(folder, home) -> subprocess.CompletedProcess:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("INDEX_", "ASSISTANT_"))}
    own = {"XDG_CACHE_HOME": str(home), "INDEX_CHROMA_URL": NOBODY, "INDEX_CATALOG_URL": NO_DATABASE}
    return command("evaluate", str(folder), "--json", "--plot", str(home / "curve.svg"), env=inherited | own)


def test_standard_output_is_one_object_and_progress_goes_to_standard_error(done, folder):
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"] == folder.name
    assert "Asking" in done.stderr
    assert "OUTSIDE REQUEST" not in done.stderr


def test_a_chroma_server_of_the_settings_is_left_alone(done):
    assert done.returncode == 0
    assert NOBODY not in done.stderr


def test_each_question_is_asked_over_the_documents_of_one_language(done):
    found = json.loads(done.stdout)

    assert {row[0]: row[1] for row in found["rows"]} == {"1": "fr→fr", "2": "fr→en", "3": "fr→fr", "4": "fr→fr"}
    assert found["documents"] == 3
    for pair in ("fr→fr", "fr→en"):
        assert found["figures"][pair]["retrieval"]["hit@1"]["value"] == 1


def test_quotes_stand_in_the_corpus_also_behind_a_byte_order_mark(done):
    figures = json.loads(done.stdout)["figures"]["all"]

    assert figures["citations"]["verbatim"]["value"] == 1
    assert figures["answers"]["holds_answer"]["value"] == 1


def test_the_curve_is_a_picture(done, home):
    assert ElementTree.parse(home / "curve.svg").getroot().tag.endswith("svg")


def test_what_is_indexed_once_is_not_embedded_again(done, folder, home):
    assert done.returncode == 0
    french = [record for record in read_records(folder) if record.language == "fr"]
    steps = []

    opened, indexing = kept_index(french, home / "sourcier" / "evaluation", steps.append)
    opened.close()

    assert steps == []
    assert (indexing.documents, indexing.chunks) == (2, 2)
    assert indexing.chunks_per_second > 0


def test_terms_made_by_other_rules_are_thrown_away_and_nothing_else(done, folder, home):
    assert done.returncode == 0
    english = [record for record in read_records(folder) if record.language == "en"]
    kept = home / "sourcier" / "evaluation" / corpus_key(english)
    assert kept.joinpath("store", "lexical").exists()
    kept.joinpath("terms.sha256").write_text("other rules")
    steps = []

    opened, _ = kept_index(english, home / "sourcier" / "evaluation", steps.append)
    opened.close()

    assert steps == []
    assert not kept.joinpath("store", "lexical").exists()


def test_other_content_and_other_chunks_are_another_index(folder, monkeypatch):
    records = read_records(folder)
    keys = {corpus_key(records), corpus_key(records[:2])}
    monkeypatch.setenv("INDEX_CHUNK_TOKENS", "100")

    assert len(keys | {corpus_key(records)}) == 3


def test_a_document_that_cannot_be_indexed_is_named(tmp_path):
    with pytest.raises(InvalidData, match="Document 'blank' cannot be indexed: no text in it"):
        kept_index([Record("blank", "Blank", "\n", "fr")], tmp_path, lambda _: None)


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_a_result_compared_with_itself_has_not_changed(done, tmp_path):
    result = tmp_path / "result.json"
    result.write_text(done.stdout, "utf-8")

    compared = run("--compare", result, result)
    as_json = run("--compare", result, result, "--json")

    assert "4 questions in common" in compared.stdout
    assert "more than chance" not in compared.stdout
    assert json.loads(as_json.stdout)["differences"]["all"]["retrieval"]["hit@1"]["p"] == 1


@pytest.mark.parametrize("arguments", [[], ["seeds", "--compare", "a.json", "b.json"], ["--limit", "0", "seeds"]])
def test_wrong_use_is_said(arguments):
    assert run(*arguments).exit_code == 2


def test_a_malformed_line_stops_with_its_place(folder, tmp_path):
    tmp_path.joinpath("corpus.jsonl").write_bytes(folder.joinpath("corpus.jsonl").read_bytes())
    tmp_path.joinpath("questions.jsonl").write_text('{"id": 3}\n', "utf-8")

    failed = run(tmp_path)

    assert failed.exit_code == 2
    assert "questions.jsonl:1: id: " in failed.stderr
    assert failed.stdout == ""


def test_results_that_are_not_there_are_named(tmp_path):
    failed = run("--compare", tmp_path / "a.json", tmp_path / "b.json")

    assert failed.exit_code == 2
    assert "a.json" in failed.stderr
