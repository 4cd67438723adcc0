"""Several at once: the files of one after another, and a worker that dies costs its own part alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.electrophysiology_files import write_edf
from tests.files import write_small_bids
from typer.testing import CliRunner

from sharpwave.benchmarks import runner
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale.executors import count_differing
from sharpwave.benchmarks.seeds import run_seeds
from sharpwave.causality.series_files import tabulate_files, write_tables
from sharpwave.commands.cli import app
from sharpwave.commands.effects import TABLES, estimate_to_folder
from sharpwave.commands.replay import FILES, ReplayOptions, replay_sessions
from sharpwave.commands.scorings import Scorings
from sharpwave.commands.windows import Data, cut_windows, open_nights
from sharpwave.errors import SharpwaveError
from sharpwave.executors import Processes, Serial, open_executor
from sharpwave.night.decoded import DecodedNight, Provenance
from sharpwave.night.planted import simulate_night_series
from sharpwave.recordings import Hypnogram
from sharpwave.recordings.store import write_store
from sharpwave.simulation import Effects, simulate_night

DIED = "its process died twice"


class Deadly(str):
    """A path that kills the worker that it is handed to."""

    def __reduce__(self):
        return os._exit, (9,)


def test_sessions_at_once_have_the_files_of_one_after_another(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    session, truth = simulate_night("rat", 0.5, rng=rng, modalities=("spikes", "position"), n_units=15, task_start=300)
    one, two = (str(write_store(session, tmp_path / f"{name}.zarr")) for name in ("one", "two"))
    truth.ripples[["onset", "duration"]].head(60).to_csv(tmp_path / "ripples.tsv", sep="\t", index=False)
    choose = partial(replay_sessions, options=ReplayOptions(events=tmp_path / "ripples.tsv", n_surrogates=20))
    serial = choose([two], output=tmp_path / "serial")
    dead, done = choose([Deadly(one), two], output=tmp_path / "jobs", jobs=2)
    assert (dead.identifier, dead.status, done.status) == ("one", "failed", "done")
    assert DIED in dead.message
    assert done.message == serial[0].message
    for name in FILES:  # an NWB file holds new identifiers each time it is written
        same = (tmp_path / "serial" / name).read_bytes() == (tmp_path / "jobs" / "two" / name).read_bytes()
        assert same or name.endswith(".nwb"), name
    assert not (tmp_path / "jobs" / "one").exists()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a dask scheduler with two workers, threads of this process that are spoken to as others are."""
    distributed = pytest.importorskip("distributed")
    workers = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "protocol": "tcp://"}
    with distributed.LocalCluster(**workers, dashboard_address=None) as local:
        yield local.scheduler_address


def test_nights_opened_at_once_give_the_effects_of_one_after_another(tmp_path: Path, scheduler: str) -> None:
    for seed in range(3):
        course, _ = simulate_night_series(
            "mouse", 2.0, rng=np.random.default_rng(seed), effects=Effects.planted(hazard_ratio=4.0, depth=4.0)
        )
        write_tables(tabulate_files(course), tmp_path / f"night-{seed}")
    first, *others = [str(tmp_path / f"night-{seed}") for seed in range(3)]
    serial = estimate_to_folder(others, output=tmp_path / "serial")
    found = estimate_to_folder([Deadly(first), *others], output=tmp_path / "jobs", jobs=2)
    assert [night.status for night in found.nights] == ["failed", "done", "done"]
    assert DIED in found.nights[0].message
    assert found.words == serial.words
    tables = [f"{name}.tsv" for name in TABLES if (tmp_path / "serial" / f"{name}.tsv").exists()]
    assert len(tables) >= 3
    estimate_to_folder(others, output=tmp_path / "cluster", scheduler=scheduler)
    for name in tables:
        assert (tmp_path / "serial" / name).read_bytes() == (tmp_path / "jobs" / name).read_bytes(), name
        assert (tmp_path / "serial" / name).read_bytes() == (tmp_path / "cluster" / name).read_bytes(), name


def test_windows_cut_at_once_are_those_that_training_finds(tmp_path: Path, scheduler: str) -> None:
    scored = tmp_path / "scored"
    scored.mkdir()
    paths = [str(write_edf(tmp_path / f"n{seed}.edf", seed=seed)) for seed in range(3)]
    for seed in range(3):
        write_edf(scored / f"n{seed}-stages.edf", stages=("W", "2", "3", "R", "W", "2"))
    outcomes = cut_windows(Data([Deadly(paths[0]), *paths[1:]]), tmp_path / "jobs", scorings=Scorings(scored), jobs=2)
    found = [(outcome.identifier, outcome.status) for outcome in outcomes]
    assert found == [("n0", "failed"), ("n1", "done"), ("n2", "done")], [outcome.message for outcome in outcomes]
    assert DIED in outcomes[0].message
    open_nights(paths[1:], tmp_path / "serial", scorings=Scorings(scored))
    different, files = count_differing(tmp_path / "serial", tmp_path / "jobs")
    assert (different, files > 4) == (0, True)
    cut_windows(Data(paths[1:]), tmp_path / "cluster", scorings=Scorings(scored), scheduler=scheduler)
    assert count_differing(tmp_path / "serial", tmp_path / "cluster") == (0, files)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "jobs").rglob("*") if path.is_file()}
    open_nights(paths[1:], tmp_path / "jobs", scorings=Scorings(scored))
    assert {path: path.stat().st_mtime_ns for path in times} == times, "what was cut is not cut again"


