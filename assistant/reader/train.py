"""Trains the reader on question-answering data sets, on a processor.

    python -m assistant.reader.train FOLDER=VISITS… --output FILE [--start FILE] [--seed N] [--rate RATE]
        [--steps N] [--checkpoint FILE]

Each folder holds corpus.jsonl and questions.jsonl, as assistant.evaluation.data describes them; VISITS says how often
its questions are read, less than once where they are translations of each other. One document in five, by title, is
held back and measured. The same data, visits and seed give the same batches; with --checkpoint, a run that was stopped
goes on where it was. --start begins with the weights that an earlier run wrote: with another seed it sees its questions
with other windows and other passages that do not answer. What is written then is the mean of the weights at both ends,
which reads better than either (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).

Whether a passage answers is learnt from every pair, the words that answer from the pairs that tell them. Of passages
that people judged together the best one is trained to answer, where one of them does (Dietterich, Lathrop and
Lozano-Pérez, Artificial Intelligence 89, 1997), and the best ones not to, where none does.
"""

import argparse
import logging
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from assistant.evaluation.metrics import auroc
from assistant.reader.model import best_span, pack, unpack
from assistant.reader.network import Encoded, PairTokenizer, ReadingNetwork, open_encoder
from assistant.reader.pairs import Asked, Judged, Pair, read_folder, visits
from index import SentenceTransformerEmbeddings
from index.models import PACKAGED, find_model

MEASURED_SEED = 0
"""Of the questions held back that are measured, whatever the seed of the run: runs can be compared."""
BATCH_PAIRS = 16
BATCHES_SORTED = 16
"""Batches are cut from so many batches' pairs sorted by length, so that little is padded."""
LEARNING_RATE = 2e-4
HEADS_FASTER = 5
"""How many times faster the heads learn, which begin with nothing."""
WARM_UP_STEPS = 100
JUDGED_AT_ONCE = 4
HARDEST = 3
"""How many of the passages judged together, none of which answers, are trained on."""
MEASURE_EVERY = 300
"""Steps."""
MEASURED = 60
"""Questions held back of each folder that are measured while it trains."""

log = logging.getLogger("train")

Batch = list[Pair] | list[Judged]


def main() -> None:
    """Read the command line, make pairs, train, write."""
    parser = argparse.ArgumentParser(prog="python -m assistant.reader.train", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="FOLDER=VISITS", help="with corpus.jsonl and questions.jsonl")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights to begin with, as an earlier run wrote them")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of windows and passages")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE, help="the learning rate at its highest")
    parser.add_argument("--steps", type=int, help="stop after so many batches; by then the learning rate is zero")
    parser.add_argument("--checkpoint", type=Path, help="written every few minutes, and read where it exists")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    visits_of = dict(folder.rsplit("=", 1) for folder in arguments.folders)
    asked = {Path(folder).name: (read_folder(Path(folder)), float(times)) for folder, times in visits_of.items()}
    torch.manual_seed(arguments.seed)
    folder = find_model(PACKAGED)
    network = ReadingNetwork(open_encoder(folder, torch.float32))
    begun = unpack(load_file(arguments.start)) if arguments.start else {}
    network.load_state_dict(begun, strict=False)
    tokenizer = PairTokenizer(SentenceTransformerEmbeddings(PACKAGED).tokenizer)
    batches = list(make_batches(asked, arguments.seed))[: arguments.steps]
    held_back = {name: pairs_to_measure(questions) for name, (questions, _) in asked.items()}
    train(network, tokenizer, Run(batches, held_back, arguments.rate, arguments.checkpoint))
    save_file(pack(averaged(network.trained(), begun)), arguments.output)


