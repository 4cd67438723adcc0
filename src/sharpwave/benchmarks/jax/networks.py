"""The same networks in PyTorch and JAX, by copied weights: an MLP, a block with BatchNorm, a causal transformer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.integrations.jax import Network, Split, Variables

VOCABULARY, TOKENS, WIDTH, HEADS = 11, 8, 16, 2
MOMENTUM = 0.9
"""Share of the old running statistics that a pass keeps: 1 less PyTorch's `momentum`."""


@dataclass(frozen=True)
class Pair:
    """A network twice, with the same weights.

    Attributes:
        module: In PyTorch.
        network: In JAX.
        params: Its parameters, or `Variables`.
        draw: Function of a generator, a number of items and a task that gives a batch of tensors.
    """

    module: nn.Module
    network: Network
    params: Any
    draw: Callable[[torch.Generator, int, int], dict[str, Tensor]]


class Block(nn.Module):
    """Two convolutions with BatchNorm around a shortcut, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(6, momentum=1 - MOMENTUM), nn.BatchNorm2d(6, momentum=1 - MOMENTUM)
        self.conv = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        hidden = torch.relu(self.norm1(self.stem(x)))
        hidden = torch.relu(hidden + self.norm2(self.conv(hidden)))
        return self.head(hidden.mean(dim=(2, 3)))


class Transformer(nn.Module):
    """Two causal layers of attention that predict the next token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(0.1 * torch.randn(TOKENS, WIDTH))
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(WIDTH),
                    "qkv": nn.Linear(WIDTH, 3 * WIDTH),
                    "out": nn.Linear(WIDTH, WIDTH),
                    "norm2": nn.LayerNorm(WIDTH),
                    "up": nn.Linear(WIDTH, 2 * WIDTH),
                    "down": nn.Linear(2 * WIDTH, WIDTH),
                }
            )
            for _ in range(2)
        )
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the next token at each place."""
        hidden = self.embed(x) + self.position
        layers: Any = self.layers
        for layer in layers:
            q, k, v = layer["qkv"](layer["norm1"](hidden)).chunk(3, dim=-1)
            q, k, v = (each.unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in (q, k, v))
            scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
            later = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
            mixed = scores.masked_fill(later, -torch.inf).softmax(dim=-1) @ v
            hidden = hidden + layer["out"](mixed.transpose(1, 2).flatten(2))
            hidden = hidden + layer["down"](torch.relu(layer["up"](layer["norm2"](hidden))))
        return self.head(hidden)


def copy_weights(module: nn.Module) -> dict[str, Any]:
    """The parameters of a module as a nested dictionary of arrays, in PyTorch's layout (units first)."""
    return _nest({name: value.detach().numpy() for name, value in module.named_parameters()})


