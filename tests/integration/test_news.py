"""News in several papers and languages, by command line and API: the real model, dates, filters, copies."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from assistant import AssistantSettings, open_assistant
from assistant.web.app import create_app
from index import IndexSettings, SyncQueue, create_index, plan
from tests.browser.serving import serving
from tests.integration.test_cli import fails, run

STORM = """La tempête Ciarán a traversé la Bretagne dans la nuit de mercredi à jeudi.
La tempête a fait 12 morts, selon le préfet du Finistère, qui s'est rendu à Quimper dès l'aube.
Plus de 780 000 foyers étaient encore privés d'électricité jeudi soir, a dit le gestionnaire du réseau.
Les écoles de Brest resteront fermées, et les trains ne circuleront pas avant vendredi soir.
"""
PAPERS = {
    "a.md": ("La Bretagne après la tempête", "2023-11-02", STORM),
    "b.md": ("Ciarán : la Bretagne sous le choc", "2023-11-03", "QUIMPER (AFP) – " + STORM.replace("'", "’")),
    "c.md": ("Le bilan s'alourdit", "2023-11-05", STORM.replace("12 morts", "14 morts")),
    "d.md": (
        "Storm in Brittany",
        "2023-11-04",
        "The storm killed 12 people in Brittany, the prefect of Finistère said.",
    ),
    "e.md": (
        "Le prix du pain",
        "2024-01-10",
        "À Miami, le prix du pain a doublé en un an, selon le maire de la ville.",
    ),
}
QUESTION = "Combien de morts la tempête a-t-elle faits ?"


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of five papers; the first lies in two folders."""
    folder = tmp_path_factory.mktemp("news")
    for name, (title, date, text) in PAPERS.items():
        (folder / name).write_text(f"---\ntitle: {title}\ndate: {date}\n---\n{text}", "utf-8")
    (folder / "archive").mkdir()
    (folder / "archive" / "z.md").write_bytes((folder / "a.md").read_bytes())
    with create_index(IndexSettings(path=folder / ".index")) as index:
        index.sync(plan([folder], index.catalog), lambda _: None)
    return folder


@pytest.fixture(scope="module")
def client(news: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server on a copy of the index: the command line needs one that nobody owns."""
    copy = shutil.copytree(news / ".index", tmp_path_factory.mktemp("served") / "index")
    with create_index(IndexSettings(path=copy)) as index:
        app = create_app(open_assistant(index, AssistantSettings()), SyncQueue(index))
        with serving(app) as address, httpx.Client(base_url=address, timeout=120) as client:
            yield client


def ask(client: httpx.Client, question: str = QUESTION, **where: object) -> dict:
    response = client.post("/api/ask", json={"question": question, **where})
    assert response.status_code == 200, response.text
    return response.json()


def names(files: list[dict]) -> list[str]:
    return sorted(file["name"] for file in files)


def test_a_story_of_two_papers_is_cited_once_and_the_other_files_are_named(client: httpx.Client) -> None:
    answer = ask(client, sources=by_title(client, "La Bretagne après la tempête", "Ciarán : la Bretagne sous le choc"))

    [citation] = [citation for citation in answer["citations"] if "12 morts" in citation["quote"]]
    assert len({citation["quote"] for citation in answer["citations"]}) == len(answer["citations"])
    assert len(answer["passages"]) == 1
    cited, other = ("a.md", "b.md") if citation["date"] == "2023-11-02" else ("b.md", "a.md")
    assert answer["passages"][0]["file"] == cited
    assert names(citation["also_in"]) == sorted([other, "z.md"])
    text = client.get(f"/api/sources/{citation['source']}").json()["text"]
    assert text[citation["start"] : citation["end"]] == citation["quote"]


def test_a_newer_version_of_a_story_is_no_copy_and_keeps_its_day(client: httpx.Client) -> None:
    answer = ask(client)

    assert {passage["file"] for passage in answer["passages"]} >= {"c.md", "d.md", "e.md"}
    for citation in answer["citations"]:
        if "14 morts" in citation["quote"]:
            assert citation["date"] == "2023-11-05"
            assert citation["also_in"] == []
        if "12 morts" in citation["quote"]:
            assert "c.md" not in names(citation["also_in"])


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ({"languages": ["en"]}, {"d.md"}),
        ({"since": "2023-11-04"}, {"c.md", "d.md", "e.md"}),
        ({"since": "2023-11-04", "until": "2023-12-31", "languages": ["fr"]}, {"c.md"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_only_documents_that_meet_the_filter_are_read(
    client: httpx.Client, where: dict, files: set[str], stream: bool
) -> None:
    response = client.post("/api/ask", json={"question": QUESTION, "stream": stream, **where})

    answer = json.loads(response.text.split("data: ")[-1]) if stream else response.json()
    assert {passage["file"] for passage in answer["passages"]} == files
    for citation in answer["citations"]:
        assert citation["date"] >= where.get("since", "")


@pytest.mark.parametrize(
    ("question", "where", "said"),
    [
        (QUESTION, {"since": "2030-01-01"}, "Aucun document de l'index ne correspond à : since=2030-01-01"),
        ("How many people died?", {"languages": ["it"]}, "No document of the index matches: languages=it"),
    ],
)
def test_a_filter_that_no_document_meets_is_said_in_the_language_of_the_question(
    client: httpx.Client, question: str, where: dict, said: str
) -> None:
    answer = ask(client, question, **where)

    assert (answer["answered"], answer["answer"], answer["passages"]) == (False, said, [])


@pytest.mark.parametrize("where", [{"sources": ["0123456789abcdef"]}, {"languages": ["klingon"]}, {"until": "2023"}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_filter_that_names_nothing_is_refused(client: httpx.Client, where: dict, stream: bool) -> None:
    response = client.post("/api/ask", json={"question": QUESTION, "stream": stream, **where})

    assert response.status_code == 422
    assert response.json()["error"]["type"] == "InvalidFilter"
    assert next(iter(where.values()))[0][:4] in response.json()["error"]["message"]


def test_the_command_line_searches_the_files_named_and_tells_day_and_copies(news: Path) -> None:
    named = ["--source", news / "archive", "--source", news / "b.md"]

    done = run(news / ".index", "ask", QUESTION, *named, "--since", "2023-11-02", "--language", "fr")

    assert done.returncode == 0, done.stderr
    assert "12 morts" in done.stdout
    assert "14 morts" not in done.stdout
    assert "2023-11-0" in done.stdout
    assert "also in: " in done.stdout


@pytest.mark.parametrize(
    ("option", "value", "word"), [("--source", "nowhere.txt", "nowhere.txt"), ("--since", "x", "2025-11-01")]
)
def test_the_command_line_refuses_a_filter_that_names_nothing(news: Path, option: str, value: str, word: str) -> None:
    fails(run(news / ".index", "ask", QUESTION, option, value), 2, word)


def by_title(client: httpx.Client, *titles: str) -> list[str]:
    return [source["id"] for source in client.get("/api/sources").json() if source["title"] in titles]
