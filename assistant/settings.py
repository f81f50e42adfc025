"""Settings of the assistant, from the environment or `.env`."""

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
