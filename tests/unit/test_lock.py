import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from index.errors import IndexLocked, StoreUnavailable
from index.lock import lock

OWNER = """
import sys
from pathlib import Path
from index.lock import lock
with lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


Owner = subprocess.Popen[bytes]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    """Run another process that owns the folder until its standard input is closed."""
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"locked\n"
    yield child
    child.kill()
    child.communicate()


def test_a_second_process_is_told_at_once_who_owns_the_folder(tmp_path: Path, owner: Owner) -> None:
    with pytest.raises(IndexLocked) as caught, lock(tmp_path):
        pass
    assert f"Process {owner.pid} is using the index at {tmp_path}" in str(caught.value)
    assert "through its page or its API, or stop it" in str(caught.value)


def test_a_refused_process_leaves_the_owner_its_lock(tmp_path: Path, owner: Owner) -> None:
    for _ in range(2):
        with pytest.raises(IndexLocked, match=str(owner.pid)), lock(tmp_path):
            pass


def test_a_folder_is_free_again_when_its_owner_ends(tmp_path: Path, owner: Owner) -> None:
    owner.communicate()
    with lock(tmp_path):
        assert (tmp_path / "owner").read_text() == f"{os.getpid()}\n"


def test_a_folder_is_free_again_when_its_owner_is_killed(tmp_path: Path, owner: Owner) -> None:
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    with lock(tmp_path):
        assert (tmp_path / "owner").read_text() == f"{os.getpid()}\n"


def test_one_process_cannot_take_the_lock_twice(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(IndexLocked, match=str(os.getpid())), lock(tmp_path):
        pass


def test_a_folder_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock(tmp_path):
        raise KeyError
    with lock(tmp_path):
        assert (tmp_path / "owner").exists()
    assert not (tmp_path / "owner").exists()


def test_a_lock_may_be_given_back_by_another_function_than_took_it(tmp_path: Path) -> None:
    with ExitStack() as resources:
        resources.enter_context(lock(tmp_path / "made" / "on the way"))
        with pytest.raises(IndexLocked), lock(tmp_path / "made" / "on the way"):
            pass
    with lock(tmp_path / "made" / "on the way"):
        pass


def test_an_owner_whose_id_cannot_be_read_is_another_process(tmp_path: Path, owner: Owner) -> None:
    (tmp_path / "owner").unlink()
    with pytest.raises(IndexLocked, match="Another process is using"), lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="INDEX_PATH"), lock(tmp_path / "file" / "index"):
        pass


def test_the_folder_of_an_index_is_for_its_user_alone(tmp_path: Path) -> None:
    with lock(tmp_path / "index"):
        assert (tmp_path / "index").stat().st_mode & 0o777 == 0o700
