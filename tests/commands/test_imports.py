"""No benchmark is loaded by any command but `benchmark`, and nothing that a night does not need by `decode`."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import time
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfSignal

import sharpwave.commands

COMMANDS = sorted(path.stem for path in Path(sharpwave.commands.__file__).parent.glob("*.py"))
"""Modules of the command line."""
DEMO = ("sharpwave.commands.demo", "sharpwave.demonstrations.network_sleep", "sharpwave.night.planted")
"""What `sharpwave demo` loads when it runs."""


@pytest.mark.parametrize(
    "modules",
    [tuple(f"sharpwave.commands.{name}" for name in COMMANDS if name != "__init__"), DEMO],
    ids=["every command", "the demonstration"],
)
def test_no_benchmark_is_loaded(modules: tuple[str, ...]) -> None:
    code = (
        f"import json, sys, importlib; [importlib.import_module(name) for name in {modules!r}]; "
        "print(json.dumps([name for name in sys.modules if name.startswith('sharpwave.benchmarks')]))"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == []


def test_no_command_but_one_names_a_benchmark() -> None:
    """Also not inside a function, where an import shows only when the command runs."""
    folder = Path(sharpwave.commands.__file__).parent
    named = {path.stem for path in folder.glob("*.py") if "sharpwave.benchmarks" in path.read_text(encoding="utf-8")}
    assert len(named) == 1, named


NEEDLESS = (
    "yasa", "matplotlib", "seaborn", "sympy", "numba", "zarr", "h5py", "pynapple", "networkx", "torch._dynamo",
)  # fmt: skip
"""What a night of one EEG channel as EDF does not need; each costs a tenth to a whole second of CPU."""

DECODE = f"""
import atexit, gc, sys
from sharpwave.commands.cli import main
sys.argv = ["sharpwave", "decode", sys.argv[1], "-o", sys.argv[2], "--json"]
atexit.register(lambda: print("frozen", gc.get_freeze_count() > 0))  # runs last
try:
    main()
except SystemExit:  # 1: noise is no night to trust, but everything is computed and written
    pass
print([name for name in {NEEDLESS!r} if name in sys.modules], gc.get_threshold()[0])
"""


def test_a_tiny_night_loads_nothing_needless_and_little_garbage_is_looked_for(tmp_path: Path) -> None:
    samples = np.cumsum(np.random.default_rng(0).standard_normal(600 * 100))
    samples = 5 * (samples - np.convolve(samples, np.ones(200) / 200, "same"))
    signal = EdfSignal(samples, 100, label="C4-M1", physical_dimension="uV")
    Edf([signal], starttime=time(23)).write(tmp_path / "tiny.edf")
    command = [sys.executable, "-W", "ignore", "-c", DECODE, str(tmp_path / "tiny.edf"), str(tmp_path / "out")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "yasa+brainmu" in (tmp_path / "out" / "summary.json").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "report.html").is_file()
    assert answer.stdout.splitlines()[-2:] == ["[] 10000", "frozen True"]
