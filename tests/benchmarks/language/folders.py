"""Folders of small tasks of text, written by the tests."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

WORDS = {
    "mood": {"glad": ["sun", "cake", "song"], "sad": ["rain", "mud", "bill"]},
    "place": {"sea": ["wave", "boat", "salt"], "land": ["road", "tree", "hill"]},
}
FILLER = ["one", "two", "three", "four", "five", "six"]


def write_lines(path: Path, lines: list[dict]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def make_classes(folder: Path, *, n_train: int = 48, n_test: int = 16) -> Path:
    """Two tasks; the class of a text is told by one of its words."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name, classes in WORDS.items():
        for part, n_items in (("train", n_train), ("test", n_test)):
            lines = []
            for number in range(n_items):
                label = list(classes)[number % 2]
                words = [*rng.choice(classes[label], 3), *rng.choice(FILLER, 3), f"{part}{number}"]
                lines.append({"text": " ".join(rng.permutation(words)), "label": label})
            write_lines(folder / f"{name}-{part}.jsonl{'.gz' if name == 'mood' else ''}", lines)
    return folder


def make_questions(folder: Path, *, n_train: int = 24, n_test: int = 8) -> Path:
    """Two domains; the answer is what stands after the word that is asked for."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name in ("kitchen", "garden"):
        for part, n_items in (("train", n_train), ("test", n_test)):
            lines = []
            for number in range(n_items):
                answer = str(rng.choice(FILLER))
                context = f"In {name} {part} {number} the price is {answer} coins."
                answers = {"text": [answer], "answer_start": [context.index(f" {answer} coins") + 1]}
                lines.append({"question": "What is the price?", "context": context, "answers": answers})
            none = {"text": [], "answer_start": []}
            write_lines(
                folder / f"{name}-{part}.jsonl", [*lines, {"question": "Who?", "context": "No one.", "answers": none}]
            )
    return folder
