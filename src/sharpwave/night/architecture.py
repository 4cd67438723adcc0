"""What a sleep laboratory reads beside the statistics: who slept, and the night's course in cycles and transitions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sharpwave.evaluation.sleep_cycles import CYCLE_COLUMNS, DEFINITION, count_transitions, find_sleep_cycles
from sharpwave.night.decoded import SleepArchitecture
from sharpwave.recordings import Hypnogram, Recording

RULE = (
    f"Sleep cycles after {DEFINITION}, in minutes of the sleep itself: a NREM period with at least 15 min of NREM "
    "sleep and the REM period that ends it, with at least 5 min of REM."
)


def describe_course(
    hypnogram: Hypnogram, species: str, *, lights_off: float | None = None, lights_on: float | None = None
) -> SleepArchitecture:
    """Sleep cycles and transitions between lights off and lights on.

    Args:
        hypnogram: Stages of the night.
        species: "human", "mouse", "rat" or "unknown"; cycles are those of people.
        lights_off: Time of lights off, in seconds from the start of the recording; None takes the first epoch.
        lights_on: Time of lights on, in seconds; None takes the last epoch.

    >>> stages = Hypnogram.from_labels(["W"] * 4 + ["N2"] * 60 + ["R"] * 20)
    >>> describe_course(stages, "human").cycles["length"].tolist()
    [40.0]
    >>> describe_course(stages, "mouse").note
    'No sleep cycles: their definition is that of people; bouts of mice and rats last a minute.'
    """
    bed = hypnogram.restrict(
        hypnogram.start if lights_off is None else lights_off, hypnogram.end if lights_on is None else lights_on
    )
    transitions = count_transitions(bed) if len(bed) else pd.DataFrame()
    cycles = pd.DataFrame(columns=list(CYCLE_COLUMNS))
    if species in ("mouse", "rat"):
        note = "No sleep cycles: their definition is that of people; bouts of mice and rats last a minute."
    elif hypnogram.n_stages < 3:
        note = "No sleep cycles: these stages do not part NREM and REM sleep."
    else:
        cycles = find_sleep_cycles(bed)
        note = RULE if len(cycles) else f"No sleep cycle was found. {RULE}"
    return SleepArchitecture(cycles=cycles, transitions=transitions, note=note)


def describe_person(recording: Recording) -> dict[str, Any]:
    """Age and sex of who slept, as fields of the decoded night; None where they are not known.

    Args:
        recording: The recording; what the user said of the person is in its metadata.

    >>> describe_person(Recording(metadata={"age": 34, "sex": "F"}))
    {'age': 34.0, 'sex': 'female'}
    """
    known = recording.metadata
    age, male = known.get("age"), known.get("male")
    word = str(known.get("sex", "")).strip().lower()[:1]
    sex = (
        {True: "male", False: "female"}.get(male) if isinstance(male, bool) else {"m": "male", "f": "female"}.get(word)
    )
    return {"age": float(age) if isinstance(age, int | float) else None, "sex": sex}
