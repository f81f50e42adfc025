"""The command line as a person runs it: real processes, the real model, the seed document, no network."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest

from assistant.prompts import CANNOT_ANSWER
from index import IndexSettings, open_catalog, open_index
from tests.processes import command, start_command

SEED = next(Path("seeds").glob("*.txt"))
FRENCH = "Combien de temps a duré l'entretien téléphonique entre Trump et Poutine ?"
ENGLISH = "How long was the phone call?"


def environment(index, **settings):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("INDEX_", "ASSISTANT_"))}
    return inherited | {"INDEX_PATH": str(index)} | settings


def run(index, *arguments, **settings):
    return command(*map(str, arguments), env=environment(index, **settings))


@pytest.fixture(scope="module")
def seeded(tmp_path_factory) -> Path:
    """An index of the seed document."""
    index = tmp_path_factory.mktemp("seeded") / "index"
    done = run(index, "index", "seeds", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["added"] == 1
    return index


@pytest.fixture(scope="module")
def answers(seeded) -> dict[str, subprocess.CompletedProcess]:
    """What `ask --json` gives for three questions."""
    questions = [FRENCH, ENGLISH, "Quel est le prix du baril de pétrole ?"]
    return {question: run(seeded, "ask", question, "--json") for question in questions}


@pytest.mark.parametrize("question", [FRENCH, ENGLISH])
def test_a_question_in_french_or_english_is_answered_by_the_same_sentence_with_its_citation(answers, question):
    answer = json.loads(answers[question].stdout)
    stored = SEED.read_text("utf-8")

    assert answer["answered"]
    assert any("deux heures et demie" in citation["quote"] for citation in answer["citations"])
    for citation in answer["citations"]:
        assert stored[citation["start"] : citation["end"]] == citation["quote"]
        assert f"{citation['quote']} [{citation['number']}]" in answer["answer"]


def test_a_question_that_the_document_does_not_answer_is_declined_in_its_language(answers):
    answer = json.loads(answers["Quel est le prix du baril de pétrole ?"].stdout)

    assert not answer["answered"]
    assert answer["answer"] == CANNOT_ANSWER["fr"]
    assert answer["passages"]


def test_nothing_outside_is_asked_for_while_indexing_and_answering(answers):
    for done in answers.values():
        assert done.returncode == 0
        assert "OUTSIDE REQUEST" not in done.stderr


def test_the_object_of_an_answer_has_the_documented_fields(answers):
    answer = json.loads(answers[FRENCH].stdout)

    assert set(answer) == {
        "question",
        "query",
        "answered",
        "answer",
        "short",
        "citations",
        "passages",
        "unsupported",
        "notice",
        "usage",
        "seconds",
    }
    assert set(answer["citations"][0]) == {
        "number",
        "source",
        "title",
        "date",
        "language",
        "page",
        "section",
        "start",
        "end",
        "quote",
        "answer",
        "also_in",
    }
    assert set(answer["passages"][0]) == {
        "id",
        "source",
        "title",
        "page",
        "start",
        "text",
        "score",
        "language",
        "section",
        "date",
        "file",
        "also_in",
    }
    assert set(answer["seconds"]) == {"retrieve", "answer", "first_token", "total"}


def test_a_second_sync_of_the_same_folder_loads_no_model(seeded):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "assistant", "index", "seeds"],
        env=environment(seeded),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.startswith("+0 ~0 -0 =1")
    assert "torch" not in done.stderr
    assert "chromadb" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "--help"], ["serve", "--help"]])
def test_help_imports_nothing_heavy(tmp_path, arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "assistant", *arguments],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    for heavy in ("torch", "gradio", "chromadb", "langchain", "fastapi", "numpy"):
        assert f" {heavy}\n" not in done.stderr


def test_the_stored_text_of_a_source_is_the_file(seeded):
    [source] = json.loads(run(seeded, "sources", "--json").stdout)

    assert source["path"] == str(SEED.resolve())
    assert source["language"] == "fr"
    assert run(seeded, "sources", source["id"]).stdout == SEED.read_bytes().decode().replace("\r\n", "\n")


def test_a_dry_run_says_what_would_be_done_and_makes_nothing(tmp_path):
    done = run(tmp_path / "index", "index", "seeds", "--dry-run")

    assert done.stdout.startswith(f"+1 ~0 -0 =0\n+ {SEED.resolve()}")
    assert not (tmp_path / "index").exists()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> tuple[Path, Path]:
    """An index, and the folder of four small documents that it was made from."""
    folder = tmp_path_factory.mktemp("shelf")
    docs = folder / "docs"
    docs.mkdir()
    for name in ("blé", "orge", "seigle", "avoine"):
        (docs / f"{name}.txt").write_text(f"La récolte : {name}.\nLe prix du {name} a doublé cette année.", "utf-8")
    done = run(folder / "index", "index", docs)
    assert done.stdout.startswith("+4 ~0 -0 =0  (4 documents, 4 chunks in the index)"), done.stderr
    assert "Indexing: 4 of 4 documents, 4 chunks" in done.stderr
    return folder / "index", docs


@pytest.fixture
def copied(shelf, tmp_path) -> tuple[Path, Path]:
    """A copy of that index, and the folder, whose files may be changed."""
    index, docs = shelf
    shutil.copytree(index, tmp_path / "index")
    shutil.copytree(docs, tmp_path / "before")
    yield tmp_path / "index", docs
    shutil.rmtree(docs)
    shutil.copytree(tmp_path / "before", docs)


def test_a_dry_run_says_what_becomes_of_each_file(copied):
    index, docs = copied
    (docs / "deep").mkdir()
    (docs / "blé.txt").rename(docs / "deep" / "froment.txt")
    (docs / "orge.txt").unlink()
    (docs / "seigle.txt").write_text("Le seigle a gelé.", "utf-8")
    (docs / "maïs.txt").write_text("Le maïs a soif.", "utf-8")
    shutil.copy(docs / "avoine.txt", docs / "copie.txt")
    (docs / "photo\x1b[2J.xyz").touch()

    shown = run(index, "index", docs, "--dry-run")
    told = json.loads(run(index, "index", docs, "--dry-run", "--json").stdout)

    assert shown.stdout.splitlines() == [
        "+1 ~1 -1 =2",
        f"+ {docs}/maïs.txt",
        f"~ {docs}/seigle.txt",
        f"= {docs}/copie.txt  (the same as {docs}/avoine.txt)",
        f"> {docs}/blé.txt → {docs}/deep/froment.txt",
        f"- {docs}/orge.txt",
        f"! {docs}/photo�[2J.xyz: no loader for .xyz",
    ]
    assert [told[count] for count in ("added", "updated", "deleted", "unchanged", "pending")] == [1, 1, 1, 2, 0]
    assert {"change": "moved", "path": f"{docs}/deep/froment.txt", "origin": f"{docs}/blé.txt"} in told["changes"]


def test_sources_lists_every_path_of_a_document(copied):
    index, docs = copied
    shutil.copy(docs / "avoine.txt", docs / "copie.txt")
    run(index, "index", docs)

    [source] = [source for source in json.loads(run(index, "sources", "--json").stdout) if len(source["paths"]) > 1]

    assert source["paths"] == [f"{docs}/avoine.txt", f"{docs}/copie.txt"]
    assert source["path"] == f"{docs}/avoine.txt"
    assert f"    {docs}/copie.txt\n" in run(index, "sources").stdout


def test_a_folder_that_was_emptied_is_not_forgotten_unless_it_is_said(copied):
    index, docs = copied
    for file in docs.iterdir():
        file.unlink()

    fails(run(index, "index", docs), 2, f"{docs} holds no file that can be read", f"assistant index --remove {docs}")
    assert len(json.loads(run(index, "sources", "--json").stdout)) == 4

    done = run(index, "index", "--remove", docs)

    assert done.returncode == 0
    assert done.stdout == "+0 ~0 -4 =0  (0 documents, 0 chunks in the index)\n"
    assert done.stderr.splitlines() == [f"- {docs}/{name}.txt" for name in ("avoine", "blé", "orge", "seigle")]


def test_documents_are_removed_by_id_and_by_path_and_what_comes_back_is_said(copied):
    index, docs = copied
    [oats] = [
        source["id"] for source in json.loads(run(index, "sources", "--json").stdout) if "avoine" in source["path"]
    ]
    fails(run(index, "index", "--remove", oats, docs / "nowhere.txt"), 2, "Nothing is indexed under", "nowhere.txt")
    planned = run(index, "index", "--remove", oats, "--dry-run")
    (docs / "orge.txt").unlink()

    done = run(index, "index", "--remove", oats, docs / "orge.txt", "--json")

    assert planned.stdout == f"+0 ~0 -1 =0\n- {docs}/avoine.txt\n"
    assert json.loads(done.stdout)["deleted"] == 2
    assert f"- {docs}/avoine.txt  (the file is still there" in done.stderr
    assert f"- {docs}/orge.txt\n" in done.stderr
    assert "+1 " in run(index, "index", docs, "--dry-run").stdout


def test_an_index_is_made_again_with_other_chunk_sizes(copied):
    index, docs = copied
    fails(run(index, "index", docs, INDEX_CHUNK_TOKENS="100"), 1, "100+40", "assistant index --rebuild")

    done = run(index, "index", "--rebuild", INDEX_CHUNK_TOKENS="100")

    assert done.stdout == "+4 ~0 -0 =0  (4 documents, 4 chunks in the index)\n"
    assert run(index, "index", docs, INDEX_CHUNK_TOKENS="100").stdout.startswith("+0 ~0 -0 =4")


@pytest.mark.parametrize("options", [["--remove"], ["--remove", "a", "--rebuild"], ["--rebuild", "--dry-run"]])
def test_options_that_contradict_are_wrong_use_and_touch_nothing(tmp_path, options):
    assert run(tmp_path / "index", "index", *options).returncode == 2
    assert not (tmp_path / "index").exists()


@pytest.fixture
def long_sync(tmp_path):
    """A sync that takes some minutes, in a process of its own, once it has embedded something."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(40):
        words = " ".join(f"mot{number}x{n}" for n in range(60))
        (docs / f"{number:02}.txt").write_text("\n\n".join(f"Alinéa {n} : {words}." for n in range(20)), "utf-8")
    shown, said = tmp_path / "shown", tmp_path / "said"
    process = start_command("index", str(docs), env=environment(tmp_path / "index"), stdout=shown, stderr=said)
    wait_for(said, "\n", process)
    assert said.read_text("utf-8").startswith("Indexing: 0 of 40 documents, 8 chunks")
    yield process, tmp_path
    process.kill()


