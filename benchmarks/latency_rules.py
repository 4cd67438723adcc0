"""Which epoch of REM should REM latency count to, and which epoch of sleep is its onset? Rules against experts.

Run: python benchmarks/latency_rules.py [--output benchmarks/results/latency-rules.json]
It needs `dod-hypnograms`, `boas-hypnograms`, `walch-applewatch`, `pd-lfp-sleep`, `ucddb-eeg`, `sleep-edf-78-bands` in
SHARPWAVE_DATA.

Machine hypnograms of nights that an expert scored: the shipped stagers without the person in training (Walch, PD-LFP)
or never trained on the cohort (YASA on UCDDB), six published networks on DOD, two on BOAS, a LightGBM by the recipe of
the shipped ones on Sleep-EDF. A rule is "5 of 10 min": the first epoch that begins 10 min with at least 5 min of the
stage; "3 min" is a bout without a break; "p .6" asks for that mean probability in the bout. The error is against the
expert's first epoch, however short, whatever the rule is: a fixed goal. Each person counts once, and the interval is
over people. `chosen on half` picks the rule on half of the people and reports the others, both ways.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.benchmarks.provenance import describe_machine, describe_provenance, find_commit
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.runner import BenchmarkResult
from sharpwave.evaluation.sleep_statistics import find_sustained
from sharpwave.recipes.stagers import RECIPES, cross_validate, load_tables, soften
from sharpwave.recordings.datasets import data_root, list_subjects, load_dataset
from sharpwave.staging import load_stager
from sharpwave.staging.boosted import Recipe, fit_booster
from sharpwave.staging.weights import load_weights

BOUTS = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Minutes without a break; 0 is the first epoch."""
SHARES = ((2.0, 5.0), (3.0, 5.0), (3.0, 10.0), (4.0, 10.0), (5.0, 10.0), (5.0, 15.0), (7.0, 10.0))
CLEAR = (0.5, 0.6, 0.7)
FAR = 30.0
"""Minutes from which an error is large."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One machine's hypnogram of one night beside the expert's, codes 0 W … 4 REM, −1 unscored, epochs of 30 s."""

    data: str
    person: str
    found: np.ndarray
    expert: np.ndarray
    probabilities: np.ndarray | None = None


def collect_pairs(root: Path) -> list[Pair]:
    """Every pair of machine and expert at hand."""
    return [*collect_shipped(root), *collect_dod(root), *collect_boas(root), *collect_sleep_edf(root)]


def collect_shipped(root: Path) -> list[Pair]:
    """The shipped stagers on people that they were not trained on."""
    pairs = []
    for name, data in (("lightgbm-wearable", "Walch, lightgbm-wearable"), ("lightgbm-lfp", "PD-LFP, lightgbm-lfp")):
        subjects, tables, stages = load_tables(name, root)
        raw = cross_validate(tables, stages, recipe=RECIPES[name], rng=np.random.default_rng(0))
        temperature = load_weights(name)[1]["temperature"]
        for subject, p, expert in zip(subjects, raw, stages, strict=True):
            found = np.where(np.isfinite(p).all(axis=1), np.nan_to_num(p).argmax(axis=1), -1)
            pairs.append(Pair(data, subject, found, expert, soften(p, temperature)))
    recording = load_dataset("ucddb/022", root)
    staged = load_stager("yasa").stage(recording, {"eeg": next(n for n in recording.signals if "EEG" in n)})
    assert recording.hypnogram is not None
    expert = recording.hypnogram.at(staged.onsets + staged.epoch_length / 2)
    pairs.append(Pair("UCDDB, yasa", "022", staged.stages, expert, staged.probabilities))
    return pairs


def collect_dod(root: Path) -> list[Pair]:
    """Six published networks on DOD, shifted to where they agree best with the consensus of five experts."""
    pairs = []
    for night in list_subjects("dod", root):
        recording = load_dataset(f"dod/{night}", root)
        assert recording.hypnogram is not None
        expert = np.asarray(recording.hypnogram.stages)
        group, _, name = night.partition("-")
        for path in sorted((root / "dod-hypnograms" / "results" / group / "base_models").glob(f"*/{name}.json")):
            found = np.array(json.loads(path.read_text()), dtype=int)
            network = path.parent.name.replace("Al", "al")
            pairs.append(Pair(f"DOD, {network}", night, _align(found, expert), expert))
    return pairs


