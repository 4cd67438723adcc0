"""Does clarity, which the verdict asks for, tell how far to trust a night? Chosen and judged on halves of the people.

Run: python benchmarks/clarity_halves.py [--output benchmarks/results/clarity-halves.json]
It needs `walch-applewatch`, `pd-lfp-sleep`, `ucddb-eeg` and `sleep-edf-78-bands` in SHARPWAVE_DATA. Nights are staged
without their person in training (see `latency_rules.py`). The threshold is the median share of unclear epochs of one
half of the people; the κ of the clear and of the unclear nights is that of the other half, both ways. Nobody looks at
an expert to choose it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.latency_rules import Pair, collect_shipped, collect_sleep_edf
from sharpwave.benchmarks.provenance import describe_machine, describe_provenance, find_commit
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.runner import BenchmarkResult
from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.night.trust import MOST_UNCLEAR, UNCLEAR_BELOW
from sharpwave.recordings.datasets import data_root


def measure(pair: Pair) -> tuple[float, float]:
    """Share of unclear epochs (of wake, NREM and REM sleep where there is no EEG), and κ against the expert."""
    p = np.asarray(pair.probabilities)
    told = p if pair.data.startswith("Sleep-EDF") else np.column_stack([p[:, 0], p[:, 1:4].sum(axis=1), p[:, 4]])
    known = np.isfinite(told).all(axis=1)
    both = (pair.expert >= 0) & (pair.found >= 0)
    kappa = compute_kappa(compute_confusion(pair.expert[both], pair.found[both], n_stages=5))
    return float((told[known].max(axis=1) < UNCLEAR_BELOW).mean()), float(kappa)


def judge_halves(pairs: list[Pair], *, data: str, rng: np.random.Generator) -> list[Row]:
    """Rows of one cohort: share of clear nights and κ of both kinds, for each half that did not choose."""
    unclear, kappa = (np.array(values) for values in zip(*(measure(pair) for pair in pairs), strict=True))
    people = np.array([pair.person for pair in pairs])
    rows = []
    as_shipped = unclear <= MOST_UNCLEAR
    sides = {"as shipped, all people": (np.ones(len(pairs), bool), as_shipped)}
    order = rng.permutation(np.unique(people))
    for side in (0, 1):
        choosing = np.isin(people, order[side::2])
        clear = unclear <= np.median(unclear[choosing])
        sides[f"held out {side + 1}"] = (~choosing, clear)
    for setting, (judged, clear) in sides.items():
        rows.append(Row(data, setting, "clear", "share", float(clear[judged].mean()), n=int(judged.sum())))
        for method, which in (("clear", clear), ("unclear", ~clear)):
            if (judged & which).any():
                rows.append(estimate_row(data, setting, method, "kappa", kappa[judged & which].tolist(), rng=rng))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/clarity-halves.json"))
    arguments = parser.parse_args()
    root = data_root()
    assert root is not None, "set SHARPWAVE_DATA"
    shipped = collect_shipped(root)
    cohorts = {
        "Sleep-EDF": collect_sleep_edf(root),
        "Walch": [pair for pair in shipped if pair.data.startswith("Walch")],
        "PD-LFP": [pair for pair in shipped if pair.data.startswith("PD")],
    }
    rng = np.random.default_rng(0)
    rows = [row for name, pairs in cohorts.items() for row in judge_halves(pairs, data=name, rng=rng)]
    config = {"most_unclear": MOST_UNCLEAR, "unclear_below": UNCLEAR_BELOW}
    provenance = describe_provenance("python benchmarks/clarity_halves.py")
    kept = [replace(row, values=()) for row in rows]
    BenchmarkResult("clarity-halves", config, describe_machine(), find_commit(), kept, provenance).write(
        arguments.output
    )


if __name__ == "__main__":
    main()
