"""Real child processes; the loaders in them (tests/loaders.py) misbehave as their names say."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from index import landlock
from index.errors import IndexingError, UnreadableFile
from index.load import load
from index.sandbox import Limits, Sandbox

landlocked = pytest.mark.skipif(landlock.version() < landlock.TCP_SINCE, reason="this kernel has no Landlock for TCP")
LIMITS = Limits(memory_bytes=200 * 1024**2, characters=5_000_000, pages=1_000)
LOADER = "tests.loaders:load"
LONG = "Une phrase dont la langue se reconnaît vite, car elle est longue. " * 3
ENDS_SECONDS = 60
"""How long a test waits for the end of a process, before it fails."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """One for all the tests that leave it as they found it, or replaced."""
    with Sandbox(LIMITS, LOADER) as sandbox:
        yield sandbox


def read(sandbox: Sandbox, folder: Path, behaviour: str, content: str = "Bonjour.") -> str:
    file = folder / f"{behaviour}.txt"
    file.write_text(content, encoding="utf-8")
    [document] = sandbox.load(file)
    return document.page_content


def refused(sandbox: Sandbox, folder: Path, behaviour: str) -> str:
    with pytest.raises(UnreadableFile) as refusal:
        read(sandbox, folder, behaviour)
    return str(refusal.value)


def wait_for_end(process: int) -> None:
    ended, _, _ = select.select([process], [], [], ENDS_SECONDS)
    assert ended, "the process lives on"


def test_a_document_comes_back_as_the_loader_gives_it(tmp_path: Path) -> None:
    file = tmp_path / "rapport.md"
    file.write_text("---\ndate: 2025-11-06\n---\n# Le plan 🕊\r\n\nUn « été »\t!\x0b\u2028" + LONG, encoding="utf-8")

    with Sandbox(Limits()) as sandbox:
        assert sandbox.load(file) == load(file)


def test_files_are_read_one_after_the_other_by_the_same_process(shared: Sandbox, tmp_path: Path) -> None:
    assert len({read(shared, tmp_path, "process") for _ in range(5)}) == 1


def test_what_the_loader_calls_unreadable_keeps_its_reason(tmp_path: Path) -> None:
    with Sandbox(Limits()) as sandbox:
        with pytest.raises(UnreadableFile, match=r"^no text in it$"):
            read(sandbox, tmp_path, "blank", " \n")
        assert read(sandbox, tmp_path, "note", LONG) == LONG


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("abort", "the reader crashed on it, perhaps for want of memory; INDEX_FILE_MEMORY_MEGABYTES allows more"),
        ("read_null", "the reader crashed on it (Segmentation fault)"),
        ("leave", "the reader crashed on it (exit status 0)"),
        ("raise_exit", "the reader crashed on it (exit status 3)"),
        ("answer_garbage", "the reader crashed on it (what it says is no text)"),
        ("allocate", "reading it takes more than 200 MB of memory; INDEX_FILE_MEMORY_MEGABYTES allows more"),
        ("allocate_at_once", "reading it takes more than 200 MB of memory; INDEX_FILE_MEMORY_MEGABYTES allows more"),
        (
            "allocate_and_say_broken",
            "reading it takes more than 200 MB of memory; INDEX_FILE_MEMORY_MEGABYTES allows more",
        ),
        ("pages_without_end", "more than 1,000 pages; split it into smaller files"),
        ("text_without_end", "more than 5,000,000 characters of text; split it into smaller files"),
        ("answer_without_end", "more than 5,000,000 characters of text; split it into smaller files"),
        ("raise_disk_error", "No such file or directory"),
        ("recurse", "the reader failed on it: RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_a_file_that_breaks_its_reader_is_unreadable_and_the_next_is_read(
    shared: Sandbox, tmp_path: Path, behaviour: str, reason: str
) -> None:
    assert refused(shared, tmp_path, behaviour) == reason
    assert read(shared, tmp_path, "text") == "Bonjour."


@pytest.mark.parametrize("behaviour", ["loop", "loop_in_c"])
def test_a_file_may_take_so_much_processor_time_and_no_more(tmp_path: Path, behaviour: str) -> None:
    with Sandbox(Limits(seconds=1), LOADER) as sandbox:
        assert refused(sandbox, tmp_path, behaviour) == (
            "reading it takes more than 1 seconds of processor time; INDEX_FILE_SECONDS allows more"
        )
        assert read(sandbox, tmp_path, "text") == "Bonjour."


@pytest.mark.parametrize("behaviour", ["sleep", "stop", "read_input"])
def test_a_file_may_take_so_long_by_the_clock_and_no_longer(tmp_path: Path, behaviour: str) -> None:
    with Sandbox(Limits(wall_seconds=0.5), LOADER) as sandbox:
        assert refused(sandbox, tmp_path, behaviour) == (
            "reading it takes more than 0.5 seconds; INDEX_FILE_SECONDS allows more"
        )


def test_processor_time_is_counted_for_each_file(tmp_path: Path) -> None:
    with Sandbox(Limits(seconds=1), LOADER) as sandbox:
        first = read(sandbox, tmp_path, "work")

        assert [read(sandbox, tmp_path, "work") for _ in range(2)] == [first, first]


def test_an_error_of_a_library_is_one_printable_line(shared: Sandbox, tmp_path: Path) -> None:
    reason = refused(shared, tmp_path, "raise_error")

    assert reason.startswith("the reader failed on it: ValueError: [31mcannot read!!!")
    assert reason.isprintable()
    assert len(reason) == 300


def test_what_a_parser_prints_does_no_harm(shared: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert read(shared, tmp_path, "print_garbage") == "Bonjour."
    assert capfd.readouterr() == ("", "")


def test_a_long_text_comes_back_whole(shared: Sandbox, tmp_path: Path) -> None:
    text = 'é 🕊 \\ " \x01' * 400_000

    assert read(shared, tmp_path, "text", text) == text


def test_what_no_database_takes_is_replaced_sign_by_sign(shared: Sandbox, tmp_path: Path) -> None:
    assert read(shared, tmp_path, "strange_text") == "a\nb\0c?d\u2028e\U0001f600"


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_killed_between_files_is_replaced_without_a_word(
    shared: Sandbox, tmp_path: Path, deadly: signal.Signals
) -> None:
    reader = int(read(shared, tmp_path, "process"))
    ended = os.pidfd_open(reader)
    os.kill(reader, deadly)
    wait_for_end(ended)
    os.close(ended)

    assert int(read(shared, tmp_path, "process")) != reader


def test_a_process_that_holds_too_much_is_replaced(tmp_path: Path) -> None:
    with Sandbox(LIMITS, LOADER) as sandbox:
        assert read(sandbox, tmp_path, "hold") != read(sandbox, tmp_path, "process")


def test_a_crash_is_not_put_down_to_a_file_that_a_new_process_can_read(tmp_path: Path) -> None:
    with Sandbox(LIMITS, LOADER) as sandbox:
        first = read(sandbox, tmp_path, "process")

        assert read(sandbox, tmp_path, "crash_unless_first", first) == "Bonjour."


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_a_program_are_left_to_the_parent(
    shared: Sandbox, tmp_path: Path, ignored: signal.Signals
) -> None:
    reader = read(shared, tmp_path, "process")

    os.kill(int(reader), ignored)

    assert read(shared, tmp_path, "process") == reader


def test_the_process_is_told_no_secret_and_loads_no_model_and_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with Sandbox(LIMITS, LOADER) as sandbox:
        known = json.loads(read(sandbox, tmp_path, "surroundings"))

    assert "PATH" in known["environment"]
    assert "sk-secret" not in str(known["environment"])
    assert "index.load" in known["modules"]
    assert not {"torch", "chromadb", "sentence_transformers", "sqlalchemy"} & set(known["modules"])


@landlocked
def test_a_parser_writes_nothing_but_in_a_folder_that_is_removed(shared: Sandbox, tmp_path: Path) -> None:
    outcomes = json.loads(read(shared, tmp_path, "write"))

    assert outcomes == ["PermissionError", "PermissionError", "done"]
    assert [file.name for file in tmp_path.iterdir()] == ["write.txt"]
    assert (tmp_path / "write.txt").read_text("utf-8") == "Bonjour."


@landlocked
def test_a_parser_deletes_nothing(shared: Sandbox, tmp_path: Path) -> None:
    assert read(shared, tmp_path, "delete") == "PermissionError"
    assert (tmp_path / "delete.txt").exists()


@landlocked
def test_a_parser_connects_to_nothing(shared: Sandbox, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert read(shared, tmp_path, "connect", str(server.getsockname()[1])) == "PermissionError"


def test_what_a_parser_has_started_ends_with_the_sandbox(tmp_path: Path) -> None:
    with Sandbox(LIMITS, LOADER) as sandbox:
        ended = os.pidfd_open(int(read(sandbox, tmp_path, "start_a_process")))

    wait_for_end(ended)
    os.close(ended)


def test_a_loader_that_cannot_be_imported_is_an_error_and_no_fault_of_the_file(tmp_path: Path) -> None:
    with Sandbox(LIMITS, "tests.nowhere:load") as sandbox, pytest.raises(IndexingError) as failure:
        sandbox.load(tmp_path / "a.txt")

    assert not isinstance(failure.value, UnreadableFile)
    assert "No module named 'tests.nowhere'" in str(failure.value)


def test_a_reading_can_be_stopped_from_elsewhere_and_the_next_goes_on(tmp_path: Path) -> None:
    class Stopped(KeyboardInterrupt):
        pass

    asked = False

    def check() -> None:
        if asked:
            raise Stopped

    with Sandbox(LIMITS, LOADER, check) as sandbox:
        reader = os.pidfd_open(int(read(sandbox, tmp_path, "process")))
        asked = True
        with pytest.raises(Stopped):
            read(sandbox, tmp_path, "sleep")
        asked = False

        wait_for_end(reader)
        assert read(sandbox, tmp_path, "text") == "Bonjour."
    os.close(reader)


PARENT = f"""
import signal
import sys
from pathlib import Path
from index.sandbox import Limits, Sandbox