def test_ctrl_c_stops_a_sync_and_says_what_is_done(long_sync):
    process, folder = long_sync
    index = folder / "index"
    os.kill(process.pid, signal.SIGINT)
    process.join()
    shown, said = ((folder / name).read_text("utf-8") for name in ("shown", "said"))

    with closing(open_catalog(IndexSettings(path=index))) as catalog:
        documents, chunks = catalog.counts()
    assert process.exitcode == 130
    assert said.splitlines()[-1] == f"Stopped. {documents} of 40 documents are indexed; run the same command to go on"
    assert shown == f"+{documents} ~0 -0 =0  ({documents} documents, {chunks} chunks in the index)\n"
    assert documents < 40
    assert not (index / "owner").exists()


def test_a_second_ctrl_c_ends_the_process_at_once():
    code = (
        "import signal; from assistant.cli import stoppable\n"
        "with stoppable() as stop:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('writing to the end', flush=True)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('still there')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("writing to the end\n", -signal.SIGINT)


def fails(done, status, *words):
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_question_that_cannot_be_asked_is_wrong_use(seeded):
    fails(run(seeded, "ask", "?"), 2, "question")


def test_asking_without_an_index_says_how_to_build_one(tmp_path):
    fails(run(tmp_path / "none", "ask", FRENCH), 2, "No index at", "assistant index FOLDER")
    assert not (tmp_path / "none").exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    fails(run(tmp_path / "index", "index", tmp_path / "nowhere"), 2, "nowhere", "Check the path")


@pytest.mark.parametrize("files", [{}, {"photo.jpg": b"\xff\xd8", "blank.txt": b" \n"}])
def test_a_folder_with_nothing_readable_says_why_and_indexes_nothing(tmp_path, files):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)

    done = run(tmp_path / "index", "index", folder)

    assert done.returncode == 2
    assert "Nothing readable" in done.stderr
    for name in files:
        assert name in done.stderr