def averaged(weights: dict[str, Tensor], others: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean of two sets of weights; where the other set has none, the weights as they are."""
    return {name: (weight + others.get(name, weight)) / 2 for name, weight in weights.items()}


@dataclass(frozen=True, slots=True)
class Run:
    """What the network is trained on, and how."""

    batches: Sequence[Batch]
    held_back: dict[str, list[Pair]]
    """By name of the data set; measured meanwhile."""
    rate: float
    """The learning rate at its highest."""
    checkpoint: Path | None


def train(network: ReadingNetwork, tokenizer: PairTokenizer, run: Run) -> None:
    """Train on each batch of a run once."""
    network.freeze()
    heads = [*network.span.parameters(), *network.answers.parameters()]
    body = [weight for weight in network.encoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": run.rate}, {"params": heads, "lr": run.rate * HEADS_FASTER}],
        weight_decay=0.01,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - step / len(run.batches))
    )
    done = _resume(run.checkpoint, network, optimizer, schedule)
    log.info("%d batches, of which %d are done", len(run.batches), done)
    began, losses = time.monotonic(), []
    for step, batch in enumerate(run.batches[done:], start=done + 1):
        loss = _loss(network, tokenizer, _chosen(network, tokenizer, batch))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*body, *heads], 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0:
            seconds = (time.monotonic() - began) / (step - done)
            log.info("step %d: loss %.3f, %.1f s a step", step, float(np.mean(losses[-50:])), seconds)
        if step % MEASURE_EVERY == 0 or step == len(run.batches):
            for name, pairs_of in run.held_back.items():
                log.info("step %d, %s: %s", step, name, measure(network, tokenizer, pairs_of))
            _save(run.checkpoint, network, optimizer, schedule, step)


def measure(network: ReadingNetwork, tokenizer: PairTokenizer, pairs: Sequence[Pair]) -> str:
    """Say how many answers are found to the word, and how well what answers is told from what does not."""
    exact: list[float] = []
    overlap, logits = [], []
    for pair in pairs:
        encoded = tokenizer.encode(pair.question, pair.title, pair.text)
        spans, answers = _read(network, tokenizer, [encoded])
        logits.append(float(answers[0]))
        told = encoded.tokens(pair.span) if pair.span else None
        if told:
            within = best_span(spans[0, encoded.first : encoded.first + len(encoded.spans)].numpy())
            found = within[0] + encoded.first, within[1] + encoded.first
            exact.append(float(found == told))
            common = max(0, min(found[1], told[1]) - max(found[0], told[0]) + 1)
            overlap.append(2 * common / (found[1] - found[0] + told[1] - told[0] + 2))
    answering = np.array([pair.answers for pair in pairs])
    told_apart = auroc(np.array(logits), answering) if 0 < answering.sum() < len(pairs) else float("nan")
    return (
        f"AUROC {told_apart:.3f} of {len(pairs)}, tokens of the answer exact {np.mean(exact or [0]):.3f}, "
        f"F1 {np.mean(overlap or [0]):.3f} of {len(exact)}"
    )


def make_batches(asked: dict[str, tuple[list[Asked | Judged], float]], seed: int) -> Iterator[Batch]:
    """Give batches of pairs of like length, and of judged questions in between.

    asked: by name of the data set, its questions, and how often each that is not held back is visited.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    visited: list[Pair] = []
    judged: list[Judged] = []
    for questions, times in asked.values():
        for item in _visited([question for question in questions if not question.held_back], times, chance):
            (judged if isinstance(item, Judged) else visited).append(item)  # type: ignore[arg-type]
    chance.shuffle(visited)
    chance.shuffle(judged)
    size = BATCH_PAIRS * BATCHES_SORTED
    made: list[Batch] = []
    for at in range(0, len(visited), size):
        block = sorted(visited[at : at + size], key=lambda pair: len(pair.question) + len(pair.text))
        cut: list[Batch] = [block[i : i + BATCH_PAIRS] for i in range(0, len(block), BATCH_PAIRS)]
        chance.shuffle(cut)
        made += cut
    # Judged passages teach little before the network can read at all.
    together = [judged[i : i + JUDGED_AT_ONCE] for i in range(0, len(judged), JUDGED_AT_ONCE)]
    early = len(made) // 3
    late: list[Batch] = [*made[early:], *together]
    chance.shuffle(late)
    yield from [*made[:early], *late]


def _visited(questions: Sequence[Asked | Judged], times: float, chance: random.Random) -> Iterator[Pair | Judged]:
    while times > 0:
        yield from visits(chance.sample(questions, round(min(times, 1.0) * len(questions))), chance)
        times -= 1


def pairs_to_measure(questions: Sequence[Asked | Judged]) -> list[Pair]:
    """Choose pairs of questions held back: one that answers and one that does not, or what was judged."""
    chance = random.Random(MEASURED_SEED)  # noqa: S311 - nothing secret
    kept = [question for question in questions if question.held_back]
    chosen = chance.sample(kept, min(MEASURED, len(kept)))
    pairs = list(visits(chosen, chance))
    return [pair for item in pairs for pair in (item.passages[:3] if isinstance(item, Judged) else [item])]


def _chosen(network: ReadingNetwork, tokenizer: PairTokenizer, batch: Batch) -> list[Pair]:
    """Take of passages that were judged together those that the network takes most for an answer."""
    chosen: list[Pair] = []
    for item in batch:
        if isinstance(item, Pair):
            chosen.append(item)
            continue
        encoded = [tokenizer.encode(pair.question, pair.title, pair.text) for pair in item.passages]
        _, logits = _read(network, tokenizer, encoded)
        best = logits.argsort(descending=True)[: 1 if item.answers else HARDEST]
        chosen += [item.passages[int(i)] for i in best]
    return chosen


def _read(network: ReadingNetwork, tokenizer: PairTokenizer, pairs: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        read: tuple[Tensor, Tensor] = network(*tokenizer.pad(pairs))
    return read


def _loss(network: ReadingNetwork, tokenizer: PairTokenizer, pairs: Sequence[Pair]) -> Tensor:
    """Return the mean loss of answering, and of the words that answer where they are told."""
    encoded = [tokenizer.encode(pair.question, pair.title, pair.text) for pair in pairs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spans, answers = network(*tokenizer.pad(encoded))
    loss = binary_cross_entropy_with_logits(answers, torch.tensor([float(pair.answers) for pair in pairs]))
    told = [
        (row, where)
        for row, (pair, tokens) in enumerate(zip(pairs, encoded, strict=True))
        if pair.span and (where := tokens.tokens(pair.span))
    ]
    if told:
        rows = torch.tensor([row for row, _ in told])
        outside = torch.ones(len(told), spans.shape[1], dtype=torch.bool)
        for i, (row, _) in enumerate(told):
            outside[i, encoded[row].first : encoded[row].first + len(encoded[row].spans)] = False
        logits = spans[rows].masked_fill(outside[:, :, None], -1e4)
        for side in (0, 1):
            wanted = torch.tensor([where[side] for _, where in told])
            loss = loss + cross_entropy(logits[:, :, side], wanted, reduction="sum") / (2 * len(pairs))
    return loss


def _resume(
    checkpoint: Path | None,
    network: ReadingNetwork,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> int:
    if checkpoint is None or not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(state["network"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["step"])


def _save(
    checkpoint: Path | None,
    network: ReadingNetwork,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    step: int,
) -> None:
    if checkpoint is None:
        return
    state = {
        "network": network.trained(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "step": step,
    }
    unfinished = checkpoint.with_suffix(".tmp")
    torch.save(state, unfinished)
    unfinished.replace(checkpoint)


if __name__ == "__main__":
    main()
