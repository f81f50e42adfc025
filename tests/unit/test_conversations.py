import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, event

from assistant.errors import ConversationsUnavailable
from assistant.evaluation.data import QUESTIONS
from assistant.types import Answer, Citation
from assistant.web.conversations import KEPT, Conversation, Conversations, Place
from assistant.web.feedback import as_questions
from tests.fakes import passage

MINE, OTHER = "a" * 64, "b" * 64
ID = "c" * 32
TEXT = "Le pain coûte un euro."


@pytest.fixture(params=["file", "database"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | URL:
    """Where conversations can be kept: in a file, or in PostgreSQL."""
    return tmp_path / "chats.sqlite" if request.param == "file" else request.getfixturevalue("database")


@pytest.fixture(params=["memory", "database"])
def conversations(request: pytest.FixtureRequest) -> Conversations:
    return Conversations() if request.param == "memory" else Conversations(request.getfixturevalue("database"))


def answered(question: str) -> Answer:
    cited = passage(TEXT, title="Prix")
    return Answer(question, question, f"{TEXT} [1]", (Citation(1, cited, TEXT, 0, len(TEXT)),), (cited,))


def place(key: str = MINE, id: str = ID) -> Place:
    return Place(key=key, conversation=id)


def asked(conversations: Conversations, question: str = "Combien ?", **where: str) -> Conversation:
    conversation = conversations.at(place(**where))
    conversation.begin(question).take(answered(question))
    conversations.keep(conversation)
    return conversation


def test_a_conversation_is_read_again_as_it_was_by_its_key(where: Path | URL) -> None:
    asked(Conversations(where))

    [turn] = Conversations(where).at(place()).turns

    assert (turn.question, turn.answer) == ("Combien ?", answered("Combien ?"))
    assert turn.over


@pytest.mark.parametrize("key", [OTHER, "A" * 64, "", "' OR 1=1 --", "a" * 63])
def test_another_key_opens_nothing(where: Path | URL, key: str) -> None:
    conversations = Conversations(where)
    asked(conversations)

    assert conversations.at(Place.of(f'{{"key": "{key}", "conversation": "{ID}"}}')).turns == []
    assert conversations.listed(key) == []
    assert not conversations.rename(key, ID, "Autre")
    assert not conversations.delete(key, ID)
    assert not conversations.rate(key, ID, 1, (True, "", ""))
    assert [row["title"] for row in conversations.listed(MINE)] == ["Combien ?"]


@pytest.mark.parametrize("written", [None, "", "[]", "{", '{"key": 1}', '{"key": "a", "conversation": "../x"}'])
def test_a_place_that_makes_no_sense_is_one_that_nobody_else_has(written: str | None) -> None:
    one, other = Place.of(written), Place.of(written)

    assert one.key != other.key
    assert one.conversation != other.conversation


def test_the_key_itself_is_not_written_down(tmp_path: Path) -> None:
    asked(Conversations(tmp_path / "chats.sqlite"))

    assert MINE.encode() not in (tmp_path / "chats.sqlite").read_bytes()
    assert (tmp_path / "chats.sqlite").stat().st_mode & 0o077 == 0


def test_what_is_deleted_is_gone_from_the_disk(tmp_path: Path) -> None:
    conversations = Conversations(tmp_path / "chats.sqlite")
    asked(conversations)
    assert TEXT.encode() in (tmp_path / "chats.sqlite").read_bytes()

    assert conversations.delete(MINE, ID)

    assert TEXT.encode() not in (tmp_path / "chats.sqlite").read_bytes()
    assert conversations.at(place()).turns == []


def test_conversations_end_after_their_days(tmp_path: Path) -> None:
    asked(Conversations(tmp_path / "chats.sqlite", days=30))
    assert Conversations(tmp_path / "chats.sqlite", days=30).listed(MINE)

    assert Conversations(tmp_path / "chats.sqlite", days=-1).listed(MINE) == []

    assert TEXT.encode() not in (tmp_path / "chats.sqlite").read_bytes()


def test_conversations_end_after_their_days_in_a_database_too(database: URL) -> None:
    asked(Conversations(database))

    assert Conversations(database, days=-1).listed(MINE) == []
    assert Conversations(database).at(place()).turns == []


def test_several_servers_may_write_at_once(database: URL) -> None:
    servers = [Conversations(database) for _ in range(3)]

    def write(server: Conversations) -> None:
        for number in range(5):
            asked(server, f"{number} ?", id=f"{number:032x}")

    with ThreadPoolExecutor() as threads:
        list(threads.map(write, servers))

    assert len(servers[0].listed(MINE)) == 5


def test_the_oldest_give_way_to_new_ones(conversations: Conversations) -> None:
    for number in range(KEPT + 2):
        asked(conversations, f"{number} ?", id=f"{number:032x}")

    titles = [row["title"] for row in conversations.listed(MINE)]

    assert len(titles) == KEPT
    assert titles[0] == f"{KEPT + 1} ?"
    assert "0 ?" not in titles


def test_a_question_can_take_the_place_of_the_last(conversations: Conversations) -> None:
    conversation = asked(conversations, "Un ?")
    asked(conversations, "Deux ?")

    conversation.begin("Trois ?", replaces=2)
    conversations.keep(conversation)

    assert [turn.question for turn in conversation.turns] == ["Un ?", "Trois ?"]
    assert [message["content"] for message in conversation.history()] == ["Un ?", f"{TEXT} [1]"]


def test_an_answer_that_was_under_way_when_the_server_ended_is_over(where: Path | URL) -> None:
    conversations = Conversations(where)
    conversation = conversations.at(place())
    conversation.begin("Un ?")
    conversations.keep(conversation)

    later = Conversations(where).at(place())

    assert not later.running
    assert later.turns[0].over


def test_a_good_answer_is_a_question_to_measure_with_and_its_places(conversations: Conversations) -> None:
    asked(conversations)

    assert conversations.rate(MINE, ID, 1, (True, "", ""))

    [question] = as_questions(conversations.opinions())
    assert question["gold"] == [{"doc_id": passage(TEXT).source, "start": 0, "end": len(TEXT)}]
    assert (question["question"], question["answerable"], question["good"]) == ("Combien ?", True, True)
    assert question["answer"]["passages"][0]["text"] == TEXT
    assert QUESTIONS.validate_json(json.dumps(question))["gold"] == question["gold"]


@pytest.mark.parametrize(("reason", "answerable"), [("unanswerable", False), ("wrong", True), ("answerable", True)])
def test_a_bad_answer_tells_no_place_and_whether_there_is_one(
    conversations: Conversations, reason: str, answerable: bool
) -> None:
    asked(conversations)

    conversations.rate(MINE, ID, 1, (True, "", ""))
    conversations.rate(MINE, ID, 1, (False, reason, "Non"))

    [question] = as_questions(conversations.opinions())
    assert "gold" not in question
    assert (question["answerable"], question["reason"], question["comment"]) == (answerable, reason, "Non")


def test_text_is_kept_without_null_characters(where: Path | URL) -> None:
    asked(Conversations(where), "Un\0 mot ?")

    [turn] = Conversations(where).at(place()).turns

    assert turn.question == "Un\ufffd mot ?"
    assert Conversations(where).rename(MINE, ID, "\0Titre")
    assert [row["title"] for row in Conversations(where).listed(MINE)] == ["\ufffdTitre"]


def test_nothing_is_said_of_an_answer_that_is_not_there(conversations: Conversations) -> None:
    asked(conversations)

    assert not conversations.rate(MINE, ID, 2, (True, "", ""))
    assert conversations.opinions() == {}


def overwrite(file: Path) -> None:
    file.write_bytes(b"\xa5" * file.stat().st_size)


def scratch(file: Path) -> None:
    """Damage all but the first page, which says what is where."""
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (Path.unlink, "unable to open database file. Put the file back"),
    "deleted with its folder": (lambda file: shutil.rmtree(file.parent), "unable to open database file. Put the"),
    "emptied": (lambda file: file.write_bytes(b""), "no such table: .*. Put the file back"),
    "overwritten": (overwrite, "file is not a database. Put a backup in its place; or move it away"),
    "damaged inside": (scratch, "malformed. Put a backup in its place; or move it away"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_lost_while_a_server_runs_is_told_and_nothing_is_called_kept(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "chats").mkdir()
    file = tmp_path / "chats" / "chats.sqlite"
    conversations = Conversations(file)
    conversation = asked(conversations)
    asked(conversations, id="d" * 32)
    shutil.copytree(file.parent, tmp_path / "backup")
    happens, words = FAULTS[fault]

    happens(file)

    with pytest.raises(ConversationsUnavailable, match=words):
        conversations.rate(MINE, ID, 1, (True, "", ""))
    asked(conversations, "Deux ?")
    assert not conversation.kept
    assert str(file) in caplog.text
    other = asked(conversations, "Trois ?", id="d" * 32)
    assert [turn.question for turn in other.turns] == ["Trois ?"], "it goes on, without what cannot be read"
    assert not other.kept

    shutil.copytree(tmp_path / "backup", file.parent, dirs_exist_ok=True)
    asked(conversations, "Quatre ?")
    asked(conversations, "Cinq ?", id="d" * 32)
    assert conversation.kept
    later = Conversations(file)
    assert [turn.question for turn in later.at(place()).turns] == ["Combien ?", "Deux ?", "Quatre ?"]
    kept = later.at(place(id="d" * 32)).turns
    assert [turn.question for turn in kept] == ["Combien ?"], "nothing is written over what could not be read"


def test_on_a_full_disk_what_was_kept_stays_and_nothing_else_is_called_kept(tmp_path: Path) -> None:
    conversations = Conversations(tmp_path / "chats.sqlite")
    conversation = asked(conversations)
    pages = (tmp_path / "chats.sqlite").stat().st_size // 4096

    def fill(connection, _) -> None:
        # SQLite then says what it says when the disk is full.
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(Engine, "connect", fill)
    try:
        conversation.begin("Long ? " + "x" * 100_000).take(answered("Long ?"))
        conversations.keep(conversation)
        assert not conversation.kept
        with pytest.raises(ConversationsUnavailable, match=r"full\. Free some space"):
            conversations.rate(MINE, ID, 2, (True, "", "x" * 100_000))
    finally:
        event.remove(Engine, "connect", fill)
    assert [turn.question for turn in Conversations(tmp_path / "chats.sqlite").at(place()).turns] == ["Combien ?"]
    assert Conversations(tmp_path / "chats.sqlite").opinions() == {}

    conversations.keep(conversation)

    assert conversation.kept
    assert len(Conversations(tmp_path / "chats.sqlite").at(place()).turns) == 2


@pytest.mark.parametrize("damage", [overwrite, lambda file: (file.unlink(), file.mkdir())])
def test_a_server_does_not_begin_over_a_file_that_it_cannot_read(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    file = tmp_path / "chats.sqlite"
    asked(Conversations(file))
    damage(file)

    with pytest.raises(ConversationsUnavailable, match=str(file)):
        Conversations(file)
