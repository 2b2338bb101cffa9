"""Trains the demo model that the package carries, from text that this repository generates (docs/demo-model.md).

    python -m scripts.train_demo train FOLDER --tokens 32000000   # goes on where an interrupted run was
    python -m scripts.train_demo export FOLDER demo/llamalet-demo-Q8_0.gguf

Needs what the runtime does not: torch==2.13.0 (whose CPU build is meant), tokenizers, gguf, numpy.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from scripts.demo import corpus, export, lessons, vocabulary
from scripts.demo.network import Llama, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261121
BATCH = 4096  # tokens
RAMP = 6_000_000  # tokens until conversations are as long and hard as they get
RATE, WARM, FALL = 3e-3, 300_000, 0.7  # of learning; tokens to warm up; the share at the end in which it falls to 0
EVERY = 500_000  # tokens between two checkpoints
JUDGED = 400  # conversations that a checkpoint is judged by


@dataclass
class Progress:
    """Where a run is. pool: the number of the next pool of conversations."""

    tokens: int = 0
    pool: int = 0
    seconds: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("folder", type=Path)
    train.add_argument("--tokens", type=int, default=32_000_000, help="to learn from in all")
    train.add_argument("--threads", type=int, default=2)
    write = commands.add_parser("export")
    write.add_argument("folder", type=Path)
    write.add_argument("file", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "train":
        torch.set_num_threads(chosen.threads)
        Run(chosen.folder).train(chosen.tokens)
    else:
        run = Run(chosen.folder)
        export.write(chosen.file, run.network, run.words)


class Run:
    """A training run in a folder: vocabulary.json, checkpoint.pt, log.jsonl."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(SEED)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.words = self._vocabulary()
        self.encoder = vocabulary.Encoder(self.words)
        self.network = Llama(Shape(len(self.words.tokens)))
        self.optimizers = _optimizers(self.network)
        self.progress = Progress()
        self._resume()

    def _vocabulary(self) -> vocabulary.Vocabulary:
        path = self.folder / "vocabulary.json"
        if not path.exists():
            random = Random(SEED)
            made = [corpus.conversation(random, 1.0) for _ in range(6000)]
            texts = ["".join(piece.text for piece in pieces if not piece.special) for pieces in made]
            vocabulary.learn(texts, merges=1700, spaced=300).save(path)
        return vocabulary.Vocabulary.load(path)

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if path.exists():
            kept = torch.load(path)
            self.network.load_state_dict(kept["network"])
            for optimizer, state in zip(self.optimizers, kept["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.progress = Progress(**kept["progress"])

    def _keep(self) -> None:
        kept = {
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
        }
        torch.save(kept, self.folder / "checkpoint.new")
        (self.folder / "checkpoint.new").replace(self.folder / "checkpoint.pt")

    def train(self, tokens: int) -> None:
        judge = _judged(self.encoder)
        forward = torch.compile(self.network, dynamic=True)
        loss, since, kept_at = 0.0, 0, self.progress.tokens
        while self.progress.tokens < tokens:
            for batch in self._pool():
                began = time.monotonic()
                loss += self._step(forward, batch, tokens)
                since += 1
                self.progress.tokens += batch.ids.numel()
                self.progress.seconds += time.monotonic() - began
            self.progress.pool += 1
            if self.progress.tokens - kept_at >= EVERY or self.progress.tokens >= tokens:
                self._keep()
                self._note({**asdict(self.progress), "loss": round(loss / since, 4), **self._judge(judge)})
                loss, since, kept_at = 0.0, 0, self.progress.tokens

    def _pool(self) -> Iterator[lessons.Batch]:
        level = min(1.0, 0.2 + self.progress.tokens / RAMP)
        return lessons.batches(self.encoder, SEED + 1 + self.progress.pool, BATCH, level)

    def _step(self, forward: Any, batch: lessons.Batch, tokens: int) -> float:
        rate = _rate(self.progress.tokens, tokens)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        losses = _losses(self.network, forward, batch)
        loss = (losses * batch.weights).sum() / batch.weights.sum()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(losses.detach()[batch.learned].mean())

    @torch.no_grad()
    def _judge(self, batches: list[lessons.Batch]) -> dict[str, float]:
        """Over conversations that are not learnt from: the loss of answers, and the share of answer tokens that are the
        likeliest ones."""
        losses, right = [], []
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16):
                states = self.network(batch.ids).flatten(0, 1)[batch.places[batch.learned]]
                logits = self.network.logits(states).float()
            targets = batch.targets[batch.learned]
            losses.append(functional.cross_entropy(logits, targets, reduction="none"))
            right.append(logits.argmax(-1) == targets)
        return {
            "judged": round(float(torch.cat(losses).mean()), 4),
            "right": round(float(torch.cat(right).float().mean()), 4),
        }

    def _note(self, entry: dict[str, Any]) -> None:
        print(json.dumps(entry), flush=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def _losses(network: Llama, forward: Any, batch: lessons.Batch) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        states = forward(batch.ids).flatten(0, 1)[batch.places]
        logits = network.logits(states)
    return functional.cross_entropy(logits.float(), batch.targets, reduction="none")


def _optimizers(network: Llama) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms."""
    named = list(network.named_parameters())
    matrices = [weight for name, weight in named if weight.dim() == 2 and name.startswith("blk")]
    others = [weight for name, weight in named if weight.dim() < 2 or not name.startswith("blk")]
    return [
        torch.optim.Muon(matrices, lr=RATE, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _rate(done: int, tokens: int) -> float:
    """It warms up, stays, and falls to nothing in the last share of the run."""
    left = (tokens - done) / (tokens * FALL)
    return RATE * max(0.01, min(1.0, (done + 1) / WARM, left))


def _judged(encoder: vocabulary.Encoder) -> list[lessons.Batch]:
    made = [batch for seed in range(JUDGED // lessons.POOL + 1) for batch in lessons.batches(encoder, seed, BATCH, 1.0)]
    return made[: JUDGED // 32]


if __name__ == "__main__":
    main()
