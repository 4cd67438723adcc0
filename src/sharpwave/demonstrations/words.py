"""A language model of 20,000 weights that learns the numbers in French, then in German: does it keep the first?

Everything is made here, so that it runs without the Transformers library; `examples/trainer.py` does the same with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sharpwave.consolidation import Objective, Sleep
from sharpwave.consolidation.language import TokenMemory

ENGLISH = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TASKS = {
    "French": ("un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"),
    "German": ("eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"),
}
BUDGET = 0.15
RATE = 3e-3
N_STEPS, BATCH = 80, 10


@dataclass(frozen=True)
class Kept:
    """What became of the first language.

    Attributes:
        without: Share of its words that each model knew at the end without sleep, shape (seed).
        with_sleep: The same with sleep.
        second: Share of the second language's words with sleep, shape (seed).
        added: Passes of replay and nights over those of the words themselves, mean over seeds.
    """

    without: tuple[float, ...]
    with_sleep: tuple[float, ...]
    second: tuple[float, ...]
    added: float

    def describe(self) -> str:
        """What happened, in a sentence or two."""
        without, slept, second = (sum(each) / len(each) for each in (self.without, self.with_sleep, self.second))
        return (
            f"A small language model learned the numbers from one to ten in French, then in German. Of the French ones "
            f"it still knew {without:.0%} without sleep and {slept:.0%} with it (German: {second:.0%}), for "
            f"{self.added:.0%} more passes; means of {len(self.without)} models; guessing knows {1 / len(ENGLISH):.0%}."
        )


class WordModel(nn.Module):
    """A causal transformer that says which word comes next.

    Args:
        n_words: Number of words that it knows.
        width: Width; default 32.

    >>> WordModel(9)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 9])
    """

    def __init__(self, n_words: int, *, width: int = 32) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(n_words, width), nn.Embedding(8, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.head = nn.Linear(width, n_words)

    def forward(self, input_ids: Tensor) -> Tensor:
        n_tokens = input_ids.shape[1]
        hidden = self.words(input_ids) + self.places(torch.arange(n_tokens, device=input_ids.device))
        mask = nn.Transformer.generate_square_subsequent_mask(n_tokens, device=input_ids.device)
        for block in self.blocks:
            hidden = block(hidden, src_mask=mask, is_causal=True)
        return self.head(hidden[:, -1])


def demonstrate_words(*, seeds: Sequence[int] = (0, 1, 2)) -> Kept:
    """Let models learn one language after another, without sleep and with it.

    Args:
        seeds: Seeds of the models and of the order of the words; default 0, 1, 2.
    """
    without, slept, second, added = [], [], [], []
    for seed in seeds:
        shares, _ = _learn(seed, sleeps=False)
        without.append(shares["French"])
        shares, sleep = _learn(seed, sleeps=True)
        slept.append(shares["French"])
        second.append(shares["German"])
        budget = sleep.budget
        assert budget is not None
        added.append((budget.replayed + budget.slept) / (len(TASKS) * N_STEPS * BATCH))
    return Kept(tuple(without), tuple(slept), tuple(second), sum(added) / len(added))


def _learn(seed: int, *, sleeps: bool) -> tuple[dict[str, float], Sleep]:
    """Share of the words of each language that are known at the end, and what slept."""
    items = make_items()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = WordModel(1 + max(int(batch["labels"].max()) for batch in items.values()))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    memory = TokenMemory("20 kB", generator=generator)
    objective = Objective.classification(input="input_ids", label="labels")
    sleep = Sleep(model, memory, optimiser, objective=objective, budget=BUDGET, generator=generator)
    for task, batch in items.items():
        for _ in range(N_STEPS):
            rows = torch.randperm(len(ENGLISH), generator=generator)[:BATCH]
            drawn = {name: value[rows] for name, value in batch.items()}
            if sleeps:
                loss = sleep.wake(drawn, task=task)
            else:
                loss = objective.compute_losses(objective.run(model, drawn), drawn).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if sleeps:
            sleep.night()
    model.eval()
    with torch.no_grad():
        shares = {
            task: float((model(batch["input_ids"]).argmax(dim=1) == batch["labels"]).float().mean())
            for task, batch in items.items()
        }
    return shares, sleep


def make_items() -> dict[str, dict[str, Tensor]]:
    """Each language's phrases, such as "French one is", and the word that comes next, as numbers.

    >>> {name: tuple(value.shape) for name, value in make_items()["French"].items()}
    {'input_ids': (10, 3), 'attention_mask': (10, 3), 'labels': (10,)}
    """
    words = dict.fromkeys(("is", *TASKS, *ENGLISH, *TASKS["French"], *TASKS["German"]))
    number = {word: place for place, word in enumerate(words)}
    items = {}
    for task, answers in TASKS.items():
        ids = torch.tensor([[number[task], number[word], number["is"]] for word in ENGLISH])
        labels = torch.tensor([number[answer] for answer in answers])
        items[task] = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return items
