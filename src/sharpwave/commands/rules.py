"""Every option of every command, looked at before any work: alone, together, and the libraries that it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, get_type_hints

from sharpwave.commands.checks import (
    Check,
    between,
    can_be_appended_to,
    can_be_made,
    ends_in,
    holds_weights,
    is_data_set,
    is_file,
    is_folder,
    is_modality,
    is_number_or_auto,
    is_of_participants,
    is_protocol,
    is_scheduler,
    is_simulated_signal,
    is_sink,
    is_stager,
    is_table_of,
    is_there,
    is_time,
    is_unit,
    need,
    one_of,
)
from sharpwave.errors import SharpwaveError

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Two options that do not go together, or one that says nothing without another.

    Attributes:
        breaks: Whether the values break the rule.
        expected: What was expected.
        got: What was given.
        fix: What to do.
    """

    breaks: Callable[[Mapping[str, Any]], bool]
    expected: str
    got: str
    fix: str


CHECKS: dict[str, Check] = {
    "output": can_be_made,
    "output_dir": can_be_made,
    "benchmark output": ends_in(".json"),
    "bids_dir": is_folder,
    "level": one_of("participant", "group"),
    "files": is_there,
    "file": is_there,
    "sources": is_there,
    "nights": is_there,
    "session": is_there,
    "example": is_there,
    "cohort folder": is_folder,
    "participants": is_of_participants,
    "append store": can_be_appended_to,
    "simulate target": ends_in(".zarr", ".nwb"),
    "simulate output": ends_in(".zarr", ".nwb"),
    "fetch name": is_data_set,
    "seed": between(0),
    "rate": between(0, unit="Hz", above=True),
    "learning_rate": between(0, above=True),
    "stage_epoch": between(0.1, 3600, unit="s"),
    "lights_off": is_time,
    "lights_on": is_time,
    "at": is_time,
    "stages": is_file,
    "causality stages": lambda option, value: None,
    "weights": holds_weights,
    "teacher": holds_weights,
    "scorings": is_folder,
    "data": is_folder,
    "model": is_folder,
    "cues": is_table_of("onset", "duration"),
    "causality cues": is_table_of("onset", "condition"),
    "memory": is_table_of("before", "after"),
    "reactivations": is_table_of("onset"),
    "spans": is_table_of("onset", "duration", "label"),
    "events": is_table_of("onset", "duration"),
    "track_graph": is_file,
    "species": one_of("human", "rat", "mouse"),
    "unit": is_unit,
    "stager": is_stager,
    "scheduler": is_scheduler,
    "lag": between(-1e6, 1e6, unit="s"),
    "candidates": one_of("auto", "ripples", "bursts"),
    "replay surrogate": one_of("cell-identity", "place-field", "time-bin", "poisson"),
    "causality surrogate": one_of("linear", "session", "circular"),
    "statistic": one_of("correlation", "trajectory"),
    "preset": one_of("lite", "small", "base"),
    "modality": is_modality,
    "modalities": is_simulated_signal,
    "layers": one_of("heads", "last", "all"),
    "kind": one_of("onnx", "int8"),
    "horizon": between(0, 86_400, unit="s", above=True),
    "precision": one_of("32-true", "bf16-mixed", "bf16-true", "16-mixed"),
    "strategy": one_of("auto", "ddp", "fsdp"),
    "accelerator": one_of("auto", "cpu", "cuda", "gpu", "mps"),
    "devices": is_number_or_auto,
    "attention": one_of("dense", "flex"),
    "only": one_of("night", "memory", "network"),
    "sink": is_sink,
    "protocol": is_protocol,
    "consent": is_file,
    "calibration": is_file,
    "checkpoint": is_file,
    "sounds": is_folder,
    "live unit": one_of("uV", "V"),
    "seal_consent": can_be_made,
    "calibrate_sink": can_be_made,
}
"""Check of an option by its name, or by "command name" where it means something else there."""

ELSEWHERE = {
    "sex": "read by the option itself",
    "channel_alias": "read by the option itself",
    "stage_convention": "read by the option itself",
    "forecaster": "read by the option itself",
    "config": "read by the option itself",
    "by": "looked at where the days are put together",
    "light_schedule": "looked at where the days are put together",
    "time_zone": "looked at before the recordings are opened",
    "channels": "held against the header of the recording",
    "event_channels": "held against the header of the recording",
    "lfp": "held against the header of the recording",
    "scorer": "held against the scoring of the recording",
    "position": "held against the header of the recording",
    "run": "held against the epochs of the recording",
    **dict.fromkeys(("area", "cell_type", "quality"), "held against the units of the recording"),
    "participant_label": "held against the data set",
    "session_label": "held against the data set",
    "source": "opened at once",
    "serial": "opened at once",
    **dict.fromkeys(("verify", "live replay", "finish", "withdraw"), "opened at once"),
    "benchmark name": "looked up in the list of benchmarks",
    "methods": "looked up in the benchmark",
    "stream": "looked up in the benchmark",
}
"""Options that are looked at elsewhere, and where."""


