"""The networks of the benchmark: any folder of Transformers, or small ones made here, and what goes in and out.

A stream of classes is answered through one head that all tasks share (BERT), or through the words of a causal language
model; questions by two heads; images by a LLaMA over their patches. Lower layers that are frozen can be asked once for
each text and remembered: a matter of the benchmark's own speed, since their work is counted as if they were not.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from sharpwave.consolidation.batches import Batch, Objective
from sharpwave.errors import MissingExtraError, SharpwaveError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PATCH = 4
TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}


class Meter:
    """Counts what goes through a network: operations, tokens, and seconds that were saved by remembering.

    An operation is a multiplication with a weight and an addition, forward, and as many again for the gradient of what
    came in and for that of the weight, where either is asked for. Attention's own products are left out.

    Attributes:
        operations: Operations so far.
        tokens: Tokens with a gradient, and a third of those without, of whole passes.
        saved_seconds: Processor seconds that frozen layers would have taken again.
    """

    def __init__(self) -> None:
        self.operations = self.tokens = self.saved_seconds = 0.0
        self.is_on = True
        self._known: set[int] = set()

    def watch(self, model: nn.Module) -> None:
        """Count in every layer of a network that is not watched yet."""
        frozen = {id(part) for each in model.modules() if isinstance(each, FrozenBelow) for part in each.modules()}
        self._known |= frozen  # they count themselves
        for module in model.modules():
            weight = getattr(module, "weight", None)
            if id(module) in self._known or not isinstance(weight, Tensor) or weight.ndim != 2:
                continue
            if isinstance(module, nn.Embedding) or hasattr(module, "base_layer"):
                continue
            self._known.add(id(module))
            module.register_forward_hook(self._count)

    def watch_passes(self, model: nn.Module) -> None:
        """Count the tokens of whole passes of a network."""
        model.register_forward_pre_hook(self._count_tokens, with_kwargs=True)

    def _count(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        weight = module.weight
        if not self.is_on or not inputs or not isinstance(inputs[0], Tensor) or not isinstance(weight, Tensor):
            return
        given = inputs[0]
        n_rows = given.numel() / max(given.shape[-1], 1)
        graded = torch.is_grad_enabled() and isinstance(output, Tensor) and output.requires_grad
        times = 1 + (given.requires_grad + weight.requires_grad if graded else 0)
        self.operations += n_rows * weight.numel() * times

    def _count_tokens(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        mask, first = named.get("attention_mask"), next(iter(inputs), named.get("input_ids", named.get("x")))
        if self.is_on and isinstance(first, Tensor):
            n_tokens = float(mask.sum()) if isinstance(mask, Tensor) else float(len(first))
            self.tokens += n_tokens * (1 if torch.is_grad_enabled() else 1 / 3)

    @contextmanager
    def off(self) -> Iterator[None]:
        """While this lasts nothing is counted: for what judges a learner."""
        before, self.is_on = self.is_on, False
        try:
            yield
        finally:
            self.is_on = before


class FrozenBelow(nn.Module):
    """Embeddings and lower layers of a BERT that nothing trains, which remember what they made of each text.

    Args:
        encoder: A BERT; its embeddings are replaced by this, and the lower layers taken out of it.
        n_layers: Number of layers that are frozen.
        meter: Counts their work as if they did it each time.
    """

    def __init__(self, encoder: nn.Module, n_layers: int, meter: Meter) -> None:
        super().__init__()
        layers: Any = encoder.get_submodule("encoder").layer
        self.embeddings = encoder.get_submodule("embeddings")
        self.lower = layers[:n_layers]
        self.requires_grad_(False).eval()
        self.meter, self.made = meter, dict[bytes, Tensor]()
        self.n_weights = sum(p.numel() for p in self.lower.parameters() if p.ndim == 2)
        self.seconds, self.n_tokens = 0.0, 0
        encoder.get_submodule("encoder").layer = layers[n_layers:]
        encoder.embeddings = self

    def train(self, mode: bool = True) -> FrozenBelow:
        """Never: nothing here is trained."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, input_ids: Tensor, **named: Any) -> Tensor:
        rows = []
        for ids in input_ids:
            n_tokens = int((ids != 0).nonzero().max()) + 1 if bool((ids != 0).any()) else 1
            rows.append(self._make(ids[:n_tokens]))
        if self.meter.is_on:
            n_tokens = sum(map(len, rows))
            self.meter.operations += n_tokens * self.n_weights
            self.meter.saved_seconds += n_tokens * self.seconds / max(self.n_tokens, 1)
        made = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return nn.functional.pad(made, (0, 0, 0, input_ids.shape[1] - made.shape[1])).float()

    def _make(self, ids: Int[Tensor, " token"]) -> Tensor:
        if _get_current_dispatch_mode() is not None:  # operations are being counted: they are done
            return self._run(ids)
        key = ids.cpu().numpy().tobytes()
        if key not in self.made:
            begun = time.process_time()
            self.made[key] = self._run(ids)
            took = time.process_time() - begun
            self.seconds, self.n_tokens = self.seconds + took, self.n_tokens + len(ids)
            if self.meter.is_on:
                self.meter.saved_seconds -= took
        return self.made[key]

    def _run(self, ids: Int[Tensor, " token"]) -> Tensor:
        hidden = self.embeddings(input_ids=ids[None])
        for layer in self.lower:
            output = layer(hidden)
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden[0].to(torch.bfloat16)


