from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.causality.effects_tables import NULL, REVERSE, make_effects

from sharpwave.causality.effects_table import AGAINST, adjust
from sharpwave.causality.rules import describe_rules, extract_rules
from sharpwave.errors import SharpwaveError


def test_a_rule_reads_as_a_sentence_with_its_interval_and_its_counts():
    rules = extract_rules(make_effects({}, NULL, REVERSE))
    assert list(rules["verdict"]) == ["rule", "not shown", "not shown"]
    assert rules.loc[0, "rule"] == (
        "In N2, an aversive reactivation raises the chance of waking within 30 s from 2.1 % to 4.0 % "
        "(95 % interval 3.1–5.2, 412 events, 9 nights)."
    )
    assert rules.loc[0, "claim"] == "observational: causal in the statistical sense"


def test_the_control_of_a_rule_names_negative_control_reverse_direction_and_hidden_cause():
    control = extract_rules(make_effects({}, REVERSE)).loc[0, "control_of_rule"]
    assert "Negative control quiet (p = .410)" in control
    assert "× 1.01 per dB" in control
    assert "ratios of 3.2" in control


def test_a_null_is_stated_plainly():
    rules = extract_rules(make_effects(NULL))
    assert rules.loc[0, "verdict"] == "not shown"
    assert "a neutral reactivation is not shown to change the chance of waking within 30 s" in rules.loc[0, "rule"]
    assert "−0.4 to +0.6 points" in rules.loc[0, "rule"]
    assert describe_rules(rules).startswith("No effect was shown: none of 1 questions")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"low": -0.001}, "the interval holds zero"),
        ({"q": 0.06}, "false-discovery control"),
        ({"q": np.nan}, "false-discovery control"),
        ({"control_p": 0.01}, "the negative control moved as well"),
        ({"control_p": np.nan}, "no negative control"),
    ],
)
def test_each_check_alone_denies_the_name_of_a_rule(change, reason):
    rules = extract_rules(make_effects(change))
    assert rules.loc[0, "verdict"] == "not shown"
    assert reason in rules.loc[0, "reason"]


def test_of_too_few_nights_an_estimate_is_told_and_nothing_denied():
    rules = extract_rules(make_effects({"n_nights": 2}, NULL | {"n_nights": 2}))
    assert list(rules["verdict"]) == ["too few nights"] * 2
    assert "fewer than 3 nights" in rules.loc[0, "reason"]
    assert rules.loc[0, "rule"].startswith("In N2, the chance of waking within 30 s was 4.0 % after an aversive")
    assert not rules["rule"].str.contains("not shown").any()
    words = describe_rules(rules)
    assert words.startswith("Estimated, but of too few nights: 2 of 2 questions in 2 nights, with stretches of half an")
    assert "leaves out zero in 1: In N2, the chance of waking" in words
    assert "No effect" not in words


def test_an_interval_that_leaves_out_zero_is_never_silently_denied():
    words = describe_rules(extract_rules(make_effects({"q": 0.2}, NULL)))
    assert words.startswith(
        "No effect was shown: none of 2 questions passed every check. The interval leaves out zero in 1"
    )
    assert "It is no rule: does not pass false-discovery control (q = .200)" in words


@pytest.mark.parametrize("direction", [{}, {"outcome": "depth"}, REVERSE])
def test_an_estimate_reads_as_one_in_every_direction(direction):
    (words,) = extract_rules(make_effects(direction | {"n_nights": 1}))["rule"]
    assert "not shown" not in words
    assert words.endswith("412 events, 1 night).")


def test_a_table_without_estimates_is_no_error():
    """Few reactivations give a table without rows, whose columns pandas makes objects."""
    empty = pd.DataFrame([], columns=list(make_effects({}).columns))
    assert len(extract_rules(empty)) == 0
    assert len(extract_rules(make_effects({}).iloc[:0].astype(object))) == 0
    assert len(extract_rules(make_effects({}).astype(object))) == 1
    assert len(extract_rules(adjust(empty))) == 0
    assert describe_rules(extract_rules(empty)).startswith("Nothing could be estimated")


def test_the_horizon_is_the_declared_one_and_not_the_best_one():
    effects = make_effects({"horizon": 5.0, "p": 1e-9, "q": 1e-8}, {}, {"horizon": 60.0, "p": 1e-9, "q": 1e-8})
    rules = extract_rules(effects)
    assert list(rules["horizon"]) == [30.0]


def test_a_naive_estimate_never_becomes_a_rule_and_a_hazard_comes_before_a_match():
    effects = make_effects({"estimator": "naive"}, {"estimator": "matched", "value": 0.5}, {})
    rules = extract_rules(effects)
    assert list(rules["estimator"]) == ["hazard"]


def test_caused_is_said_of_randomised_cues_alone():
    rules = extract_rules(make_effects({}, {"estimator": "randomised"})).set_index("estimator")
    assert "caused a rise" in rules.loc["randomised", "rule"]
    assert "a cue of the aversive memory" in rules.loc["randomised", "rule"]
    assert "caused" in rules.loc["randomised", "claim"]
    assert "caused" not in rules.loc["hazard", "rule"]
    assert rules.loc["hazard", "claim"].startswith("observational")


