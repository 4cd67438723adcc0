"""The table of effects: one row an estimate, with its control."""

from __future__ import annotations

EFFECT_COLUMNS = (
    "outcome", "horizon", "content", "stage", "period", "direction", "estimator", "exposed", "control", "value", "low",
    "high", "ratio", "ratio_low", "ratio_high", "p", "q", "n_events", "n_nights", "e_value", "control_p", "note",
)  # fmt: skip
"""outcome ("depth", "lighter", "deeper", "wake"; "rate" where the direction is reverse), horizon (s), content ("any" or
its name), stage ("any" or its name), period ("any", "early", "late"), direction ("forward", "reverse"), estimator
("matched", "hazard", "randomised", "naive"), exposed and control (risk, dB, or rate per minute), value (their difference)
with its 95 % interval low to high, ratio with its own, p, q (Benjamini–Hochberg), n_events, n_nights, e_value,
control_p (of the negative control outcome), note."""
