"""Dreams of a language model: texts that it writes itself, which hold it to what it said yesterday."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.gradients import compute_annealing
from sharpwave.consolidation.language.dreamt import Dreamt
from sharpwave.consolidation.language.objective import unwrap_fully
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.modules import agree_any, agree_first, evaluating, is_sharded, list_state
from sharpwave.consolidation.night import Phase
from sharpwave.consolidation.texts import compute_top_k_divergence, take_top_k
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.recipe import Recipe

TEACHERS = ("yesterday", "evening", "base")
CHUNK = 16
"""Dreams that are written together."""


@dataclass(frozen=True, eq=False)
class Dreams:
    """How a causal language model dreams: at the start of a night it goes on from prompts, and is then held to it.

    Dreams are written once a night, those that are empty, short, repeat themselves or another are left out, and each
    token is taught as its teacher would have said it: by the most likely tokens, not by the one that was drawn. What
    writing them takes counts in `SleepReport.cost`, and within a budget.

    Attributes:
        prompts: How dreams begin, such as the words that begin a task: texts, or lists of tokens.
        teacher: Who writes and teaches: "yesterday", the default, the model as it woke up; "evening", as it fell
            asleep; "base", with the adapters of PEFT switched off.
        n_items: Largest number of dreams in a night; default 64.
        max_new_tokens: Largest number of tokens that go on from a prompt; default 32.
        temperature: Temperature at which they are drawn; default 1.
        least: Smallest number of them; default 3.
        top_k: Number of the teacher's most likely tokens that are kept of each; default 8.
        tokenizer: Tokenizer of the prompts; where omitted that of the folder that the model came from.
        batch_size: Number of dreams per step; as many items as a wake step has where omitted.
        share: Share of a night's steps, where there is a buffer to replay from too; default 0.5.
        cycles: Number of NREM–REM cycles per night; default 1.
        rate: Learning rate; that of the day where omitted.
        clip: Longest step, in lengths of the weights; default 0.05. None for any.

    Example:
        >>> Dreams(prompts=[[1, 5], [1, 6]], n_items=8).teacher
        'yesterday'
    """

    prompts: Sequence[str | Sequence[int]]
    teacher: str = "yesterday"
    n_items: int = 64
    max_new_tokens: int = 32
    temperature: float = 1.0
    least: int = 3
    top_k: int = 8
    tokenizer: Any = None
    batch_size: int | None = None
    share: float = 0.5
    cycles: int = 1
    rate: float | None = None
    clip: float | None = 0.05

    needs_buffer = False

    def __post_init__(self) -> None:
        counts = (self.n_items, self.max_new_tokens, self.least, self.top_k, self.cycles)
        if isinstance(self.prompts, str) or not len(self.prompts) or any(not len(each) for each in self.prompts):
            raise SharpwaveError(
                "a list of prompts that are not empty", got=repr(self.prompts), fix='write prompts=["<contracts>"]'
            )
        if self.teacher not in TEACHERS:
            raise SharpwaveError(
                f"a teacher among {', '.join(TEACHERS)}", got=repr(self.teacher), fix="choose one of them"
            )
        if min(counts) < 1 or not self.temperature > 0 or not 0 <= self.share <= 1:
            raise SharpwaveError(
                "at least one dream, token and cycle, a temperature above 0, and a share from 0 to 1",
                got=f"n_items={self.n_items}, max_new_tokens={self.max_new_tokens}, least={self.least}, "
                f"top_k={self.top_k}, cycles={self.cycles}, temperature={self.temperature}, share={self.share}",
                fix="leave them out",
            )

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase:
        """Dreams in the nights of one network.

        Raises:
            SharpwaveError: If it cannot go on from a prompt.
        """
        return DreamPhase(learner, self, anneal=getattr(recipe.nrem, "anneal", True))

    def encode(self, model: nn.Module) -> list[list[int]]:
        """The prompts as tokens.

        Raises:
            SharpwaveError: If there are texts and no tokenizer.
        """
        if not any(isinstance(prompt, str) for prompt in self.prompts):
            return [[int(token) for token in prompt] for prompt in self.prompts]
        tokenizer = self.tokenizer or getattr(model, "tokenizer", None) or _load_tokenizer(model)
        if tokenizer is None:
            raise SharpwaveError(
                "a tokenizer for prompts that are texts",
                got="a model without one",
                fix="give Dreams(prompts=..., tokenizer=tokenizer), or prompts as lists of tokens",
            )
        return [
            list(tokenizer(prompt)["input_ids"]) if isinstance(prompt, str) else [int(token) for token in prompt]
            for prompt in self.prompts
        ]


def _load_tokenizer(model: nn.Module) -> Any:
    """The tokenizer of the folder that a model came from, where the library that made the model finds it there."""
    library, folder = sys.modules.get("transformers"), getattr(getattr(model, "config", None), "_name_or_path", "")
    if library is None or not folder:
        return None
    try:
        return library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError):
        return None


class DreamPhase(Phase):
    """Dreams in the nights of one network.

    Args:
        learner: Network that sleeps.
        dreams: Options of dreams.
        anneal: Whether the learning rate falls over the night.
    """

    def __init__(self, learner: Learner, dreams: Dreams, *, anneal: bool) -> None:
        self.learner, self.dreams, self.anneal = learner, dreams, anneal
        self.model = cast(Any, unwrap_fully(learner.module))
        self.prompts = dreams.encode(self.model)
        self.dreamt = Dreamt()
        self.divergence: list[float] = []
        self._yesterday: dict[str, Tensor] = {}
        self._is_morning = True
        can = getattr(self.model, "can_generate", lambda: hasattr(self.model, "generate"))
        if not can() or getattr(self.model.config, "is_encoder_decoder", False):
            raise SharpwaveError(
                "a causal language model, which goes on from a prompt, for dreams",
                got=f"{type(self.model).__name__}, which cannot",
                fix="let it sleep with a TokenMemory and without Dreams",
            )
        if dreams.teacher == "base" and not hasattr(learner.module, "disable_adapter"):
            raise SharpwaveError(
                "a model with adapters of PEFT, for teacher='base'",
                got=type(learner.module).__name__,
                fix="choose teacher='yesterday'",
            )

    def watch(self) -> AbstractContextManager:
        """At the first pass of a day, keep the trained weights as they woke up."""
        if self._is_morning and self.dreams.teacher == "yesterday":
            self._yesterday = {name: value.detach().clone() for name, value in _list_trained(self.learner).items()}
        self._is_morning = False
        return nullcontext()

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Let the teacher write the dreams of this night."""
        began = time.perf_counter()
        with self._teaching(weights):
            self.dreamt = self._write()
        self.dreamt.seconds = time.perf_counter() - began
        if agree_any(not len(self.dreamt), self.learner.device):  # several processes step together or not at all
            self.dreamt.forget()
        self.divergence = [self._measure()]

    def step(self, plan: Sequence[int], position: int) -> float:
        """Learn from one batch of dreams."""
        learner, dreams = self.learner, self.dreams
        if not len(self.dreamt):
            return 0.0
        n_items = min(dreams.batch_size or learner.wake_items, len(self.dreamt))
        factor = compute_annealing(position, len(plan)) if self.anneal else 1.0

        def compute_loss() -> Tensor:
            rows = torch.randperm(len(self.dreamt), generator=learner.generator)[:n_items].tolist()
            batch = self._make_batch(rows)
            learner.n_passed += len(rows)
            return compute_top_k_divergence(learner.forward(batch), batch["logits"])

        with learner.learning_rate(dreams.rate, factor=factor):
            return learner.descend(compute_loss, clip=dreams.clip)

    def finish(self) -> None:
        """Measure how far the network is from its teacher now."""
        self.divergence = [*self.divergence[:1], self._measure()]

    def wake_up(self) -> None:
        """A night is over, kept or not: the next pass of wake begins a day."""
        self._is_morning = True

    def forget(self) -> str:
        """Keep no text that was dreamt, which may hold what was learned; what was removed, in words."""
        self.dreamt = Dreamt()
        return "texts that were dreamt"

    def describe(self) -> str:
        """What was dreamt, and how far from the teacher the network was on it before and after."""
        said = " → ".join(f"{value:.3g}" for value in self.divergence)
        return f"{self.dreamt.describe()}; {said} nats from {self.dreams.teacher} on them"

    def state_dict(self) -> dict[str, Any]:
        """What the next night, or one that is interrupted, needs."""
        dreamt = self.dreamt
        return {
            "yesterday": dict(self._yesterday),
            "is_morning": self._is_morning,
            "texts": [list(text) for text in dreamt.texts],
            "n_prompt": list(dreamt.n_prompt),
            "values": list(dreamt.values),
            "ids": list(dreamt.ids),
            "left_out": dict(dreamt.left_out),
            "counts": [dreamt.seconds, dreamt.n_tokens],
            "divergence": list(self.divergence),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, weights: Mapping[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        if not state:
            return
        self._yesterday, self._is_morning = dict(state["yesterday"]), bool(state["is_morning"])
        texts, (seconds, n_tokens) = [list(text) for text in state["texts"]], state["counts"]
        out = Counter(state["left_out"])
        self.dreamt = Dreamt(
            texts, list(state["n_prompt"]), list(state["values"]), list(state["ids"]), out, seconds, n_tokens
        )
        self.divergence = list(state["divergence"])

    def _make_batch(self, rows: Sequence[int]) -> Batch:
        return self.dreamt.batch(rows, pad=_find_pad(self.model), device=self.learner.device)

    @torch.no_grad()
    def _measure(self) -> float:
        """Nats per token between the network and its teacher, on some dreams."""
        rows = list(range(min(len(self.dreamt), CHUNK)))
        if not rows:
            return float("nan")
        batch = self._make_batch(rows)
        with evaluating(self.learner.model):
            return float(compute_top_k_divergence(self.learner.forward(batch), batch["logits"]))

    @contextmanager
    def _teaching(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """The network with the weights of its teacher; bit for bit as it was afterwards."""
        if self.dreams.teacher == "base":
            with cast(Any, self.learner.module).disable_adapter():
                yield
            return
        trained = _list_trained(self.learner) if self.dreams.teacher == "yesterday" else {}
        mine = {name: value for name, value in trained.items() if name in self._yesterday}
        try:
            with torch.no_grad():
                for name, value in mine.items():
                    value.copy_(self._yesterday[name])
            yield
        finally:
            with torch.no_grad():
                for name, value in mine.items():
                    value.copy_(weights[name])

    @torch.no_grad()
    def _write(self) -> Dreamt:
        learner, dreams, dreamt = self.learner, self.dreams, Dreamt()
        wanted = dreams.n_items if learner.n_dreams is None else min(dreams.n_items, learner.n_dreams)
        wanted = agree_first(wanted, learner.device)
        seed = int(torch.randint(2**62, (), generator=learner.generator))
        devices = [learner.device] if learner.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), evaluating(learner.model), learner.precision():
            torch.manual_seed(seed)
            for first in range(0, wanted, CHUNK):
                count = min(CHUNK, wanted - first)
                prompts = [self.prompts[(first + each) % len(self.prompts)] for each in range(count)]
                self._go_on(prompts, dreamt)
        typical = learner.day.find_tokens() or sum(map(len, dreamt.texts)) / max(len(dreamt), 1)
        learner.n_passes += learner.forward_share * dreamt.n_tokens / max(typical, 1)
        return dreamt

    def _go_on(self, prompts: list[list[int]], dreamt: Dreamt) -> None:
        """Let the network go on from some prompts, padded on the left, and keep what is good."""
        dreams, pad, device = self.dreams, _find_pad(self.model), self.learner.device
        width = max(map(len, prompts))
        tokens = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        written = self.model.generate(
            input_ids=tokens,
            attention_mask=mask,
            do_sample=True,
            temperature=dreams.temperature,
            top_k=0,
            max_new_tokens=dreams.max_new_tokens,
            pad_token_id=pad,
            use_cache=True,
            return_dict_in_generate=True,
            output_logits=True,
            synced_gpus=any(is_sharded(parameter) for parameter in self.model.parameters()),
        )
        taken = [take_top_k(logits, dreams.top_k) for logits in written.logits]
        values, ids = (torch.stack([each[part].cpu() for each in taken], dim=1) for part in (0, 1))
        ends = _list_ends(self.model)
        for row, (prompt, new) in enumerate(zip(prompts, written.sequences[:, width:].tolist(), strict=True)):
            stop = next((place + 1 for place, token in enumerate(new) if token in ends), len(new))
            said = [token for token in new[:stop] if token not in ends]
            dreamt.n_tokens += len(prompt) + stop
            fault = dreamt.find_fault([*prompt, *new[:stop]], said, dreams.least)
            if fault:
                dreamt.left_out[fault] += 1
                continue
            dreamt.texts.append([*prompt, *new[:stop]])
            dreamt.n_prompt.append(len(prompt))
            dreamt.values.append(values[row, :stop].clone())
            dreamt.ids.append(ids[row, :stop].clone())


def _list_trained(learner: Learner) -> dict[str, Tensor]:
    """Trained parameters and buffers, by name."""
    return list_state(learner.module)


def _list_ends(model: Any) -> set[int]:
    """Tokens that end a text."""
    found = getattr(model.generation_config, "eos_token_id", None)
    found = getattr(model.config, "eos_token_id", None) if found is None else found
    return set() if found is None else set(found if isinstance(found, list | tuple) else [found])


def _find_pad(model: Any) -> int:
    pad = getattr(model.config, "pad_token_id", None)
    return int(pad) if isinstance(pad, int) and pad >= 0 else min(_list_ends(model), default=0)
