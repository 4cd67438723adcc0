"""Figures on pages follow the files of results.

    python tools/figures.py              # rewrite every figure of README.md and docs/*.md from its file of results
    python tools/figures.py --check      # rewrite nothing; exit code 1 where a page and its file differ
    python tools/figures.py --stale      # which code under each file has changed since the commit that made it
    python tools/figures.py --unmarked   # decimals in tables that no key stands before

A figure on a page stands between a key and its end, both invisible where Markdown is rendered:

    <!--=staging::DREAMS::30 min excerpts::yasa::kappa-->.57 [.52, .62]<!--/-->

The key is a file of results, then data, setting, method and metric of one of its rows (or the path to a number, in a
file that has no such rows). In a key that begins with `::`, an empty part is that of the key before it on the page.
The figure is its own pattern: its first number is the value, the second and third the ends of the interval, each with
as many decimals as it had. A sixth part changes that, in words: `value`, `low`, `high`, `n` name the numbers in their
order; `x100` is a factor, `1-` one minus it; `1digit` leaves one digit that counts, as for ratios of times; `baseline`
says that no other method of the same setting is better, unless `because` and a reason follow.

A figure that no file holds carries the sign †, and the page a footnote.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from house import House

ROOT = Path(__file__).parents[1]
FIGURE = re.compile(r"<!--=(.*?)-->(.*?)<!--/-->", re.DOTALL)
NUMBER = re.compile(r"[+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[+−]?\.\d+")
DECIMAL = re.compile(r"(?<![\d.])\d*\.\d+(?![\d.]*\.\d)(?!\w)")
LINE_START = re.compile(r"[\s>]*(?:(?:[-*+]|\d+\.)\s+)*")
PARTS = 6
SIGN = "†"

OURS = re.compile(r"sharpwave|brainmu|sleep\b|ssr$|src$|wake$|with sleep")
"""Methods of this project, which are no baselines."""
BOUNDS = ("joint", "smoother (sees the future)")
"""What knows more than any method may: bounds, no baselines."""
LOWER = re.compile(r"error|loss|ece|brier|forgetting|_s$|_mb$|_ms$|false|seconds|memory|latency|time|half_step")
"""Metrics of which less is better."""
COMPLETE = ("README.md",)
"""Pages in whose tables every decimal has a key, or the sign of a figure without a file."""
SCRIPTS = {
    "mammoth": "benchmarks/mammoth.py",
    "real-files": "benchmarks/real_files.py",
    "fuzz_readers": "benchmarks/fuzz_readers.py",
    "latency-rules": "benchmarks/latency_rules.py",
    "clarity-halves": "benchmarks/clarity_halves.py",
    "live-soak": "benchmarks/live_soak.py",
    "language-glue5": "src/sharpwave/benchmarks/language/benchmark.py",
    "language-own": "src/sharpwave/benchmarks/language/benchmark.py",
    "language-qa5": "src/sharpwave/benchmarks/language/benchmark.py",
    "language-patches": "src/sharpwave/benchmarks/language/benchmark.py",
    "private-text": "src/sharpwave/benchmarks/private/texts.py",
    "staging-seeds": "src/sharpwave/benchmarks/staging/trainings.py",
}
"""What makes the files that are no `sharpwave benchmark`, or one that needs a model (`docs/language-benchmark.md`)."""


RUNS = {"decode-memory": ("sharpwave.commands.decode",), "replay-speed": ("sharpwave.commands.replay",)}
"""Commands that a benchmark runs in a process of its own, which its imports do not tell."""


class Results:
    """Files of results by name."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
        self.rows: dict[tuple[str, ...], dict[str, Any]] = {}
        for name, content in self.files.items():
            for row in content.get("rows", ()):
                if "metric" in row:
                    self.rows[(name, row["data"], row["setting"], row["method"], row["metric"])] = row

    def find(self, key: tuple[str, ...]) -> dict[str, Any]:
        """The row of a key, or `{"value": …}` of a number by its path.

        Raises:
            LookupError: If there is neither.
        """
        if key in self.rows:
            return self.rows[key]
        found: Any = self.files.get(key[0])
        for step in filter(None, key[1:]):
            if isinstance(found, list):
                found = next((one for one in found if step in (one.get("recording"), one.get("data"))), None)
            else:
                found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, int | float):
            raise LookupError(f"no row and no number at {' :: '.join(key)}")
        return {"value": found}

    def better(self, key: tuple[str, ...]) -> list[str]:
        """Baselines of the same setting that are better than the method of `key`, the best first."""
        own = self.rows[key]["value"]
        sign = -1 if LOWER.search(key[4]) else 1
        found = [
            (sign * row["value"], method)
            for (*place, method, metric), row in self.rows.items()
            if tuple(place) == key[:3] and metric == key[4] and row["value"] is not None
            if method not in BOUNDS and not OURS.match(method) and sign * (row["value"] - own) > 0
        ]
        return [method for _, method in sorted(found, reverse=True)]


