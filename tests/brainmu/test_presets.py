"""Sizes as documented, and settings that cannot be."""

from __future__ import annotations

import json

import pytest
import torch

from sharpwave.brainmu import model
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import PRESETS, BrainMuConfig, configure
from sharpwave.errors import SharpwaveError


def count(preset: str) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in BrainMu(configure(preset)).parameters())


def test_lite_with_every_modality_has_at_most_1_5_million_parameters() -> None:
    assert count("lite") <= 1_500_000


def test_small_and_base() -> None:
    assert 5e6 < count("small") < 15e6
    assert configure("base").width == 1024
    assert 150e6 < count("base") < 500e6


def test_every_preset_says_what_it_is_for() -> None:
    for name, preset in PRESETS.items():
        assert preset.purpose
        assert configure(name).modalities == tuple(ENCODERS)


def test_a_configuration_survives_json() -> None:
    config = configure("lite", modalities=["eeg", "stages"], horizons=(30.0, 90.0), dropout=0.2)
    assert BrainMuConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="a preset among lite, small, base"):
        configure("huge")
    with pytest.raises(SharpwaveError, match="modalities among stages, eeg"):
        configure("lite", modalities=["eeg", "smell"])
    with pytest.raises(SharpwaveError, match="a width that is a multiple of twice the heads"):
        configure("lite", width=20, n_heads=8)


def test_the_table_of_shapes_is_true() -> None:
    table = {row[4:14].strip(): row[14:].split() for row in str(model.__doc__).splitlines()}
    for column, preset in enumerate(PRESETS):
        config = configure(preset)
        with torch.device("meta"):
            network = model.BrainMu(config)
        counts = {name: add_up(getattr(network, name)) for name in ("encoders", "blocks", "heads", "decoders")}
        counts |= {"in all": add_up(network), "others": add_up(network) - sum(counts.values())}
        counts |= {"width": config.width, "layers": config.n_layers, "heads each": config.n_heads}
        assert {name: table[name][column] for name in counts} == {name: f"{value:,}" for name, value in counts.items()}
        assert table["query"][column] == ("pooled" if config.pooled_query else "plain")
        assert float(table["looks back"][2 * column]) * 3600 == config.window


def add_up(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_names_of_the_first_version_are_still_read() -> None:
    old = {**configure("lite").to_dict(), "direct": True}
    del old["pooled_query"]
    assert BrainMuConfig.from_dict(old) == configure("lite")
    with pytest.warns(DeprecationWarning, match="direct of configure is now pooled_query"):
        assert not configure("lite", direct=False).pooled_query
