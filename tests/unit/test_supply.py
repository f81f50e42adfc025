"""What is installed is pinned file by file, and nothing that is loaded can be a program."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from transformers import BertConfig, BertModel, BertTokenizerFast

from index import EmbeddingUnavailable, SentenceTransformerEmbeddings

LOCK = Path("requirements.lock").read_text("utf-8")
SOURCES = [*Path("assistant").rglob("*.py"), *Path("index").rglob("*.py")]
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_PLACES = ("langchain_core.load", "chromadb.server", "chromadb.app", "chromadb.utils.embedding_functions")
"""What makes objects of names that it reads."""
FORBIDDEN_CALLS = {"eval", "exec"}


def pins() -> dict[str, tuple[str, int]]:
    """Give the version of each package of the lock, and how many hashes it has."""
    found = {}
    for block in re.split(r"\n(?=\S)", LOCK):
        if pin := re.match(r"([\w.-]+)==([^\s;]+)", block):
            found[canonicalize_name(pin[1])] = (pin[2], block.count("--hash=sha256:"))
    return found


def test_every_package_of_the_lock_has_a_hash_and_every_dependency_is_in_it() -> None:
    locked = pins()

    assert all(hashes for _, hashes in locked.values())
    for text in tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]["dependencies"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)][0]), f"{text}: make lock"


def test_the_lock_has_the_versions_that_the_tests_ran_with() -> None:
    locked = pins()

    for line in Path("constraints.txt").read_text("utf-8").splitlines():
        name, _, version = line.partition("==")
        if canonicalize_name(name) in locked:
            assert locked[canonicalize_name(name)][0] == version, "make lock"


@pytest.mark.parametrize("file", SOURCES, ids=str)
def test_nothing_unpickles_or_runs_what_it_reads(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not FORBIDDEN_MODULES & {alias.name.partition(".")[0] for alias in node.names}
            assert not any(alias.name.startswith(FORBIDDEN_PLACES) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in FORBIDDEN_MODULES
            assert not any(f"{node.module}.{alias.name}".startswith(FORBIDDEN_PLACES) for alias in node.names)
        elif isinstance(node, ast.Call):
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert not (isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS)
            assert words.get("trust_remote_code", "False") == "False"
            if ast.unparse(node.func) == "torch.load":
                assert words.get("weights_only") == "True"


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.place), "w")


def model_folder(folder: Path) -> Path:
    """Write a tiny embedding model, its weights as safetensors."""
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "orge"]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_weights_that_are_pickled_are_not_loaded(tmp_path: Path) -> None:
    folder, sprung = model_folder(tmp_path / "model"), tmp_path / "sprung"
    assert len(SentenceTransformerEmbeddings(str(folder)).embed_query("orge")) == 16
    for file in folder.glob("*.safetensors"):
        file.unlink()
    torch.save({"embeddings": Trap(sprung)}, folder / "pytorch_model.bin")

    with pytest.raises(EmbeddingUnavailable):
        SentenceTransformerEmbeddings(str(folder)).embed_query("orge")

    assert not sprung.exists()
