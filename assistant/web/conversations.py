"""Conversations, kept on the server for whoever holds their key, and what people thought of the answers.

A browser makes up a key of 256 bits and sends it with each request; the server keeps only its hash. Whoever does not
send the key of a conversation does not learn that it exists: conversations are named by owner and id together.
"""

import hashlib
import logging
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from sqlalchemy import (
    URL,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    NullPool,
    StaticPool,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from assistant.clock import now
from assistant.errors import ConversationsUnavailable
from assistant.types import Answer, Event, Message, Notice, Searched, Token
from index.database import PostgreSQL
from index.errors import StoreUnavailable

log = logging.getLogger(__name__)

HISTORY_TURNS = 10
KEPT = 200
"""How many conversations are kept for one browser; the oldest give way."""
TITLE_CHARACTERS = 80
DAY_SECONDS = 24 * 3600

ANSWER = TypeAdapter(Answer)


class Place(BaseModel):
    """Where on which page something happens, as the page's script says it. Nothing of it is believed."""

    model_config = ConfigDict(extra="ignore")

    key: str = ""
    conversation: str = ""
    language: str = ""
    """Of the page; empty where the browser decides."""
    replaces: int | None = None
    """The number of the turn that a question takes the place of."""
    leaves: str = ""
    """The conversation that the page showed before."""

    @classmethod
    def of(cls, written: str | None) -> "Place":
        """Read what the script wrote; where it makes no sense, a place that nobody else has."""
        try:
            place = cls.model_validate_json(written or "")
        except ValidationError:
            place = cls()
        if not is_key(place.key) or not re.fullmatch(r"[0-9a-f]{32}", place.conversation):
            return cls(key=secrets.token_hex(32), conversation=secrets.token_hex(16), language=place.language)
        return place


def is_key(key: str) -> bool:
    """Say whether it looks as the keys do that a page makes up."""
    return re.fullmatch(r"[0-9a-f]{64}", key) is not None


def owner_of(key: str) -> str:
    """Name the holder of a key without telling the key."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass
class Turn:
    """A question and what has come of it."""

    number: int
    question: str
    text: str = ""
    searched: bool = False
    answer: Answer | None = None
    notice: Notice | None = None
    broken: str | None = None
    """Why there will be no answer, in the language of the page; empty where nobody said."""
    good: bool | None = None
    """What the person thought of the answer."""
    left: bool = False
    """Whether the page shows another conversation by now."""
    unwanted: threading.Event = field(default_factory=threading.Event)
    """Set when nothing more is to be read."""

    @property
    def over(self) -> bool:
        """Say whether the turn has come to its end, good or bad."""
        return self.answer is not None or self.broken is not None

    def take(self, event: Event) -> None:
        """Add what came; once the turn is over nothing counts any more."""
        if self.over:
            return
        match event:
            case Searched():
                self.searched = True
            case Notice():
                self.notice = event
            case Token(text):
                self.text += text
            case Answer():
                self.answer = event

    def break_off(self, why: str) -> None:
        """End the turn, unless it is over; what was written stays."""
        if not self.over:
            self.broken = why
            self.unwanted.set()


@dataclass(eq=False)
class Conversation:
    """The turns of a conversation. Kept here, on the server: what a browser says was said proves nothing."""

    owner: str
    id: str
    turns: list[Turn] = field(default_factory=list)
    kept: bool = True
    """Whether it is written down as it stands."""
    readable: bool = True
    """Whether what was kept of it could be read; where not, nothing is written over that."""

    @property
    def running(self) -> bool:
        """Say whether an answer is under way."""
        return bool(self.turns) and not self.turns[-1].over

    def begin(self, question: str, replaces: int | None = None) -> Turn:
        """Add a turn, in the place of an earlier one and all after it if that is wished."""
        if replaces is not None:
            self.turns = [turn for turn in self.turns if turn.number < replaces]
        turn = Turn(len(self.turns) + 1, question)
        self.turns.append(turn)
        return turn

    def stop(self, why: str) -> None:
        """End the answer under way, if there is one."""
        if self.running:
            self.turns[-1].break_off(why)

    def leave(self, why: str) -> None:
        """End the answer under way, which nobody looks at any more."""
        if self.running:
            self.turns[-1].left = True
            self.stop(why)

    def history(self) -> list[Message]:
        """Give the last finished turns as the assistant takes them."""
        finished = [(turn.question, turn.answer) for turn in self.turns if turn.answer][-HISTORY_TURNS:]
        return [
            message
            for question, answer in finished
            for message in (
                Message(role="user", content=question),
                Message(role="assistant", content=answer.text),
            )
        ]


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody thought of an answer."""

    question: str
    answer: Answer
    good: bool
    reason: str
    comment: str
    history: tuple[Message, ...] = ()


class Conversations:
    """All conversations of all browsers, in one SQLite file, or in PostgreSQL, where several servers share them.

    Args:
        where: the file or the database; None keeps them in memory, until the process ends.
        days: how long a conversation is kept after its last question.

    Methods but `at` and `keep` raise ConversationsUnavailable where the file is damaged or gone, the disk full, or the
    database away.
    """

    def __init__(self, where: Path | URL | None = None, days: int = 30) -> None:
        self._days = days
        self._open: WeakValueDictionary[tuple[str, str], Conversation] = WeakValueDictionary()
        self._unkept: dict[tuple[str, str], Conversation] = {}
        """What could not be written down, the oldest first; of all browsers as many as are kept for one."""
        self._lock = threading.RLock()
        self._database = PostgreSQL(where) if isinstance(where, URL) else _File(where)
        with self._database.alone("tables") as connection:
            _schema.create_all(connection)

    def at(self, place: Place) -> Conversation:
        """Give the conversation of a place as it stands: the one that is open, the one kept, or a new one.

        One that cannot be read is begun anew beside what is kept of it.
        """
        owner = owner_of(place.key)
        with self._lock:
            conversation = self._open.get((owner, place.conversation))
            if conversation is None:
                conversation = self._read(owner, place.conversation)
                self._open[owner, place.conversation] = conversation
            return conversation

    def keep(self, conversation: Conversation) -> None:
        """Write down how a conversation stands, and forget what is too old; `kept` says whether that could be done."""
        if not conversation.turns:
            return
        try:
            if conversation.readable:
                self._keep(conversation)
                self._unkept.pop((conversation.owner, conversation.id), None)
            conversation.kept = conversation.readable
        except ConversationsUnavailable as error:
            conversation.kept = False
            self._hold(conversation)
            log.error("%s", error)

    def _hold(self, conversation: Conversation) -> None:
        """Hold in memory what could not be written down, to write it later."""
        with self._lock:
            self._unkept[conversation.owner, conversation.id] = conversation
            if len(self._unkept) > KEPT:
                del self._unkept[next(iter(self._unkept))]

    def _read(self, owner: str, id: str) -> Conversation:
        try:
            return Conversation(owner, id, self._turns(owner, id))
        except ConversationsUnavailable as error:
            log.error("%s", error)
            return Conversation(owner, id, kept=False, readable=False)

    def _keep(self, conversation: Conversation) -> None:
        owner, id, time = conversation.owner, conversation.id, now()
        with self._writing(owner) as connection:
            known = update(_conversations).where(_conversations.c.owner == owner, _conversations.c.id == id)
            if not connection.execute(known.values(changed=time)).rowcount:
                title = _storable(" ".join(conversation.turns[0].question.split()))[:TITLE_CHARACTERS]
                connection.execute(insert(_conversations).values(owner=owner, id=id, title=title, changed=time))
            connection.execute(delete(_turns).where(_turns.c.owner == owner, _turns.c.conversation == id))
            connection.execute(
                insert(_turns),
                [
                    {
                        "owner": owner,
                        "conversation": id,
                        "number": turn.number,
                        "question": _storable(turn.question),
                        "text": _storable(turn.text),
                        "answer": turn.answer and ANSWER.dump_json(turn.answer).decode(),
                        "broken": turn.broken,
                        "good": turn.good,
                    }
                    for turn in conversation.turns
                ],
            )
            newest = (
                select(_conversations.c.id)
                .where(_conversations.c.owner == owner)
                .order_by(_conversations.c.changed.desc())
                .limit(KEPT)
            )
            connection.execute(
                delete(_conversations).where(_conversations.c.owner == owner, _conversations.c.id.not_in(newest))
            )
            _forget_before(connection, time - self._days * DAY_SECONDS)

    def listed(self, key: str) -> list[dict[str, Any]]:
        """List the conversations of a key, the last first: id, title, and when it went on last, in seconds of Unix."""
        owner = owner_of(key)
        columns = [_conversations.c[name] for name in ("id", "title", "changed")]
        statement = select(*columns).where(_conversations.c.owner == owner)
        with self._writing(owner) as connection:
            _forget_before(connection, now() - self._days * DAY_SECONDS)
            rows = connection.execute(statement.order_by(_conversations.c.changed.desc())).mappings()
            return [dict(row) for row in rows]

    def rename(self, key: str, id: str, title: str) -> bool:
        """Give a conversation another title; say whether there is one."""
        owner = owner_of(key)
        mine = (_conversations.c.owner == owner, _conversations.c.id == id)
        with self._writing(owner) as connection:
            return bool(connection.execute(update(_conversations).where(*mine).values(title=_storable(title))).rowcount)

    def delete(self, key: str, id: str) -> bool:
        """Delete a conversation; say whether there was one. What was said of its answers stays, without an owner."""
        owner = owner_of(key)
        with self._writing(owner) as connection:
            self._unkept.pop((owner, id), None)
            if conversation := self._open.pop((owner, id), None):
                conversation.stop("")
                conversation.turns = []
            mine = (_conversations.c.owner == owner, _conversations.c.id == id)
            found = connection.execute(delete(_conversations).where(*mine)).rowcount
            _forget_before(connection, 0)
            return bool(found)

    def rate(self, key: str, id: str, number: int, opinion: tuple[bool, str, str]) -> bool:
        """Keep what somebody thought of an answer (good, reason, comment); say whether there is such an answer."""
        conversation = self.at(Place(key=key, conversation=id))
        turn = next((turn for turn in conversation.turns if turn.number == number), None)
        if turn is None or turn.answer is None:
            return False
        turn.good, reason, comment = opinion
        before = [message for other in conversation.turns[: number - 1] for message in _messages(other)]
        name = hashlib.sha256(f"{conversation.owner} {id} {number}".encode()).hexdigest()
        with self._writing(conversation.owner) as connection:
            connection.execute(delete(_opinions).where(_opinions.c.id == name))
            connection.execute(
                insert(_opinions).values(
                    id=name,
                    opinion=OPINION.dump_json(
                        Opinion(turn.question, turn.answer, turn.good, reason, comment, tuple(before))
                    ).decode(),
                    said=now(),
                )
            )
        self.keep(conversation)
        return True

    def opinions(self) -> dict[str, Opinion]:
        """Give everything that was said of answers by its id, in order."""
        with self._reading() as connection:
            rows = connection.execute(select(_opinions.c.id, _opinions.c.opinion).order_by(_opinions.c.said))
            return {row.id: OPINION.validate_json(row.opinion) for row in rows}

    def _turns(self, owner: str, id: str) -> list[Turn]:
        mine = select(_turns).where(_turns.c.owner == owner, _turns.c.conversation == id)
        with self._reading() as connection:
            # Who was still writing when the server ended is not any more.
            return [
                Turn(
                    number=row.number,
                    question=row.question,
                    text=row.text,
                    searched=True,
                    answer=row.answer and ANSWER.validate_json(row.answer),
                    broken=row.broken if row.answer or row.broken is not None else "",
                    good=row.good,
                )
                for row in connection.execute(mine.order_by(_turns.c.number))
            ]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _translated(), self._database.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self, owner: str) -> Iterator[Connection]:
        with self._lock, _translated(), self._database.alone(f"conversations of {owner}") as connection:
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    """Say what is wrong with conversations, wherever they are."""
    try:
        yield
    except StoreUnavailable as error:
        raise ConversationsUnavailable(f"Conversations cannot be kept: {error}") from error
    except ValidationError as error:
        raise ConversationsUnavailable("A conversation cannot be read: a row is malformed") from error


