import re
from pathlib import Path

import pytest
from typer.main import get_command

import assistant
import index
from assistant.cli import app
from assistant.settings import AssistantSettings
from assistant.web.texts import ENGLISH, FRENCH
from index.settings import IndexSettings

README = Path("README.md").read_text("utf-8")
COMMANDS = get_command(app).commands


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_readme_names_every_command_with_every_option(name):
    [line] = [line for line in README.splitlines() if line.startswith(f"| `assistant {name}")]

    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            assert parameter.opts[0] in line


@pytest.mark.parametrize("group", [IndexSettings, AssistantSettings])
def test_readme_names_every_setting_with_its_default(group):
    for name, field in group.model_fields.items():
        setting = f"{group.model_config['env_prefix']}{name}".upper()
        [line] = [line for line in README.splitlines() if line.startswith(f"| `{setting}`")]
        assert f"`{field.default}`" in line or field.default is None


def test_readme_names_every_route():
    from assistant.web.app import create_app

    class Nobody:
        ready = False

        class index:  # noqa: N801 - stands for an attribute
            sources = staticmethod(list)

    routes = create_app(Nobody(), index.SyncQueue(Nobody.index)).openapi()["paths"]

    assert routes
    for path, methods in routes.items():
        plain = re.sub(r":path", "", path)
        for method in methods:
            assert f"`{method.upper()} {plain}`" in README


@pytest.mark.parametrize("texts", [FRENCH, ENGLISH])
def test_what_visitors_are_told_when_a_language_model_fails_is_documented(texts):
    operations = Path("docs/operations.md").read_text("utf-8")

    assert texts.notices
    for kind, notice in texts.notices.items():
        [line] = [line for line in operations.splitlines() if line.startswith(f"| {kind} |")]
        assert f" {notice} |" in line


@pytest.mark.parametrize("package", [assistant, index])
def test_every_public_name_can_be_imported_and_is_sorted(package):
    assert package.__all__ == sorted(package.__all__, key=_as_ruff_sorts)
    for name in package.__all__:
        assert getattr(package, name) is not None


def _as_ruff_sorts(name):
    return (not name.isupper(), not name[0].isupper(), name)


def test_the_tests_that_the_documents_name_are_there():
    for document in [*Path().glob("*.md"), *Path("docs").glob("*.md")]:
        for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", document.read_text("utf-8")):
            assert f"def {test}(" in Path(file).read_text("utf-8") or not test, f"{document}: {file}::{test}"


def test_the_links_of_the_documents_lead_somewhere():
    for document in [*Path().glob("*.md"), *Path("docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_every_rule_of_security_names_a_test_that_there_is():
    security = Path("SECURITY.md").read_text("utf-8")
    rules = re.findall(r"^- (?:.+\n)(?:  .+\n)*", security, re.MULTILINE)
    problems = [line for line in security.partition("## Open problems")[2].splitlines() if line.startswith("| ")][2:]

    assert len(rules) >= 25
    assert len(problems) >= 8
    for rule in rules + problems:
        named = re.findall(r"\[(test_\w+).*?\]\((tests/\w+/\1\.py)\)", rule)
        assert named, rule
        for _, file in named:
            assert "\ndef test_" in Path(file).read_text("utf-8"), file
