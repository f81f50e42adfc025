"""From question to cited answer. Names are loaded when they are first used, so that importing this costs nothing."""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Libraries read these when they are imported: none is to call home. A tracing service is the user's to choose.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["ANONYMIZED_TELEMETRY"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("LANGSMITH_TRACING", "false")
os.environ.setdefault("LANGCHAIN_TRACING_V2", "false")

if TYPE_CHECKING:
    from assistant.answer import Assistant
    from assistant.build import open_assistant
    from assistant.errors import (
        AssistantError,
        InvalidData,
        InvalidQuestion,
        ModelFailed,
        ModelUnavailable,
        OwnerUnreachable,
        RateLimited,
    )
    from assistant.settings import AssistantSettings
    from assistant.types import (
        Answer,
        Asked,
        Citation,
        Claim,
        Confidence,
        Message,
        Notice,
        Searched,
        Seconds,
        Task,
        Token,
        Unsupported,
        Usage,
        Waiting,
    )

__all__ = [
    "Answer",
    "Asked",
    "Assistant",
    "AssistantError",
    "AssistantSettings",
    "Citation",
    "Claim",
    "Confidence",
    "InvalidData",
    "InvalidQuestion",
    "Message",
    "ModelFailed",
    "ModelUnavailable",
    "Notice",
    "OwnerUnreachable",
    "RateLimited",
    "Searched",
    "Seconds",
    "Task",
    "Token",
    "Unsupported",
    "Usage",
    "Waiting",
    "open_assistant",
]

_MODULES = {
    "answer": ("Assistant",),
    "build": ("open_assistant",),
    "errors": (
        "AssistantError",
        "InvalidData",
        "InvalidQuestion",
        "ModelFailed",
        "ModelUnavailable",
        "OwnerUnreachable",
        "RateLimited",
    ),
    "settings": ("AssistantSettings",),
    "types": (
        "Answer",
        "Asked",
        "Citation",
        "Claim",
        "Confidence",
        "Message",
        "Notice",
        "Searched",
        "Seconds",
        "Task",
        "Token",
        "Unsupported",
        "Usage",
        "Waiting",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'assistant' has no attribute {name!r}")
    return getattr(importlib.import_module(f"assistant.{_MODULE_OF[name]}"), name)