class _File:
    """A SQLite file for its user alone, or the memory of this process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is None:
            self._engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)
            except OSError as error:
                raise _unavailable(path, error.strerror or str(error)) from error
            # Opened each time, and never made anew: what is written to a file that was deleted would be lost unseen.
            address = f"file:{quote(str(path.absolute()))}?mode=rw"
            self._engine = create_engine(
                "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
            )
        event.listen(self._engine, "connect", _configure)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read what is there."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def alone(self, _: str) -> Iterator[Connection]:
        """Write all or nothing; a file has one writer at a time, whatever they do."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Say what the database's errors mean for the owner."""
        try:
            yield
        except DBAPIError as error:
            raise _unavailable(self._path, str(error.orig)) from error


OPINION = TypeAdapter(Opinion)

_schema = MetaData()
_conversations = Table(
    "conversations",
    _schema,
    Column("owner", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("changed", Float, nullable=False, index=True),
)
_turns = Table(
    "turns",
    _schema,
    Column("owner", String, primary_key=True),
    Column("conversation", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("question", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("answer", Text),
    Column("broken", Text),
    Column("good", Boolean),
)
_opinions = Table(
    "opinions",
    _schema,
    Column("id", String, primary_key=True),
    Column("opinion", Text, nullable=False),
    Column("said", Float, nullable=False),
)


MOVE_AWAY = "Put a backup in its place; or move it away and start Sourcier again, which begins a new one."
WHAT_TO_DO = {
    "malformed": MOVE_AWAY,
    "not a database": MOVE_AWAY,
    "unable to open": "Put the file back, or start Sourcier again, which begins a new one.",
    "no such table": "Put the file back, or start Sourcier again, which begins a new one.",
}
"""What SQLite says → what the owner can do about it; anything else: see the disk."""


def _unavailable(path: Path | None, reason: str) -> ConversationsUnavailable:
    otherwise = "Free some space, and let this user write to the file and its folder."
    advice = next((advice for said, advice in WHAT_TO_DO.items() if said in reason), otherwise)
    return ConversationsUnavailable(f"The conversations in {path} cannot be used: {reason}. {advice}")


def _configure(connection: Any, _: object) -> None:
    # What is deleted is overwritten.
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA busy_timeout = 10000")


def _storable(text: str) -> str:
    """Write text without the null character, which PostgreSQL refuses, but with what a browser shows in its place."""
    return text.replace("\0", "\ufffd")


def _forget_before(connection: Connection, moment: float) -> None:
    """Delete the conversations that did not go on since, and the turns of those that are gone."""
    connection.execute(delete(_conversations).where(_conversations.c.changed < moment))
    kept = select(func.count()).where(
        _conversations.c.owner == _turns.c.owner, _conversations.c.id == _turns.c.conversation
    )
    connection.execute(delete(_turns).where(kept.scalar_subquery() == 0))


def _messages(turn: Turn) -> Sequence[Message]:
    if turn.answer is None:
        return []
    return [Message(role="user", content=turn.question), Message(role="assistant", content=turn.answer.text)]
