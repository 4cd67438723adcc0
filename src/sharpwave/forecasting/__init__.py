"""Forecasters behind one small contract, by name and protocol.

>>> list(FORECASTERS), list(FORECASTERS["signal-only"])
(['observed', 'signal-only'], ['persistence', 'hmm', 'lightgbm-signals', 'lightgbm-ensemble', 'cnn', 'lstm'])
"""

from __future__ import annotations

from collections.abc import Callable

from sharpwave.forecasting.boosting import Boosting, SignalEnsemble
from sharpwave.forecasting.contract import Forecast, Forecaster
from sharpwave.forecasting.hmm import HiddenMarkov
from sharpwave.forecasting.tables import Markov, Persistence, SemiMarkov

__all__ = ["FORECASTERS", "Forecast", "Forecaster"]


def _network(kind: str, *, stages: bool) -> Forecaster:
    from sharpwave.forecasting.networks import Network

    return Network(kind=kind, stages=stages)


FORECASTERS: dict[str, dict[str, Callable[[], Forecaster]]] = {
    "observed": {
        "persistence": Persistence,
        "markov": Markov,
        "semi-markov": SemiMarkov,
        "hmm": HiddenMarkov,
        "lightgbm": Boosting,
        "lightgbm-signals": lambda: Boosting(signals=True),
        "lightgbm-votes": lambda: Boosting(votes=True),
        "cnn": lambda: _network("cnn", stages=True),
        "lstm": lambda: _network("lstm", stages=True),
    },
    "signal-only": {
        "persistence": lambda: Persistence(observed=False),
        "hmm": lambda: HiddenMarkov(stages=False),
        "lightgbm-signals": lambda: Boosting(stages=False, signals=True),
        "lightgbm-ensemble": SignalEnsemble,
        "cnn": lambda: _network("cnn", stages=False),
        "lstm": lambda: _network("lstm", stages=False),
    },
}
"""How each method is made, by protocol. Each needs no argument; `fit` and `predict` are the contract."""