# A shell that starts the tests in the background has Ctrl-C ignored by all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = Path(sys.argv[1])
with Sandbox(Limits(), {LOADER!r}) as sandbox:
    print(sandbox.load(folder / "process.txt")[0].page_content, flush=True)
    try:
        sandbox.load(folder / "read_then_loop_in_c.txt")
    except KeyboardInterrupt:
        print("stopped", flush=True)
    print(sandbox.load(folder / "text.txt")[0].page_content)
"""


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program and its child, which loops in the midst of a file and lets no other thread run."""
    pipe = tmp_path / "read_then_loop_in_c.txt"
    os.mkfifo(pipe)
    (tmp_path / "text.txt").write_text("Bonjour.", encoding="utf-8")
    # Its temporary folder, which it cannot remove when it is killed, is removed with the test's.
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    program = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], env=environment, stdout=subprocess.PIPE, text=True
    )
    with program:
        assert program.stdout
        child = os.pidfd_open(int(program.stdout.readline()))
        pipe.write_text("go", encoding="utf-8")
        yield program, child
        program.kill()
    os.close(child)


def test_the_child_ends_with_its_parent_whatever_it_does(reading: tuple[subprocess.Popen[str], int]) -> None:
    program, child = reading

    program.kill()

    wait_for_end(child)


def test_ctrl_c_stops_the_reading_and_is_no_fault_of_the_file(reading: tuple[subprocess.Popen[str], int]) -> None:
    program, child = reading

    program.send_signal(signal.SIGINT)

    wait_for_end(child)
    assert program.communicate(timeout=ENDS_SECONDS)[0] == "stopped\nBonjour.\n"
