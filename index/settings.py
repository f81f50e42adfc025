"""Settings of the index, from the environment or `.env`."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from index.models import PACKAGED


class IndexSettings(BaseSettings):
    """Where the index is, and how text gets into it. Environment prefix INDEX_."""

    model_config = SettingsConfigDict(env_prefix="INDEX_", env_file=".env", extra="ignore")

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

    @model_validator(mode="after")
    def _overlap_is_less_than_a_chunk(self) -> Self:
        if self.overlap_tokens >= self.chunk_tokens:
            raise ValueError(f"INDEX_OVERLAP_TOKENS={self.overlap_tokens} is not less than INDEX_CHUNK_TOKENS")
        return self