def test_jobs_without_windows_are_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(write_edf(tmp_path / "n.edf")), "--jobs", "2"])
    assert "expected --jobs together with --windows" in result.output + str(result.exception)
    result = CliRunner().invoke(app, ["train", "--windows", "--jobs", "2"])
    assert "something to learn from; got nothing" in str(result.exception)


def draw(seed: int, times: float = 1.0) -> float:
    if seed == 5:
        os._exit(9)
    return times * float(np.random.default_rng(seed).normal())


def test_seeds_at_once_are_those_of_one_after_another(scheduler: str) -> None:
    function = partial(draw, times=3.0)
    with open_executor(scheduler=scheduler) as cluster:
        assert run_seeds(function, 4, cluster) == run_seeds(function, 4)
    assert run_seeds(function, 4, Processes(2)) == run_seeds(function, 4) == [function(seed) for seed in range(4)]
    with pytest.raises(SharpwaveError, match=f"got seed 5: {DIED}"):
        run_seeds(draw, 6, Processes(2))


def test_a_benchmark_hands_its_seeds_or_methods_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def by_seed(data, *, seeds, train, on=None):
        asked.append(on)
        return {}, [Row("d", "s", "m", "kappa", run_seeds(draw, seeds, on)[-1])]

    def by_method(data, *, seeds, train, methods, parts):
        for method in methods or ["er", "sleep", "ablation"]:
            if not (parts / method).exists():
                asked.append((methods, method))
                (parts / method).touch()
        return {}, [Row("d", "s", "m", "kappa", 0.5)]

    modules = {"agents": by_seed, "continual.benchmark": by_method, "spindles": lambda data, *, seeds, train: ({}, [])}
    monkeypatch.setattr(
        runner,
        "import_module",
        lambda name: SimpleNamespace(
            run=modules[name.removeprefix("sharpwave.benchmarks.")],
            **({"LEARNERS": {"er": 0, "sleep": 0}, "ABLATION": "ablation"} if "continual" in name else {}),
        ),
    )
    monkeypatch.setattr(runner, "open_executor", lambda *_, **__: SerialBlock())
    one, two = (runner.run_benchmark("agents", seeds=3, jobs=jobs).rows[0].value for jobs in (1, 2))
    assert one == two == draw(2)
    assert asked[0] is None
    assert isinstance(asked[1], Serial)
    with pytest.raises(SharpwaveError, match=r"of independent parts.*--scheduler with spindles"):
        runner.run_benchmark("spindles", jobs=2)
    asked.clear()
    runner.run_benchmark("continual", jobs=2)
    assert asked == [([method], method) for method in ("er", "sleep", "ablation")], "then they are all found"


def test_twenty_participants_at_once_write_their_own_files_and_the_group_level_finds_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [f"{number:02d}" for number in range(1, 21)]
    for label in labels:
        write_small_bids(tmp_path / "set", subject=label)
    monkeypatch.setattr("sharpwave.night.decode.decode_recording", decode_nothing)
    base = [str(tmp_path / "set"), str(tmp_path / "out")]
    gate = get_context("fork").Barrier(len(labels))
    jobs = [get_context("fork").Process(target=decode_participant, args=(base, label, gate)) for label in labels]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 20
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert "index.html" not in written
    assert {f"sub-{label}" for label in labels} < written
    for label in labels:
        assert len([*(tmp_path / "out" / f"sub-{label}").rglob("*_desc-sharpwave_events.tsv")]) == 1
    assert not [path for path in (tmp_path / "out").rglob(".*")], "nothing half written stays"
    group = CliRunner().invoke(app, ["bids", *base, "group"])
    assert group.exit_code == 0, group.output
    rows = (tmp_path / "out" / "nights.tsv").read_text().splitlines()
    assert [row.split("\t")[1] for row in rows[1:]] == labels
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(f"sub-{label}_ses-1_task-sleep" in page for label in labels)


def decode_participant(base: list[str], label: str, gate: Barrier) -> None:
    arguments = ["bids", *base, "participant", "--participant-label", label]
    gate.wait(60)
    os._exit(CliRunner().invoke(app, arguments).exit_code)


def decode_nothing(recording, *, options, key, progress):
    stages = Hypnogram(np.array([0, 1, 2, 3], dtype=np.int8))
    night = {"identifier": options.identifier, "source": options.source, "duration": 120.0, "hypnogram": stages}
    return DecodedNight(**night, stager="hand", verdict="usable", provenance=Provenance(hashes={"key": key}))


@pytest.mark.parametrize("given", [("--stager", "yasa"), ("--jobs", "2"), ("--overwrite",), ("--hypnogram",)])
def test_the_group_level_refuses_options_of_decoding(given: tuple[str, ...], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bids", str(tmp_path), str(tmp_path / "out"), "group", *given])
    assert f"expected {given[0]} together with the participant level" in result.output + str(result.exception)


class SerialBlock(Serial):
    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_the_options_are_those_of_decode() -> None:
    for command in ("replay", "causality", "benchmark", "train"):
        text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        assert "How many nights (sessions, seeds) at the same time." in text, command
        assert "--scheduler" in text, command
        assert "--skip-existing" not in text, command


def test_several_sessions_have_folders_of_their_own_and_bad_ones_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.nwb").write_text("no session")
    arguments = ["replay", str(tmp_path / "a.nwb"), str(tmp_path / "b.nwb"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "a: failed" in result.output
    assert "Some sessions failed: 2 failed." in result.output
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
