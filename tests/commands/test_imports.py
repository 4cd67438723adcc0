"""No benchmark is loaded by any command but `benchmark`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_decoding_loads_no_compiler_and_no_library_of_figures() -> None:
    """Each costs half a second of CPU or more for every night that has a process of its own."""
    needless = ("torch._dynamo", "sympy", "seaborn", "matplotlib.pyplot", "yasa.plotting")
    code = (
        "import sys, numpy as np; from sharpwave.brainmu.checkpoints import load_brainmu; load_brainmu(); "
        "from sharpwave.signals.stage_spectra import _separate; "
        "noise = np.random.default_rng(0).standard_normal((2, 3000)); "
        "found = _separate(noise, rate=100.0, band=(1.0, 25.0)); "
        f"print([name for name in {needless!r} if name in sys.modules]); "
        "import yasa; whole = yasa.irasa(noise, sf=100.0, band=(1.0, 25.0), return_fit=False, win_sec=4); "
        "print(bool(np.array_equal(whole[1], found[1])))"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["[]", "True"]
