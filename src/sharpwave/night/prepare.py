"""From a recording to a prepared night: options, channels, amplitude, artefacts, stages, events; once for all uses.

`decode_recording` goes on from here to forecasts and statistics, `sharpwave causality` to the effects of reactivations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.night.electrodes import stage_good_stretches
from sharpwave.night.methods import GIVEN
from sharpwave.night.options import DecodeOptions, apply_options
from sharpwave.night.origin import begin_at_zero
from sharpwave.night.several_nights import warn_of_days
from sharpwave.recordings import Hypnogram, Recording, Signal
from sharpwave.recordings.hypnogram import UNSCORED
from sharpwave.recordings.recording import empty_events
from sharpwave.reprs import short_repr
from sharpwave.signals import (
    detect_artefacts,
    detect_eye_movements,
    detect_ripples,
    detect_slow_waves,
)
from sharpwave.signals.coupling import COUPLED_SPINDLES
from sharpwave.signals.electrodes import Choice, choose_electrodes, list_eyes
from sharpwave.signals.epoch_values import describe_sparse_signals
from sharpwave.signals.lfp_channels import choose_lfp
from sharpwave.signals.preparation import show_chosen
from sharpwave.signals.spindles import SpindleSettings, detect_spindles_each
from sharpwave.staging import choose_stager
from sharpwave.staging.yasa_stager import LEAST_RATE, TARGET_RATE

EVENTS = ("spindle", "slow_wave", "rapid_eye_movement", "ripple")
"""Labels of the events that are looked for."""


@dataclass(frozen=True, eq=False)
class Staging:
    """The stages of a night and where they come from.

    Attributes:
        hypnogram: The stages, with probabilities where the stager gives them.
        stager: Name of the method; `GIVEN` where the stages came with the recording.
        evidence: What is known of the stager on other data: data, metric, value, [low, high, n].
        refusals: Why better stagers could not be used, one sentence each.
        sources: Name of the EEG channel that each epoch was staged from, "" for none; None where nothing was staged.
        repairs: What was not staged from the picked channels, one sentence each.
    """

    __repr__ = short_repr

    hypnogram: Hypnogram
    stager: str
    evidence: pd.DataFrame = field(default_factory=pd.DataFrame)
    refusals: list[str] = field(default_factory=list)
    sources: np.ndarray | None = None
    repairs: list[str] = field(default_factory=list)

    def restrict_to(self, channel: str) -> Hypnogram:
        """The stages that came from a channel; other epochs are unscored."""
        if self.sources is None or not self.sources.any():
            return self.hypnogram
        elsewhere = (self.sources != channel) & (self.sources != "")
        if not elsewhere.any():
            return self.hypnogram
        stages = np.where(elsewhere, UNSCORED, self.hypnogram.stages).astype(np.int8)
        return replace(self.hypnogram, stages=stages, probabilities=None)

    @property
    def channels(self) -> list[str]:
        """Names of the EEG channels that were staged from, in the order in which they come."""
        return [] if self.sources is None else [str(name) for name in dict.fromkeys(self.sources) if name]


@dataclass(frozen=True, eq=False)
class PreparedNight:
    """A recording with everything that each analysis of a night starts from.

    Attributes:
        options: What the user said about the night.
        recording: The recording with the user's options applied, and its EEG scaled where its unit is unknown.
        choice: The channels of the night, how good each is, and which are used: one choice for every use.
        artefacts: Spans of bad signal in every picked channel: onset, duration (s), label, channel.
        staging: The stages and where they come from.
        events: Detected events, sorted by onset: onset, duration (s), label, channel, and what each detector measures.
        undetected: Kinds of events that could not be looked for, and why; one sentence each.
        coupled: Spindles by the criteria of coupling (`COUPLED_SPINDLES`), by channel, looked for beside the others.

    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> prepared = prepare_night(Recording(hypnogram=Hypnogram.from_labels(["W", "N2"])))
    >>> prepared.hypnogram.labels, prepared.depth_channel
    (['W', 'N2'], None)
    """

    __repr__ = short_repr

    options: DecodeOptions
    recording: Recording
    choice: Choice
    artefacts: pd.DataFrame
    staging: Staging
    events: pd.DataFrame
    undetected: list[str]
    coupled: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def picks(self) -> Mapping[str, str]:
        """Name of the signal used for each role: "eeg", "eog", "emg"; "lfp" where no EEG can be used."""
        return self.choice.picks

    @property
    def hypnogram(self) -> Hypnogram:
        """The stages used."""
        return self.staging.hypnogram

    @property
    def expert(self) -> Hypnogram | None:
        """An expert's stages to compare with; None where there are none, or where they are the stages used."""
        return None if self.staging.stager == GIVEN else self.recording.hypnogram

    @cached_property
    def seen(self) -> Recording:
        """What models see: the picked electrical channels where they can be used, and all that is not electrical."""
        return show_chosen(replace(self.choice, recording=self.recording))

    @property
    def staged_from(self) -> Recording:
        """The recording with the EEG channel that the whole night was staged from; with none where it took several."""
        channels = self.staging.channels or [self.picks.get("eeg", "")]
        others = set(self.recording.of("eeg")) - (set(channels) if len(channels) == 1 else set())
        kept = {name: signal for name, signal in self.recording.signals.items() if name not in others}
        return replace(self.recording, signals=kept)

    @property
    def simulated(self) -> bool:
        """Whether the signals are simulated."""
        return self.recording.source.startswith("simulated")

    @property
    def depth_channel(self) -> str | None:
        """Name of the signal that gives the depth of sleep: the picked EEG, else an LFP; None without either."""
        return self.picks.get("eeg") or self.picks.get("lfp") or next(iter(self.recording.of("lfp")), None)

    @property
    def depth_artefacts(self) -> pd.DataFrame | None:
        """Spans of bad signal in that channel; None where no channel has any."""
        return self.artefacts[self.artefacts["channel"] == self.depth_channel] if len(self.artefacts) else None


