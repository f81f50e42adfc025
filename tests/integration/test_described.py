"""The description of the API is true: requests made from it, good and bad, meet what it says and nothing else."""

from pathlib import Path

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from assistant.keys import Keys
from assistant.web.access import Access
from assistant.web.app import create_app
from assistant.web.limits import Limits
from index import SyncQueue
from tests.browser.scripted import ScriptedAssistant


def test_the_api_does_what_its_description_says(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    access = Access(keys=keys, limits=Limits(service="1000000/day"))
    assistant = ScriptedAssistant()
    app = create_app(assistant, SyncQueue(assistant.index), hosts=None, tries_examples=False, access=access)
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