def test_depth_says_lighter_and_deeper_and_early_says_when():
    change = {"outcome": "depth", "estimator": "matched", "value": -1.2, "low": -1.6, "high": -0.8, "period": "early"}
    rule = extract_rules(make_effects(change)).loc[0, "rule"]
    assert rule.startswith("In N2 early in the night, an aversive reactivation is followed by sleep 1.20 dB lighter")
    assert "0.80–1.60" in rule


def test_the_surest_rule_ranks_first():
    rules = extract_rules(make_effects({"p": 0.01}, {"content": "rewarding", "p": 1e-6}))
    assert list(rules["content"]) == ["rewarding", "aversive"]
    assert list(rules["rank"]) == [1, 2]


def test_no_effects_give_no_rules_and_a_table_without_its_columns_is_refused():
    assert "too few reactivations" in describe_rules(extract_rules(make_effects({}).iloc[:0]))
    with pytest.raises(SharpwaveError, match="as estimate_effects gives it"):
        extract_rules(make_effects({}).drop(columns="q"))


@pytest.mark.parametrize(
    ("comparator", "words"),
    [
        ("events", "than after events that carried none"),
        ("moments", "than at moments without one"),
        ("others", "than after reactivations of other contents"),
    ],
)
def test_the_sentence_names_the_comparator_of_its_row(comparator, words):
    depth = {"outcome": "depth", "estimator": "matched", "value": -1.2, "low": -1.6, "high": -0.8}
    assert words in extract_rules(make_effects(depth | {"comparator": comparator})).loc[0, "rule"]
    older = depth | {"note": f"observational: causal in the statistical sense; {AGAINST[comparator]}"}
    assert words in extract_rules(make_effects(older)).loc[0, "rule"], "a table without the column"


def test_a_row_of_cues_speaks_of_cues_and_sham():
    cued = {"estimator": "randomised", "outcome": "depth", "value": 0.2, "low": -0.1, "high": 0.5, "stage": "any"}
    rules = extract_rules(make_effects(cued, REVERSE | {"stage": "any", "p": 1e-6})).set_index("estimator")
    row = rules.loc["randomised"]
    assert "against depth after sham" in row["rule"]
    assert "reactivation" not in row["rule"] + row["control_of_rule"] + row["mark"]
    shown = extract_rules(make_effects(cued | {"low": 0.1})).loc[0, "rule"]
    assert "dB deeper over the next 30 s than after sham" in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detectable": 0.012}, "; a rise to 3.3 % would have been seen in 8 of 10 such data sets)."),
        ({"outcome": "depth", "estimator": "matched", "detectable": 0.31}, "; 0.31 dB would have been seen in 8 of 10"),
        (REVERSE | {"control": 1.0, "detectable": 0.12}, "; × 1.12 per dB would have been seen in 8 of 10"),
        ({"detectable": 0.012, "n_nights": 1}, "1 night; a rise to 3.3 % would have been seen"),
    ],
)
def test_what_is_not_shown_says_what_would_have_been_seen(change, words):
    rules = extract_rules(make_effects(NULL | change))
    assert words in rules.loc[0, "rule"]
    if rules.loc[0, "verdict"] == "not shown":
        assert "Not shown is not absent" in describe_rules(rules)
    assert "would have been seen" not in extract_rules(make_effects({"detectable": 0.01})).loc[0, "rule"]


def test_a_hidden_cause_denies_the_name_of_a_rule_and_the_control_says_its_power():
    quiet = {"exposure_p": 0.6, "exposure_power": 0.97, "exposure_seen": "runs", "comparator": "events"}
    rules = extract_rules(make_effects(quiet))
    assert rules.loc[0, "verdict"] == "rule"
    assert "nothing before an event tells whether it carries this (p = .600" in rules.loc[0, "control_of_rule"]
    assert "would be seen in 97 % of such nights" in rules.loc[0, "control_of_rule"]
    for seen, words in (("state", "follows the state of sleep before them"), ("runs", "come in runs")):
        rules = extract_rules(make_effects(quiet | {"exposure_p": 0.004, "exposure_seen": seen}))
        assert rules.loc[0, "verdict"] == "not shown"
        assert words in rules.loc[0, "reason"]
        assert "a hidden cause may move both" in rules.loc[0, "reason"]
    blind = extract_rules(make_effects({"comparator": "moments"}))
    assert "no control could see a hidden cause" in blind.loc[0, "control_of_rule"]


def test_a_rule_whose_reverse_was_found_is_marked():
    rules = extract_rules(make_effects({}, REVERSE | {"p": 0.001}))
    assert rules.loc[0, "mark"].startswith("The reverse direction was found as well")
    assert extract_rules(make_effects({}, REVERSE)).loc[0, "mark"] == ""
    assert extract_rules(make_effects(NULL, REVERSE | {"content": "neutral", "p": 0.001})).loc[0, "mark"] == ""
