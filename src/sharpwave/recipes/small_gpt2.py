"""The recipe of a small GPT-2 for tests and benchmarks: 5 million parameters, pretrained on one core within the hour.

    python -m sharpwave.recipes.small_gpt2 FOLDER --minutes 40

No pretrained GPT-2 comes with a Python package, so this makes one of text that does: the help topics of Python and the
documentation inside the packages that are installed here (`SOURCES`, each under the licence named). Every 50th document
is held out; the report (`report.json`) has the loss per token there beside those of a unigram and of a bigram. A
command that was broken off goes on from its last checkpoint. The weights are not shipped: the command makes them again.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_files, write_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import GPT2LMHeadModel

SOURCES = {
    "pydoc_data": "PSF-2.0",
    "numpy": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "pandas": "BSD-3-Clause",
    "sklearn": "BSD-3-Clause",
    "statsmodels": "BSD-3-Clause",
    "networkx": "BSD-3-Clause",
    "matplotlib": "Matplotlib (BSD style)",
    "mne": "BSD-3-Clause",
    "torch": "BSD-3-Clause",
    "transformers": "Apache-2.0",
    "peft": "Apache-2.0",
    "trl": "Apache-2.0",
    "accelerate": "Apache-2.0",
    "sympy": "BSD-3-Clause",
    "xarray": "Apache-2.0",
}
"""Packages whose documentation is read, and their licences; those that are not installed are left out and named."""
HELD_OUT_EVERY = 50
SHORTEST = 200
"""Letters of the shortest document that is taken."""
END = "<|endoftext|>"
SHAPE = {"n_layer": 4, "n_embd": 256, "n_head": 4, "n_positions": 256}
VOCABULARY, BATCH, LENGTH, RATE, WARM_UP = 8192, 16, 256, 2e-3, 100
SAVE_EVERY = 100
STATE = ("training.safetensors", "training.json")


def list_documents(sources: Sequence[str] = tuple(SOURCES)) -> Iterator[str]:
    """The documentation inside installed packages: one document for each module, class and function that has some.

    Nothing is imported or run: the files are parsed.

    Args:
        sources: Names of packages; those that are not installed give nothing.

    >>> next(list_documents(["pydoc_data"])).startswith("The \\"assert\\" statement")
    True
    """
    for name in sources:
        found = importlib.util.find_spec(name)
        for folder in () if found is None else found.submodule_search_locations or ():
            for path in sorted(Path(folder).rglob("*.py")):
                if "tests" not in path.parts:
                    yield from _read_documents(path)


def _read_documents(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    if path.name == "topics.py":
        values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        yield from (value.strip() for value in values if isinstance(value, str) and len(value) >= SHORTEST)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and len(text) >= SHORTEST:
                yield text


def train_tokenizer(documents: Sequence[str], *, size: int = VOCABULARY) -> Tokenizer:
    """Byte-level pairs of some documents.

    Args:
        documents: Texts.
        size: Number of tokens; default 8,192.
    """
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(documents, vocab_size=size, special_tokens=[END], show_progress=False)
    return tokenizer._tokenizer


def encode(tokenizer: Tokenizer, documents: Sequence[str]) -> Int[np.ndarray, " token"]:
    """All documents in a row, an end after each."""
    end = tokenizer.token_to_id(END)
    parts = [np.array([*each.ids, end], dtype=np.int64) for each in tokenizer.encode_batch(list(documents))]
    return np.concatenate(parts)


def compute_count_losses(
    train: Int[np.ndarray, " token"], test: Int[np.ndarray, " tested"], *, size: int, weight: float = 0.7
) -> dict[str, float]:
    """Loss per token, in nats, of what counts alone know: each token's share, and its share after the one before it.

    Args:
        train: Tokens that are counted.
        test: Tokens that are judged.
        size: Number of tokens of the vocabulary; each counts one more than it was seen.
        weight: Weight of the bigram where the token before was seen; the rest is the unigram's. Default 0.7.

    >>> found = compute_count_losses(np.array([0, 1] * 50), np.array([0, 1] * 5), size=2)
    >>> round(found["unigram"], 2), round(found["bigram"], 2)
    (0.69, 0.16)
    """
    alone = (np.bincount(train, minlength=size) + 1) / (len(train) + size)
    pairs, counts = np.unique(train[:-1] * size + train[1:], return_counts=True)
    after = np.bincount(train[:-1], minlength=size)
    wanted = test[:-1] * size + test[1:]
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[place] == wanted, counts[place], 0) / np.maximum(after[test[:-1]], 1)
    known = weight * (after[test[:-1]] > 0)
    mixed = known * seen + (1 - known) * alone[test[1:]]
    return {"unigram": float(-np.log(alone[test[1:]]).mean()), "bigram": float(-np.log(mixed).mean())}


@torch.no_grad()
def compute_held_out_loss(model: GPT2LMHeadModel, tokens: Int[np.ndarray, " token"], *, n_pieces: int = 64) -> float:
    """Mean loss per token, in nats, over pieces spread evenly over some text.

    Args:
        model: A causal language model.
        tokens: The text.
        n_pieces: Number of pieces; fewer where the text is short.
    """
    length = min(LENGTH, len(tokens) - 1)
    starts = np.unique(np.linspace(0, len(tokens) - length - 1, n_pieces).astype(int))
    model.eval()
    losses = [
        float(_compute_loss(model, _cut(tokens, starts[i : i + BATCH], length))) for i in range(0, len(starts), BATCH)
    ]
    return float(np.average(losses, weights=[len(starts[i : i + BATCH]) for i in range(0, len(starts), BATCH)]))


def _cut(tokens: Int[np.ndarray, " token"], starts: Int[np.ndarray, " piece"], length: int) -> Tensor:
    return torch.from_numpy(np.stack([tokens[start : start + length + 1] for start in starts]))


def _compute_loss(model: GPT2LMHeadModel, pieces: Int[Tensor, "piece token"]) -> Float[Tensor, ""]:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=pieces[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), pieces[:, 1:].flatten())


def make_model(*, size: int = VOCABULARY, seed: int = 0, **shape: int) -> GPT2LMHeadModel:
    """A GPT-2 that knows nothing yet.

    Args:
        size: Number of tokens of the vocabulary.
        seed: Seed of its weights.
        shape: Changes to `SHAPE`.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        config = GPT2Config(vocab_size=size, bos_token_id=0, eos_token_id=0, **(SHAPE | shape), **dropout)
        return GPT2LMHeadModel(config)