def test_an_index_of_other_chunk_sizes_is_not_answered_from(seeded):
    fails(run(seeded, "ask", FRENCH, INDEX_CHUNK_TOKENS="100"), 1, "200+40", "100+40")


def test_an_index_of_another_model_is_not_answered_from(seeded):
    done = run(seeded, "ask", FRENCH, INDEX_EMBEDDING_MODEL="some/model")

    fails(done, 1, "some/model", "multilingual-e5-small", "INDEX_EMBEDDING_MODEL")


def test_chunks_longer_than_the_model_reads_are_refused(tmp_path):
    done = run(tmp_path / "index", "index", "seeds", INDEX_CHUNK_TOKENS="600")

    fails(done, 1, "507", "INDEX_CHUNK_TOKENS=507")


def test_an_overlap_as_long_as_a_chunk_is_refused(tmp_path):
    done = run(tmp_path / "index", "index", "seeds", INDEX_CHUNK_TOKENS="40", INDEX_OVERLAP_TOKENS="40")

    fails(done, 2, "INDEX_OVERLAP_TOKENS=40")


def test_a_setting_that_makes_no_sense_is_named(seeded):
    fails(run(seeded, "ask", FRENCH, INDEX_CHUNK_TOKENS="many"), 2, "chunk_tokens", "many")