def _align(found: np.ndarray, expert: np.ndarray) -> np.ndarray:
    best, kept = -1.0, np.full(len(expert), -1)
    for lag in range(-20, max(1, len(expert) - len(found)) + 600):
        low, high = max(0, lag), min(len(expert), lag + len(found))
        if high - low < 100:
            continue
        mine, theirs = found[low - lag : high - lag], expert[low:high]
        n = int((theirs >= 0).sum())
        share = ((mine == theirs) & (theirs >= 0)).sum() / max(n, 1) * min(1.0, n / (0.8 * len(found)))
        if share > best:
            best, kept = share, np.full(len(expert), -1)
            kept[low:high] = mine
    return kept


def collect_boas(root: Path) -> list[Pair]:
    """Two published networks on BOAS, one on the polysomnography and one on the headband."""
    folder = root / "boas-hypnograms"
    people = pd.read_csv(folder / "participants.tsv", sep="\t").set_index("participant_id")["pid"]
    pairs = []
    with np.load(folder / "boas.npz", allow_pickle=False) as nights:
        for night in nights.files:
            expert, psg, headband = (np.where((row >= 0) & (row <= 4), row, -1).astype(int) for row in nights[night])
            pairs.append(Pair("BOAS, network on PSG", str(people[night]), psg, expert))
            pairs.append(Pair("BOAS, network on headband", str(people[night]), headband, expert))
    return pairs


def collect_sleep_edf(root: Path) -> list[Pair]:
    """A LightGBM on band power of two EEG channels and EOG, cross-validated by person."""
    with np.load(root / "sleep-edf-78-bands" / "bands.npz", allow_pickle=False) as content:
        power, stage = content["log_power"], content["stage"].astype(int)
        night, subject = content["night"], content["subject"]
    tables, stages, people = [], [], []
    for index in np.unique(night):
        own = pd.DataFrame(power[night == index].reshape(int((night == index).sum()), -1).astype(float))
        smooth = [own.rolling(width, center=True, min_periods=1).mean() for width in (5, 15)]
        table = pd.concat([own, *smooth, own.shift(1), own.shift(-1), pd.Series(np.arange(len(own)))], axis=1)
        tables.append(table.set_axis([f"c{column}" for column in range(table.shape[1])], axis=1))
        stages.append(stage[night == index])
        people.append(int(subject[index]))
    rng, owner = np.random.default_rng(0), np.array(people)
    recipe, pairs = Recipe("", (), balance=0.5, rounds=60, smoothing=None), []
    order = rng.permutation(np.unique(owner))
    for fold in range(5):
        tested = set(order[fold::5].tolist())
        train = [index for index in range(len(tables)) if owner[index] not in tested]
        booster = fit_booster([tables[i] for i in train], [stages[i] for i in train], recipe=recipe, rng=rng)
        for index in (i for i in range(len(tables)) if owner[i] in tested):
            p = booster.predict(tables[index].to_numpy(), num_threads=1)
            pairs.append(Pair("Sleep-EDF, LightGBM", str(owner[index]), p.argmax(axis=1), stages[index], p))
    return pairs


def list_rules() -> dict[str, tuple[float, float, float]]:
    """Name → minutes of the stage, minutes within which they lie, least mean probability of the bout."""
    rules = {f"{bout:g} min" if bout else "first epoch": (bout, bout, 0.0) for bout in BOUTS}
    rules |= {f"{least:g} of {within:g} min": (least, within, 0.0) for least, within in SHARES}
    return rules | {
        f"{bout or 0.5:g} min, p {clear}": (bout, bout, clear) for clear in CLEAR for bout in (0.0, 1.0, 2.0, 3.0)
    }


def find_first(stages: np.ndarray, mask: np.ndarray, rule: tuple[float, float, float], p: np.ndarray | None) -> float:
    """Index of the epoch that a rule takes; NaN where none is."""
    least, within, clear = rule
    if clear and p is not None:  # bouts whose mean probability is too low do not count
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
        kept = np.zeros_like(mask)
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            kept[low:high] = np.nanmean(p[low:high]) >= clear
        mask = kept
    return float(find_sustained(mask[None], least * 60, within * 60)[0])


