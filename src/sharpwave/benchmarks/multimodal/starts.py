"""One network from several starts, with and without learning before the labels, each with the same updates with labels.

With few labels LightGBM gets the same labels and measures, and the heads learn alone on a frozen network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.benchmarks.multimodal.learning import Budget, fit, make_model
from sharpwave.benchmarks.provenance import find_commit
from sharpwave.benchmarks.rows import Row, estimate_row, range_row
from sharpwave.benchmarks.staging.baselines import StagedFeatures, Trained
from sharpwave.benchmarks.staging.left_out import train_lightgbm_past
from sharpwave.brainmu.epochs import EpochedRecording, collate
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.masked_latents import MaskedLatents
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.evaluation.metrics import compute_auprc, compute_confusion, compute_kappa
from sharpwave.outputs import write_file

SHAPE = {"width": 48, "n_layers": 1, "window": 300.0, "dropout": 0.1, "pooled_query": True}
PRETRAINING = Budget(steps=200, batch=8, piece=24, learning_rate=4e-3, shape=SHAPE)
FINETUNING = Budget(steps=60, batch=8, piece=24, learning_rate=4e-3, shape=SHAPE)
SHARES = (0.05, 1.0)
NEXT_STEP = Objective(next_step=1.0, stage=0.0, change=0.0, depth=0.0)
"""What was learned without labels until now: the next step's means."""
LATENTS = Objective(next_step=0.3, stage=0.0, change=0.0, depth=0.0, latent=1.0)
"""Masked latents, nearly alone."""
BOTH = Objective(next_step=1.0, stage=0.0, change=0.0, depth=0.0, latent=0.1)
"""Both, about half of the gradient each."""
LABELS = Objective(next_step=0.0, stage=1.0, change=0.5, depth=0.0)
RANDOM = "random-init"


@dataclass(frozen=True, eq=False)
class Night:
    """One night, as a network and as LightGBM see it.

    Attributes:
        seen: Steps with stages.
        table: Measures of the same steps.
    """

    seen: EpochedRecording
    table: StagedFeatures


@dataclass(frozen=True, eq=False)
class Study:
    """Who is learned from, and who is tested.

    Attributes:
        data: Name.
        unlabelled: Nights without labels, by how many they are.
        labelled: Nights of which a share is learned from with labels.
        tested: Nights of others, by where they are from.
        stages: Stages that those tested can have, by where they are from; all where not named.
        objectives: What is learned without labels from most nights; from fewer ones masked latents.
        ablated: Whether a network without attention learns, too.
    """

    data: str
    unlabelled: Mapping[str, Sequence[EpochedRecording]]
    labelled: Sequence[Night]
    tested: Mapping[str, Sequence[Night]]
    stages: dict[str, tuple[int, ...]] = field(default_factory=dict)
    objectives: tuple[str, ...] = ("next step", "masked latents")
    ablated: bool = False


Key = tuple[str, float, str, str]
"""Where tested, share of labels, method, metric."""