class MeanPoolForSequenceClassification(nn.Module):
    """An encoder, the mean over its tokens, and a linear head.

    Args:
        encoder: A model of Transformers whose output has `last_hidden_state`.
        n_classes: Number of classes of the head.
    """

    def __init__(self, encoder: nn.Module, n_classes: int) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config
        self.head = nn.Linear(encoder.config.hidden_size, n_classes)  # type: ignore[union-attr, arg-type]
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The mean over the tokens of each text."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask[..., None].to(hidden.dtype)
        return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> SimpleNamespace:
        return SimpleNamespace(logits=self.head(self.embed(input_ids, attention_mask)))


class PatchReader(nn.Module):
    """A LLaMA over the patches of an image, the mean over them, and a linear head.

    Args:
        shape: Shape of an image: channels, height, width.
        n_classes: Number of classes.
        size: Changes to `SMALL`.
    """

    def __init__(self, shape: tuple[int, ...], n_classes: int, **size: int) -> None:
        from transformers import LlamaConfig, LlamaModel

        super().__init__()
        channels, height, _ = shape
        n_patches = (height // PATCH) ** 2
        config = LlamaConfig(vocab_size=1, max_position_embeddings=n_patches + 1, **(SMALL | size))
        self.embed = nn.Linear(channels * PATCH**2, config.hidden_size)
        self.body = LlamaModel(config)
        self.head = nn.Linear(config.hidden_size, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        patches = nn.functional.unfold(x.float(), PATCH, stride=PATCH).transpose(1, 2)
        hidden = self.body(inputs_embeds=self.embed(patches), use_cache=False).last_hidden_state
        return self.head(hidden.mean(dim=1))


@dataclass
class Network:
    """A network, what it is trained to, and how its work is counted.

    Attributes:
        model: The network.
        kind: How it answers: "classes", "words", "questions" or "images".
        objective: What it is trained to.
        meter: Counts its work.
        words: Token of each class, where it answers in words.
        heads: Names of the modules that begin from nothing, whose rate is that of heads.
    """

    model: nn.Module
    kind: str
    objective: Objective
    meter: Meter = field(default_factory=Meter)
    words: tuple[int, ...] = ()
    heads: tuple[str, ...] = ()

    def list_layers(self) -> list[str]:
        """Names of the trained linear layers that are no head: what adapters are put on."""
        names = []
        for name, module in self.model.named_modules():
            weight = getattr(module, "weight", None)
            is_layer = type(module).__name__ in ("Linear", "Conv1D")
            if (
                is_layer
                and isinstance(weight, Tensor)
                and weight.requires_grad
                and name.split(".")[0] not in (*self.heads, "lm_head", "embed")
            ):
                names.append(name)
        return names


def load_tokenizer(folder: Path | None, texts: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """The tokenizer of a folder; where there is none, byte-level pairs of some texts.

    Args:
        folder: Folder of a model; None for a tokenizer of these texts.
        texts: Texts.

    Raises:
        SharpwaveError: If the folder holds no tokenizer.
    """
    transformers = import_transformers()
    if folder is None:
        from sharpwave.recipes.small_gpt2 import END, train_tokenizer

        made = train_tokenizer(texts, size=1024)
        return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, pad_token=END)
    return _load(transformers.AutoTokenizer, folder)


def import_transformers() -> Any:
    """Transformers.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", extra="language") from error
    return transformers


def _load(maker: Any, folder: Path, **options: Any) -> Any:
    ggufs = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
    options |= {"gguf_file": ggufs[0].name} if ggufs and not (folder / "config.json").is_file() else {}
    try:
        return maker.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **options)
    except ImportError as error:
        raise SharpwaveError("the package gguf, which reads *.gguf", got="none", fix="pip install gguf") from error
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise SharpwaveError(
            "a folder of a model of Transformers: config.json, *.safetensors and tokenizer.json, or one *.gguf",
            got=f"{folder.name}: {str(error).splitlines()[0][:200]}",
            fix="name the folder with --model",
        ) from error


def make_reader(
    folder: Path | None, *, kind: str, classes: Sequence[str], tokenizer: Any, seed: int, freeze: float = 0.0
) -> Network:
    """A network that reads text.

    Args:
        folder: Folder of a model; None for a tiny one that knows nothing: a BERT, or for words a GPT-2.
        kind: "classes" through a head, "words" through a causal model, or "questions".
        classes: Names of all classes.
        tokenizer: From `load_tokenizer`.
        seed: Seed of what begins from nothing.
        freeze: Share of the layers of a BERT, the lowest, that are not trained.
    """
    transformers, meter = import_transformers(), Meter()
    auto = {"classes": "AutoModel", "words": "AutoModelForCausalLM", "questions": "AutoModelForQuestionAnswering"}[kind]
    size = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, "pad_token_id": 0}
    heads: tuple[str, ...] = {"classes": ("head",), "words": (), "questions": ("qa_outputs",)}[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if folder is not None:
            model = _load(getattr(transformers, auto), folder, dtype=torch.float32)
        elif kind == "words":
            shape = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512}
            model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=len(tokenizer), **shape))
        else:
            config = transformers.BertConfig(**TINY, **size)
            model = getattr(transformers, "BertModel" if kind == "classes" else "BertForQuestionAnswering")(config)
        encoder = model if kind == "classes" else model.get_submodule("bert") if hasattr(model, "bert") else None
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop"):
            if getattr(model.config, name, None):
                setattr(model.config, name, 0.0)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        if freeze and encoder is not None and hasattr(encoder, "encoder") and hasattr(encoder.encoder, "layer"):
            FrozenBelow(encoder, int(freeze * len(encoder.encoder.layer)), meter)
        if kind == "classes":
            model = MeanPoolForSequenceClassification(model, len(classes))
    words = find_words(tokenizer, classes) if kind == "words" else ()
    options: dict[str, Any] = {"words": list(words)} if words else {}
    return Network(model, kind, Objective.for_model(model, **options), meter, words, heads)


def find_words(tokenizer: Any, classes: Sequence[str]) -> tuple[int, ...]:
    """One token for each class: the first of its name that no class before it has.

    Args:
        tokenizer: Tokenizer of the model.
        classes: Names of the classes.

    Raises:
        SharpwaveError: If two names have no token that tells them apart.
    """
    found: list[int] = []
    for name in classes:
        tokens = [*tokenizer(f" {name}", add_special_tokens=False)["input_ids"]]
        tokens += tokenizer(f" {name.capitalize()}", add_special_tokens=False)["input_ids"]
        new = [token for token in tokens if token not in found]
        if not new:
            raise SharpwaveError(
                "a token of its own for each class", got=f"none for {name!r}", fix="give the classes other names"
            )
        found.append(new[0])
    return tuple(found)


def describe_model(folder: Path | None, model: nn.Module) -> dict[str, Any]:
    """What a file of results says of a model: its kind and size, and a sum of its weights, not where it lies."""
    sums = {}
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.gguf")]) if folder is not None else ():
        with path.open("rb") as file:
            sums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    kind = type(model).__name__
    config = getattr(model, "config", None)
    return {"class": kind, "type": getattr(config, "model_type", kind)} | {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained": trained,
        "weights": sums or "made here, from nothing",
    }


def cut(batch: Batch, rows: Tensor | slice) -> Batch:
    """Some items of a batch, without the columns that none of them needs; bytes become floats in 0…1."""
    chosen = {name: value[rows] for name, value in batch.items()}
    if "x" in chosen:
        return chosen | {"x": chosen["x"].float() / 255}
    longest = int(chosen["attention_mask"].sum(dim=1).max())
    return {name: value[:, :longest] if value.ndim == 2 else value for name, value in chosen.items()}