def _both(one: str, other: str) -> Rule:
    names = [f"--{name.replace('_', '-')}" for name in (one, other)]
    return Rule(lambda given: bool(given[one] and given[other]), f"{names[0]} or {names[1]}", "both", "leave one out")


def _alone(name: str, default: Any, holds: Callable[[Given], bool], wanted: str) -> Rule:
    flag = f"--{name.replace('_', '-')}"
    return Rule(
        lambda given: given[name] not in (default, None, (), []) and not holds(given),
        f"{flag} together with {wanted}",
        f"{flag} without it",
        f"leave {flag} out",
    )


def _sinks(given: Given) -> list[str]:
    return [name for name in given["sink"] or () if name.partition(":")[0] != "null"]


def _reaches_someone(given: Given) -> bool:
    return bool(_sinks(given)) or str(given["source"]).startswith(("lsl:", "brainflow:"))


def _is_night(given: Given) -> bool:
    return bool(given["simulate"] or given["source"])


def _has_source(kind: str) -> Callable[[Given], bool]:
    return lambda given: str(given["source"]).startswith(kind)


def _learns(given: Given) -> bool:
    return bool(given["nights"] or given["simulated"])


def _mixes(given: Given) -> bool:
    return bool(given["nights"] and given["simulated"])


def _decodes(given: Given) -> bool:
    return bool(given["level"] == "participant" or given["reports_only"])


DECODING = {
    "channels": None, "channel_alias": None, "unit": None, "stage_convention": None, "stage_epoch": None,
    "stage_tolerance": None, "scorer": None, "species": None, "stager": None, "weights": None, "seed": 0, "jobs": 1,
    "scheduler": None, "skip_existing": False, "overwrite": False, "stop_on_first_crash": False, "hypnogram": False,
}  # fmt: skip
"""Options of `bids` that say nothing at the group level, which decodes nothing, with their defaults."""
LEARNING = {
    "preset": "lite", "weights": None, "modality": None, "labels": True, "scorings": None, "stage_convention": None,
    "scorer": None, "steps": 1000, "batch": 16, "piece": 240, "learning_rate": 1e-3, "seed": 0,
    "checkpoint_every": 200, "precision": "32-true", "strategy": "auto", "nodes": 1, "accelerator": "auto",
}  # fmt: skip
"""Options of `train` that say nothing where the shipped weights are trained again, with their defaults."""
_MADE = (
    _alone("hours", 8.0, lambda given: bool(given["simulated"]), "--simulated"),
    _alone("simulated_share", 0.5, _mixes, "nights and --simulated"),
    Rule(
        lambda given: given["weights"] is not None and given["preset"] != "lite",
        "--weights to start from, or the --preset of a new model", "both", "leave one out",
    ),
)  # fmt: skip

TOGETHER: dict[str, tuple[Rule, ...]] = {
    "decode": (
        _both("skip_existing", "overwrite"),
        _both("dry_run", "overwrite"),
        Rule(
            lambda given: given["by"] == "whole" and given["light_schedule"] is not None,
            "--light-schedule for days that are cut", "--by whole, which cuts none", "leave one out",
        ),
        Rule(
            lambda given: given["weights"] is not None
            and given["stager"] not in (None, "yasa+brainmu", "brainmu")
            and given["forecaster"] in ("lightgbm", "lightgbm-ensemble"),
            "--weights with a stager or a forecaster that takes them",
            "neither: both were chosen without Brainµ", "leave --weights, --stager or --forecaster out",
        ),
    ),
    "bids": (
        _both("skip_existing", "overwrite"), _both("reports_only", "overwrite"),
        *(_alone(name, default, _decodes, "the participant level: group decodes nothing")
          for name, default in DECODING.items()),
    ),
    "explain": (_both("signals_only", "stager"),),
    "replay": (
        _alone("candidates", "auto", lambda given: given["events"] is None, "no --events, which are the candidates"),
    ),
    "train": (
        *_MADE,
        *(_alone(name, default, _learns, "nights or --simulated") for name, default in LEARNING.items()),
        Rule(
            lambda given: bool(given["weights"] is not None and given["modality"]),
            "--weights to start from, or the --modality of a new model", "both", "leave one out",
        ),
        *(_alone(name, default, lambda given: given["windows"], "--windows: nights are cut at once")
          for name, default in (("jobs", 1), ("scheduler", None))),
    ),
    "distil": (*_MADE,),
    "live": (
        _alone("asleep_after", 300.0, lambda given: given["simulate"], "--simulate"),
        _alone("seed", 0, lambda given: given["simulate"], "--simulate"),
        _alone("unit", None, _has_source("lsl:"), "--source lsl:NAME"),
        _alone("serial", "", _has_source("brainflow:"), "--source brainflow:BOARD"),
        _alone("port", 0, lambda given: given["page"], "the page"),
        _alone("attended", False, lambda given: given["page"], "the page"),
        _alone("calibration", None, lambda given: any(name.startswith("audio") for name in _sinks(given)),
               "--sink audio"),
        _alone("checkpoint", None, lambda given: given["verify"] or given["finish"], "--verify or --finish"),
        _alone("yes", False, lambda given: given["withdraw"], "--withdraw"),
        _alone("output", None, _is_night, "a night: --simulate or --source"),
        _alone("hours", None, _is_night, "a night: --simulate or --source"),
        Rule(
            lambda given: _reaches_someone(given) and (given["speed"] != 1.0 or given["arm"]),
            "--speed 1 and no --arm where somebody may be reached, or samples come from outside",
            "--speed or --arm", "leave them out; --simulate or a recording with --sink null takes both",
        ),
        Rule(
            lambda given: _is_night(given) and bool(_sinks(given)) and given["consent"] is None,
            "a consent for sinks that may reach a person", "none",
            "pass --consent FILE (`sharpwave live --seal-consent FILE` writes the form), or --sink null",
        ),
    ),
}  # fmt: skip
"""Rules of each command over several options."""


