"""What can be known of the Dockerfile without Docker."""

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from typer.main import get_command

from assistant.cli import app
from assistant.settings import AssistantSettings
from assistant.web.app import create_app
from index import SyncQueue
from index.settings import IndexSettings
from tests.browser.scripted import ScriptedAssistant
from tests.browser.serving import serving

LINES = [line for line in Path("Dockerfile").read_text("utf-8").splitlines() if line and not line.startswith("#")]
STEPS = [(word, rest) for word, _, rest in (line.partition(" ") for line in LINES)]
IGNORED = Path(".dockerignore").read_text("utf-8").split()


def of(word: str) -> list[str]:
    return [rest for found, rest in STEPS if found == word]


def test_what_the_installation_reads_is_copied():
    assert of("COPY") == ["--chown=sourcier . ."]
    needed = re.findall(
        r'"([^"]+)"', Path("pyproject.toml").read_text("utf-8").split("license-files = ")[1].split("\n")[0]
    )
    for name in [*needed, "README.md", "Makefile", "constraints.txt", "pyproject.toml", "assistant", "index", "seeds"]:
        assert Path(name).exists()
        assert not any(fnmatch(name, pattern) for pattern in IGNORED)


def test_nothing_private_is_copied():
    assert {".env", ".assistant", ".git", ".venv"} <= set(IGNORED)


def test_it_installs_by_the_same_step_as_everybody():
    assert [step for step in of("RUN") if "make" in step.split()[:1]] == ["make install"]
    assert "\ninstall:" in Path("Makefile").read_text("utf-8")


def test_it_installs_and_serves_without_privileges():
    words = [word for word, _ in STEPS]

    assert of("USER") == ["sourcier"]
    assert words.index("USER") < STEPS.index(("RUN", "make install")) < words.index("CMD")


def test_what_must_outlive_the_container_is_on_the_volume():
    [volume] = of("VOLUME")
    [environment] = of("ENV")
    set_here = dict(pair.split("=") for pair in environment.split())
    kept = [
        f"{group.model_config['env_prefix']}{name}".upper()
        for group in (IndexSettings, AssistantSettings)
        for name, field in group.model_fields.items()
        if str(field.default).startswith(".assistant/")
    ]

    assert {*kept, "XDG_CACHE_HOME"} == {*set_here}
    assert all(path.startswith(f"{volume}/") for path in set_here.values())


def test_it_starts_a_command_that_there_is():
    [command] = map(json.loads, of("CMD"))
    options = {option for each in get_command(app).commands[command[1]].params for option in each.opts}

    assert command[0] == ".venv/bin/assistant"
    assert {word for word in command[2:] if word.startswith("--")} <= options


def test_it_is_healthy_while_the_server_answers():
    [check] = of("HEALTHCHECK")
    program = json.loads(check.partition("CMD ")[2])
    assistant = ScriptedAssistant()

    def healthy(address: str) -> bool:
        code = program[2].replace("http://127.0.0.1:7860", address)
        assert address in code
        return subprocess.run([sys.executable, *program[1:2], code], check=False, capture_output=True).returncode == 0

    with serving(create_app(assistant, SyncQueue(assistant.index), hosts=None, tries_examples=False)) as address:
        assert healthy(address)
    assert not healthy(address)