def prepare_night(
    recording: Recording,
    options: DecodeOptions | None = None,
    *,
    prefer_given: bool = False,
    events: Collection[str] = EVENTS,
    coupling: bool = False,
    announce: Callable[[str], None] = lambda step: None,
) -> PreparedNight:
    """Prepare one night: apply the options, pick channels, scale, find artefacts, stage, and detect events.

    Args:
        recording: The recording; its signals may lie on disk and are read piece by piece.
        options: What is known of the night beside the recording.
        prefer_given: Use the stages that the recording came with, where it has any, and stage nothing.
        events: Labels of the events to look for, among `EVENTS`.
        coupling: Look for the spindles whose coupling is measured too, in the same pass.
        announce: Called with the name of each step before it starts: "quality", "stages", "events".

    Raises:
        SharpwaveError: If a given channel does not exist, or no stager can use the recording and it has no stages.

    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> scored = Recording(hypnogram=Hypnogram.from_labels(["W", "N2", "N2"]))
    >>> prepare_night(scored).staging.stager
    'given with the recording'
    """
    options = options or DecodeOptions()
    recording = apply_known(recording, options)
    recording = replace(
        recording, repairs=(*recording.repairs, *describe_sparse_signals(recording), *warn_of_days(recording))
    )
    announce("quality")
    choice = choose_electrodes(recording, channels=options.channels)
    artefacts = detect_spans(choice)
    announce("stages")
    if prefer_given and recording.hypnogram is not None:
        staging = Staging(recording.hypnogram, GIVEN)
    else:
        staging = stage(choice, options)
    recording = replace(choice.recording, repairs=(*choice.recording.repairs, *staging.repairs))
    announce("events")
    coupled: dict[str, pd.DataFrame] | None = {} if coupling and recording.species not in ("mouse", "rat") else None
    found, undetected = detect_events(recording, choice.picks, staging, labels=events, coupled=coupled)
    found = mark_microvolts(found, recording)
    return PreparedNight(options, recording, choice, artefacts, staging, found, undetected, coupled or {})


def apply_known(recording: Recording, options: DecodeOptions) -> Recording:
    """The recording with what its user knows of it, from 0 on, and with the LFP channel that the user named."""
    recording = apply_options(options, begin_at_zero(recording))
    return recording if options.lfp is None else choose_lfp(recording, options.lfp)


def list_electrical(recording: Recording, picks: Mapping[str, str], *, others: Collection[str] = ()) -> list[str]:
    """Names of the signals whose quality matters: those picked or standing in, and those searched for events."""
    eyes = [eye.name for eye in list_eyes(recording)]
    return list(dict.fromkeys([*picks.values(), *others, *eyes, *recording.of("lfp")]))


def detect_spans(choice: Choice) -> pd.DataFrame:
    """Artefact spans of every channel used."""
    names = list_electrical(choice.recording, choice.picks, others=choice.others)
    judged = choice.electrodes
    tables = [judged[name].artefacts if name in judged else detect_artefacts(choice.recording[name]) for name in names]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else empty_events().assign(channel="")


def stage(choice: Choice, options: DecodeOptions) -> Staging:
    """Stage a recording; one that no stager can use keeps the stages it came with.

    Raises:
        SharpwaveError: If no stager can use it and it came without stages, or the chosen stager cannot.
    """
    recording, picks = choice.recording if "eeg" in choice.picks else show_chosen(choice), choice.picks
    try:
        stager, refusals = choose_stager(recording, picks, name=options.stager, weights=options.weights)
    except SharpwaveError as error:
        if recording.hypnogram is None or options.stager is not None:
            raise
        return Staging(recording.hypnogram, GIVEN, refusals=[f"Nothing was staged: no stager can use {error.got}."])
    evidence = pd.DataFrame(stager.validation(recording, picks))
    hypnogram, sources, repairs = stage_good_stretches(choice, stager.stage)
    repairs = [*repairs, *describe_low_rate(stager.name, recording, picks)]
    return Staging(hypnogram, stager.name, evidence, refusals, sources, repairs)