@dataclass(frozen=True)
class Need:
    """Libraries that a command needs.

    Attributes:
        extra: The extra that brings them.
        modules: Their names.
        when: Whether they are needed, by the options given.
    """

    extra: str
    modules: tuple[str, ...]
    when: Callable[[Given], bool] = lambda given: True


_PAGES = Need("brain", ("matplotlib", "jinja2"))
_NIGHT = Need("brain", ("mne", "yasa", "lightgbm", "sklearn", "h5py", "matplotlib", "jinja2", "pyarrow"))
_TRAINING = Need("brain", ("lightning_fabric",))
NEEDS: dict[str, tuple[Need, ...]] = {
    **dict.fromkeys(("decode", "bids", "explain", "demo", "causality"), (_NIGHT,)),
    "cohort": (_PAGES, Need("brain", ("pyarrow",))),
    "replay": (_PAGES, Need("brain", ("numba", "sklearn", "ripple_detection"))),
    **dict.fromkeys(("train", "distil", "finetune"), (_TRAINING,)),
    "export": (Need("export", ("onnx", "onnxscript", "onnxruntime")),),
    **dict.fromkeys(("convert", "append", "simulate"), (Need("brain", ("zarr", "h5py", "mne")),)),
    "live": (
        Need("live", ("fastapi", "uvicorn", "websockets"), lambda given: bool(given["page"]) and _is_night(given)),
        Need("live", ("pylsl",), lambda given: _has_source("lsl:")(given) or "lsl" in _kinds(given)),
        Need("live", ("sounddevice",), lambda given: "audio" in _kinds(given) or bool(given["calibrate_sink"])),
        Need("amplifiers", ("brainflow",), _has_source("brainflow:")),
    ),
}
"""Libraries that each command needs beside those that sharpwave always brings."""


def _kinds(given: Given) -> set[str]:
    return {name.partition(":")[0] for name in _sinks(given)}


def checked(command: Callable[..., None], *, name: str = "") -> Callable[..., None]:
    """The command, whose options are all looked at before it begins.

    Args:
        command: Function whose signature is what typer sees.
        name: Name of the command; that of the function where omitted.

    Raises:
        SharpwaveError: When the command is called, if an option cannot be, or contradicts another.
    """
    name = name or command.__name__
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters.values()
    signature = inspect.Signature([one.replace(annotation=hints[one.name]) for one in parameters])

    @wraps(command)
    def run(**given: Any) -> None:
        for option, value in given.items():
            check = CHECKS.get(f"{name} {option}", CHECKS.get(option))
            if check is not None and value is not None and value != () and value != []:
                check(show_option(option, signature), value)
        for rule in TOGETHER.get(name, ()):
            if rule.breaks(given):
                raise SharpwaveError(rule.expected, got=rule.got, fix=rule.fix)
        for needed in NEEDS.get(name, ()):
            if needed.when(given):
                need(needed.extra, needed.modules)
        command(**given)

    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
    return run


def show_option(name: str, signature: inspect.Signature) -> str:
    """An option as it is typed: `--lights-off`; an argument by the word that stands for it in `--help`."""
    annotation = signature.parameters[name].annotation
    for about in getattr(annotation, "__metadata__", ()):
        flags = [flag for flag in getattr(about, "param_decls", None) or () if flag.startswith("--")]
        if flags:
            return str(flags[0]).partition("/")[0]
        if type(about).__name__ == "ArgumentInfo":
            return str(about.metavar or name.upper()).rstrip(".")
    return f"--{name.replace('_', '-')}"
