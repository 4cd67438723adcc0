"""The twin is the core; the judge finds nothing in it, something in every mutant, and shares no code with either."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from sharpwave.benchmarks.live import checker, proof, twin
from sharpwave.live.conditions import NAMES

QUICK = ("armed", "polarity", "age of stage", "refractory", "no check before the onset", "unknown holds")


def test_twin_and_core_agree_at_every_step() -> None:
    rows = {row.metric: row for row in proof.compare(5.0, seed=3)}
    assert rows["steps_that_differ"].value == 0
    assert rows["steps_that_differ"].n > 1000


def test_a_core_that_is_not_the_twin_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sharpwave.live import gate

    monkeypatch.setattr(gate, "STALL", 0.29)
    assert proof.compare(3.0, seed=3)[0].value > 0


def test_the_judge_finds_no_cue_outside_the_gate_among_many() -> None:
    rows = {row.metric: row for row in proof.prove_twin(4000.0, seeds=1)}
    assert rows["cues_outside_the_gate"].value == 0
    assert rows["cues"].value > 200
    assert rows["cancelled_before_the_onset"].value > 50


def test_the_judge_notices_mutants() -> None:
    rows = proof.find_mutants(seed=5, minutes=6000.0, names=QUICK)
    assert rows[-1].metric == "noticed"
    assert rows[-1].value == 1.0
    assert {row.method for row in rows[:-1]} == set(QUICK)


def test_every_condition_has_a_mutant() -> None:
    covered = set(twin.MUTANTS) | {name.partition(",")[0] for name in twin.MUTANTS}
    assert set(NAMES) <= covered
    assert len(set(twin.MUTANTS.values())) == len(twin.MUTANTS)


def test_the_judge_imports_nothing_of_the_gate() -> None:
    tree = ast.parse(Path(checker.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules == {"__future__", "inspect", "typing", "numpy", "numba"}


def test_a_cue_that_nobody_intended_is_outside(rng: np.random.Generator) -> None:
    for protocol, start, n, arrays in proof.make_nights(240.0, rng):
        counts = np.zeros(len(checker.RULES), np.int64)
        arrays[4][n // 2, 1:5] = twin.RELEASE, arrays[0][n // 2], 1e6, 99.0
        _, bad, _ = proof.judge(protocol, start, n, arrays, counts)
        assert bad >= 1
        assert counts[checker.RULES.index("given without an intent")] == 1
        assert counts[checker.RULES.index("level above the cap")] == 1


def test_a_night_from_samples_is_judged_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sharpwave.benchmarks.live import pipeline

    monkeypatch.setattr(pipeline, "NIGHT", 6.5)
    rows = {(row.method, row.metric): row for row in pipeline.run_pipeline(6.5, seed=4)}
    assert rows["sharpwave", "nights_replayed_to_the_byte"].value == 1.0
    assert rows["sharpwave", "audits_whole"].value == 1.0
    assert rows["sharpwave", "cues_outside_the_gate"].value == 0
    assert rows["sharpwave", "steps"].value > 3000
