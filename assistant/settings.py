"""Settings of the assistant, from the environment or `.env`."""

import ipaddress
from pathlib import Path
from typing import Literal, Self

from limits import parse_many
from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from assistant.logs import Shape
from assistant.origins import Origins
from index.database import Place, postgresql_url

EXTRACTIVE: Literal["extractive"] = "extractive"


class AssistantSettings(BaseSettings):
    """Who answers. Environment prefix ASSISTANT_."""

    model_config = SettingsConfigDict(
        env_prefix="ASSISTANT_", env_file=".env", extra="ignore", hide_input_in_errors=True
    )

    model: str = Field(
        default=EXTRACTIVE,
        description="Who answers: extractive (sentences of the documents) or a language model, provider:model",
        min_length=1,
    )
    model_url: AnyHttpUrl | None = Field(
        default=None, description="Address of a server that speaks OpenAI's API, for a model named openai:…"
    )
    fallback: Literal["extractive", "none"] = Field(
        default=EXTRACTIVE,
        description="What answers when the language model fails: extractive, with a notice, or none, which is an error",
    )
    context_tokens: int | None = Field(
        default=None, ge=1_000, description="How much the language model reads and writes at once, in its tokens"
    )
    model_timeout_seconds: int = Field(
        default=60, ge=1, description="How long the language model may be silent, in seconds"
    )
    reader: Literal["trained", "none"] = Field(
        default="trained",
        description="Who reads the passages: the trained reader, or none, and sentences are compared with the question",
    )
    caution: float = Field(
        default=0.45,
        ge=0,
        le=1,
        description="How sure the reader must be that the documents answer, from 0 (always answers) to 1",
    )
    passages: int = Field(
        default=8, ge=1, le=50, description="How many passages are found for an answer, and read at the most"
    )
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
    database_url: SecretStr | None = Field(
        default=None,
        description="Address of a PostgreSQL database for what several assistants share: conversations and opinions, "
        "API keys, counted questions, the secret of tokens; else files and memory",
    )
    uploads: Literal["owner", "none"] = Field(
        default="owner",
        description="Who may add documents on the page and over HTTP: owner (this computer, and API keys), or none",
    )
    uploads_path: Path = Field(default=Path(".assistant/uploads"), description="Folder of the documents so added")
    upload_megabytes: int = Field(default=100, ge=1, description="How large such a file may be, in megabytes")
    uploads_megabytes: int = Field(default=10_000, ge=1, description="How large they may be together, in megabytes")
    uploads_files: int = Field(default=10_000, ge=1, description="How many there may be")
    embed_origins: str = Field(
        default="", description="Pages that may embed the chat: https://example.org, https://*.example.org"
    )
    api_keys: Path = Field(
        default=Path(".assistant/keys.json"), description="File of the hashed API keys (assistant keys)"
    )
    visitor_limit: str = Field(default="10/minute;200/day", description="Questions of one visitor")
    address_limit: str = Field(default="60/minute;1000/day", description="Questions from one address")
    service_limit: str = Field(default="10000/day", description="Questions of all visitors and keys together")
    trusted_proxies: str = Field(
        default="", description="Addresses or networks of proxies whose X-Forwarded-… headers are believed"
    )
    log: Shape = Field(
        default="text", description="How a server logs, on standard error: text, or json, an object a line"
    )
    log_questions: bool = Field(default=False, description="Whether a server logs what is asked")
    traces_url: AnyHttpUrl | None = Field(
        default=None, description="Address of an OpenTelemetry collector that each question's spans are sent to"
    )
    root_path: str = Field(
        default="",
        description="Path under which a proxy shows the server: /assistant",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
    )

    @property
    def shared(self) -> URL | None:
        """The database that is shared."""
        return postgresql_url(self.database_url.get_secret_value()) if self.database_url else None

    @property
    def chats(self) -> Place:
        """Where conversations are."""
        return self.shared or self.chats_path

    # A fault of these is told without their values, which can hold passwords.
    @field_validator("database_url")
    @classmethod
    def _is_of_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            postgresql_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _address_has_no_key(self) -> Self:
        if self.model_url and (self.model_url.username or self.model_url.password or self.model_url.query):
            raise ValueError("ASSISTANT_MODEL_URL is more than http://host:port/v1. A key goes into OPENAI_API_KEY")
        return self

    @field_validator("embed_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        return " ".join(Origins.parse(value).listed)

    @field_validator("visitor_limit", "address_limit", "service_limit")
    @classmethod
    def _are_limits(cls, value: str) -> str:
        parse_many(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        return " ".join(str(ipaddress.ip_network(word)) for word in value.replace(",", " ").split())