def pretrain(
    model: GPT2LMHeadModel,
    tokens: Int[np.ndarray, " token"],
    folder: Path,
    *,
    steps: int,
    minutes: float = math.inf,
    seed: int = 0,
) -> dict[str, Any]:
    """Train a model on pieces of a text, from where the folder's checkpoint is, and write the next ones.

    Args:
        model: From `make_model`; trained in place.
        tokens: Text.
        folder: Folder of checkpoints.
        steps: Number of steps in all; the rate rises over the first 100 and then falls to nothing along half a cosine.
        minutes: Longest time of this call, in minutes; unlimited where omitted.
        seed: Seed of which pieces come when.

    Returns:
        Steps taken so far, processor seconds, and the loss of each 100 steps.
    """
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95))
    told: dict[str, Any] = _resume(model, optimiser, folder) or {"step": 0, "seconds": 0.0, "losses": []}
    length, until = min(LENGTH, len(tokens) - 1), time.monotonic() + 60 * minutes
    begun, total = time.process_time(), 0.0
    model.train()
    while told["step"] < steps and time.monotonic() < until:
        rng = np.random.default_rng([seed, told["step"]])
        for group in optimiser.param_groups:
            share = max(told["step"] - WARM_UP, 0) / max(steps - WARM_UP, 1)
            group["lr"] = RATE * min(1, (told["step"] + 1) / WARM_UP) * (1 + math.cos(math.pi * share)) / 2
        loss = _compute_loss(model, _cut(tokens, rng.integers(0, len(tokens) - length, BATCH), length))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        told["step"] += 1
        total += float(loss.detach())
        if told["step"] % SAVE_EVERY == 0 or told["step"] == steps:
            told["losses"].append(round(total / ((told["step"] - 1) % SAVE_EVERY + 1), 4))
            told["seconds"] += time.process_time() - begun
            begun, total = time.process_time(), 0.0
            _save(model, optimiser, folder, told)
    return told


