"""Run every printed snippet: Python as it stands, commands against the options that the command line has.

    python tools/snippets.py               # run all of README.md and docs/, in a scratch folder
    python tools/snippets.py --check       # parse Python, check every command's options; runs nothing
    python tools/snippets.py docs/store.md # one page

The Python blocks of a page are one programme: a later block sees the names of an earlier one. A comment in the line
before a block says what the reader is supposed to have, or why it is not run:

    <!--snippet: with recording, night.edf; 8.0→0.2-->   names and files from `GIVEN`; a number made smaller
    <!--snippet: run by tests/consolidation/test_docs.py-->  another test runs this page
    <!--snippet: not run: needs eight cards-->               compiled only

A command is looked up among the commands of `sharpwave`, and its words are parsed as typer would; `make` must name a
target, `pip install` an extra that exists, `python FILE` a file of the repository.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PYTHON, SHELL, TEXT = ("python",), ("", "sh", "bash", "shell", "console"), ("text", "json", "toml", "html", "math")
FENCE = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!--snippet: ((?:(?!-->).)*)-->\s*\Z", re.DOTALL)

GIVEN: dict[str, str] = {
    "recording": """
import numpy as np
import sharpwave
recording, truth = sharpwave.simulate_night("human", 0.15, rng=np.random.default_rng(0))
""",
    "picks": 'picks = {"eeg": "C4-M1", "eog": "LOC-M2", "emg": "EMG chin"}',
    "night": "night = sharpwave.decode(sharpwave.Recording(hypnogram=recording.hypnogram))",
    "night.edf": """
import edfio, datetime
edfio.Edf(
    [edfio.EdfSignal(1e6 * recording[name].read(0, 540), recording[name].rate, label=name, physical_dimension="uV")
     for name in ("C4-M1", "LOC-M2", "EMG chin")],
    starttime=datetime.time(23, 0),
).write("night.edf")
""",
    "scored.tsv": 'recording.hypnogram.write("scored.tsv")',
    "raw": """
import mne
raw = mne.io.read_raw_edf("night.edf", verbose="error")
raw.set_channel_types({"LOC-M2": "eog", "EMG chin": "emg"}, verbose="error")
""",
    "rat": """
import numpy as np
import pandas as pd
import sharpwave
recording, truth = sharpwave.simulate_night(
    "rat", 0.4, rng=np.random.default_rng(0), modalities=("lfp", "spikes", "position"))
events = pd.DataFrame({"onset": truth.ripples["onset"], "duration": truth.ripples["duration"], "label": "ripple"})
""",
    "fields": """
from sharpwave.reactivation.place_fields import estimate_place_fields
from sharpwave.reactivation.position import get_position, linearise
fields = estimate_place_fields(recording.spikes, linearise(get_position(recording)))
""",
    "nights": """
import pandas as pd
nights = []
for number in range(2):
    found = pd.DataFrame({"onset": 60.0 + 45.0 * np.arange(10), "content": "maze"})
    nights.append((recording, recording.hypnogram, found))
""",
    "network": """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(4, 2)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
tasks = [[(torch.rand(8, 4), torch.tensor([task] * 8)) for _ in range(3)] for task in range(2)]
""",
    "stream": """
stream, seconds = [recording.restrict(0, 90)], 90.0
""",
    "stores": """
import sharpwave.recordings
for name in ("ours/a.zarr", "public/b.zarr"):
    sharpwave.recordings.write_store(recording, name)
""",
}
"""What a page's reader has: code that makes it small, run before the block, in the order named."""


@dataclass(frozen=True)
class Snippet:
    """One printed block.

    Attributes:
        page: Path of the page, below the repository.
        line: Line of its fence.
        language: Word behind the fence.
        text: What stands inside.
        given: Names of `GIVEN`.
        smaller: What is replaced in the text before it runs.
        elsewhere: Test that runs it, or "".
        reason: Why it is not run, or "".
    """

    page: str
    line: int
    language: str
    text: str
    given: tuple[str, ...] = ()
    smaller: Mapping[str, str] = field(default_factory=dict)
    elsewhere: str = ""
    reason: str = ""

    @property
    def place(self) -> str:
        """Where it stands, as editors open it."""
        return f"{self.page}:{self.line}"