def compute_errors(pairs: Sequence[Pair], rule: tuple[float, float, float], *, of: str) -> np.ndarray:
    """Minutes by which each machine is late against the expert's first epoch; NaN where it has no value.

    Args:
        pairs: Machines and experts.
        rule: What `list_rules` holds.
        of: "rem_latency" or "sleep_latency".
    """
    first = (0.0, 0.0, 0.0)
    errors = []
    for pair in pairs:
        onset, theirs = (float(find_sustained((codes > 0)[None])[0]) for codes in (pair.found, pair.expert))
        if of == "sleep_latency":
            p = None if pair.probabilities is None else 1 - pair.probabilities[:, 0]
            errors.append(find_first(pair.found, pair.found > 0, rule, p) - theirs)
            continue
        p = None if pair.probabilities is None else pair.probabilities[:, 4]
        ours = find_first(pair.found, pair.found == 4, rule, p) - onset
        errors.append(ours - (find_first(pair.expert, pair.expert == 4, first, None) - theirs))
    return np.array(errors) / 2


def by_person(pairs: Sequence[Pair], values: np.ndarray) -> pd.Series:
    """Mean of what is defined, over the nights and machines of each person."""
    people = [f"{pair.data.partition(',')[0]}/{pair.person}" for pair in pairs]
    return pd.Series(values).groupby(people).mean().dropna()


def measure_rules(pairs: Sequence[Pair], *, data: str, of: str, rng: np.random.Generator) -> list[Row]:
    """Mean and large errors of each rule, and its difference from no rule on the pairs where both have a value."""
    with_p = all(pair.probabilities is not None for pair in pairs)
    known = [pair for pair in pairs if of == "sleep_latency" or (pair.expert == 4).any()]
    base = np.abs(compute_errors(known, (0.0, 0.0, 0.0), of=of))
    rows = []
    for name, rule in list_rules().items():
        if rule[2] and not with_p:
            continue
        errors = np.abs(compute_errors(known, rule, of=of))
        both = np.where(np.isnan(errors) | np.isnan(base), np.nan, errors - base)
        for metric, values in (
            ("mean_error_min", errors),
            ("share_off_by_30_min", np.where(np.isnan(errors), np.nan, errors > FAR)),
            ("change_against_first_epoch_min", both),
        ):
            people = by_person(known, values)
            rows.append(estimate_row(data, of, name, metric, people.tolist(), rng=rng))
        blank = float(np.isnan(errors).sum() - np.isnan(base).sum())
        rows.append(Row(data, of, name, "blank_more_than_first_epoch", blank, n=len(known)))
    return rows


def choose_on_halves(pairs: Sequence[Pair], *, of: str, rng: np.random.Generator) -> list[Row]:
    """The rule with the least mean error on half of the people, reported on the other half; both ways."""
    known = [pair for pair in pairs if of == "sleep_latency" or (pair.expert == 4).any()]
    people = rng.permutation(sorted({f"{p.data.partition(',')[0]}/{p.person}" for p in known}))
    rules = {name: rule for name, rule in list_rules().items() if not rule[2]}
    base = np.abs(compute_errors(known, rules["first epoch"], of=of))
    changes = {}
    for name, rule in rules.items():
        errors = np.abs(compute_errors(known, rule, of=of))
        changes[name] = by_person(known, np.where(np.isnan(errors) | np.isnan(base), np.nan, errors - base))
    rows = []
    for side in (0, 1):
        choosing, reporting = people[side::2], people[1 - side :: 2]
        best = min(rules, key=lambda name: changes[name].reindex(choosing).mean())
        held_out = changes[best].reindex(reporting).dropna()
        rows.append(
            estimate_row("all", f"{of}, chosen on half", best, "change_held_out_min", held_out.tolist(), rng=rng)
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latency-rules.json"))
    arguments = parser.parse_args()
    root = data_root()
    assert root is not None, "set SHARPWAVE_DATA"
    pairs = collect_pairs(root)
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    groups = {"all": pairs, "shipped stagers": [p for p in pairs if p.data.startswith(("Walch", "PD", "UCDDB"))]}
    groups |= {data: [p for p in pairs if p.data == data] for data in dict.fromkeys(p.data for p in pairs)}
    for data, group in groups.items():
        for of in ("rem_latency", "sleep_latency"):
            if len(group) > 1:
                rows += measure_rules(group, data=data, of=of, rng=rng)
    for of in ("rem_latency", "sleep_latency"):
        rows += choose_on_halves(pairs, of=of, rng=rng)
    config = {"pairs": len(pairs), "unit": "mean over people, 95 % bootstrap interval over people"}
    provenance = describe_provenance("python benchmarks/latency_rules.py")
    kept = [replace(row, values=()) for row in rows]
    BenchmarkResult("latency-rules", config, describe_machine(), find_commit(), kept, provenance).write(
        arguments.output
    )


if __name__ == "__main__":
    main()
