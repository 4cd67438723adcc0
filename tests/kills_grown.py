"""Jobs of `tests/kills.py` whose results grow: `append`, days of a long recording, BIDS's group page, a cohort.

What decodes nights is replaced by something quick, so that kills fall on the writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from tests.commands.test_days import write_long
from tests.files import write_small_bids
from tests.kills import Job
from tests.recordings.store.test_append import make_part

from sharpwave.commands.append import append_source
from sharpwave.commands.batch import NightOutcome, decode_nights, plan_nights, write_group_page
from sharpwave.commands.bids import plan_bids_nights
from sharpwave.commands.cohort import write_cohort
from sharpwave.commands.days import write_days
from sharpwave.commands.sources import split_days
from sharpwave.errors import SharpwaveError
from sharpwave.executors import Serial
from sharpwave.night.day_options import DayOptions
from sharpwave.night.decoded import DecodedNight, Provenance
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings import Hypnogram
from sharpwave.recordings.store import layout, open_store, write_store

STAGES = Hypnogram(np.array([0, 1, 2, 3], dtype=np.int8))


@contextmanager
def quick() -> Iterator[None]:
    """Nights are decoded at once, and their pages are a line."""

    def decode(recording, *, options, key, progress):
        night = {"identifier": options.identifier, "source": options.source, "duration": recording.duration}
        row = {"name": "TST", "value": recording.duration, "unit": "s", "definition": ""}
        stages = recording.hypnogram or STAGES
        provenance = Provenance(hashes={"key": key})
        night["statistics"] = pd.DataFrame([row])
        return DecodedNight(**night, hypnogram=stages, stager="hand", verdict="usable", provenance=provenance)

    def write_page(night, path):
        path.write_text("a page of sharpwave")
        return path

    with (
        patch("sharpwave.night.decode.decode_recording", decode),
        patch("sharpwave.reports.page.write_report", write_page),
        patch("sharpwave.commands.batch.open_executor", lambda *_, **__: nullcontext(Serial())),
    ):
        yield


def check(outcomes: Sequence[NightOutcome]) -> None:
    """No night failed."""
    failed = [outcome.message for outcome in outcomes if outcome.status == "failed"]
    assert not failed, failed


def make_append(inputs: Path) -> Job:
    parts = [write_store(make_part(*span), inputs / f"{span[0]}.zarr") for span in ((0, 900), (900, 3000))]

    def write(which: str, folder: Path) -> None:
        for part in parts[: 1 + (which == "new")]:
            with suppress_what_is_there(), patch.object(layout, "SHARD_BYTES", 1 << 14):  # many shards
                append_source(folder / "year.zarr", str(part), DecodeOptions())

    def read(folder: Path) -> object:
        store = open_store(folder / "year.zarr")
        samples = [np.asarray(signal.samples[:]).tobytes() for signal in store.signals.values()]
        return samples, store.hypnogram, store.events.to_csv()

    return Job("append", write, read)


@contextmanager
def suppress_what_is_there() -> Iterator[None]:
    """A recording that was appended before the kill is refused."""
    try:
        yield
    except SharpwaveError as error:
        if "holds that time already" not in str(error):
            raise


def make_days(inputs: Path) -> Job:
    for which, hours in (("old", 46.0), ("new", 70.0)):
        write_long(inputs / which / "mouse.zarr", hours)

    def write(which: str, folder: Path) -> None:
        options = DecodeOptions()
        with quick():
            tasks = plan_nights([str(inputs / which / "mouse.zarr")], folder)
            tasks = split_days(tasks, options, DayOptions(light_schedule="07:00-19:00"))
            outcomes = decode_nights(tasks, options, existing="skip")
            check(outcomes)
            write_group_page(tasks, folder / "index.html", outcomes)
            write_days(tasks, options)

    def read(folder: Path) -> object:
        days = pd.read_parquet(folder / "days.parquet")
        return days.to_csv(), (folder / "circadian.tsv").read_text(), (folder / "nights.tsv").read_text()

    return Job("days", write, read, whole=False)


def make_group(inputs: Path) -> Job:
    for which, subjects in (("old", ("01", "02")), ("new", ("01", "02", "03"))):
        for subject in subjects:
            write_small_bids(inputs / which, subject=subject, seed=int(subject))

    def write(which: str, folder: Path) -> None:
        tasks = plan_bids_nights(inputs / which, folder)
        with quick():
            outcomes = decode_nights(tasks, DecodeOptions(), existing="skip")
            check(outcomes)
            write_group_page(tasks, folder / "index.html", outcomes)

    return Job("group", write, lambda folder: (folder / "nights.tsv").read_text(), whole=False)


def make_cohort(inputs: Path) -> Job:
    nights = make_group(inputs)

    def write(which: str, folder: Path) -> None:
        nights.write(which, folder)
        write_cohort(folder)

    def read(folder: Path) -> object:
        return pd.read_parquet(folder / "nights.parquet").drop(columns=["file_time", "start"]).to_csv()

    return Job("cohort", write, read, whole=False)


def make_grown(inputs: Path) -> list[Job]:
    """All of them; inputs in a folder."""
    makes = {"append": make_append, "days": make_days, "group": make_group, "cohort": make_cohort}
    for name in makes:
        (inputs / name).mkdir()
    return [make(inputs / name) for name, make in makes.items()]
