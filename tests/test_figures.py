"""Figures on pages are those of the files of results, and baselines are the best of their setting."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sharpwave.benchmarks import BENCHMARKS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import figures  # noqa: E402

ROWS = [
    ("nights", "held out", "sharpwave", "kappa", 0.5749, 0.5, 0.65, 4),
    ("nights", "held out", "weak", "kappa", 0.1, None, None, 4),
    ("nights", "held out", "strong", "kappa", 0.56, 0.4, 0.6, 4),
    ("nights", "held out", "joint", "kappa", 0.9, None, None, 4),
    ("nights", "held out", "weak", "log_loss", 0.9, None, None, 4),
    ("nights", "held out", "strong", "log_loss", 0.4, None, None, 4),
    ("nights", "speed", "ratio", "time_ratio", 296.04, None, None, 1),
    ("nights", "size", "sharpwave", "peak_mb", 2733.9, None, None, 1),
]
OURS = "<!--=toy::nights::held out::sharpwave::kappa-->.57 [.50, .65]<!--/-->"


def _make(folder: Path, page: str) -> figures.Results:
    names = ("data", "setting", "method", "metric", "value", "low", "high", "n")
    rows = [dict(zip(names, row, strict=True)) for row in ROWS]
    (folder / "benchmarks" / "results").mkdir(parents=True, exist_ok=True)
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "page.md").write_text("# Nothing here\n", encoding="utf-8")
    (folder / "benchmarks" / "results" / "toy.json").write_text(json.dumps({"rows": rows, "total": {"read": 3}}))
    (folder / "README.md").write_text(page, encoding="utf-8")
    return figures.Results(folder / "benchmarks" / "results")


def _check(folder: Path, page: str) -> list[str]:
    results = _make(folder, page)
    return figures.check_page(folder / "README.md", folder, results)


def test_every_figure_of_every_page_is_that_of_its_file() -> None:
    results = figures.Results(ROOT / "benchmarks" / "results")
    assert [fault for path in figures.list_pages(ROOT) for fault in figures.check_page(path, ROOT, results)] == []


def test_every_row_of_the_readme_has_a_baseline() -> None:
    results = figures.Results(ROOT / "benchmarks" / "results")
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, keys = figures.render_page(page, results)
    remaining = iter(keys)
    cost = re.compile(r"time|cpu|seconds|_mb$|_ms$|memory|power")
    for line in page.splitlines():
        row = [next(remaining) for _ in figures.FIGURE.finditer(line)]
        if line.startswith("|") and row and not all(cost.search(key.place[4]) for key in row):
            assert any(key.baseline for key in row), line


def test_bench_makes_exactly_the_files_that_are_shown() -> None:
    results = figures.Results(ROOT / "benchmarks" / "results")
    shown = set()
    for path in figures.list_pages(ROOT):
        _, _, keys = figures.render_page(path.read_text(encoding="utf-8"), results)
        shown |= {key.place[0] for key in keys}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    bench = re.search(r"^BENCH := (.*?[^\\])\n", makefile, re.MULTILINE | re.DOTALL)
    assert bench is not None
    made = dict(one.split(":") for one in bench.group(1).replace("\\", " ").split())
    assert set(made) <= set(BENCHMARKS)
    assert set(made) | set(figures.SCRIPTS) == shown == set(results.files)
    for name, seeds in made.items():
        assert results.files[name]["provenance"]["seeds"] == int(seeds), name
    for content in results.files.values():
        assert {"command"} <= set(content["provenance"])
        assert {"commit", "machine"} <= set(content)


def test_what_differs_is_found_and_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = f"Ours {OURS.replace('.57', '.61')}, **{OURS}**.\n"
    assert len(_check(tmp_path, page)) == 1
    monkeypatch.setattr(sys, "argv", ["figures.py", "--root", str(tmp_path), "--check"])
    assert figures.main() == 1
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == page
    monkeypatch.setattr(sys, "argv", ["figures.py", "--root", str(tmp_path)])
    assert figures.main() == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == f"Ours {OURS}, **{OURS}**.\n"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("toy::nights::held out::sharpwave::kappa", "0.575 [0.500, 0.650]"),
        ("toy::nights::held out::sharpwave::kappa::x100", "57 % [50, 65]"),
        ("toy::nights::held out::sharpwave::kappa::low high", ".50–.65"),
        ("toy::nights::held out::sharpwave::kappa::n", "4"),
        ("toy::nights::held out::sharpwave::kappa::1-", ".43"),
        ("toy::nights::speed::ratio::time_ratio::1digit", "300"),
        ("toy::nights::size::sharpwave::peak_mb", "2,734"),
        ("toy::total::read", "3"),
    ],
)
def test_forms(tmp_path: Path, key: str, shown: str) -> None:
    assert _check(tmp_path, f"A <!--={key}-->{shown}<!--/-->\n") == []


def test_empty_parts_are_those_of_the_key_before(tmp_path: Path) -> None:
    assert (
        _check(tmp_path, f"A {OURS}, <!--=::::::strong-->.56 [.40, .60]<!--/-->, <!--=::::::::log_loss-->.4<!--/-->\n")
        == []
    )


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("A <!--=toy::nights::held out::nobody::kappa-->.5<!--/-->", "no row and no number"),
        ("A <!--=toy::nights::held out::weak::kappa-->.10 [.05, .15]<!--/-->", "a number more than the row has"),
        ("A <!--=toy::nights::held out::weak::kappa-->x<!--/-->", "shows no number"),
        ("A <!--=toy::nights::held out::weak::kappa::backwards-->.10<!--/-->", "backwards: no words of a key"),
        (OURS, "may not begin a line"),
        ("A <!--=toy::nights::held out::weak::kappa::baseline-->.10<!--/-->", "strong is a better baseline"),
        ("A <!--=toy::nights::held out::weak::log_loss::baseline-->.90<!--/-->", "strong is a better baseline"),
        ("A figure .5†", "no line that begins with it"),
        ("| a | b |\n|---|---|\n| κ .1 | .57 |", "neither a key nor the sign"),
    ],
)
def test_faults(tmp_path: Path, page: str, words: str) -> None:
    faults = _check(tmp_path, page + "\n")
    assert len(faults) == 1
    assert words in faults[0]


def test_what_is_no_fault(tmp_path: Path) -> None:
    assert _check(tmp_path, "A <!--=toy::nights::held out::strong::kappa::baseline-->.56<!--/-->\n") == []
    reason = "baseline because it sees the future"
    assert _check(tmp_path, f"A <!--=toy::nights::held out::weak::kappa::{reason}-->.10<!--/-->\n") == []
    assert _check(tmp_path, f"| a | b |\n|---|---|\n| κ .1 | {OURS}, version 0.8.1, .76† |\n\n† By others.\n") == []


def test_moves_comments_and_imports_are_no_changes_of_code(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], cwd=tmp_path, check=True)

    package = tmp_path / "src" / "sharpwave"
    package.mkdir(parents=True)
    body = "".join(f"\n\ndef f{n}(x):\n    return x + {n}\n" for n in range(20))
    (package / "__init__.py").write_text("")
    (package / "bench.py").write_text(f'"""Old words."""\n\nfrom sharpwave.part import f1\n{body}')
    (package / "part.py").write_text(f"import os\n{body}")
    (package / "other.py").write_text("A = 1\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    git("tag", "one")
    git("mv", "src/sharpwave/part.py", "src/sharpwave/piece.py")
    (package / "bench.py").write_text(f'"""New words."""\n\nfrom sharpwave.piece import f1\n\n# A comment.\n{body}')
    (package / "other.py").write_text("A = 2\n")
    history = figures.History(tmp_path)
    files = history.closure("sharpwave.bench")
    assert files == ["src/sharpwave/bench.py", "src/sharpwave/piece.py"]
    assert history.changed("one", files) == []
    (package / "piece.py").write_text(f"import os\n{body}".replace("x + 7", "x - 7"))
    assert figures.History(tmp_path).changed("one", files) == ["src/sharpwave/piece.py"]
    with pytest.raises(subprocess.CalledProcessError):
        history.changed("0123456789ab", files)
