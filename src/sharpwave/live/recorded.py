"""A night on one page that needs no server: what was shown, to be played again; it can act on nothing.

The page's own files and the frames lie inside one HTML file, whose policy names each of its scripts by its hash and
allows nothing else, neither from outside nor inside.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk, Decision
from sharpwave.live.display import Frames, describe_night, follow_night
from sharpwave.live.server import read_page_file
from sharpwave.live.view import NightCard, show_card
from sharpwave.outputs import write_file

if TYPE_CHECKING:
    from sharpwave.live.run import Started

EVERY = 0.5
"""Time of the night between two frames, in seconds."""
SCRIPTS = ("uPlot.iife.min.js", "draw.js", "recorded.js", "page.js")
STYLES = ("uPlot.min.css", "page.css")


class NightRecorder:
    """Keeps the frames of the last minutes of a night.

    Args:
        started: The night, ready to run; the recorder becomes one of its listeners.
        title: What the page says at its top: a code or what is simulated, no name.
        seconds: How much of the end is kept, in seconds of the night.

    Attributes:
        card: What is said of the night as a whole.
        frames: What the page shows, one every half second of the night, oldest first.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sharpwave.live import Plan, load_protocol, run_started, start_night
    >>> from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    >>> source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), hours=0.001)
    >>> stager = SimulatedStager(source, rng=np.random.default_rng(1))
    >>> with TemporaryDirectory() as home:
    ...     plan = Plan(load_protocol("up-state"), source, Path(home, "night"), stager, speed=float("inf"))
    ...     started = start_night(plan)
    ...     recorder = NightRecorder(started, title="simulated")
    ...     run_started(started)
    >>> len(recorder.frames), sorted(recorder.frames[0])
    (8, ['signal', 'slow', 'view'])
    """

    def __init__(self, started: Started, *, title: str, seconds: float = 300.0) -> None:
        self.card = describe_night(started, title=title)
        self.frames: deque[dict[str, Any]] = deque(maxlen=max(1, round(seconds / EVERY)))
        self._gathered, self._next = Frames(self.card), 0.0
        self._follow = follow_night(started.night, self._gathered)
        started.night.listeners.append(self._listen)

    def _listen(self, decision: Decision, chunk: Chunk | None) -> None:
        self._follow(decision, chunk)
        if decision.now >= self._next:
            self._next = decision.now + EVERY - 1e-6
            frame = self._gathered.take()
            if frame is not None:
                self.frames.append(frame)


def write_recorded_page(path: str | Path, card: NightCard, frames: Sequence[dict[str, Any]]) -> Path:
    """Write a night on one page.

    Args:
        path: Where the page goes.
        card: What is said of the night as a whole.
        frames: What was shown, oldest first; see `NightRecorder`.

    Returns:
        The path.

    Raises:
        SharpwaveError: If there are no frames.

    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.live.decision import Estimates, Hold
    >>> card = NightCard("simulated", "up-state", "9f2c", "simulate", "null", rate=256.0, channel="Fz")
    >>> frames = Frames(card)
    >>> frames.show(Decision(1.0, (), Hold(()), Estimates(1.0)), mode="disarmed")
    >>> with TemporaryDirectory() as home:
    ...     write_recorded_page(Path(home) / "live.html", card, [frames.take()]).stat().st_size > 50_000
    True
    """
    if not frames:
        raise SharpwaveError("frames of a night", got="none", fix="run the night longer, or record more of it")
    page = read_page_file("index.html").decode("utf-8")
    page = re.sub(r"<link [^>]*>\n|<script [^>]*></script>\n", "", page)
    styles = "\n".join(read_page_file(name).decode("utf-8") for name in STYLES)
    scripts = [read_page_file(name).decode("utf-8") for name in SCRIPTS]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_name_by_hash, scripts))}; style-src {_name_by_hash(styles)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{styles}</style>\n'
    content = json.dumps({"card": show_card(card), "frames": list(frames)}, allow_nan=False).encode()
    packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    end = f'<script type="text/plain" id="recorded">{packed}</script>\n'
    end += "".join(f"<script>{script}</script>\n" for script in scripts)
    licence = f"<!--\nuPlot:\n{read_page_file('uPlot.LICENSE.txt').decode('utf-8')}-->\n"
    page = page.replace('<meta name="robots"', f'{head}<meta name="robots"', 1)
    return write_file(path, page.replace("</body>", f"{end}{licence}</body>", 1))


def _name_by_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
