"""The network of the reader: the encoder of the embedding model, upper layers trained to read pairs, and two heads."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertModel

FROZEN_LAYERS = 3
"""Of the encoder: they stay as the embedding model has them, as its word vectors do, and are not shipped again."""
FROZEN = ("encoder.embeddings.", *(f"encoder.encoder.layer.{number}." for number in range(FROZEN_LAYERS)))
"""How the names of weights begin that stay as the embedding model has them."""
QUESTION_TOKENS = 64
PAIR_TOKENS = 512
"""Longer questions and passages are cut."""
TITLE_CHARACTERS = 100
ANSWER_TOKENS = 30
"""How long the words that answer are at the most."""


class ReadingNetwork(nn.Module):
    """Reads a question and a passage together.

    encoder: of multilingual-e5-small. Gives, for each token, how well an answer begins and ends there, and for the pair
    whether the passage answers.
    """

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.span = nn.Linear(width, 2)
        self.answers = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Read pairs.

        ids: int64, shape (n_pairs, n_tokens); mask: bool, same shape, True for a token. Returns logits of first and
        last token of the answer, shape (n_pairs, n_tokens, 2), and whether the passage answers, shape (n_pairs,).
        """
        read = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return self.span(read).float(), self.answers(read[:, 0]).squeeze(1).float()

    def trained(self) -> dict[str, Tensor]:
        """Return the weights that differ from the embedding model's."""
        return {name: weight for name, weight in self.state_dict().items() if not name.startswith(FROZEN)}

    def freeze(self) -> None:
        """Leave the word vectors and lower layers as they are."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not name.startswith(FROZEN))


def open_encoder(folder: str, dtype: torch.dtype) -> BertModel:
    """Open the encoder of the embedding model in a folder."""
    encoder: BertModel = BertModel.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation="sdpa",
        add_pooling_layer=False,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        local_files_only=True,
        use_safetensors=True,
    )
    return encoder


def share_encoder(encoder: BertModel) -> BertModel:
    """Make an encoder whose word vectors and lower layers are those of another; the rest is to be filled."""
    with torch.device("meta"):
        own = BertModel(encoder.config, add_pooling_layer=False)
    own.embeddings = encoder.embeddings
    for number, layer in enumerate(encoder.encoder.layer):
        own.encoder.layer[number] = layer if number < FROZEN_LAYERS else deepcopy(layer)
    return own


@dataclass(frozen=True, slots=True)
class Encoded:
    """A pair as tokens."""

    ids: list[int]
    first: int
    """Where the tokens of the text begin, after question and title."""
    spans: list[tuple[int, int]]
    """Of each token of the text, in its characters."""

    def tokens(self, span: tuple[int, int]) -> tuple[int, int] | None:
        """Return the first and last token of a stretch of the text; None where it was cut off."""
        holding = [i for i, (start, end) in enumerate(self.spans) if start < span[1] and span[0] < end and end > start]
        if not holding or self.spans[holding[-1]][1] < span[1]:
            return None
        return self.first + holding[0], self.first + holding[-1]


class PairTokenizer:
    """Turns pairs into tokens: <s> query: QUESTION </s> </s> passage: TITLE TEXT </s>, as the model knows them.

    tokenizer: of multilingual-e5-small, which neither cuts nor pads.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._begin, self._end, self._pad = tokenizer.encode("<s></s><pad>", add_special_tokens=False).ids

    def encode(self, question: str, title: str, text: str) -> Encoded:
        """Encode a pair; a passage that is too long is cut at its end."""
        asked = self._tokenizer.encode(f"query: {question}", add_special_tokens=False).ids[:QUESTION_TOKENS]
        before = f"passage: {title[:TITLE_CHARACTERS]}\n" if title else "passage: "
        passage = self._tokenizer.encode(before + text, add_special_tokens=False)
        own = sum(1 for _, end in passage.offsets if end <= len(before))
        room = PAIR_TOKENS - len(asked) - 4
        ids = [self._begin, *asked, self._end, self._end, *passage.ids[:room], self._end]
        spans = [(max(start - len(before), 0), max(end - len(before), 0)) for start, end in passage.offsets[own:room]]
        return Encoded(ids, len(asked) + 3 + own, spans)

    def pad(self, pairs: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Stack pairs: ids and mask, shape (n_pairs, n_tokens)."""
        longest = max(len(pair.ids) for pair in pairs)
        ids = torch.full((len(pairs), longest), self._pad, dtype=torch.long)
        mask = torch.zeros((len(pairs), longest), dtype=torch.bool)
        for row, pair in enumerate(pairs):
            ids[row, : len(pair.ids)] = torch.tensor(pair.ids)
            mask[row, : len(pair.ids)] = True
        return ids, mask