def test_a_language_model_that_cannot_be_opened_says_what_to_do(seeded):
    unknown = {"ASSISTANT_MODEL": "nobody:model"}
    fails(run(seeded, "ask", FRENCH, **unknown, ASSISTANT_FALLBACK="none"), 1, "nobody:model", "provider:model")

    done = run(seeded, "ask", FRENCH, "--json", **unknown)
    answer = json.loads(done.stdout)
    assert answer["answered"]
    assert answer["notice"]["kind"] == "ModelUnavailable"


def test_the_doctor_names_what_is_damaged_and_what_to_do(seeded, tmp_path):
    damaged = tmp_path / "index"
    shutil.copytree(seeded, damaged)
    shutil.rmtree(damaged / "lexical")
    with closing(sqlite3.connect(damaged / "catalog.sqlite")) as database, database:
        database.execute("update chunks set end = 1000000 where start = 0")

    done = run(damaged, "doctor", INDEX_CHUNK_TOKENS="100")

    assert done.returncode == 1
    assert "!!  index: catalog.sqlite: 1 chunks do not lie in the text of their document" in done.stdout
    assert f"delete {damaged / 'lexical'}, start it again" in done.stdout
    assert "!!  index: it was made with" in done.stdout
    assert "ok  reader: " in done.stdout
    assert not (damaged / "lexical").exists(), "nothing is changed"


def test_the_doctor_names_a_port_that_is_taken_and_a_database_that_does_not_answer(seeded):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = f"postgresql://lin:chanvre@127.0.0.1:{port}/nuage?connect_timeout=2&password=ortie"
        done = run(seeded, "doctor", "--port", port, INDEX_CATALOG_URL=address)
        silent.close()
        free = run(seeded, "doctor", "--port", port)

    assert done.returncode == 1
    assert f"!!  port: Port {port} is in use" in done.stdout
    assert f"!!  database of catalog: The database postgresql://lin:***@127.0.0.1:{port}/nuage" in done.stdout
    assert "connection timeout expired" in done.stdout
    assert not {"chanvre", "ortie"} & set(re.findall(r"\w+", done.stdout + done.stderr))
    assert f"ok  port: {port} at 127.0.0.1 is free" in free.stdout