def list_weights(pair: Pair, params: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each parameter in PyTorch and in JAX.

    Args:
        pair: The pair.
        params: Parameters in JAX.
    """
    trained = params.params if isinstance(params, Variables) else params
    mine = {"/".join(str(key.key) for key in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(trained)}
    return [(v.detach().numpy(), np.asarray(mine[n.replace(".", "/")])) for n, v in pair.module.named_parameters()]


def _nest(entries: dict[str, np.ndarray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in entries.items():
        *folders, last = name.split(".")
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = jnp.array(value)
    return tree


def apply_linear(layer: Any, x: Any) -> Any:
    """A linear layer whose kernel has its units first."""
    return x @ layer["weight"].T + layer["bias"]


def _normalise_layer(layer: Any, x: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * layer["weight"] + layer["bias"]


def make_mlp(dtype: torch.dtype, *, seed: int = 0, sizes: tuple[int, ...] = (6, 16, 16, 4)) -> Pair:
    """Three linear layers; with its top known."""
    torch.manual_seed(seed)
    parts = [nn.Linear(first, second) for first, second in pairwise(sizes)]
    module = nn.Sequential(parts[0], nn.ReLU(), parts[1], nn.ReLU(), parts[2]).to(dtype)
    means = torch.randn(4, sizes[0], dtype=dtype)

    def lower(params: Any, batch: Any) -> Any:
        hidden = jax.nn.relu(apply_linear(params["0"], batch["x"]))
        return jax.nn.relu(apply_linear(params["2"], hidden))

    def upper(params: Any, hidden: Any) -> Any:
        return apply_linear(params["4"], hidden)

    def draw(generator: torch.Generator, n_items: int, task: int) -> dict[str, Tensor]:
        y = 2 * task + torch.randint(2, (n_items,), generator=generator)
        return {"x": means[y] + torch.randn(n_items, sizes[0], generator=generator, dtype=dtype), "y": y}

    split = Split(lower, upper, ("4",))
    network = Network(lambda params, batch: upper(params, lower(params, batch)), layout="equinox", split=split)
    return Pair(module, network, copy_weights(module), draw)


def make_block(dtype: torch.dtype, *, seed: int = 0) -> Pair:
    """A block of a ResNet with BatchNorm, whose running variance is unbiased, as in PyTorch."""
    torch.manual_seed(seed)
    module = Block().to(dtype)
    means = torch.randn(4, 1, 6, 6, dtype=dtype)

    def convolve(weight: Any, x: Any) -> Any:
        return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))

    def normalise(layer: Any, stats: Any, x: Any, train: bool) -> tuple[Any, Any]:
        mean, variance = stats["mean"], stats["var"]
        if train:
            n_values = x.size // x.shape[1]
            mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
            kept = {"mean": mean, "var": variance * n_values / (n_values - 1)}
            stats = jax.tree.map(lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, stats, kept)
        scaled = (x - mean[:, None, None]) / jnp.sqrt(variance[:, None, None] + 1e-5)
        return scaled * layer["weight"][:, None, None] + layer["bias"][:, None, None], stats

    def apply(params: Any, batch: Any, stats: Any, train: bool) -> tuple[Any, Any]:
        hidden, first = normalise(
            params["norm1"], stats["norm1"], convolve(params["stem"]["weight"], batch["x"]), train
        )
        hidden = jax.nn.relu(hidden)
        more, second = normalise(params["norm2"], stats["norm2"], convolve(params["conv"]["weight"], hidden), train)
        pooled = jax.nn.relu(hidden + more).mean(axis=(2, 3))
        return apply_linear(params["head"], pooled), {"norm1": first, "norm2": second}

    def draw(generator: torch.Generator, n_items: int, task: int) -> dict[str, Tensor]:
        y = 2 * task + torch.randint(2, (n_items,), generator=generator)
        return {"x": means[y] + torch.randn(n_items, 1, 6, 6, generator=generator, dtype=dtype), "y": y}

    kept = {name: value.numpy() for name, value in module.state_dict().items()}
    stats = {
        name: {"mean": jnp.array(kept[f"{name}.running_mean"]), "var": jnp.array(kept[f"{name}.running_var"])}
        for name in ("norm1", "norm2")
    }
    network = Network(apply, layout="equinox", momentum=MOMENTUM)
    return Pair(module, network, Variables(copy_weights(module), stats), draw)


def make_transformer(dtype: torch.dtype, *, seed: int = 0) -> Pair:
    """Two causal layers, each token labelled with the next."""
    torch.manual_seed(seed)
    module = Transformer().to(dtype)
    rules = torch.stack([torch.randperm(VOCABULARY) for _ in range(2)])

    def apply(params: Any, batch: Any) -> Any:
        hidden = params["embed"]["weight"][batch["x"]] + params["position"]
        for name in ("0", "1"):
            layer = params["layers"][name]
            qkv = apply_linear(layer["qkv"], _normalise_layer(layer["norm1"], hidden))
            shape = (*hidden.shape[:2], HEADS, -1)
            q, k, v = (each.reshape(shape).swapaxes(1, 2) for each in jnp.split(qkv, 3, axis=-1))
            scores = q @ k.swapaxes(-1, -2) / (WIDTH // HEADS) ** 0.5
            later = jnp.triu(jnp.ones((TOKENS, TOKENS), bool), 1)
            mixed = jax.nn.softmax(jnp.where(later, -jnp.inf, scores), axis=-1) @ v
            hidden = hidden + apply_linear(layer["out"], mixed.swapaxes(1, 2).reshape(hidden.shape))
            wide = jax.nn.relu(apply_linear(layer["up"], _normalise_layer(layer["norm2"], hidden)))
            hidden = hidden + apply_linear(layer["down"], wide)
        return apply_linear(params["head"], hidden)

    def draw(generator: torch.Generator, n_items: int, task: int) -> dict[str, Tensor]:
        tokens = [torch.randint(VOCABULARY, (n_items,), generator=generator)]
        for _ in range(TOKENS):
            tokens.append(rules[task][tokens[-1]])
        whole = torch.stack(tokens, dim=1)
        return {"x": whole[:, :-1], "y": whole[:, 1:]}

    return Pair(module, Network(apply, layout="equinox"), copy_weights(module), draw)


PAIRS: dict[str, Callable[..., Pair]] = {
    "mlp": make_mlp,
    "resnet-block": make_block,
    "transformer": make_transformer,
}
"""What makes each pair, from a type of values."""