@dataclass(frozen=True)
class Key:
    """One key of a page: where the figure comes from, and how it is shown."""

    place: tuple[str, ...]
    shows: tuple[str, ...] = ("value", "low", "high")
    factor: float = 1.0
    complement: bool = False
    one_digit: bool = False
    baseline: bool = False
    reason: str = ""


def read_key(text: str, before: tuple[str, ...]) -> Key:
    """A key from its text.

    Raises:
        ValueError: If a word of its sixth part is unknown, or it has too many parts.
    """
    parts = [part.strip() for part in text.split("::")]
    if len(parts) > PARTS:
        raise ValueError(f"a key has at most {PARTS} parts: {text}")
    words, _, reason = (parts[5] if len(parts) == PARTS else "").partition("because")
    whole = parts[: PARTS - 1] + [""] * (PARTS - 1 - len(parts))
    if not parts[0] and before:
        whole = [part or before[index] for index, part in enumerate(whole)]
    shows = tuple(word for word in words.split() if word in {"value", "low", "high", "n"})
    flags = {word for word in words.split() if word in {"1-", "1digit", "baseline"}}
    factors = [word for word in words.split() if re.fullmatch(r"x-?[\d.]+", word)]
    if unknown := set(words.split()) - {*shows, *flags, *factors}:
        raise ValueError(f"{', '.join(sorted(unknown))}: no words of a key: {text}")
    factor = float(factors[0][1:]) if factors else 1.0
    return Key(
        tuple(whole), shows or Key.shows, factor, "1-" in flags, "1digit" in flags, "baseline" in flags, reason.strip()
    )


def format_like(number: float, pattern: str) -> str:
    """A number with the decimals, the leading zero, the plus and the thousands of a number that stood there.

    >>> format_like(0.5137, ".57"), format_like(-3.456, "+1.0"), format_like(2734, "1,455"), format_like(1, ".9")
    ('.51', '−3.5', '2,734', '1.0')
    """
    unit = Decimal(1).scaleb(-len(pattern.partition(".")[2]))
    rounded = Decimal(repr(round(abs(number), 9))).quantize(unit, ROUND_HALF_UP)
    text = f"{rounded:{',' if ',' in pattern else ''}f}"
    if pattern.lstrip("+−").startswith(".") and text.startswith("0."):
        text = text[1:]
    return ("−" if number < 0 else "+" if pattern.startswith("+") else "") + text


