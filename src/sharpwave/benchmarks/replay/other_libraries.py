"""The same state-space model in replay_trajectory_classification and in non_local_detector, event by event.

Run as a script by an interpreter that has one of them: `python other_libraries.py LIBRARY MODEL.npz POSTERIOR.npz`. It
imports nothing of sharpwave, because these libraries may live in an environment of their own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

LIBRARIES = ("replay_trajectory_classification", "non_local_detector")


def main(library: str, model_file: str, posterior_file: str) -> None:
    """Decode every event, once to compile and once timed; seconds go to standard output as JSON."""
    with np.load(model_file, allow_pickle=False) as content:
        model = {name: content[name] for name in content.files}
    prepare = {LIBRARIES[0]: prepare_classifier, LIBRARIES[1]: prepare_detector}[library]
    decode = prepare(model)
    offsets = model["offsets"]
    events = [model["counts"][low:high] for low, high in pairwise(offsets.tolist())]
    decode(events[0])
    clock, processor = time.perf_counter(), time.process_time()
    posteriors = [decode(event) for event in events]
    seconds = {"wall_s": time.perf_counter() - clock, "cpu_s": time.process_time() - processor}
    np.savez(posterior_file, posterior=np.concatenate(posteriors).astype(np.float32))
    print(json.dumps(seconds))


def prepare_classifier(model: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """replay_trajectory_classification's `SortedSpikesClassifier` with our places, rates and transitions."""
    import xarray as xr
    from replay_trajectory_classification import Environment, SortedSpikesClassifier, Uniform

    n_places = model["rates"].shape[1]
    classifier = SortedSpikesClassifier(
        environments=Environment(place_bin_size=1.0),
        continuous_transition_types=[[Uniform()] * 3] * 3,
        infer_track_interior=False,
    )
    classifier.fit_environments(np.arange(n_places + 1.0)[:, None])
    environment = classifier.environments[0]
    environment.place_bin_centers_ = np.arange(n_places)[:, None] + 0.5
    environment.centers_shape_ = (n_places,)
    environment.is_track_interior_ = np.ones(n_places, dtype=bool)
    classifier.max_pos_bins_ = n_places
    classifier.initial_conditions_ = np.full((3, n_places, 1), 1 / (3 * n_places))
    classifier.continuous_state_transition_ = model["moves"]
    classifier.discrete_state_transition_ = model["switch"]
    rates = xr.DataArray(model["rates"].T * float(model["bin_size"]), dims=["position", "neuron"])
    classifier.place_fields_ = {
        (observation.environment_name, observation.encoding_group): rates
        for observation in classifier.observation_models
    }
    states = ["stationary", "continuous", "fragmented"]

    def decode(counts: np.ndarray) -> np.ndarray:
        found = classifier.predict(counts, state_names=states)
        return found.acausal_posterior.values.reshape(len(counts), 3, n_places)

    return decode


def prepare_detector(model: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """non_local_detector's filter and smoother over the 3 × places states; it is given the likelihood, untimed parts
    of its observation model are left out."""
    from non_local_detector.core import chunked_filter_smoother

    n_places = model["rates"].shape[1]
    expected = model["rates"] * float(model["bin_size"])
    logs, silence = np.log(expected), expected.sum(axis=0)
    full = model["switch"][:, None, :, None] * model["moves"].transpose(0, 2, 1, 3)
    transition = full.reshape(3 * n_places, 3 * n_places)
    initial = np.full(3 * n_places, 1 / (3 * n_places))
    states = np.repeat(np.arange(3), n_places)

    def decode(counts: np.ndarray) -> np.ndarray:
        likelihood = np.tile(counts @ logs - silence, (1, 3))
        found = chunked_filter_smoother(
            np.arange(len(counts)), states, initial, transition, None, (), log_likelihoods=likelihood
        )
        return np.asarray(found[0]).reshape(len(counts), 3, n_places)

    return decode


if __name__ == "__main__":
    main(*sys.argv[1:4])
