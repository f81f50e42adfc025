"""What documents say on a terminal does not steer it."""

import os
import pty
import subprocess
import sys

import pytest

from assistant.cli import print_answer, print_sources, print_text
from assistant.types import Answer, Citation
from index import File, Source
from tests.fakes import passage

STEERING = "\x1b]0;titre\x07\x1b[31mrouge\x9b2J\rIci\u202e\x08"
SHOWN = "�]0;titre��[31mrouge�2J�Ici��"


def test_an_answer_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"Le pain\u00a0: {STEERING}."
    cited = passage(text, title=STEERING, section=STEERING)
    citation = Citation(1, cited, text, 0, len(text), (File("2", STEERING, STEERING),))

    print_answer(Answer("?", "?", f"{text} [1]", (citation,), (cited,)), {"source": f"/srv/{STEERING}"})
    print_answer(Answer("?", "?", text, (), (cited,)), {"source": f"/srv/{STEERING}"})
    print_sources([Source("1", STEERING, (STEERING, STEERING), 1, "fr", STEERING, "0" * 64, STEERING)])

    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 14
    assert f"Le pain\u00a0: {SHOWN}. [1]\n" in printed


def test_a_text_is_printed_as_it_is_stored_but_on_a_terminal_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(STEERING)
    ours, terminal = pty.openpty()
    program = f"from assistant.cli import print_text; print_text({STEERING!r} + '\\n\\tfin')"
    subprocess.run([sys.executable, "-c", program], stdout=terminal, check=True)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    os.close(terminal)

    assert capsys.readouterr().out == STEERING
    assert shown == f"{SHOWN}\r\n\tfin"
