"""What sleep is for: stability, robustness and resilience, and the dynamics of recordings and networks.

An island of numpy and scipy: it takes arrays and callables, so that it serves nights and networks alike.
"""

from sharpwave.resilience.brittleness import BrittlenessMap, map_brittleness
from sharpwave.resilience.card import Card, Subject, card
from sharpwave.resilience.dynamics import measure_dynamics
from sharpwave.resilience.recovery import (
    Recovery,
    compute_recovery,
    match_shock,
    measure_recovery,
    summarise_recoveries,
)
from sharpwave.resilience.robustness import measure_robustness
from sharpwave.resilience.stability import compute_stability
from sharpwave.resilience.windows import measure_windows

__all__ = [
    "BrittlenessMap",
    "Card",
    "Recovery",
    "Subject",
    "card",
    "compute_recovery",
    "compute_stability",
    "map_brittleness",
    "match_shock",
    "measure_dynamics",
    "measure_recovery",
    "measure_robustness",
    "measure_windows",
    "summarise_recoveries",
]
