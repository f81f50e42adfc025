"""The description of the API is true: requests made from it, good and bad, meet what it says and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from assistant.keys import Keys
from assistant.web.access import Access
from assistant.web.app import create_app
from assistant.web.limits import Limits
from assistant.web.uploads import Uploads
from index import IndexSettings, SyncQueue
from index.build import open_or_create, own
from tests.browser.scripted import ScriptedAssistant
from tests.fakes import paragraph_recipe


@schemathesis.deserializer("application/x-ndjson")
def last_line(_: schemathesis.DeserializationContext, response: schemathesis.Response) -> object:
    """Read the line that ends a stream: a schema describes one of them."""
    return json.loads(response.content.splitlines()[-1])


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[Uploads]:
    """A folder of its own, in which a file was indexed."""
    recipe = paragraph_recipe("hashing", dimension=32)
    with own(IndexSettings(path=tmp_path / "index"), recipe, open_or_create) as index, SyncQueue(index) as queue:
        uploads = Uploads(tmp_path / "uploads", index, queue)
        uploads.folder.mkdir()
        (uploads.folder / "a.txt").write_text("Le chat dort.", "utf-8")
        uploads.sync().report()
        yield uploads


def test_the_api_does_what_its_description_says(tmp_path: Path, uploads: Uploads) -> None:
    keys = Keys(tmp_path / "keys.json")
    access = Access(keys=keys, limits=Limits(service="1000000/day"))
    assistant = ScriptedAssistant()
    queue = SyncQueue(assistant.index)
    app = create_app(assistant, queue, hosts=None, tries_examples=False, access=access, uploads=uploads)
    config = SchemathesisConfig.from_dict(
        {
            "headers": {"Authorization": f"Bearer {keys.create('Schemathesis')}"},
            "generation": {"max-examples": 10, "deterministic": True, "database": "none"},
            "checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}},
            "phases": {
                "coverage": {"unexpected-methods": ["DELETE", "PATCH", "PUT", "TRACE"]},
                "stateful": {"enabled": False},
            },
        }
    )
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, config=config)

    asked, faults = set(), []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            asked.add(event.recorder.label)
            for id, checks in event.recorder.checks.items():
                case = event.recorder.cases[id].value
                faults += [
                    f"{case.method} {case.formatted_path} {case.body!r:.200}: {check.failure_info.failure}"
                    for check in checks
                    if check.failure_info
                ]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            faults.append(str(event))

    assert not faults, "\n\n".join(faults)
    assert {"POST /api/ask", "POST /v1/chat/completions", "GET /api/sources/{source_id}"} <= asked
    assert {"POST /api/uploads", "POST /api/uploads/sync", "DELETE /api/uploads/{name}"} <= asked
