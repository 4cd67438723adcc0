"""`sharpwave benchmark causality-worlds`: the causal estimates side by side in two worlds that share no code.

Every row stands twice, for the simulator of this package and for `second_world.nights`: false positives where which
ripples carry a memory follows time alone, a hidden cause (infraslow phase, vigilance) or depth; what the controls see
of it; coverage, sign and power of planted effects, with few and many events, in 30-s epochs, and with one content in
five mislabelled. No data are needed.

Each data set is kept in the user's cache under the commit that drew it, so that a run which was stopped goes on where
it was; code that no commit holds keeps nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.causality.oracles import compute_oracle_cue_risk, compute_oracle_depth
from sharpwave.benchmarks.causality.scores import ALPHA, compute_share
from sharpwave.benchmarks.causality.trials import add_cues
from sharpwave.benchmarks.causality.worlds import (
    CAUSES,
    COUNTS,
    EPOCH,
    GAIN,
    HOURS,
    N_NIGHTS,
    RATIO,
    STRENGTH,
    WORLDS,
    WorldNight,
    coarsen,
    draw_set,
    mark_again,
    mislabel,
)
from sharpwave.benchmarks.provenance import find_commit
from sharpwave.benchmarks.rows import Row
from sharpwave.causality.exposure_control import check_exposure
from sharpwave.causality.hazards import estimate_hazards
from sharpwave.causality.intervals import Interval
from sharpwave.causality.matching import estimate_matched
from sharpwave.causality.randomised import estimate_randomised
from sharpwave.causality.series import NightSeries
from sharpwave.outputs import write_file

HORIZON = 30
SETS = {"null": 20, "planted": 7}
"""Sets of nights a seed and world."""

AGAIN = {"time": 5, "phase": 2, "vigilance": 5, "depth": 2}
"""Times that the marks of one set of nights are drawn, by their cause: where nothing is planted they move nothing, so
that each drawing is a data set of its own, though with the nights of the others. The power of the control is measured
in the first of them."""

WRONG = 0.2
HIDDEN = {
    "time": "time alone",
    "phase": "the infraslow phase, hidden",
    "vigilance": "vigilance, hidden",
    "depth": "depth",
}


@dataclass(frozen=True)
class View:
    """One way to look at a data set: its name, nights, whether something is planted, the true effect of cues, and how
    many causes are planted to measure the power of the control."""

    name: str
    nights: list[NightSeries]
    planted: bool
    truth: float = 0.0
    n_causes: int = 50


def run(data: Path | None, *, seeds: int = 5, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Draw data sets in both worlds, estimate, and count.

    Args:
        data: Not used.
        seeds: Data sets in units of `SETS`.
        train: Not used.

    Returns:
        What was chosen, and the rows.
    """
    jobs = [(w, kind, n) for kind in SETS for n in range(seeds * SETS[kind]) for w in range(len(WORLDS))]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        run_or_read = partial(keep_job, folder=find_kept())
        found = pd.DataFrame([row for rows in pool.map(run_or_read, jobs) for row in rows])
    config = {
        "seeds": seeds,
        "sets_per_seed": SETS,
        "drawings_of_marks_per_set": AGAIN,
        "nights_per_set": N_NIGHTS,
        "hours_per_night": HOURS,
        "reactivations_of_each_content": COUNTS,
        "planted": f"hazard ratio {RATIO:g} (first content), 1, its inverse (third); depth -{GAIN:g}, 0, +{GAIN:g} dB",
        "causes": f"log odds of {STRENGTH:g} per standard deviation",
        "notes": [
            "All simulated, in two worlds. n is the number of data sets. Rows of one world share their nights; where "
            f"nothing is planted, up to {max(AGAIN.values())} data sets are drawings of the marks on the same nights."
        ],
    }
    return config, compute_rows(found)


def find_kept() -> Path | None:
    """Folder of the data sets that this commit has drawn; None where files of the code differ from their commit.

    >>> kept = find_kept()
    >>> kept is None or kept.parent.name == "causality-worlds"
    True
    """
    commit = find_commit()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    known = commit != "unknown" and not commit.endswith("+")
    return Path(base) / "sharpwave" / "causality-worlds" / commit if known else None


