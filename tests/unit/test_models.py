import json
import struct

import numpy as np
import pytest

from index.errors import EmbeddingUnavailable
from index.models import PACKAGED, Carrier, find_model, fingerprint, is_intact


def carrier_file(path, tensors):
    """Write a carrier with a vocabulary of three pieces and the given tensors: name → (kind, bytes)."""
    pieces = [b"<s>", b"</s>", "▁é".encode()]
    offsets = np.cumsum([0] + [len(piece) for piece in pieces]).astype("<u4")
    head = b"E5S1" + struct.pack("<I7ifi", 1, 32, 1, 1, 64, 3, 8, 2, 1e-12, 32)
    head += struct.pack("<5iQ", 3, 0, 1, 1, 0, offsets[-1]) + offsets.tobytes()
    head += np.array([0, 0, -1.5], "<f4").tobytes() + b"".join(pieces) + struct.pack("<iI", 0, 4) + b"maps"
    table = sum(2 + len(name) + struct.calcsize("<BIQQ") for name in tensors)
    at = len(head) + 4 + table
    entries, body = struct.pack("<i", len(tensors)), b""
    for name, (kind, raw) in tensors.items():
        entries += (
            struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, 0, at + len(body), len(raw))
        )
        body += raw
    path.write_bytes(head + entries + body)
    return path


def test_a_tensor_in_float32_is_read_as_it_is(tmp_path):
    rows = np.arange(64, dtype="<f4").reshape(2, 32)

    carrier = Carrier(carrier_file(tmp_path / "carrier", {"emb.type": (0, rows.tobytes())}))

    np.testing.assert_array_equal(carrier.tensor("emb.type", 2, 32), rows)


def test_a_block_of_four_bits_holds_sixteen_low_nibbles_then_sixteen_high_ones_times_its_scale(tmp_path):
    nibbles = bytes(low | (15 - low) << 4 for low in range(16))
    block = np.array([0.5], "<f2").tobytes() + nibbles

    carrier = Carrier(carrier_file(tmp_path / "carrier", {"w": (1, block)}))

    expected = [(low - 8) * 0.5 for low in range(16)] + [(15 - low - 8) * 0.5 for low in range(16)]
    np.testing.assert_array_equal(carrier.tensor("w", 1, 32), [expected])


def test_the_vocabulary_comes_with_its_scores(tmp_path):
    carrier = Carrier(carrier_file(tmp_path / "carrier", {}))

    assert carrier.pieces == [("<s>", 0.0), ("</s>", 0.0), ("▁é", -1.5)]


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "carrier").write_bytes(b"GGUF" + bytes(100))

    with pytest.raises(EmbeddingUnavailable, match="E5S1"):
        Carrier(tmp_path / "carrier")


def test_a_folder_is_intact_only_while_every_byte_is_as_written(tmp_path):
    (tmp_path / "weights").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "sha256.json").write_text(json.dumps({"weights": digest}))
    assert is_intact(tmp_path)

    (tmp_path / "weights").write_bytes(b"abd")
    assert not is_intact(tmp_path)
    (tmp_path / "weights").unlink()
    assert not is_intact(tmp_path)


@pytest.mark.parametrize("noted", ["", "[]", "{}", '{"weights": 3}'])
def test_a_damaged_note_of_hashes_is_not_trusted(tmp_path, noted):
    (tmp_path / "weights").write_bytes(b"abc")
    (tmp_path / "sha256.json").write_text(noted)

    assert not is_intact(tmp_path)


def test_a_public_name_is_opened_as_it_is():
    assert find_model("sentence-transformers/some-model") == "sentence-transformers/some-model"


def test_a_changed_folder_has_another_fingerprint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = fingerprint(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"two")

    assert fingerprint(str(tmp_path)) != before
    assert fingerprint(PACKAGED) == fingerprint(PACKAGED)
