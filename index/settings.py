"""Settings of the index, from the environment or `.env`."""

import ipaddress
import re
from pathlib import Path
from typing import Self

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from index.database import CATALOG, Place, postgresql_url
from index.models import PACKAGED


class IndexSettings(BaseSettings):
    """Where the index is, and how text gets into it. Environment prefix INDEX_."""

    model_config = SettingsConfigDict(env_prefix="INDEX_", env_file=".env", extra="ignore", hide_input_in_errors=True)

    path: Path = Field(default=Path(".assistant/index"), description="Folder of the index")
    embedding_model: str = Field(
        default=PACKAGED,
        description="Embedding model: the packaged one, a folder, or a public sentence-transformers name",
        min_length=1,
    )
    chunk_tokens: int = Field(
        default=200, ge=16, description="Size of a chunk at the most, in tokens of the embedding model"
    )
    overlap_tokens: int = Field(
        default=40, ge=0, description="How much of a chunk the next one may repeat, in tokens, whole sentences"
    )

    file_seconds: int = Field(
        default=60,
        ge=1,
        description="Processor time that reading one file may take, in seconds; twice that by the clock",
    )
    file_memory_megabytes: int = Field(
        default=2048, ge=512, description="Memory that reading one file may take, in megabytes"
    )
    catalog_url: SecretStr | None = Field(
        default=None,
        description="Address of a PostgreSQL database for the catalog, which several assistants share; else a file",
    )
    chroma_url: AnyHttpUrl | None = Field(
        default=None,
        description="Address of a Chroma server for the vectors, http://host:port; else they are in a folder",
    )
    chroma_key: SecretStr | None = Field(
        default=None, description="Key for Chroma Cloud (https://api.trychroma.com) or another server that wants one"
    )
    chroma_database: str | None = Field(
        default=None, min_length=1, description="Database on that server, where the key opens several"
    )

    @property
    def catalog(self) -> Place:
        """Where the catalog is."""
        return postgresql_url(self.catalog_url.get_secret_value()) if self.catalog_url else self.path / CATALOG

    # A fault of it is told without its value, which can hold a password.
    @field_validator("catalog_url")
    @classmethod
    def _is_of_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            postgresql_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _overlap_is_less_than_a_chunk(self) -> Self:
        if self.overlap_tokens >= self.chunk_tokens:
            raise ValueError(f"INDEX_OVERLAP_TOKENS={self.overlap_tokens} is not less than INDEX_CHUNK_TOKENS")
        return self

    # A fault of these is told without their values: they can be secrets.
    @model_validator(mode="after")
    def _server_is_whole_and_keeps_the_key(self) -> Self:
        url, key = self.chroma_url, self.chroma_key
        if url is None:
            if key or self.chroma_database:
                raise ValueError(
                    "INDEX_CHROMA_KEY or INDEX_CHROMA_DATABASE is set, INDEX_CHROMA_URL is not. Set it too: "
                    "https://api.trychroma.com is Chroma Cloud"
                )
            return self
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("INDEX_CHROMA_URL is more than http://host:port. A key goes into INDEX_CHROMA_KEY")
        if key and not re.fullmatch(r"[!-~]+", key.get_secret_value()):
            raise ValueError("INDEX_CHROMA_KEY holds characters that no key has. Copy it again")
        if key and url.scheme == "http" and not _is_this_computer(url.host or ""):
            raise ValueError(
                "INDEX_CHROMA_KEY would go over the network for all to read. Use https in INDEX_CHROMA_URL"
            )
        return self


def _is_this_computer(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