def keep_job(job: tuple[int, str, int], *, folder: Path | None) -> list[dict[str, Any]]:
    """What `run_job` says of that data set, read where it was kept, and kept where it was not.

    Args:
        job: World (by index), kind and number of the data set.
        folder: Folder of kept data sets; None keeps nothing.
    """
    if folder is None:
        return run_job(job)
    path = folder / f"{job[1]}-{job[0]}-{job[2]}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(run_job(job)))
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def run_job(job: tuple[int, str, int]) -> list[dict[str, Any]]:
    """The data set of that world (by index), kind ("null", "planted") and number: what each estimator said of it."""
    world = list(WORLDS)[job[0]]
    rng = np.random.default_rng((job[0], list(SETS).index(job[1]), job[2]))
    views = _view_null(world, rng) if job[1] == "null" else _view_planted(world, rng)
    return [
        {"world": world, "set": "-".join(map(str, (*job, number))), **row}
        for number, view in enumerate(views)
        for row in _ask(world, view, rng)
    ]


def _view_null(world: str, rng: np.random.Generator) -> Iterator[View]:
    nights = draw_set(world, planted=False, count="200", rng=rng)
    for cause in CAUSES:
        for number in range(AGAIN[cause]):
            marked = mark_again(world, nights, cause=cause, count="200", rng=rng)
            name = f"nothing planted; marks follow {HIDDEN[cause]}"
            yield View(name, marked, False, n_causes=0 if number else View.n_causes)
    for count in ("few", "many"):
        marked = mark_again(world, nights, cause="time", count=count, rng=rng)
        yield View(f"nothing planted; {COUNTS[count]} events", marked, False)
    yield from (_view_cues(nights, ratio, rng) for ratio in (1.0, 2.0))


def _view_planted(world: str, rng: np.random.Generator) -> Iterator[View]:
    for count in COUNTS:
        nights = [night.series for night in draw_set(world, planted=True, count=count, rng=rng)]
        yield View(f"planted; {COUNTS[count]} events", nights, True)
        if count == "200":
            yield View(f"planted; {EPOCH}-s epochs", [coarsen(series) for series in nights], True)
            wrong = [mislabel(series, WORLDS[world], share=WRONG, rng=rng) for series in nights]
            yield View(f"planted; {WRONG:.0%} of contents mislabelled", wrong, True)


def _view_cues(nights: list[WorldNight], ratio: float, rng: np.random.Generator) -> View:
    cued = [add_cues(night.series, night, hazard_ratio=ratio, rng=rng) for night in nights]
    added = [
        compute_oracle_cue_risk(
            night.series, series.cues["onset"].to_numpy(dtype=float), night.lightening_hazard, ratio=ratio
        )
        for night, series in zip(nights, cued, strict=True)
        if series.cues is not None
    ]
    name = "cues double the hazard" if ratio > 1 else "cues do nothing"
    return View(name, cued, ratio > 1, float(np.concatenate(added).mean()))