def list_pages(root: Path = ROOT) -> list[Path]:
    """README and every page of the documentation."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md")), root / "examples" / "README.md"]


def read_page(path: Path, root: Path = ROOT) -> list[Snippet]:
    """The blocks of a page."""
    text = path.read_text(encoding="utf-8")
    found, rest = [], {}
    for match in FENCE.finditer(text):
        mark = MARK.search(text[max(0, match.start() - 400) : match.start()])
        words: dict[str, Any] = read_mark(mark.group(1)) if mark else {}
        if words.pop("page", False):
            rest = words
        body = "\n".join(line.removeprefix(match.group(1)) for line in match.group(3).splitlines()) + "\n"
        line = text[: match.start()].count("\n") + 1
        found.append(Snippet(str(path.relative_to(root)), line, match.group(2), body, **(rest | words)))
    return found


def read_mark(mark: str) -> dict[str, Any]:
    """What a comment says of the block below it, or, where it begins with "page", of that and all that follow.

    >>> read_mark("with recording, night.edf; 8.0→0.2")
    {'given': ('recording', 'night.edf'), 'smaller': {'8.0': '0.2'}}
    """
    words: dict[str, Any] = {}
    if mark.startswith("page "):
        words["page"], mark = True, mark.removeprefix("page ")
    if mark.startswith("not run: "):
        return words | {"reason": mark.removeprefix("not run: ").strip()}
    if mark.startswith("run by "):
        return words | {"elsewhere": mark.removeprefix("run by ").strip()}
    for part in mark.split(";"):
        if part.strip().startswith("with "):
            words["given"] = tuple(name.strip() for name in part.strip().removeprefix("with ").split(","))
        elif "→" in part:
            old, _, new = part.strip().partition("→")
            words.setdefault("smaller", {})[old] = new
        else:
            raise ValueError(f"a mark of a snippet that is not known: {mark!r}")
    return words


def check(snippet: Snippet, root: Path = ROOT) -> list[str]:
    """Faults that show without running it."""
    faults = [f"{name!r} is nothing that is given" for name in snippet.given if name not in GIVEN]
    faults += [f"{old!r} does not stand in it" for old in snippet.smaller if old not in snippet.text]
    if snippet.elsewhere:
        test = root / snippet.elsewhere
        if not test.is_file() or Path(snippet.page).name not in test.read_text(encoding="utf-8"):
            faults.append(f"{snippet.elsewhere} does not run {Path(snippet.page).name}")
    if snippet.language in PYTHON:
        try:
            ast.parse(snippet.text)
        except SyntaxError as error:
            faults.append(f"no Python: {error.msg} in line {error.lineno}")
    elif snippet.language in SHELL:
        faults += [f"{line}: {fault}" for line in list_commands(snippet.text) for fault in check_command(line, root)]
    elif snippet.language not in TEXT:
        faults.append(f"{snippet.language!r} is no language that is checked")
    return [f"{snippet.place}: {fault}" for fault in faults]


def list_commands(text: str) -> Iterator[str]:
    """The commands of a block; those that go on in the next line are one."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.strip().startswith("#"):
            yield line.strip().removeprefix("$ ")


def check_command(line: str, root: Path = ROOT) -> list[str]:
    """Faults of one command line."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if not words:
        return []
    name, rest = words[0], words[1:]
    if name == "sharpwave":
        return check_sharpwave(rest)
    if name == "torchrun":
        return check_sharpwave(rest[rest.index("sharpwave") + 1 :])
    if name == "make":
        targets = re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return [f"no target {word}" for word in rest if word not in targets]
    if name == "pip":
        extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = [word for words in re.findall(r"\[([\w,-]+)\]", " ".join(rest)) for word in words.split(",")]
        return [f"no extra {word}" for word in named if word not in extras]
    if name in ("python", "python3", "python3.11"):
        if rest[:1] == ["-m"]:
            path = Path("src", *rest[1].split(".")).with_suffix(".py") if rest[1].startswith("sharpwave") else None
            return [f"no module {rest[1]}"] if path is not None and not (root / path).is_file() else []
        return (
            [f"no file {rest[0]}"] if rest[:1] and not rest[0].startswith("-") and not (root / rest[0]).exists() else []
        )
    return [] if name in ("cd", "git", "open", "source", "pytest", ".venv/bin/sharpwave") else [f"{name} is not known"]


def check_sharpwave(words: list[str]) -> list[str]:
    """Parse the words behind `sharpwave` as typer would, without running anything."""
    import typer

    from sharpwave.commands.cli import app

    command: Any = typer.main.get_command(app)
    wants_help = {"--help", "-h", "--version"} & set(words)
    parent, name, rest = None, "sharpwave", [word for word in words if word not in wants_help]
    if wants_help and len(rest) < 2:
        return [] if all(word in command.list_commands(None) for word in rest) else [f"No such command {rest[0]}"]
    try:
        while True:
            context = command.make_context(name, rest, parent=parent)
            if not hasattr(command, "resolve_command"):
                return []
            left = [*getattr(context, "_protected_args", []), *context.args]
            if not left:
                return []
            name, command, rest = command.resolve_command(context, left)
            parent = context
    except Exception as error:  # typer may carry a copy of click, so its errors are told by what they can do
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return [message()]


def run_page(snippets: list[Snippet]) -> list[str]:
    """Run the Python blocks of a page one after the other; returns the faults."""
    space: dict[str, Any] = {"__name__": "__snippet__"}
    done: set[str] = set()
    for snippet in snippets:
        if snippet.language not in PYTHON or snippet.reason or snippet.elsewhere:
            continue
        text = snippet.text
        for old, new in snippet.smaller.items():
            text = text.replace(old, new)
        try:
            for name in snippet.given:
                if name not in done:
                    exec(compile(GIVEN[name], f"<{name}>", "exec"), space)
                    done.add(name)
            exec(compile("\n" * snippet.line + text, snippet.page, "exec"), space)
        except Exception:
            return [f"{snippet.place}: {traceback.format_exc(limit=-3)}"]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    pages = [path.resolve() for path in arguments.pages] or list_pages()
    faults, counts, home = [], {"run": 0, "elsewhere": 0, "commands": 0, "not run": 0}, Path.cwd()
    for path in pages:
        snippets = read_page(path)
        faults += [fault for snippet in snippets for fault in check(snippet)]
        for snippet in snippets:
            shell = snippet.language in SHELL
            kind = "not run" if snippet.reason else "elsewhere" if snippet.elsewhere else "commands" if shell else "run"
            counts[kind] += snippet.language not in TEXT
        if arguments.check or not any(snippet.language in PYTHON for snippet in snippets):
            continue
        begin = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                faults += run_page(snippets)
            finally:
                os.chdir(home)
        print(f"{path.relative_to(ROOT)}: {time.process_time() - begin:.1f} s", file=sys.stderr)
    print("\n".join(faults))
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