def render(key: Key, row: dict[str, Any], text: str) -> str:
    """The figure of a row, in the form of the text that stood there.

    Raises:
        LookupError: If the text shows no number, or more than the row has.
    """
    if NUMBER.search(text) is None:
        raise LookupError(f"'{text}' shows no number in whose form the figure could be written")
    shown = iter(key.shows)

    def put(match: re.Match[str]) -> str:
        name = next(shown, "")
        number = row.get(name)
        if number is None:
            raise LookupError(f"'{text}' shows a number more than the row has at {' :: '.join(key.place)}")
        if name != "n":
            number = (1 - number if key.complement else number) * key.factor
        if key.one_digit:
            number = float(f"{number:.0e}")
        return format_like(number, match.group())

    return NUMBER.sub(put, text)


def render_page(page: str, results: Results) -> tuple[str, list[str], list[Key]]:
    """A page with its figures as the files have them; what is wrong with its keys; and the keys."""
    before: tuple[str, ...] = ()
    wrong: list[str] = []
    keys: list[Key] = []

    def put(match: re.Match[str]) -> str:
        nonlocal before
        line = page.count("\n", 0, match.start()) + 1
        if LINE_START.fullmatch(page[: match.start()].rpartition("\n")[2]):
            wrong.append(f"{line}: a key may not begin a line, where Markdown would take the line for HTML")
        try:
            key = read_key(match.group(1), before)
            before = key.place
            text = render(key, results.find(key.place), match.group(2))
        except (LookupError, ValueError) as error:
            wrong.append(f"{line}: {error}")
            return match.group()
        keys.append(key)
        if key.baseline and not key.reason and (better := results.better(key.place)):
            wrong.append(f"{line}: {better[0]} is a better baseline of this setting than {key.place[3]}")
        return f"<!--={match.group(1)}-->{text}<!--/-->"

    return FIGURE.sub(put, page), wrong, keys


def find_unmarked(page: str) -> list[str]:
    """Cells of tables, first columns apart, with a decimal that has neither a key nor the sign."""
    found = []
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", FIGURE.sub("", line))[2:]:
                if DECIMAL.search(cell) and SIGN not in cell:
                    found.append(f"{number}:{cell}")
    return found


