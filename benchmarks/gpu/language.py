"""A whole pretrained language model that learns five tasks of text, with and without sleep: fifteen minutes of a card.

The model of `--model` (a folder of Transformers, such as SmolLM2-135M, with *.safetensors or one *.gguf) answers with
label words through its own head, the task not told. `--data` is the folder of data sets (glue5), or a folder of tasks
of your own: NAME-train.jsonl and NAME-test.jsonl for each. Learners: fine-tuning, LoRA, replay of 15 % and of 100 %,
sleep within 15 %, sleep on LoRA, and dreams alone. Rates are not tuned here. Each run is written when it is done, and a
command that is given again goes on with those that are missing (`--limit` seconds at a time; default 800).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from card import Results, check_device, make_parser

from sharpwave.benchmarks.language.benchmark import is_causal, make_base
from sharpwave.benchmarks.language.harness import Outcome, run_stream
from sharpwave.benchmarks.language.networks import describe_model
from sharpwave.benchmarks.language.registry import LEARNERS, check_methods
from sharpwave.benchmarks.language.streams import PROTOCOLS, load_tasks, make_text_stream
from sharpwave.benchmarks.language.tuning import load_options
from sharpwave.benchmarks.rows import Row, estimate_row

METHODS = ("finetune", "sleep", "finetune, LoRA", "sleep, LoRA", "replay 15 %", "replay 100 %", "dreams")
SCORES = ("accuracy", "accuracy_told")


def main() -> None:
    parser = make_parser(__doc__ or "", output="language-card.json", seeds=2)
    parser.set_defaults(limit=800.0)
    parser.add_argument("--model", type=Path, required=True, help="folder of a causal language model")
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, or of tasks of your own")
    parser.add_argument("--items", type=int, default=1000, help="training items of each task (default: 1000)")
    parser.add_argument("--methods", default=";".join(METHODS), help="learners, separated by semicolons")
    options = parser.parse_args()
    device, methods = check_device(options.device), options.methods.split(";")
    check_methods(methods)
    if not is_causal(options.model):
        raise SystemExit("expected a causal language model in --model. Fix: name a folder whose config.json says one")
    like = PROTOCOLS["glue5" if (options.data / "text").is_dir() else "own"]
    protocol = replace(like, n_train=options.items, n_test=min(options.items, 300), length=96, memory_bytes=200_000)
    tasks, rates = load_tasks(protocol, options.data), load_options(protocol.tuned_as, "words")
    config = {"items": options.items, "protocol": protocol.name, "methods": methods, "device": device.type}
    results = Results("language-card", options.output, config, limit=options.limit)
    base = make_base(options.data, options.model, "words", tasks)
    for seed in range(options.seeds):
        stream = None
        for method in methods:
            if results.has(f"seed {seed}", method) or not results.may_begin():
                continue
            stream = stream or make_text_stream(protocol, tasks, model=options.model, kind="words", seed=seed)
            found = run_stream(stream, LEARNERS[method], rates[method], seed=seed, base=base, device=device.type)
            results.add(*list_rows(protocol.name, method, seed, found))
            if device.type == "cuda":
                torch.cuda.empty_cache()
    if not any(row.method == "model" for row in results.rows) and results.may_begin():
        described = describe_model(
            options.model,
            make_text_stream(protocol, tasks, model=options.model, kind="words", seed=0).make_network(0).model,
        )
        results.add(Row(protocol.name, "as it came", "model", "parameters", float(described["parameters"])))
    summarise(results, protocol.name, methods)


def list_rows(data: str, method: str, seed: int, found: Outcome) -> list[Row]:
    """Rows of one run."""
    measured = {name: found.compute_mean(name) for name in SCORES}
    measured |= {"forgetting": found.compute_forgetting("accuracy"), **found.base}
    measured |= {name: float(getattr(found, name)) for name in ("operations", "tokens", "seconds")}
    return [Row(data, f"seed {seed}", method, metric, value) for metric, value in measured.items()]


def summarise(results: Results, data: str, methods: list[str]) -> None:
    """Means over seeds with intervals, and what each costs and gains beside fine-tuning by seed."""
    results.rows = [row for row in results.rows if row.setting != "seeds"]
    kept = {(row.method, row.metric, row.setting): row.value for row in results.rows}
    metrics = dict.fromkeys(row.metric for row in results.rows if row.setting.startswith("seed "))
    seeds = dict.fromkeys(row.setting for row in results.rows if row.setting.startswith("seed "))
    rows, rng = [], np.random.default_rng(0)
    for method in methods:
        for metric in metrics:
            both = [(kept.get((method, metric, s)), kept.get(("finetune", metric, s))) for s in seeds]
            values = [mine for mine, _ in both if mine is not None]
            pairs = [(mine, plain) for mine, plain in both if mine is not None and plain is not None]
            if values:
                rows.append(estimate_row(data, "seeds", method, metric, values, rng=rng))
            if pairs and method != "finetune" and metric in ("operations", "tokens", "seconds"):
                ratios = [mine / plain for mine, plain in pairs]
                rows.append(estimate_row(data, "seeds", method, f"{metric}_ratio", ratios, rng=rng))
            if pairs and method != "finetune" and metric in SCORES:
                apart = [mine - plain for mine, plain in pairs]
                rows.append(estimate_row(data, "seeds", method, f"{metric}_minus_finetune", apart, rng=rng))
    results.add(*rows)


if __name__ == "__main__":
    main()
