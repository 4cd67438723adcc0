"""How networks are damaged: noise on weights, silent units, noise on inputs, wrong labels; all proved to have happened.

A layer is any module with a matrix of weights of its own, but for norms and embeddings. Weights that two layers share
are damaged once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from sharpwave.errors import SharpwaveError

DOSES: dict[str, tuple[float, ...]] = {
    "weight_noise": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    "lesion": (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
    "input_noise": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    "label_noise": (0.0, 0.2, 0.4, 0.6, 0.8),
}
"""Weight and input noise in standard deviations; shares of units and of labels."""

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
ACTIVATIONS = (nn.Sigmoid, nn.Softplus, nn.Hardsigmoid, nn.LogSigmoid, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.ELU)
RECURRENT = (nn.RNNBase, nn.RNNCellBase)
PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Bilinear)


def list_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers by name, in order: what is damaged. Norms and embeddings are left alone.

    Of layers that share their weights the first is listed.

    >>> list(list_layers(nn.Sequential(nn.Embedding(9, 4), nn.LSTM(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))))
    ['1', '3']
    """
    seen: set[int] = set()
    layers: dict[str, nn.Module] = {}
    for name, layer in model.named_modules():
        mine = {id(weight) for weight in _list_weights(layer).values()} - seen
        if mine and ".parametrizations" not in f".{name}":
            seen |= {id(weight) for weight in _list_weights(layer).values()}
            layers[name or "model"] = layer
    return layers


def count_weights(model: nn.Module) -> dict[str, int]:
    """Number of weights of each layer; those that are shared count in the first."""
    return {name: sum(weight.numel() for weight in weights.values()) for name, weights in _own_weights(model).items()}