def _save(model: GPT2LMHeadModel, optimiser: torch.optim.Optimizer, folder: Path, told: dict[str, Any]) -> None:
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}
    names = {id(p): name for name, p in model.named_parameters()}
    for parameter, state in optimiser.state.items():
        tensors |= {f"{key}.{names[id(parameter)]}": value.float() for key, value in state.items()}
    with replace_files(folder) as new:
        save_file({name: value.contiguous() for name, value in tensors.items()}, new / STATE[0])
        (new / STATE[1]).write_text(json.dumps(told), encoding="utf-8")


def _resume(model: GPT2LMHeadModel, optimiser: torch.optim.Optimizer, folder: Path) -> dict[str, Any] | None:
    if not all((folder / name).is_file() for name in STATE):
        return None
    tensors = load_file(folder / STATE[0])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
            kept = {key: tensors.get(f"{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
            optimiser.state[parameter] = {key: value for key, value in kept.items() if value is not None}
    return json.loads((folder / STATE[1]).read_text(encoding="utf-8"))


def make_small_gpt2(
    folder: Path, *, steps: int, minutes: float = math.inf, sources: Sequence[str] = tuple(SOURCES), **shape: int
) -> dict[str, Any]:
    """Read, tokenise, pretrain, judge, and write a folder that Transformers loads.

    Args:
        folder: Where the model, its tokenizer and `report.json` go.
        steps: Number of steps of 16 pieces of 256 tokens.
        minutes: Longest time, in minutes; given again, the command goes on.
        sources: Packages to read.
        shape: Changes to `SHAPE`, and `size` of the vocabulary.

    Returns:
        What the report says.

    Raises:
        SharpwaveError: If there is too little text.
    """
    from transformers import PreTrainedTokenizerFast

    documents = list(list_documents(sources))
    if len(documents) < 2 * HELD_OUT_EVERY:
        raise SharpwaveError(
            f"at least {2 * HELD_OUT_EVERY} documents", got=f"{len(documents)}", fix="install more of SOURCES"
        )
    train = [text for number, text in enumerate(documents) if number % HELD_OUT_EVERY]
    size = shape.pop("size", VOCABULARY)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "tokenizer.json"
    if kept.is_file():
        from tokenizers import Tokenizer as Loaded

        tokenizer = Loaded.from_file(str(kept))
    else:
        tokenizer = train_tokenizer(train, size=size)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END).save_pretrained(folder)
    size = tokenizer.get_vocab_size()
    tokens, held_out = encode(tokenizer, train), encode(tokenizer, documents[::HELD_OUT_EVERY])
    model = make_model(size=size, **shape)
    told = pretrain(model, tokens, folder, steps=steps, minutes=minutes)
    model.save_pretrained(folder)
    report = told | {
        "of_steps": steps,
        "documents": len(documents),
        "train_tokens": len(tokens),
        "tokens_seen": told["step"] * BATCH * min(LENGTH, len(tokens) - 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "held_out_tokens": len(held_out),
        "held_out_loss": {
            "gpt2": compute_held_out_loss(model, held_out),
            **compute_count_losses(tokens, held_out, size=size),
        },
        "sources": {name: SOURCES.get(name, "as its package says") for name in sources},
        "not_installed": [name for name in sources if importlib.util.find_spec(name) is None],
    }
    write_file(folder / "report.json", json.dumps(report, indent=1) + "\n")
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--minutes", type=float, default=math.inf)
    taken = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(make_small_gpt2(taken.folder, steps=taken.steps, minutes=taken.minutes), indent=1))
