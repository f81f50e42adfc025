"""The trained reader at work; word vectors and lower layers are those of the embedding model, loaded anyway."""

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from assistant.errors import ReaderUnavailable
from assistant.reader.network import ANSWER_TOKENS, Encoded, PairTokenizer, ReadingNetwork, share_encoder
from assistant.reader.reading import Reading, ReadSentence, Span, sigmoid
from assistant.statements import statement_spans
from index import Passage, SentenceTransformerEmbeddings

WEIGHTS = Path(__file__).parent / "weights.safetensors"
WEIGHTS_SHA256 = "e24ccc88673cedd0229f4cf6882f02310a97e41f0041e91441ed278a577076c1"
BATCH_PAIRS = 8
CALIBRATION = {"en": (0.45, 0.37), "fr": (0.75, -0.93)}
"""By language of the question: slope and intercept of the logit (Platt, 1999), fitted as docs/quality.md says."""
USUAL_CALIBRATION = (0.60, -0.28)
"""For other languages: between those of the two that could be fitted."""


class TrainedReader:
    """Reads with the network that assistant.reader.train trained; loaded when it first reads.

    embeddings: multilingual-e5-small, whose encoder the network was trained on. Threads may share one instance.
    """

    def __init__(self, embeddings: SentenceTransformerEmbeddings) -> None:
        self._embeddings = embeddings
        self._loading = threading.Lock()

    def read(self, question: str, passages: Sequence[Passage]) -> list[Reading]:
        """Read passages, those of like length together."""
        with self._loading:
            network = self._network
        pairs = [self._tokenizer.encode(question, passage.title, passage.text) for passage in passages]
        readings: dict[int, Reading] = {}
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i].ids))
        for at in range(0, len(order), BATCH_PAIRS):
            batch = order[at : at + BATCH_PAIRS]
            with torch.inference_mode():
                spans, answers = network(*self._tokenizer.pad([pairs[i] for i in batch]))
            for i, logits, answering in zip(batch, spans, answers, strict=True):
                readings[i] = Reading(float(answering), tuple(read_sentences(passages[i], pairs[i], logits)))
        return [readings[i] for i in range(len(pairs))]

    def probability(self, answers: float, language: str | None) -> float:
        """Return the probability that the documents answer, which means the same in every language."""
        slope, intercept = CALIBRATION.get(language or "", USUAL_CALIBRATION)
        return sigmoid(slope * answers + intercept)

    @cached_property
    def _network(self) -> ReadingNetwork:
        network = ReadingNetwork(share_encoder(self._embeddings.encoder()))
        network.load_state_dict(stored_weights(), strict=False)
        return network.to(self._embeddings.encoder().dtype).eval()

    @cached_property
    def _tokenizer(self) -> PairTokenizer:
        return PairTokenizer(self._embeddings.tokenizer)


def read_sentences(passage: Passage, pair: Encoded, logits: Tensor) -> list[ReadSentence]:
    """Say of each statement of a passage how likely the answer begins in it, and which of its words it would be.

    logits: of first and last token, shape (n_tokens, 2).
    """
    count = len(pair.spans)
    if not count:
        return []
    own = logits[pair.first : pair.first + count].float().log_softmax(0).numpy()
    found = []
    for start, end in statement_spans(passage.text, passage.language):
        tokens = [i for i, (a, b) in enumerate(pair.spans) if start <= a < end and b > a]
        if tokens:
            first, last = best_span(own[tokens[0] : tokens[-1] + 1])
            answer = pair.spans[tokens[0] + first][0], pair.spans[tokens[0] + last][1]
            found.append(
                ReadSentence((start, end), float(np.exp(own[tokens, 0]).sum()), _trimmed(passage.text, answer))
            )
    return found


def best_span(logits: np.ndarray) -> tuple[int, int]:
    """Return first and last token of the best span. logits: of both, shape (n_tokens, 2)."""
    scores = logits[:, 0, None] + logits[None, :, 1]
    allowed = np.tril(np.triu(np.ones_like(scores, bool)), ANSWER_TOKENS - 1)
    first, last = np.unravel_index(np.where(allowed, scores, -np.inf).argmax(), scores.shape)
    return int(first), int(last)


def stored_weights(file: Path = WEIGHTS) -> dict[str, Tensor]:
    """Read the weights that come with the package, once their hash is known to be right.

    Raises:
        ReaderUnavailable: the file is damaged, or not there.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ReaderUnavailable(f"{file} cannot be read: {error.strerror}. Install sourcier again") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ReaderUnavailable(
            f"{file} is not the file this version knows (SHA-256 {digest[:12]}…). Install sourcier again"
        )
    return unpack(load(content))


def pack(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Store matrices in 8 bits, with a scale for each row; the rest in float16."""
    packed: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.dim() < 2:
            packed[name] = weight.half()
            continue
        scale = (weight.abs().amax(1, keepdim=True) / 127).clamp_min(1e-8).half()
        packed[name] = (weight / scale.float()).round().clamp(-127, 127).to(torch.int8)
        packed[f"{name}{SCALE}"] = scale
    return packed


def unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo `pack`; float32."""
    return {
        name: weight.float() * packed[f"{name}{SCALE}"].float() if f"{name}{SCALE}" in packed else weight.float()
        for name, weight in packed.items()
        if not name.endswith(SCALE)
    }


SCALE = ".scale"


def _trimmed(text: str, span: Span) -> Span:
    """Leave out white space and marks around the words that answer."""
    start, end = span
    while start < end and not text[start].isalnum() and text[start] not in "«\"'“(-−+€$£":
        start += 1
    while end > start and text[end - 1] in " \t\n.,;:!?":
        end -= 1
    return start, end