@dataclass
class Found:
    """Scores, one for each seed and person.

    Attributes:
        records: Where tested, share of labels, method, metric, seed, person, value.
        rows: What else was measured, with each seed.
    """

    records: list[tuple[str, float, str, str, int, str, float]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def tabulate(self) -> list[Row]:
        """Means over people with intervals, and what is gained over a random start, by person and by seed."""
        others: dict[tuple[str, str, str, str], list[float]] = {}
        rng = np.random.default_rng(0)
        for row in self.rows:
            others.setdefault((row.data, row.setting, row.method, row.metric), []).append(row.value)
        rows = [range_row(*key, values) for key, values in others.items()]
        people, seeds = self._average(lambda seed, person: person), self._average(lambda seed, person: str(seed))
        for key, own in people.items():
            where, share, method, metric = key
            setting, base = f"{share:.0%} of labels", (where, share, RANDOM, metric)
            rows.append(estimate_row(where, setting, method, metric, list(own.values()), rng=rng))
            if method == RANDOM or base not in people:
                continue
            gain = [value - people[base][who] for who, value in own.items()]
            rows.append(estimate_row(where, setting, method, f"{metric}_gain_over_{RANDOM}", gain, rng=rng))
            each = [value - seeds[base][seed] for seed, value in seeds[key].items()]
            rows.append(range_row(where, setting, method, f"{metric}_gain_by_seed", each))
        return rows

    def _average(self, by: Callable[[int, str], str]) -> dict[Key, dict[str, float]]:
        """Means of what is known, for each person or each seed."""
        values: dict[Key, dict[str, list[float]]] = {}
        for *key, seed, person, value in self.records:
            own = values.setdefault(cast(Key, tuple(key)), {}).setdefault(by(seed, person), [])
            own += [value] if np.isfinite(value) else []
        return {key: {who: float(np.mean(each)) for who, each in own.items() if each} for key, own in values.items()}


def run_seeds(make: Callable[[int], Study], *, seeds: int, parts: Path | None) -> Found:
    """What every start finds with each seed; a seed that this commit has run is read from `parts`.

    Args:
        make: The study of a seed.
        seeds: How many.
        parts: Folder that keeps each seed's; nothing is kept where omitted.
    """
    found, commit = Found(), find_commit()
    for seed in range(seeds):
        path = None if parts is None else parts / f"{commit}-{seed}.json"
        if path is None or not path.is_file():
            own = compare_starts(make(seed), seed=seed)
            if path is not None and not commit.endswith("+"):
                content = {"records": own.records, "rows": [row.to_dict() for row in own.rows]}
                write_file(path, json.dumps(content))
        else:
            kept = json.loads(path.read_text(encoding="utf-8"))
            told: list[dict[str, Any]] = [
                {k: np.nan if v is None else v for k, v in row.items()} for row in kept["rows"]
            ]
            rows = [Row(**row) for row in told]
            own = Found([tuple(record) for record in kept["records"]], rows)
        found.records += own.records
        found.rows += own.rows
    return found


def compare_starts(study: Study, *, seed: int) -> Found:
    """Train and test from every start with one seed.

    Args:
        study: Who is learned from, and who is tested.
        seed: Seed of weights, crops and labelled nights.
    """
    names = tuple(study.labelled[0].seen.epochs)
    fresh = make_model(names, FINETUNING, seed=seed)
    starts, found = {RANDOM: fresh}, Found()
    for size, nights in study.unlabelled.items():
        largest = size == list(study.unlabelled)[-1]
        objectives = {"next step": NEXT_STEP, "masked latents": LATENTS, "both": BOTH}
        for method in study.objectives if largest else ("masked latents",):
            model, objective = deepcopy(fresh), objectives[method]
            losses = learn_unlabelled(model, nights, objective, seed=seed)
            starts[f"{method}, {size}"] = model
            if losses is not None:
                found.rows += share_gradient(study.data, f"{method}, {size}", model, losses, nights)
    if study.ablated:
        starts["no attention"] = make_model(names, FINETUNING, seed=seed, n_layers=0)
    last = f"masked latents, {list(study.unlabelled)[-1]}"
    for share in SHARES:
        rng = np.random.default_rng([seed, round(1000 * share)])
        chosen = rng.permutation(len(study.labelled))[: max(1, round(share * len(study.labelled)))]
        labelled = [study.labelled[index] for index in chosen]
        for method, start in starts.items():
            model = fit(deepcopy(start), [n.seen for n in labelled], FINETUNING, seed=seed, objective=LABELS)
            _add(found, study, (share, method, seed), network(model))
        if share == 1:
            continue
        probe = deepcopy(starts[last])
        for name, parameter in probe.named_parameters():
            parameter.requires_grad_(name.startswith("heads."))
        fit(probe, [n.seen for n in labelled], FINETUNING, seed=seed, objective=LABELS)
        _add(found, study, (share, f"heads alone, {last}", seed), network(probe))
        for where, others in study.tested.items():
            columns = list(others[0].table.table.columns[: others[0].table.n_own])
            trees = train_lightgbm_past([_select(n.table, columns) for n in labelled], np.random.default_rng(seed))
            _add(found, study, (share, "lightgbm-past", seed), _trees(trees), only=where)
    return found


def _add(found: Found, study: Study, run: tuple[float, str, int], guess: Guess, *, only: str = "") -> None:
    """Test a method on everyone, or on those of one place."""
    share, method, seed = run
    for where, nights in study.tested.items():
        if only in ("", where):
            for who, own in judge(nights, guess, study.stages.get(where)).items():
                found.records += [(where, share, method, metric, seed, who, value) for metric, value in own.items()]


def _trees(predict: Trained) -> Guess:
    return lambda night: (predict(night.table), None)


def _select(night: StagedFeatures, columns: Sequence[str]) -> StagedFeatures:
    """The measures of these names alone."""
    return replace(night, table=night.table[list(columns)], n_own=len(columns))


Guess = Callable[[Night], tuple[Float[np.ndarray, "step stage"], Float[np.ndarray, " step"] | None]]
"""Probabilities of the stages of a night, and of a change within 30 s where the method says it."""


def network(model: BrainMu) -> Guess:
    """A model, shown the past of each step."""
    model.eval()

    def guess(night: Night) -> tuple[Float[np.ndarray, "step stage"], Float[np.ndarray, " step"]]:
        with torch.inference_mode():
            read = model(collate([night.seen])).readout
        return read.stage[0].softmax(dim=1).double().numpy(), read.change[0, :, 0].sigmoid().double().numpy()

    return guess


def judge(nights: Sequence[Night], guess: Guess, stages: tuple[int, ...] | None) -> dict[str, dict[str, float]]:
    """κ of each person, and the average precision of changes 30 s ahead."""
    confusions: dict[str, np.ndarray] = {}
    changes: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for night in nights:
        probability, change = guess(night)
        truth = np.asarray(night.seen.stages).astype(int)
        known, who = truth >= 0, night.seen.subject
        if stages is not None:
            probability = np.where(np.isin(np.arange(probability.shape[1]), stages), probability, -1.0)
        counted = compute_confusion(truth[known], probability[known].argmax(axis=1), n_stages=5)
        confusions[who] = confusions.get(who, 0) + counted
        if change is not None and stages is None:
            both = known[:-1] & known[1:]
            changes.setdefault(who, []).append((change[:-1][both], (truth[:-1] != truth[1:])[both]))
    found = {who: {"kappa": float(compute_kappa(counted))} for who, counted in confusions.items()}
    for who, parts in changes.items():
        said, happened = (np.concatenate(each) for each in zip(*parts, strict=True))
        found[who]["auprc_change"] = float(compute_auprc(happened, said))
    return found


def learn_unlabelled(
    model: BrainMu, nights: Sequence[EpochedRecording], objective: Objective, *, seed: int
) -> MaskedLatents | None:
    """Train a model in place on nights without their stages; the losses that learned with it, if any."""
    from sharpwave.brainmu.training.crops import RandomCrops
    from sharpwave.brainmu.training.objective import sum_losses
    from sharpwave.brainmu.training.pretraining import Unlabelled
    from sharpwave.brainmu.training.training import train

    options = TrainingOptions(
        steps=PRETRAINING.steps,
        batch=PRETRAINING.batch,
        piece=PRETRAINING.piece,
        learning_rate=PRETRAINING.learning_rate,
        seed=seed,
        objective=objective,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        losses = MaskedLatents(model, options) if objective.latent else None
    train(model, Unlabelled(RandomCrops(nights)), options=options, losses=losses or sum_losses, show=False)
    return losses


def share_gradient(
    data: str, method: str, model: BrainMu, losses: MaskedLatents, nights: Sequence[EpochedRecording]
) -> list[Row]:
    """How long the gradient of each part of the objective is on encoders and blocks, and what is explained."""
    from sharpwave.brainmu.training.crops import RandomCrops
    from sharpwave.brainmu.training.objective import drop_modalities
    from sharpwave.brainmu.training.pretraining import Unlabelled

    rng = np.random.default_rng(0)
    batch = collate([Unlabelled(RandomCrops(nights)).draw(rng, PRETRAINING.piece) for _ in range(PRETRAINING.batch)])
    seeds = torch.arange(PRETRAINING.batch, dtype=torch.int32)
    seen = drop_modalities(batch, modality=0.3, channel=0.2, seeds=seeds.tolist())
    model.train()
    losses.eval()
    parts = losses(model, model(losses.hide(seen, seeds), seeds=seeds), batch, losses.objective)
    shared = [parameter for part in (model.encoders, model.blocks) for parameter in part.parameters()]
    lengths = {"next": 0.0, "latent": 0.0}
    for kind in lengths:
        total = sum(part.total / part.number.clamp(min=1) for name, part in parts.items() if name.startswith(kind))
        slopes = torch.autograd.grad(torch.as_tensor(total), shared, retain_graph=True, allow_unused=True)
        lengths[kind] = float(torch.sqrt(sum((s.square().sum() for s in slopes if s is not None), torch.zeros(()))))
    model.eval()
    explained = {
        name: 1 - float((part.total / part.number.clamp(min=1)).detach()) / losses.objective.latent
        for name, part in parts.items()
        if name.startswith("latent")
    }
    rows = [Row(data, "gradient", method, f"length_{kind}", length) for kind, length in lengths.items()]
    rows.append(Row(data, "gradient", method, "share_of_latents", lengths["latent"] / sum(lengths.values())))
    rows += [Row(data, "explained", method, name, value) for name, value in explained.items()]
    return [*rows, *(Row(data, "spread", method, name, value) for name, value in losses.spread.items())]