def test_the_doctor_names_a_database_that_answers(seeded, database):
    done = run(seeded, "doctor", "--json", INDEX_CATALOG_URL=database.render_as_string(hide_password=False))

    found = {finding["about"]: finding for finding in json.loads(done.stdout)}
    assert re.fullmatch(
        r"postgresql://sourcier:\*\*\*@127\S+ answers: PostgreSQL .+", found["database of catalog"]["says"]
    )
    assert "No index at postgresql://" in found["index"]["says"]


def test_a_backup_of_other_settings_is_built_again_from_its_files(seeded, tmp_path):
    archive, restored = tmp_path / "backup.zip", tmp_path / "restored"

    packed = run(seeded, "export", archive)
    imported = run(restored, "import", archive, INDEX_CHUNK_TOKENS="100")
    again = run(restored, "import", archive)

    assert packed.returncode == 0, packed.stderr
    assert "1 documents, 5 chunks" in packed.stderr
    assert imported.returncode == 0, imported.stderr
    assert "It is built again now, from the files" in imported.stderr
    assert "+1 ~0 -0 =0" in imported.stderr
    fails(again, 1, str(restored), "--replace")


def test_an_index_that_another_process_owns_is_refused_at_once_with_its_process_id(seeded):
    with open_index(IndexSettings(path=seeded)):
        fails(run(seeded, "ask", FRENCH), 1, f"Process {os.getpid()}")


def test_a_history_that_is_no_conversation_is_wrong_use(seeded, tmp_path):
    (tmp_path / "history.json").write_text('{"role": "user"}')

    fails(run(seeded, "ask", FRENCH, "--history", tmp_path / "history.json"), 2, "history.json", "role")


@pytest.mark.parametrize(
    ("file", "content", "arguments", "said"),
    [
        (".env", b"INDEX_PATH=\xa5\xff", ["settings"], (2, ".env is not text in UTF-8")),
        (".env", b"INDEX_CHUNK_TOKENS=many", ["settings"], (2, "chunk_tokens")),
        (".assistant/keys.json", b"[", ["keys", "list"], (1, "cannot be read: it is damaged")),
        (".assistant/chats.sqlite", b"\xa5" * 9_000, ["feedback"], (1, "move it away")),
    ],
)
def test_a_damaged_file_of_ours_is_named_in_a_line(tmp_path, file, content, arguments, said):
    (tmp_path / ".assistant").mkdir()
    (tmp_path / file).write_bytes(content)

    done = subprocess.run(
        [sys.executable, "-m", "assistant", *arguments],
        cwd=tmp_path,
        env={name: value for name, value in environment("").items() if name != "INDEX_PATH"},
        capture_output=True,
        text=True,
        check=False,
    )

    fails(done, *said)
    assert (tmp_path / file).read_bytes() == content


def test_a_port_in_use_is_named_with_another_to_take(seeded):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fails(run(seeded, "serve", "--port", port), 1, f"Port {port} is in use", "--port")


@dataclass
class Server:
    process: BaseProcess
    address: str
    said: Path
    """What it wrote."""


