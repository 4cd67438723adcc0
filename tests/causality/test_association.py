from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality.association import check_association
from sharpwave.causality.course import NightCourse
from sharpwave.errors import SharpwaveError


def make_course(rng: np.random.Generator, *, coupled: bool, hours: float = 3.0) -> NightCourse:
    """Depth wanders fast; reactivations follow it, or another night's wander."""
    n = int(hours * 3600)
    wander = np.repeat(rng.normal(size=(2, n // 40)), 40, axis=1)
    rate = 0.05 * np.exp(wander[0] if coupled else wander[1])
    onsets = np.flatnonzero(rng.random(wander.shape[1]) < rate).astype(float)
    length = wander.shape[1]
    return NightCourse(
        night="a",
        time=np.arange(length, dtype=float),
        stage=np.ones(length, dtype=np.int8),
        n_stages=3,
        depth=wander[0] + rng.normal(0, 0.2, length),
        emg=None,
        infraslow=None,
        reactivations=pd.DataFrame({"onset": onsets, "content": "neutral"}),
        usable=np.ones(length, dtype=bool),
    )


def test_what_goes_together_is_told_from_what_does_not(rng):
    assert check_association([make_course(rng, coupled=True) for _ in range(3)], rng=rng).p < 0.01
    apart = check_association([make_course(rng, coupled=False) for _ in range(3)], rng=rng)
    assert apart.p > 0.05
    assert "are not shown to go together within stages" in apart.describe()


def test_nights_exchanged_agree_and_circular_shifts_warn(rng):
    courses = [make_course(rng, coupled=True) for _ in range(5)]
    assert check_association(courses, rng=rng, method="session").p < 0.05
    circular = check_association(courses, rng=rng, method="circular")
    assert "unsafe where signals drift" in circular.warning


def test_nights_too_short_to_shift_are_not_counted_and_unknown_methods_refused(rng):
    course = make_course(rng, coupled=True)
    short = replace(course, **{name: getattr(course, name)[:200] for name in ("time", "stage", "depth", "usable")})
    found = check_association([short, course], rng=rng)
    assert found.n_nights == 1
    with pytest.raises(SharpwaveError, match="linear, session, circular"):
        check_association([course], rng=rng, method="wrap")


def test_a_stage_that_drives_both_is_no_association(rng):
    courses = []
    for _ in range(4):
        course = make_course(rng, coupled=False)
        awake = (np.arange(len(course.time)) // 600) % 2 == 1
        table = course.reactivations[~awake[course.reactivations["onset"].to_numpy(dtype=int)]]
        stage = np.where(awake, 0, 1).astype(np.int8)
        courses.append(replace(course, stage=stage, depth=course.depth - 10 * awake, reactivations=table))
    assert check_association(courses, rng=rng).p > 0.05
