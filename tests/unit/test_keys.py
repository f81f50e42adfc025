import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL

from assistant.errors import KeyNotFound, KeysUnreadable
from assistant.keys import Keys
from assistant.web.shared import Shared, SharedKeys


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "keys.json"


@pytest.fixture(params=["file", "database"])
def opened(request: pytest.FixtureRequest) -> Callable[[], Keys]:
    """Open keys that are in a file, or in PostgreSQL."""
    place = request.getfixturevalue(request.param)
    return lambda: SharedKeys(Shared(place)) if isinstance(place, URL) else Keys(place)


def test_a_key_opens_until_it_is_revoked_by_another_process(opened: Callable[[], Keys]) -> None:
    server, owner = opened(), opened()
    key = owner.create("Le site")
    other = owner.create("Le robot")

    found = server.find(key)
    assert found
    assert found.name == "Le site"
    owner.revoke(found.id)

    assert server.find(key) is None
    assert server.find(other)


def test_the_file_holds_no_key_and_is_for_its_user_alone(file: Path) -> None:
    key = Keys(file).create("Le site")

    text = file.read_text("utf-8")
    assert key not in text
    assert key.partition("-")[2] not in text
    assert len(json.loads(text)[0]["hash"]) == 64
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".json"] == ["keys.json"]


def test_what_is_no_key_opens_nothing(opened: Callable[[], Keys]) -> None:
    keys = opened()
    assert keys.find("sourcier-anything") is None
    keys.create("Le site")

    assert keys.find("") is None
    assert keys.find(keys.all()[0].hash) is None


def test_a_key_that_is_not_there_cannot_be_revoked(opened: Callable[[], Keys]) -> None:
    with pytest.raises(KeyNotFound, match="assistant keys list"):
        opened().revoke("0")


@pytest.mark.parametrize("content", [b"", b"\xa5" * 100, b"[", b'[{"id": 1}]', b'{"id": "a"}'])
def test_a_damaged_file_is_told_with_what_to_do_and_stays_as_it_is(file: Path, content: bytes) -> None:
    keys = Keys(file)
    key = keys.create("Le site")
    whole = file.read_bytes()
    file.write_bytes(content)

    with pytest.raises(KeysUnreadable, match=r"it is damaged\. .*assistant keys create"):
        keys.find(key)
    with pytest.raises(KeysUnreadable):
        keys.create("Un autre")

    assert file.read_bytes() == content
    file.write_bytes(whole)
    assert keys.find(key)
