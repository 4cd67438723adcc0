"""The card of a network's run: its sentence, its nights, and that nothing in it can run or reach out."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.reports.network_charts import list_styles
from sharpwave.reports.network_page import NetworkRun, compose_network, describe_run, write_network_card
from sharpwave.reports.timeline import Timeline


def make_run() -> NetworkRun:
    stages = np.array(([0] * 40 + [1] * 4 + [2] * 2) * 2, dtype=np.int8)
    summary = pd.DataFrame(
        {
            "method": ["replay", "sleep"],
            "forgetting": [0.47, 0.02],
            "forgetting_low": [0.35, 0.0],
            "forgetting_high": [0.55, 0.05],
            "final": [0.54, 0.89],
            "n": [5, 5],
            "extra_time": [0.0, 0.09],
            "memory": [31000.0, 31000.0],
        }
    )
    curves = pd.DataFrame(
        [
            {"task": task, "method": method, "step": step, "accuracy": 0.5 + 0.1 * task}
            for task in (1, 2)
            for method in ("replay", "sleep")
            for step in (0.0, 46.0, 92.0)
        ]
    )
    matrix = pd.DataFrame([{"after": a, "task": t, "accuracy": 0.25 * (a + t)} for a in (1, 2) for t in (1, 2)])
    return NetworkRun(
        identifier="Made-up run",
        source="made up",
        sleeping="sleep",
        awake="replay",
        hypnogram=Hypnogram(stages, 1.0, 3, unit="step"),
        summary=summary,
        losses=pd.DataFrame({"step": np.arange(92.0), "loss": np.linspace(2, 0.1, 92)}),
        curves=curves,
        matrix=matrix,
        doses=pd.DataFrame({"damage": "lesion", "method": "sleep", "dose": [0.0, 0.5], "score": [0.9, 0.4]}),
        recovery=pd.DataFrame(
            {"remedy": "wake", "copy": ["twin", "perturbed"], "step": [0.0, 0.0], "score": [0.9, 0.4]}
        ),
        resilience=pd.DataFrame({"test": ["lesion"], "method": ["sleep"], "measure": ["share kept"], "value": [0.7]}),
        hurt=pd.DataFrame({"what": ["task 2 at the end"], "before": [0.8], "after": [0.7]}),
        trust=["Five networks."],
        long=pd.DataFrame(
            {"run": ["sleep"], "seed": [0], "step": [1.0], "task": [1], "metric": ["accuracy"], "value": [0.5]}
        ),
    )


def test_the_sentence_names_forgetting_seeds_time_and_memory() -> None:
    assert describe_run(make_run()) == (
        "Without sleep (replay) the network forgot 47 % (35 to 55) of what it had known; with sleep 2 % (0 to 5), over "
        "5 seeds. Sleep took 9 % more time than replay, and 31 kB of memory."
    )


def test_the_sentence_names_plain_replay_where_it_was_measured() -> None:
    run = make_run()
    control = pd.DataFrame({"method": ["plain replay"], "forgetting": [0.08], "final": [0.87], "n": [5]})
    assert describe_run(replace(run, summary=pd.concat([run.summary, control]))).startswith(
        "Without sleep (replay) the network forgot 47 % (35 to 55) of what it had known; with plain replay in place of "
        "the nights 8 %; with sleep 2 % (0 to 5), over 5 seeds."
    )


def test_page(tmp_path: Path) -> None:
    page = write_network_card(make_run(), tmp_path / "card.html").read_text().replace("\xa0", " ")
    for words in (
        "Made-up run",
        "REM is striped",
        "80 steps of wake, 8 steps of NREM, 4 steps of REM",
        "what it makes worse",
    ):
        assert words in page
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert 'style="' not in page
    carried = re.search(r'href="data:text/csv;base64,([^"]+)"', page)
    assert carried is not None
    assert base64.b64decode(carried[1]).decode().startswith("run,seed,step,task,metric,value\nsleep,0,1,1,accuracy,0.5")


def test_names_are_escaped(tmp_path: Path) -> None:
    run = replace(make_run(), identifier="<img src=x>", trust=["<b>bold</b>"])
    page = write_network_card(run, tmp_path / "card.html").read_text()
    assert "<img src=x>" not in page
    assert "<b>bold</b>" not in page


def test_empty_tables_say_so(tmp_path: Path) -> None:
    empty = {name: pd.DataFrame() for name in ("losses", "curves", "matrix", "doses", "recovery", "resilience", "hurt")}
    empty["summary"] = make_run().summary.drop(columns="extra_time")
    page = write_network_card(replace(make_run(), **empty, long=pd.DataFrame()), tmp_path / "card.html").read_text()
    assert "was not put to the test" in page
    assert "no task ended lower" in page


def test_sleep_is_the_first_line_everywhere() -> None:
    content = compose_network(make_run())
    assert content["curves_key"].index("sleep") < content["curves_key"].index("replay")
    assert [row.name for row in content["rows"]] == ["Hypnogram", "Loss", "Task 1", "Task 2"]


def test_no_two_lines_look_alike() -> None:
    styles = list_styles([str(number) for number in range(20)])
    assert len(set(styles.values())) == 20
    assert len({style.colour for style in list(styles.values())[:8]}) == 8


def test_seeds_make_a_band_and_all_tasks_together_a_ceiling() -> None:
    run = make_run()
    plain = "".join(row.plot for row in compose_network(run)["rows"])
    assert "spread" not in plain
    assert "ceiling" not in plain
    curves = run.curves.assign(low=run.curves["accuracy"] - 0.1, high=run.curves["accuracy"] + 0.1)
    ceiling = pd.DataFrame({"task": [1, 2], "accuracy": [0.98, 0.96]})
    content = compose_network(replace(run, curves=curves, ceiling=ceiling))
    drawn = "".join(row.plot for row in content["rows"])
    assert drawn.count('class="spread spread-0"') == drawn.count('class="ceiling"') == 2
    assert "to the end: 0.98" in content["rows"][2].summary
    assert [tile.value for tile in content["tiles"] if tile.name == "Ceiling"] == ["97 %"]


def test_what_sleep_makes_worse_stands_beside_what_it_makes_better() -> None:
    run = make_run()
    lower = run.curves["accuracy"].where((run.curves["method"] != "sleep") | (run.curves["task"] != 2), 0.5)
    content = compose_network(replace(run, curves=run.curves.assign(accuracy=lower)))
    assert content["better"].rows == [
        ["forgetting", "0.02", "0.47", "−0.45"],
        ["accuracy at the end, all tasks", "0.89", "0.54", "+0.35"],
    ]
    assert [row[0] for row in content["worse"].rows] == ["task 2 at the end", "extra time, share of learning"]
    assert content["same"] == "The same within 0.005: task 1 at the end."


def test_tables_must_hold_their_columns() -> None:
    with pytest.raises(SharpwaveError, match="add accuracy"):
        replace(make_run(), matrix=pd.DataFrame({"after": [1], "task": [1]}))
    with pytest.raises(SharpwaveError, match="the methods 'sleep' and 'nothing'"):
        replace(make_run(), awake="nothing")


def test_steps_are_counted_on_the_axis() -> None:
    line = Timeline(0.0, 183.0, unit="step")
    assert line.ticks().tolist() == [0, 50, 100, 150]
    assert line.write(50.0) == "50"


def test_tables_of_version_0_1_call_a_method_a_way():
    run = make_run()
    old = replace(run, summary=run.summary.rename(columns={"method": "way"}))
    assert describe_run(old) == describe_run(run)