def _ask(world: str, view: View, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    if view.name.startswith("cues"):
        cued = estimate_randomised(view.nights, outcome="wake", rng=rng, horizon=HORIZON, n_permutations=399)
        if cued is not None:
            yield _row(view, "randomised", "wake", "any", cued.difference, view.truth)
        return
    contents = WORLDS[world]
    logs = (np.log(RATIO), 0.0, -np.log(RATIO)) if view.planted else (0.0, 0.0, 0.0)
    gains = (-GAIN, 0.0, GAIN) if view.planted else (0.0, 0.0, 0.0)
    controls = {contents[0]: check_exposure(view.nights, content=contents[0], rng=rng, n_planted=view.n_causes)}
    hazards = estimate_hazards(view.nights, outcome="wake", contents=contents, horizon=HORIZON)
    for name, truth, effect in zip(contents, logs, hazards or (), strict=False):
        yield _row(view, "hazard", "wake", name, effect.log_ratio, float(truth), controls.get(name))
    for name, gain in list(zip(contents, gains, strict=True))[:2]:
        matched = estimate_matched(view.nights, outcome="depth", content=name, horizon=HORIZON)
        if matched is not None:
            added = [compute_oracle_depth(series, name, gain=gain, horizon=HORIZON) for series in view.nights]
            truth = float(np.concatenate(added).mean()) if gain else 0.0
            yield _row(view, "matched", "depth", name, matched.difference, truth, controls.get(name))
    before = estimate_matched(view.nights, outcome="depth", content=contents[0], horizon=HORIZON, backwards=True)
    if before is not None:
        yield _row(view, "negative-control", "depth", contents[0], before.difference, 0.0)


def _row(
    view: View, method: str, question: str, content: str, interval: Interval, truth: float, control: Any = None
) -> dict[str, Any]:
    known = {name: getattr(interval, name) for name in ("value", "low", "high", "p", "detectable")}
    place = {"setting": view.name, "planted": view.planted, "method": method, "question": question, "content": content}
    names = {"control_p": "p", "control_power": "power", "control_slow_power": "slow_power"}
    seen = {name: np.nan if control is None else getattr(control, field) for name, field in names.items()}
    return {**place, **known, "truth": truth, **seen}


def compute_rows(found: pd.DataFrame) -> list[Row]:
    """Rows of the benchmark: shares of data sets with their intervals (Wilson), and biases.

    Args:
        found: Rows of `run_job` from all data sets.
    """
    rows: list[Row] = []
    for (world, setting, question, content, method), group in found.groupby(
        ["world", "setting", "question", "content", "method"], sort=False
    ):
        place = (str(world), f"{setting}; {question}, {content}", str(method))
        rows += _score(place, group.dropna(subset=["p", "low"]))
    for (world, setting), group in found[found["control_p"].notna()].groupby(["world", "setting"], sort=False):
        rows += _score_control(str(world), str(setting), group.drop_duplicates(["set", "content"]))
    return rows


def _score(place: tuple[str, str, str], known: pd.DataFrame) -> Iterator[Row]:
    if not len(known):
        return
    null = bool((known["truth"] == 0).all())
    shown = known["p"] <= ALPHA
    yield Row(*place, "false_positive_rate" if null else "power", *compute_share(shown.tolist()), len(known))
    if known["control_p"].notna().all():
        passed = shown & (known["control_p"] > ALPHA)
        metric = "false_positive_rate_with_control" if null else "power_with_control"
        yield Row(*place, metric, *compute_share(passed.tolist()), len(known))
    if known["truth"].isna().any():
        return
    covered = (known["low"] <= known["truth"]) & (known["truth"] <= known["high"])
    yield Row(*place, "coverage", *compute_share(covered.tolist()), len(known))
    error = known["value"] - known["truth"]
    half = 1.96 * float(error.std() / np.sqrt(len(error)))
    yield Row(*place, "bias", float(error.mean()), float(error.mean()) - half, float(error.mean()) + half, len(known))
    if not null:
        right = np.sign(known["value"]) == np.sign(known["truth"])
        yield Row(*place, "sign_accuracy", *compute_share(right.tolist()), len(known))
        share = known["value"].mean() / known["truth"].mean()
        half = 1.96 * float(known["value"].std() / np.sqrt(len(known)) / abs(known["truth"].mean()))
        yield Row(*place, "share_of_the_effect", float(share), float(share) - half, float(share) + half, len(known))
        seen = (known["truth"].abs() >= known["detectable"]).tolist()
        yield Row(*place, "said_to_be_detectable", *compute_share(seen), len(known))


def _score_control(world: str, setting: str, group: pd.DataFrame) -> Iterator[Row]:
    """What the control of hidden causes saw, beside the power that it printed."""
    place = (world, f"{setting}; any question", "exposure-control")
    yield Row(*place, "control_sees", *compute_share((group["control_p"] <= ALPHA).tolist()), len(group))
    for name, metric in (("control_power", "printed_power"), ("control_slow_power", "printed_power_slow")):
        power = group[name].dropna()
        low, high = np.quantile(power, [0.025, 0.975]) if len(power) else (np.nan, np.nan)
        yield Row(*place, metric, float(power.mean()), float(low), float(high), len(power))
