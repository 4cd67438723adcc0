"""The hazard table names tests that exist, and none of its lines is without one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8").split("## Hazards")[1].split("\n## ")[0]
NAMED = re.findall(r"`(\w+)::(\w+)`", TABLE)


def test_every_test_that_the_hazard_table_names_is_there() -> None:
    assert len(NAMED) > 40
    missing = []
    for file, name in NAMED:
        if (file, name) == ("gate", "name"):
            continue
        path = ROOT / "tests" / "live" / f"test_{file}.py"
        if not path.is_file() or f"def test_{name}(" not in path.read_text(encoding="utf-8"):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_line_of_the_hazard_table_is_held_by_a_test() -> None:
    lines = [line for line in TABLE.splitlines() if line.startswith("|")][2:]
    assert len(lines) > 20
    assert all("::" in line.split("|")[4] for line in lines)