@pytest.fixture(scope="module")
def server(seeded, answers, tmp_path_factory):
    """A server that owns the index, from here to the end; what `answers` holds was said before."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = tmp_path_factory.mktemp("server") / "said"
    settings = environment(seeded, TMPDIR=str(seeded.parent))
    process = start_command("serve", "--port", str(port), env=settings, stdout=said, stderr=said)
    wait_for(said, "answers at", process)
    address = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{address}/api/health", timeout=120).json()["documents"] == 1
    yield Server(process, address, said)
    process.kill()


def test_a_question_is_answered_through_the_server_that_owns_the_index(server, answers, seeded):
    asked = json.loads(run(seeded, "ask", ENGLISH, "--json").stdout)
    shown = run(seeded, "ask", ENGLISH).stdout
    declined = run(seeded, "ask", ENGLISH, "--language", "en").stdout

    assert asked | {"seconds": None} == json.loads(answers[ENGLISH].stdout) | {"seconds": None}
    assert f"{SEED.resolve()}:" in shown
    assert "languages=en" in declined
    fails(run(seeded, "ask", ENGLISH, "--source", "nothing"), 2, "nothing")


def test_a_server_lets_its_index_be_packed_but_not_replaced(server, seeded, tmp_path):
    packed = run(seeded, "export", tmp_path / "backup.zip")

    assert packed.returncode == 0, packed.stderr
    fails(run(seeded, "import", tmp_path / "backup.zip", "--replace"), 1, f"Process {server.process.pid}")


def test_the_doctor_asks_the_server_that_owns_the_index(server, seeded):
    port = server.address.rpartition(":")[2]
    done = run(seeded, "doctor", "--port", port, "--json")

    found = {finding["about"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert f"{server.address} owns the index. It is ready." in found["server"]["says"]
    assert found["port"]["says"] == f"the server that owns the index listens on {port}"
    assert found["index"]["says"].startswith("1 documents, 5 chunks")


def test_a_conversation_gives_a_follow_up_its_meaning(server, seeded, tmp_path):
    history = tmp_path / "history.json"
    history.write_text(json.dumps([{"role": "user", "content": "Quels missiles voulait Zelensky ?"}]))

    answer = json.loads(run(seeded, "ask", "Et pourquoi ?", "--history", history, "--json").stdout)

    assert answer["query"] == "Quels missiles voulait Zelensky ? Et pourquoi ?"


def test_syncs_are_handed_to_the_server_that_owns_the_index(server, seeded, tmp_path):
    (tmp_path / "orge.txt").write_text("L'orge mûrit.", "utf-8")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")

    added = run(seeded, "index", tmp_path)
    again = json.loads(run(seeded, "index", tmp_path, "--json").stdout)
    removed = run(seeded, "index", "--remove", tmp_path)

    assert added.stdout == "+1 ~0 -0 =0  (2 documents, 6 chunks in the index)\n"
    assert "Indexing: 1 of 1 documents, 1 chunks" in added.stderr
    assert f"not indexed: {tmp_path / 'photo.jpg'}: " in added.stderr
    assert (again["added"], again["unchanged"]) == (0, 1)
    assert removed.stdout == "+0 ~0 -1 =0  (1 documents, 5 chunks in the index)\n"
    assert f"- {tmp_path / 'orge.txt'}  (the file is still there" in removed.stderr
    fails(run(seeded, "index", tmp_path / "nowhere"), 2, "nowhere", "Check the path")
    fails(run(seeded, "index", "--rebuild"), 1, f"Process {server.process.pid}")


def test_a_server_answers_and_stops_cleanly(server, seeded):
    with httpx.Client(base_url=server.address, timeout=120) as client:
        answer = client.post("/api/ask", json={"question": ENGLISH}).json()
        page = client.get("/")
        later = client.get("/api/health").json()
    server.process.terminate()
    server.process.join(60)
    said = server.said.read_text("utf-8")

    assert "deux heures et demie" in answer["answer"]
    assert later["ready"]
    assert page.status_code == 200
    assert server.process.exitcode == 0
    assert f"Sourcier answers at {server.address}" in said
    assert "OUTSIDE REQUEST" not in said
    assert not {"owner", "server"} & {path.name for path in seeded.iterdir()}
    # Two folders are made, and left empty, by whoever first imports Gradio and torch, this process or the server.
    left = {path.name for path in seeded.parent.iterdir() if not path.name.startswith(("gradio", "torchinductor_"))}
    assert left == {seeded.name}, "no temporary file is left"


def wait_for(file, words, process):
    """Wait until a process has written them."""
    deadline = time.monotonic() + 240
    while not (file.exists() and words in file.read_text("utf-8")):
        assert process.is_alive() and time.monotonic() < deadline, file.read_text("utf-8")
        time.sleep(0.05)
