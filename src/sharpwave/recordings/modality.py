"""What a kind of signal promises: its unit, plausible values and rates, and which parts of the model serve it.

Adding a modality is one line in `MODALITIES`.

>>> [name for name, modality in MODALITIES.items() if modality.unit == "1/min"]
['heart_rate']
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Modality:
    """A contract, not a base class.

    Attributes:
        name: Name of the modality, its key in `MODALITIES`.
        unit: SI unit of the samples after reading ("V", "1/min", "degC", "" for dimensionless).
        amplitude: Plausible range of the robust amplitude (half the 5–95 % spread over a recording), in `unit`.
        rate: Plausible sampling rates, in Hz.
        token: Length of one model token, in seconds.
        encoder: Name of the encoder that serves it.
        decoder: Name of the decoder that predicts it.

    >>> modality = MODALITIES["eeg"]
    >>> modality.unit, modality.rate
    ('V', (50, 200000))
    """

    name: str
    unit: str
    amplitude: tuple[float, float]
    rate: tuple[float, float]
    token: float
    encoder: str
    decoder: str


MODALITIES: dict[str, Modality] = {
    modality.name: modality
    for modality in (
        Modality("eeg", "V", (5e-7, 5e-4), (50, 200_000), 1.0, "cnn", "spectrum"),
        Modality("eog", "V", (5e-7, 2e-3), (50, 200_000), 1.0, "cnn", "spectrum"),
        Modality("emg", "V", (1e-7, 5e-3), (50, 200_000), 1.0, "cnn", "spectrum"),
        Modality("ecg", "V", (1e-6, 1e-2), (50, 200_000), 1.0, "cnn", "spectrum"),
        Modality("lfp", "V", (1e-6, 5e-3), (100, 200_000), 1.0, "cnn", "spectrum"),
        Modality("respiration", "", (0, float("inf")), (1, 1_000), 5.0, "cnn", "spectrum"),
        Modality("spikes", "", (0, float("inf")), (0, float("inf")), 1.0, "cnn", "rate"),
        Modality("bold", "", (0, float("inf")), (0.1, 20), 2.0, "vit", "linear"),
        Modality("calcium", "", (0, float("inf")), (1, 200), 1.0, "cnn", "linear"),
        Modality("activity", "", (0, float("inf")), (0.001, 200), 30.0, "mlp", "linear"),
        Modality("acceleration", "m/s2", (0, 200), (5, 1_000), 1.0, "cnn", "linear"),
        Modality("heart_rate", "1/min", (0, 400), (0.001, 20), 30.0, "mlp", "linear"),
        Modality("temperature", "degC", (0, 20), (0.001, 20), 30.0, "mlp", "linear"),
        Modality("position", "m", (0, 1_000), (1, 500), 1.0, "mlp", "linear"),
        Modality("performance", "", (0, float("inf")), (0, float("inf")), 30.0, "mlp", "linear"),
        Modality("oxygen", "%", (0, 100), (0.1, 100), 30.0, "mlp", "linear"),
        Modality("features", "", (0, float("inf")), (0.001, 10), 30.0, "mlp", "linear"),
        Modality("other", "", (0, float("inf")), (0, float("inf")), 30.0, "mlp", "linear"),
    )
}