def list_pages(root: Path) -> list[Path]:
    """Pages with figures."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def check_page(path: Path, root: Path, results: Results) -> list[str]:
    """Everything that is wrong on a page, with its line."""
    page = path.read_text(encoding="utf-8")
    rendered, wrong, _ = render_page(page, results)
    new = [match.group(2) for match in FIGURE.finditer(rendered)]
    for match, text in zip(FIGURE.finditer(page), new, strict=True):
        if match.group(2) != text:
            line = page.count("\n", 0, match.start()) + 1
            wrong.append(f"{line}: the page says {match.group(2)}, its file {text}: make figures")
    if SIGN in page and not re.search(rf"^{SIGN} ", page, re.MULTILINE):
        wrong.append(f"0: a figure has the sign {SIGN}, and no line that begins with it says what it means")
    name = str(path.relative_to(root))
    if name in COMPLETE:
        wrong += [f"{cell}: neither a key nor the sign {SIGN}" for cell in find_unmarked(page)]
    return [f"{name}:{text}" for text in wrong]


class History:
    """The code of earlier commits beside the code of today."""

    def __init__(self, root: Path) -> None:
        self.root, self.house = root, House(root / "src")
        for name, script in SCRIPTS.items():
            if not (root / script).is_file():
                continue
            self.house.files[name], self.house.trees[name] = root / script, ast.parse((root / script).read_text())
            self.house.imports[name] = set(self.house._imported(name))
        self.data = [
            path
            for path in (root / "src").rglob("*")
            if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
        ]

    def ask(self, *arguments: str) -> str:
        """What git says."""
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout

    def closure(self, *start: str) -> list[str]:
        """Every file of the package that a benchmark reaches by imports, and data files that one of them names."""
        seen: set[str] = set()
        todo = list(start)
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo.extend(self.house.imports.get(module, ()))
        paths = [self.house.files[name] for name in seen]
        words = "".join(path.read_text(encoding="utf-8") for path in paths)
        paths += [path for path in self.data if path.name in words or f'"{path.parent.name}"' in words]
        return sorted(str(path.relative_to(self.root)) for path in paths)

    def changed(self, commit: str, files: list[str]) -> list[str]:
        """Which files mean something else than at `commit`: comments, docstrings, imports and moves do not count.

        Raises:
            subprocess.CalledProcessError: If this clone does not hold the commit.
        """
        table = self.ask("diff", "-M25%", "-l0", "--name-status", commit, "--", "src", "benchmarks", "tests")
        old: dict[str, str] = {}
        for line in table.splitlines():
            status, *names = line.split("\t")
            old[names[-1]] = "" if status == "A" else names[0]
        touched = [name for name in files if name in old]
        sources = self._read(commit, [old[name] for name in touched if old[name].endswith(".py")])
        return [name for name in touched if not self._same(sources.get(old[name]), name)]

    def _read(self, commit: str, names: list[str]) -> dict[str, str]:
        """Files of a commit, in one call."""
        asked = "".join(f"{commit}:{name}\n" for name in names).encode()
        done = subprocess.run(
            ["git", "cat-file", "--batch"], cwd=self.root, input=asked, capture_output=True, check=True
        )
        found, rest = {}, done.stdout
        for name in names:
            head, _, rest = rest.partition(b"\n")
            size = int(head.split()[-1])
            found[name], rest = rest[:size].decode(), rest[size + 1 :]
        return found

    def _same(self, before: str | None, name: str) -> bool:
        if before is None or not name.endswith(".py"):
            return False
        return strip(before) == strip((self.root / name).read_text(encoding="utf-8"))


@cache
def strip(source: str) -> str:
    """Code without comments, docstrings and imports."""

    class Stripper(ast.NodeTransformer):
        def visit_Import(self, node: ast.Import) -> None: ...
        def visit_ImportFrom(self, node: ast.ImportFrom) -> None: ...
        def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
            return None if isinstance(node.value, ast.Constant) else node

    return ast.dump(Stripper().visit(ast.parse(source)))


def report_stale(root: Path) -> Iterator[str]:
    """A line for each file of results: what under it has changed since."""
    from sharpwave.benchmarks import BENCHMARKS

    history = History(root)
    for name, content in Results(root / "benchmarks" / "results").files.items():
        start = BENCHMARKS.get(name, name).partition(":")[0]
        commit = content.get("commit", "unknown")
        if start not in history.house.files:
            yield f"{name:18} {commit[:13]:14} no benchmark makes it"
            continue
        files = history.closure(start, *RUNS.get(name, ()))
        try:
            changed = history.changed(commit.rstrip("+"), files)
        except subprocess.CalledProcessError:
            yield f"{name:18} {commit[:13]:14} this clone does not hold the commit"
            continue
        dirty = "; from a dirty tree, which no commit holds" if commit.endswith("+") else ""
        state = f"{len(changed)} of {len(files)} files changed" if changed else f"none of {len(files)} files changed"
        yield f"{name:18} {commit[:13]:14} {state}{dirty}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of README.md, docs and benchmarks")
    for flag in ("check", "stale", "unmarked"):
        parser.add_argument(f"--{flag}", action="store_true")
    options = parser.parse_args()
    root = options.root
    if options.stale:
        print(*report_stale(root), sep="\n")
        return 0
    results, wrong, n_keys = Results(root / "benchmarks" / "results"), [], 0
    for path in list_pages(root):
        page = path.read_text(encoding="utf-8")
        rendered, _, keys = render_page(page, results)
        n_keys += len(keys)
        if options.unmarked:
            print(*(f"{path.relative_to(root)}:{cell}" for cell in find_unmarked(page)), sep="\n")
        elif not options.check and rendered != page:
            path.write_text(rendered, encoding="utf-8")
            print(f"{path.relative_to(root)}: rewritten")
        wrong += check_page(path, root, results)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{n_keys} figures with a key, {len(wrong)} faults")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