def _own_weights(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Weights of each layer by their names, without those of a layer before it."""
    seen: set[int] = set()
    found: dict[str, dict[str, Tensor]] = {}
    for name, layer in list_layers(model).items():
        found[name] = {key: weight for key, weight in _list_weights(layer).items() if id(weight) not in seen}
        seen |= {id(weight) for weight in found[name].values()}
    return found


def _list_weights(layer: nn.Module) -> dict[str, Tensor]:
    """Matrices of weights of a module itself; none of norms and embeddings."""
    if isinstance(layer, (*EMBEDDINGS, *NORMS)):
        return {}
    found: dict[str, Tensor] = {
        name: weight for name, weight in layer.named_parameters(recurse=False) if weight.ndim >= 2
    }
    parametrised = getattr(layer, "parametrizations", None)
    if parametrised is not None:
        found |= {
            name: part.original if hasattr(part, "original") else part.original1 for name, part in parametrised.items()
        }
    return found


def _choose(model: nn.Module, part: str | None) -> dict[str, nn.Module]:
    layers = list_layers(model)
    if not layers or (part is not None and part not in layers):
        raise SharpwaveError(
            "a network with layers that hold weights" if part is None else f"a layer among {', '.join(layers)}",
            got=f"layers {list(layers)}, part {part!r}",
            fix="see sharpwave.demonstrations.damage.list_layers",
        )
    return layers if part is None else {part: layers[part]}


@torch.no_grad()
def add_weight_noise(model: nn.Module, dose: float, *, rng: np.random.Generator, part: str | None = None) -> int:
    """Gaussian noise on the weights, in standard deviations of each layer's own weights.

    Args:
        model: Changed in place.
        dose: Standard deviation of the noise relative to that of the layer's weights.
        rng: Random generator of the noise.
        part: One layer only.

    Returns:
        Number of weights that changed.

    Raises:
        SharpwaveError: If no weight changed, though the dose is above 0, or the weights are computed from others.
    """
    n_changed = 0
    own = _own_weights(model)
    for name, layer in _choose(model, part).items():
        for key in own[name]:
            weight: Tensor = getattr(layer, key)
            noise = torch.as_tensor(rng.standard_normal(tuple(weight.shape)), dtype=weight.dtype).to(weight.device)
            spread = weight.std() if weight.numel() > 1 else weight.abs().mean()
            n_changed += _write(layer, key, weight + dose * spread * noise, name=name)
    if dose > 0 and not n_changed:
        raise SharpwaveError(
            "weights that vary, so that noise in their standard deviations changes them",
            got=f"no weight of {part or 'the network'} changed",
            fix="damage another layer, or another way: lesion",
        )
    return n_changed


def _write(layer: nn.Module, key: str, value: Tensor, *, name: str) -> int:
    """Give a weight a value, see that the layer now has it, and say how many numbers changed."""
    before = getattr(layer, key).clone()
    parametrised = key in getattr(layer, "parametrizations", {})
    if not parametrised and key != "weight_g" and not hasattr(layer, "weight_g"):
        getattr(layer, key).copy_(value)
        return int((getattr(layer, key) != before).sum())
    if parametrised:
        try:
            setattr(layer, key, value)
        except (NotImplementedError, RuntimeError, ValueError):
            value = torch.full_like(value, torch.nan)
        if torch.allclose(getattr(layer, key), value, rtol=1e-3, atol=1e-5):
            return int((getattr(layer, key) != before).sum())
    raise SharpwaveError(
        "weights that can be damaged where they are",
        got=f"weights of {name} that are computed from others (weight or spectral norm)",
        fix="test a copy without it: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')",
    )


@torch.no_grad()
def lesion_units(
    model: nn.Module, share: float, *, rng: np.random.Generator, part: str | None = None, wiring: Wiring | None = None
) -> int:
    """Silence a share of the output units of each layer but the last: their weights and biases become 0.

    Args:
        model: Changed in place.
        share: 0 to 1.
        rng: Random generator of the choice of units.
        part: One layer only (the last one too, if named).
        wiring: Which layer answers and which norms follow which layer, from `trace_wiring`; where omitted the last
            layer answers, and norms stay as they are.

    Returns:
        Number of units that were silenced.

    Raises:
        SharpwaveError: If a share above 0 silences no unit, or if a silenced one would stay active.
    """
    wiring = wiring or Wiring(next(reversed(_choose(model, None))))
    layers = _choose(model, part)
    n_silenced, n_units = 0, 0
    for name in layers if part is not None else find_hidden(model, wiring):
        n_here = count_units(layers[name])
        units = rng.permutation(n_here)[: round(share * n_here)].tolist()
        if units:
            _refuse_restless(model, name, wiring)
            silence_units(layers[name], units)
            for norm in wiring.norms.get(name, ()):
                _silence_norm(model.get_submodule(norm), units, norm)
        n_silenced, n_units = n_silenced + len(units), n_units + n_here
    if share > 0 and not n_silenced:
        raise SharpwaveError(
            "hidden units, of which the share is at least one",
            got=f"0 of {n_units} units of {part or 'the layers before the answer'} at a share of {share:g}",
            fix="choose a larger share, or another kind of damage: weight_noise",
        )
    return n_silenced


def find_hidden(model: nn.Module, wiring: Wiring) -> list[str]:
    """Layers with units that a lesion may silence: not the one that answers, nor any that shares its weights."""
    layers = list_layers(model)
    answer = _list_weights(model.get_submodule(wiring.answer) if wiring.answer != "model" else model)
    spared = {id(weight) for weight in answer.values()}
    return [
        name
        for name, layer in layers.items()
        if name != wiring.answer
        and count_units(layer)
        and not spared & {id(weight) for weight in _list_weights(layer).values()}
    ]


def count_units(layer: nn.Module) -> int:
    """Output units of a layer; 0 where it is not known which weights are a unit's."""
    if isinstance(layer, nn.RNNBase):
        return layer.hidden_size * layer.num_layers * (2 if layer.bidirectional else 1)
    if isinstance(layer, nn.RNNCellBase):
        return layer.hidden_size
    if isinstance(layer, nn.MultiheadAttention):
        return layer.embed_dim
    if isinstance(layer, PLAIN):
        return len(layer.weight)
    if isinstance(layer, nn.modules.conv._ConvTransposeNd) and layer.groups == 1:
        return layer.out_channels
    return 0


@torch.no_grad()
def silence_units(layer: nn.Module, units: Sequence[int]) -> None:
    """Weights and biases of some output units of one layer become 0, in place.

    Of a recurrent layer a unit is one of the hidden state, with its gates; of attention a channel of query, key and
    value.
    """
    chosen = list(units)
    if isinstance(layer, RECURRENT):
        for suffix, rows in _find_gates(layer, chosen):
            for name, weight in layer.named_parameters(recurse=False):
                if name.endswith(suffix) and not name.startswith("weight_hr"):
                    weight[rows] = 0
        return
    if isinstance(layer, nn.MultiheadAttention):
        rows = [unit + block * layer.embed_dim for block in range(3) for unit in chosen]
        for name, weight in layer.named_parameters(recurse=False):
            if name.startswith("in_proj"):
                weight[rows] = 0
            elif name.endswith("_proj_weight"):
                weight[chosen] = 0
            else:
                weight[..., chosen] = 0
        return
    names = [name for name in _list_weights(layer) if name in {"weight", "weight_orig", "weight_g"}]
    for name in names:
        value = getattr(layer, name).clone()
        value[(slice(None), chosen) if isinstance(layer, nn.modules.conv._ConvTransposeNd) else chosen] = 0
        _write(layer, name, value, name=type(layer).__name__)
    if isinstance(layer.bias, Tensor):
        layer.bias[chosen] = 0


def _find_gates(layer: nn.Module, units: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Ending of the names of a recurrent layer's weights, and the rows of units in them; units count through layers."""
    size: int = layer.hidden_size  # type: ignore[assignment]
    if isinstance(layer, nn.RNNCellBase):
        n_gates = len(layer.weight_hh) // size
        yield "h", [unit + gate * size for gate in range(n_gates) for unit in units]
        return
    assert isinstance(layer, nn.RNNBase)
    n_gates = len(layer.weight_hh_l0) // size  # type: ignore[arg-type]
    directions = ("", "_reverse") if layer.bidirectional else ("",)
    endings = [f"_l{depth}{way}" for depth in range(layer.num_layers) for way in directions]
    for block, ending in enumerate(endings):
        mine = [unit % size for unit in units if unit // size == block]
        yield ending, [unit + gate * size for gate in range(n_gates) for unit in mine]


@torch.no_grad()
def _silence_norm(norm: nn.Module, units: Sequence[int], name: str) -> None:
    """A norm gives 0 for these units: else it would turn a silent unit into an active one."""
    if not isinstance(norm.weight, Tensor):
        raise SharpwaveError(
            "norms with weights, so that a unit before them can be silenced",
            got=f"{name}, which has none and would keep silent units active",
            fix="leave lesions out: doses={'weight_noise': (0.0, 0.5, 1.0)}",
        )
    norm.weight[list(units)] = 0
    if isinstance(getattr(norm, "bias", None), Tensor):
        norm.bias[list(units)] = 0  # type: ignore[operator, index, union-attr]


@dataclass(frozen=True)
class Wiring:
    """How the layers of a network are joined, as one pass shows it.

    Attributes:
        answer: Layer that ran last.
        norms: Norms that follow each layer directly, or after its activation.
        restless: What follows a layer and gives more than 0 for a unit that is silent, such as a sigmoid.
    """

    answer: str
    norms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    restless: Mapping[str, str] = field(default_factory=dict)


@torch.no_grad()
def trace_wiring(model: nn.Module, run: Any) -> Wiring:
    """See in one pass which layer answers, and what follows each.

    Args:
        model: The network.
        run: Function without arguments that passes inputs through it.
    """
    layers = {id(layer): name for name, layer in model.named_modules() if _list_weights(layer)}
    names = {id(module): name for name, module in model.named_modules()}
    source: dict[tuple[int, ...], str] = {}
    kept: list[Any] = []
    ran: list[str] = []
    norms: dict[str, tuple[str, ...]] = {}
    restless: dict[str, str] = {}

    def see(module: nn.Module, arguments: Any, output: Any) -> None:
        kept.extend((arguments, output))  # else a later tensor may take the place of this one in memory
        before = source.get(_place(arguments[0])) if arguments and isinstance(arguments[0], Tensor) else None
        if id(module) in layers:
            ran.append(layers[id(module)] or "model")
            before = ran[-1]
        elif before is not None and isinstance(module, NORMS):
            norms[before] = (*norms.get(before, ()), names[id(module)])
        elif (
            before is not None
            and isinstance(module, ACTIVATIONS)
            and float(module.forward(arguments[0].new_zeros(1)).abs()) > 1e-6
        ):
            restless[before] = names[id(module)]
        elif not isinstance(module, (*ACTIVATIONS, nn.Identity, nn.Dropout)):
            return
        if before is not None and isinstance(output, Tensor):
            source[_place(output)] = before

    handles = [module.register_forward_hook(see) for module in model.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fast path of attention passes by the layers within it
    try:
        run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()
    return Wiring(ran[-1] if ran else next(reversed(_choose(model, None))), norms, restless)


def _place(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.data_ptr(), *tensor.shape)


def _refuse_restless(model: nn.Module, name: str, wiring: Wiring) -> None:
    if name in wiring.restless:
        module = model.get_submodule(wiring.restless[name])
        raise SharpwaveError(
            "units that are silent when their weights are 0",
            got=f"{type(module).__name__} after {name}, which gives {float(module(torch.zeros(1))):.2f} for them",
            fix="leave lesions out: doses={'weight_noise': (0.0, 0.5, 1.0)}",
        )


def corrupt_inputs(
    inputs: Shaped[Tensor, "sample ..."], dose: float, *, rng: np.random.Generator
) -> Float[Tensor, "sample ..."]:
    """Gaussian noise on the inputs, in standard deviations of all inputs together.

    Raises:
        SharpwaveError: If they are tokens or other whole numbers, or do not vary.
    """
    if not inputs.is_floating_point() or not math.isfinite(spread := float(inputs.std())) or spread == 0:
        raise SharpwaveError(
            "inputs that are real numbers, finite, and vary",
            got=f"{inputs.dtype} of shape {tuple(inputs.shape)}",
            fix="leave input_noise out of doses: noise means nothing to tokens",
        )
    noise = torch.as_tensor(rng.standard_normal(tuple(inputs.shape)), dtype=inputs.dtype, device=inputs.device)
    return inputs + dose * spread * noise


def flip_labels(
    labels: Int[Tensor, " sample"], share: float, *, n_classes: int, rng: np.random.Generator
) -> Int[Tensor, " sample"]:
    """A share of the labels replaced by another class."""
    wrong = torch.as_tensor(rng.random(len(labels)) < share, device=labels.device)
    shift = torch.as_tensor(rng.integers(1, n_classes, len(labels)), dtype=labels.dtype, device=labels.device)
    return torch.where(wrong, (labels + shift) % n_classes, labels)