def describe_low_rate(stager: str, recording: Recording, picks: Mapping[str, str]) -> list[str]:
    """That YASA's classifier staged a resampled channel, where the EEG is slower than it asks for; else nothing.

    Args:
        stager: Name of the stager that ran.
        recording: Recording that it staged.
        picks: Signal name by role.
    """
    if stager not in ("yasa+brainmu", "yasa-resampled") or recording[picks["eeg"]].rate > LEAST_RATE:
        return []
    beside = ", and Brainµ the channel as it is" if stager == "yasa+brainmu" else ""
    return [
        f"{picks['eeg']} is sampled at {recording[picks['eeg']].rate:g} Hz, and YASA's classifier asks for more than "
        f"{LEAST_RATE:g} Hz: it staged the channel resampled to {TARGET_RATE:g} Hz{beside}."
    ]


def detect_events(
    recording: Recording,
    picks: Mapping[str, str],
    staging: Staging,
    *,
    labels: Collection[str] = EVENTS,
    coupled: dict[str, pd.DataFrame] | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Spindles, slow waves, rapid eye movements and ripples, where their channels are; and why others are missing.

    Each EEG channel is searched in the epochs that were staged from it.

    Args:
        recording: The recording.
        picks: Name of the signal used for each role.
        staging: The stages and where they come from.
        labels: Labels of the events to look for.
        coupled: Takes the spindles by the criteria of coupling, by channel; not looked for where omitted.
    """
    jobs: list[tuple[str, str, Callable[[], pd.DataFrame]]] = []
    hypnogram = staging.hypnogram
    for name in dict.fromkeys([*([picks["eeg"]] if "eeg" in picks else []), *staging.channels]):
        eeg, where = recording[name], staging.restrict_to(name)
        jobs.append(("spindle", "spindles", partial(_search_spindles, eeg, where, coupled)))
        jobs.append(("slow_wave", "slow waves", partial(detect_slow_waves, eeg, hypnogram=where)))
    eyes = list_eyes(recording)
    if len(eyes) >= 2:
        look = partial(detect_eye_movements, eyes[0], eyes[1], hypnogram=hypnogram)
        jobs.append(("rapid_eye_movement", "rapid eye movements", look))
    for signal in recording.of("lfp").values():
        ripples = partial(detect_ripples, signal, species=recording.species, hypnogram=hypnogram)
        jobs.append(("ripple", f"ripples in {signal.name}", ripples))
    tables, refusals = [empty_events()], []
    for label, what, job in jobs:
        if label not in labels:
            continue
        try:
            tables.append(job())
        except SharpwaveError as error:
            refusals.append(f"{what[0].upper()}{what[1:]} were not detected: {error}")
    found = [table for table in tables if len(table)]
    events = pd.concat(found, ignore_index=True) if found else empty_events().assign(channel="")
    return events.sort_values("onset", kind="stable", ignore_index=True), refusals


def _search_spindles(eeg: Signal, where: Hypnogram, coupled: dict[str, pd.DataFrame] | None) -> pd.DataFrame:
    """Spindles of one channel, and in `coupled` those by the criteria of coupling."""
    settings = [SpindleSettings()] if coupled is None else [SpindleSettings(), COUPLED_SPINDLES]
    found, *others = detect_spindles_each(eeg, settings, hypnogram=where)
    if coupled is not None:
        coupled[eeg.name] = others[0]
    return found


MICROVOLT_CRITERIA = ("slow_wave", "rapid_eye_movement", "spindle")
"""Events whose detection, not only their amplitude, depends on µV."""


def mark_microvolts(events: pd.DataFrame, recording: Recording) -> pd.DataFrame:
    """Events with a column `microvolts` that says what depends on a unit that nobody wrote down; else as they are.

    >>> events = pd.DataFrame({"onset": [1.0], "duration": [1.0], "label": ["slow_wave"]})
    >>> mark_microvolts(events, Recording(metadata={"amplitude_unit": "rescaled"}))["microvolts"].tolist()
    ['assumed: detection, amplitude']
    """
    if not len(events) or recording.metadata.get("amplitude_unit") not in ("unknown", "rescaled"):
        return events
    by_size = events["label"].isin(MICROVOLT_CRITERIA)
    return events.assign(microvolts=np.where(by_size, "assumed: detection, amplitude", "assumed: amplitude"))


__getattr__ = moved.rename(__name__, {"lower_rates": "signals.high_rates:lower_rates"})
