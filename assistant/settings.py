"""Settings of the assistant, from the environment or `.env`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

EXTRACTIVE = "extractive"


class AssistantSettings(BaseSettings):
    """Who answers. Environment prefix ASSISTANT_."""

    model_config = SettingsConfigDict(env_prefix="ASSISTANT_", env_file=".env", extra="ignore")

    model: str = Field(
        default=EXTRACTIVE,
        description="Who answers: extractive (sentences of the documents) or a language model, provider:model",
        min_length=1,
    )
    model_url: str | None = Field(
        default=None, description="Address of a server that speaks OpenAI's API, for a model named openai:…"
    )
    passages: int = Field(default=8, ge=1, le=50, description="How many passages are read for an answer")
    title: str = Field(default="Sourcier", description="Name of the assistant on its page", min_length=1, max_length=80)
    greeting: str | None = Field(
        default=None, description="What an empty page says instead of its own greeting", max_length=200
    )
    chats_path: Path = Field(
        default=Path(".assistant/chats.sqlite"),
        description="File of the conversations and of what people thought of answers",
    )
    chats_days: int = Field(
        default=30,
        ge=0,
        description="Days a conversation is kept after its last question; 0 keeps none beyond the run of the server",
    )
