"""SentenceTransformer behind LangChain's Embeddings: the only file that knows sentence_transformers.

`HuggingFaceEmbeddings` skips a model's query and document prompts and flattens line ends, hence this class.
"""

import os
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from index.errors import EmbeddingUnavailable
from index.models import find_model

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from transformers import BertModel

# Of torch's multiplications, each prepared for texts of one length: 1,024 of them, its default, take 80 MB by and by,
# and are no faster. Read when the first one is prepared.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

BATCH_TEXTS = 8
"""32 at a time take a sixth longer on one core and on two."""
E5_PROMPTS: dict[str, str | None] = {"query": "query: ", "document": "passage: "}
"""What the models of the E5 family were trained with; their public configuration does not say."""


Kind = Literal["query", "document"]


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """The model's last layer, before it is pooled into one vector; without prompt and special tokens."""

    vectors: NDArray[np.float32]
    """float32, shape (n_tokens, dimension), unit length."""
    spans: list[tuple[int, int]]
    """Where each token stands in the text, in characters."""


class SentenceTransformerEmbeddings(Embeddings):
    """A model that sentence-transformers can open, loaded when it is first used.

    model: "multilingual-e5-small" (packaged), a folder, or a public name. Query and document prompts come from the
    model's own configuration. Vectors are unit length. Threads may share one instance.

    Raises EmbeddingUnavailable when the model cannot be found or opened.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._loading = threading.Lock()
        self._encoding = threading.Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that will be searched; shape (len(texts), dimension).

        Texts of like length share a batch, so that little is wasted on padding; a question of another thread is let in
        between two batches.
        """
        vectors: list[list[float]] = [[]] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for at in range(0, len(order), BATCH_TEXTS):
            batch = order[at : at + BATCH_TEXTS]
            for i, vector in zip(batch, self._encode("document", [texts[i] for i in batch]), strict=True):
                vectors[i] = vector
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Embed what is searched for; length dimension."""
        return self._encode("query", [text])[0]

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed each token of what is searched for."""
        return self._encode_tokens("query", [text])[0]

    def embed_document_tokens(self, texts: list[str]) -> list[TokenVectors]:
        """Embed each token of texts that may answer; what is longer than the model reads is left out."""
        return self._encode_tokens("document", texts)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each token of the text begins and ends, in characters, without special tokens."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).offsets)

    @cached_property
    def max_tokens(self) -> int:
        """How many tokens of a text the model reads, its prompt and special tokens taken off."""
        model = self._transformer
        prompt = self.tokenizer.encode(model.prompts.get("document") or "").tokens
        return (model.max_seq_length or 512) - len(prompt)

    def encoder(self) -> "BertModel":
        """Return the transformer under the model, for whoever reads on with its layers; it must not be changed."""
        return cast("BertModel", self._transformer[0].auto_model)

    def load(self) -> None:
        """Load the model now rather than at the first question."""
        self.embed_query("…")

    def _encode_tokens(self, kind: Kind, texts: list[str]) -> list[TokenVectors]:
        model = self._transformer
        prompt = model.prompts.get(kind) or ""
        encode = model.encode_query if kind == "query" else model.encode_document
        with self._encoding:
            encoded = encode(texts, batch_size=BATCH_TEXTS, output_value="token_embeddings", show_progress_bar=False)
        return [self._without_prompt(prompt, text, rows) for text, rows in zip(texts, encoded, strict=True)]

    def _without_prompt(self, prompt: str, text: str, rows: "torch.Tensor") -> TokenVectors:
        offsets = self.tokenizer.encode(prompt + text).offsets[: len(rows)]
        kept = [i for i, (_, end) in enumerate(offsets) if end > len(prompt)]
        vectors = rows[kept].float().numpy()
        spans = [(max(offsets[i][0] - len(prompt), 0), offsets[i][1] - len(prompt)) for i in kept]
        return TokenVectors(_unit(vectors), spans)

    def _encode(self, kind: Kind, texts: list[str]) -> list[list[float]]:
        model = self._transformer
        encode = model.encode_query if kind == "query" else model.encode_document
        with self._encoding:
            vectors = encode(
                texts,
                batch_size=BATCH_TEXTS,
                convert_to_numpy=False,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        rows: list[list[float]] = _unit(vectors.float().numpy()).tolist()
        return rows

    @property
    def _transformer(self) -> "SentenceTransformer":
        with self._loading:
            return self._model

    @cached_property
    def _model(self) -> "SentenceTransformer":
        place = find_model(self.model)
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            model = SentenceTransformer(
                place,
                device="cpu",
                local_files_only=Path(place).is_dir(),
                trust_remote_code=False,
                model_kwargs={"dtype": best_dtype(), "use_safetensors": True},
            )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise EmbeddingUnavailable(
                f"The embedding model {self.model!r} cannot be opened: {_first_line(error)}. "
                "Set INDEX_EMBEDDING_MODEL to the name or the folder of a sentence-transformers model, or leave it out "
                "for the packaged one"
            ) from error
        if not any(model.prompts.values()) and "e5" in Path(self.model).name.lower().split("-"):
            model.prompts = E5_PROMPTS
        return model

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The model's tokenizer, but it neither cuts nor pads, which encoding changes in the model's own.

        Both share the vocabulary, which takes 250 MB.
        """
        from tokenizers import Tokenizer

        own = self._transformer.tokenizer.backend_tokenizer
        copy = Tokenizer(own.model)
        for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
            if (value := getattr(own, part)) is not None:
                setattr(copy, part, value)
        for _, token in sorted(own.get_added_tokens_decoder().items()):
            (copy.add_special_tokens if token.special else copy.add_tokens)([token])
        return copy


def best_dtype() -> "torch.dtype":
    """Choose bfloat16 where the processor multiplies it natively, float32 elsewhere (emulated, it is slower)."""
    import torch

    able = torch.cpu.get_capabilities()
    native = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give rows the length 1; what the model gives in bfloat16 has it only to two digits."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
