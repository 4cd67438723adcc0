"""Options made from dataclasses: each field once, with what was typed turned into what the field holds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from sharpwave.commands.decode import decode
from sharpwave.commands.options import Config, with_options
from sharpwave.commands.train import Learning
from sharpwave.night.options import DecodeOptions, option


def read_size(typed: str) -> int:
    if not typed.isdigit():
        raise ValueError(f"--size wants digits, got {typed}")
    return int(typed)


@dataclass(frozen=True)
class Cake:
    """What to bake."""

    size: int = option(3, "How large.", flags=("--size", "-s"), type=str, convert=read_size)
    nuts: bool = option(False, "With nuts.")
    fruits: tuple[str, ...] = option((), "Which fruits.", type=list[str], convert=tuple)
    prices: dict[str, str] = option(dict, "What they cost.", name="price", type=list[str], convert=dict.fromkeys)
    secret: str = "sugar"


def run(command, *arguments: str):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def test_fields_become_options_and_what_is_typed_becomes_a_dataclass():
    baked = []

    @with_options
    def bake(where: Path, *, cake: Cake, config: Config = None) -> None:
        baked.append((where, cake))

    assert run(bake, "oven").exit_code == 0
    assert baked.pop() == (Path("oven"), Cake())
    arguments = ["oven", "-s", "4", "--nuts", "--fruits", "kiwi", "--fruits", "fig", "--price", "a"]
    assert run(bake, *arguments).exit_code == 0
    assert baked.pop()[1] == Cake(4, True, ("kiwi", "fig"), {"a": None})
    result = run(bake, "oven", "--size", "huge")
    assert result.exit_code == 2
    assert "--size wants digits, got huge" in result.output
    assert "--secret" not in run(bake, "--help").output


def test_a_command_may_offer_some_fields_only():
    @with_options
    def bake(*, cake: Annotated[Cake, "nuts"]) -> None:
        typer.echo(cake)

    shown = run(bake, "--help").output
    assert "--nuts" in shown
    assert "--size" not in shown
    assert "nuts=True" in run(bake, "--nuts").output


def test_a_configuration_file_names_options_as_typed(tmp_path):
    taken = []

    @with_options
    def night(*, options: DecodeOptions, config: Config = None) -> None:
        taken.append(options)

    config = tmp_path / "run.toml"
    config.write_text('sex = "female"\nchannel_alias = ["C4=C4:eeg"]\nchannels = ["C4"]\nage = 40\n')
    assert run(night, "--config", str(config), "--age", "50").exit_code == 0
    assert taken == [DecodeOptions(male=False, aliases={"C4": "C4:eeg"}, channels=("C4",), age=50)]
    config.write_text("male = true\n")
    result = run(night, "--config", str(config))
    assert result.exit_code == 2
    assert "unknown option male; known: age, channel_alias, channels" in result.output


def test_decode_offers_all_that_can_be_said_of_a_night():
    silent = {item.name for item in fields(DecodeOptions) if "help" not in item.metadata}
    assert silent == {"identifier", "source"}
    assert "--lights-off" in run(decode, "--help").output


def test_training_starts_from_the_same_defaults_as_in_python():
    from sharpwave.brainmu.training.objective import TrainingOptions

    assert Learning().to_options() == TrainingOptions()


@pytest.mark.parametrize("library", ["numpy", "pandas", "torch"])
def test_help_loads_no_heavy_library(library):
    code = f"import sharpwave.commands.cli, sys; print({library!r} in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
