"""`sharpwave benchmark language --stream STREAM --model FOLDER`: a language model learns one task after another.

Streams: `glue5` (five tasks of text, the task not told), `qa5` (questions in five domains), `patches` and `permuted`
(images through a LLaMA on patches), and `own`, a folder of tasks named by `--data` (`texts.load_folder`). Every learner
has the same network, items, order and bytes to store, and rates chosen on validation streams of training items alone
(`tuning.py`). What a learner costs is counted beside fine-tuning in operations, tokens and processor seconds. With
`--output` each run is kept beside it as a part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sharpwave.benchmarks.language.harness import Outcome, Parts, measure_base
from sharpwave.benchmarks.language.networks import describe_model, load_tokenizer
from sharpwave.benchmarks.language.registry import (
    ABLATIONS,
    BUDGET,
    LEARNERS,
    OURS,
    TUNED_AS,
    WITHIN_BUDGET,
    check_methods,
    list_methods,
)
from sharpwave.benchmarks.language.streams import (
    PROTOCOLS,
    Protocol,
    Stream,
    load_tasks,
    make_image_stream,
    make_text_stream,
    pad,
)
from sharpwave.benchmarks.language.texts import Question, load_qa5
from sharpwave.benchmarks.language.tuning import TRIALS, list_tuned, load_options
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import data_root

ABLATION_SEEDS = 3
PEERS = ("finetune", "finetune, LoRA", "replay 15 %", "replay 100 %", "o-lora", "osf")
"""Learners that sleep is held against, seed by seed."""
SETTING = {"classes": "task unknown", "words": "task unknown, label words", "questions": "answers", "images": "images"}
CAUSAL = ("ForCausalLM", "LMHeadModel")

Runs = Mapping[str, Sequence[Outcome]]


def run(
    data: Path | None,
    *,
    seeds: int,
    train: bool = False,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
    stream: str | None = None,
    model: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Every learner on one stream: rows and configuration.

    Args:
        data: Folder of data sets, or for `own` of tasks; `data_root()` where omitted.
        seeds: Streams, networks and learners, drawn anew for each; the ablation has three at most.
        train: No meaning here: `tuning.py` says how rates are chosen.
        methods: Learners to run now; all where omitted. Others are in the tables if all their runs are kept.
        parts: Folder that keeps each run; nothing is kept where omitted.
        stream: A key of `PROTOCOLS`; "own" where a folder of tasks is named, else "glue5".
        model: Folder of a model; None for a tiny one that knows nothing.

    Raises:
        SharpwaveError: If a stream or method is none, or there is nothing to learn from.
    """
    check_methods(methods)
    root = data or data_root()
    name = stream or ("own" if data is not None and not (data / "text").is_dir() else "glue5")
    if name not in PROTOCOLS:
        raise SharpwaveError(f"--stream among {', '.join(PROTOCOLS)}", got=repr(name), fix="choose one of them")
    if root is None:
        raise SharpwaveError(
            "a folder of data", got="none", fix="name one with --data: NAME-train.jsonl and NAME-test.jsonl a task"
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run_protocol(PROTOCOLS[name], root, seeds=seeds, methods=methods, parts=parts, model=model)
    finally:
        torch.set_num_threads(threads)


def run_protocol(
    protocol: Protocol,
    data: Path,
    *,
    seeds: int,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
    model: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Rows and configuration of one protocol.

    Args:
        protocol: Protocol.
        data: Folder of data sets or tasks.
        seeds: Number of seeds.
        methods: As for `run`.
        parts: As for `run`.
        model: As for `run`.
    """
    kind, make_stream, tasks = plan(protocol, data, model)
    options = load_options(protocol.tuned_as, kind)
    first = make_stream(0)
    network = first.make_network(0)
    described = describe_model(model, network.model)
    base = None if kind in ("images", "questions") or model is None else lambda: make_base(data, model, kind, tasks)
    kept = Parts(parts, described, make_stream, base)
    runs: dict[str, list[Outcome]] = {}
    majorities, names = [], list_methods(network)
    for seed in range(seeds):
        majorities.append(kept.get_stream(seed).find_majority())
        for method in names:
            if method in ABLATIONS and seed >= ABLATION_SEEDS:
                continue
            now = methods is None or method in methods
            found = kept.run(method, LEARNERS[method], options[method], seed=seed, now=now)
            if found is not None:
                runs.setdefault(method, []).append(found)
    wanted = {method: min(seeds, ABLATION_SEEDS) if method in ABLATIONS else seeds for method in names}
    whole = {method: each for method, each in runs.items() if len(each) == wanted[method]}
    before = measure_base(network, base()) if base is not None else {}
    rows = tabulate(protocol.name, whole, setting=SETTING[kind], majorities=majorities, before=before)
    config = {
        "protocol": {name: value for name, value in vars(protocol).items() if name != "load"},
        "tasks": sorted(task.name for task in first.tasks),
        "classes": len(first.classes),
        "model": described,
        "kind": kind,
        "questions_cut_off": first.cut_off,
        "budget": BUDGET,
        "seeds": seeds,
        "trials_per_learner": TRIALS,
        "tuned": list_tuned(protocol.tuned_as, kind),
        "others_tuned_as": TUNED_AS,
        "left_out": [method for method in LEARNERS if method not in names],
        "options": {method: options[method] for method in whole},
        "passes": "bfloat16; AdamW, rate warmed up over a tenth of each task, gradients clipped at 1",
        "interval": "95 %, bootstrap over seeds; differences are paired by seed",
        "notes": ["Few items of each task on one core: absolute scores are below those of full-size runs."],
    }
    return config, rows


def plan(protocol: Protocol, data: Path, model: Path | None) -> tuple[str, Callable[[int], Stream], Any]:
    """How the network answers, what makes the stream of a seed, and the tasks of text.

    Args:
        protocol: Protocol.
        data: Folder of data sets or tasks.
        model: Folder of a model; its configuration says whether it answers in words.
    """
    if protocol.load is None:
        return "images", lambda seed: make_image_stream(protocol, data, seed=seed), None
    tasks = load_tasks(protocol, data)
    asks = isinstance(tasks[0].train[0], Question)
    kind = "questions" if asks else "words" if model is not None and is_causal(model) else "classes"
    return kind, lambda seed: make_text_stream(protocol, tasks, model=model, kind=kind, seed=seed), tasks


def is_causal(model: Path) -> bool:
    """Whether the model of a folder is a causal language model, as its configuration says; a GGUF always is."""
    from sharpwave.untrusted import read_json

    path = model / "config.json"
    if not path.is_file():
        return any(model.glob("*.gguf"))
    names = read_json(path).get("architectures") or []
    return any(str(name).endswith(CAUSAL) for name in names)


def make_base(data: Path, model: Path, kind: str, tasks: Any) -> dict[str, Any]:
    """What `measure_base` takes: a hundred questions and their paragraphs, or texts where there are none here."""
    tokenizer = load_tokenizer(model)
    if not (data / "text" / "xquad.en.json").is_file():
        return {}
    items = [item for item in load_qa5(data)[0].test if isinstance(item, Question)]
    one = list({item.context: item for item in items}.values())[:100]
    read = {
        name: pad([ids[:96] for ids in tokenizer(texts)["input_ids"]])
        for name, texts in (("questions", [i.question for i in one]), ("paragraphs", [i.context for i in one]))
    }
    return {"texts": read["paragraphs"]} if kind == "words" else read


def tabulate(
    data: str,
    runs: Runs,
    *,
    setting: str,
    majorities: Sequence[tuple[float, float]] = (),
    before: Mapping[str, float] | None = None,
) -> list[Row]:
    """Scores, forgetting, costs beside fine-tuning, and paired differences by seed.

    Args:
        data: Name of the stream.
        runs: Outcomes by method, seeds in the same order.
        setting: Question that was asked.
        majorities: Accuracy of the most frequent class in each seed, unknown and told.
        before: What the network could do before it learned anything.
    """
    rng, rows = np.random.default_rng(0), []
    metrics = list(next(iter(runs.values()))[0].at_the_end) if runs else []
    for method, outcomes in runs.items():
        measured = measure(method, outcomes, runs, metrics)
        where = "ablation" if method in ABLATIONS else setting
        rows += [estimate_row(data, where, method, metric, values, rng=rng) for metric, values in measured.items()]
    if majorities and math.isfinite(majorities[0][1]):
        for metric, values in zip(("accuracy", "accuracy_told"), zip(*majorities, strict=True), strict=True):
            rows.append(estimate_row(data, setting, "majority class", metric, values, rng=rng))
    for metric, value in (before or {}).items():
        rows.append(Row(data, setting, "before learning", metric, value))
    return rows


def measure(method: str, outcomes: Sequence[Outcome], runs: Runs, metrics: Sequence[str]) -> dict[str, list[float]]:
    """What is said of one method: a list of one value for each seed by metric.

    Args:
        method: Its name.
        outcomes: Its runs.
        runs: All runs.
        metrics: Names of the scores; the first is what learners are compared by.
    """
    first, n_seeds = metrics[0], len(outcomes)
    plain = list(runs.get("finetune", ()))[:n_seeds]
    measured = {metric: [each.compute_mean(metric) for each in outcomes] for metric in metrics}
    if method != "joint":
        lost = measured["forgetting"] = [each.compute_forgetting(first) for each in outcomes]
        if plain and method != "finetune":
            before = [each.compute_forgetting(first) for each in plain]
            measured["forgetting_cut"] = [1 - a / b if b > 0 else math.nan for a, b in zip(lost, before, strict=True)]
    for other in PEERS if method in OURS else ():
        theirs = list(runs.get(other, ()))[:n_seeds]
        if len(theirs) == n_seeds:
            for metric in metrics[:2]:
                measured[f"{metric}_minus_{other}"] = _subtract(measured[metric], theirs, metric)
    if method in ABLATIONS and "sleep" in runs:
        whole = list(runs["sleep"])[:n_seeds]
        measured[f"{first}_change"] = _subtract(measured[first], whole, first)
    for name, metric in (("operations", "operations_ratio"), ("tokens", "tokens_ratio"), ("seconds", "seconds_ratio")):
        if plain and method != "finetune":
            pairs = zip(outcomes, plain, strict=True)
            measured[metric] = [getattr(mine, name) / max(getattr(each, name), 1e-9) for mine, each in pairs]
        measured.setdefault(name, [float(getattr(each, name)) for each in outcomes])
    measured["stored_kilobytes"] = [each.n_stored_bytes / 1000 for each in outcomes]
    measured["thousand_trained"] = [each.n_trained / 1000 for each in outcomes]
    for metric in outcomes[0].base:
        measured[metric] = [each.base[metric] for each in outcomes]
    if method in WITHIN_BUDGET and outcomes[0].nights[1]:
        measured["nights_kept"] = [kept / n_nights for kept, n_nights in (each.nights for each in outcomes)]
    return measured


def _subtract(ours: Sequence[float], theirs: Sequence[Outcome], metric: str) -> list[float]:
    return [mine - each.compute_mean(metric) for mine, each in zip(ours, theirs, strict=True)]
