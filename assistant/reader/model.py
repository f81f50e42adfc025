"""A small network that reads a question and a sentence, both as token vectors of the embedding model."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

Array = NDArray[Any]

DIMENSION = 384
"""Of the token vectors of multilingual-e5-small."""
MAX_TOKENS = 80
"""Of a question or a sentence; what is longer is read up to there."""
WEIGHTS = Path(__file__).parent / "weights.safetensors"


class SentenceReader(nn.Module):
    """Says how well a sentence answers a question: a logit, to be compared with 0 for "none of them does".

    Two transformer layers over the tokens of both, each with the cosine of its nearest token on the other side, which
    a narrow network could not work out by itself; for a token of the question also by how much that is nearer than
    usual.

    dimension: of the token vectors. width: of the network.
    """

    def __init__(self, dimension: int, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.project = nn.Linear(dimension, width)
        self.nearest_to_question = nn.Linear(2, width)
        self.nearest_to_sentence = nn.Linear(1, width)
        self.side = nn.Embedding(3, width)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.score = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(
        self, question: Tensor, question_mask: Tensor, usual: Tensor, sentence: Tensor, sentence_mask: Tensor
    ) -> Tensor:
        """Score pairs.

        question, sentence: float32, shape (n_pairs, n_tokens, dimension), unit length; masks: bool, True for a token.
        usual: each question token's mean cosine with its nearest token of everyday sentences, shape (n_pairs,
        n_question_tokens). Returns logits, shape (n_pairs,).
        """
        cosines = question @ sentence.transpose(1, 2)
        for_question = cosines.masked_fill(~sentence_mask[:, None, :], -1).amax(2)
        gains = torch.stack([for_question, for_question - usual], 2)
        for_sentence = cosines.masked_fill(~question_mask[:, :, None], -1).amax(1).unsqueeze(2)
        first = self.side.weight[0].expand(len(question), 1, -1)
        asked = self.project(question) + self.nearest_to_question(gains) + self.side.weight[1]
        said = self.project(sentence) + self.nearest_to_sentence(for_sentence) + self.side.weight[2]
        mask = torch.cat([question_mask.new_ones(len(question), 1), question_mask, sentence_mask], 1)
        read = self.layers(torch.cat([first, asked, said], 1), src_key_padding_mask=~mask)
        logits: Tensor = self.score(read[:, 0]).squeeze(1)
        return logits


@cache
def load_reader() -> SentenceReader:
    """Load the trained weights that come with the package; once."""
    reader = SentenceReader(DIMENSION)
    reader.load_state_dict({name: weight.float() for name, weight in load_file(WEIGHTS).items()})
    return reader.eval()


def read_pairs(reader: SentenceReader, question: Array, usual: Sequence[Array], sentences: Sequence[Array]) -> Array:
    """Score sentences for one question.

    question: float32, shape (n_tokens, dimension), unit length; sentences: likewise, one each. usual: one for each
    sentence, shape (n_tokens,), see SentenceReader.forward. Returns float64 logits, shape (n_sentences,).
    """
    with torch.inference_mode():
        logits = reader(*pad([question] * len(sentences)), pad_usual(usual), *pad(sentences))
    return np.asarray(logits.double().numpy())


def pad(rows: Sequence[Array]) -> tuple[Tensor, Tensor]:
    """Stack token vectors of unlike length; tokens past MAX_TOKENS are left out.

    Returns vectors, float32, shape (n, n_tokens, dimension), and mask, bool, shape (n, n_tokens), True for a token.
    """
    longest = max(1, min(max(len(row) for row in rows), MAX_TOKENS))
    vectors = np.zeros((len(rows), longest, DIMENSION), np.float32)
    mask = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        kept = row[:longest]
        vectors[i, : len(kept)] = kept
        mask[i, : len(kept)] = True
    return torch.from_numpy(vectors), torch.from_numpy(mask)


def pad_usual(rows: Sequence[Array]) -> Tensor:
    """Stack rows of unlike length as `pad` does; float32, shape (n, n_tokens)."""
    longest = max(1, min(max(len(row) for row in rows), MAX_TOKENS))
    stacked = np.zeros((len(rows), longest), np.float32)
    for i, row in enumerate(rows):
        stacked[i, : min(len(row), longest)] = row[:longest]
    return torch.from_numpy(stacked)
