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
