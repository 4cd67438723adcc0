"""Old addresses of modules and names, which work for one release with a warning that says the new one.

To be deleted with version 0.3.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MODULES: dict[str, str] = {
    "batch": "commands.batch",
    "bids_app": "commands.bids",
    "brainmu._place_kernels": "brainmu.reactivation._place_kernels",
    "brainmu.arrivals": "brainmu.runtime.arrivals",
    "brainmu.attribution": "brainmu.explanation.attribution",
    "brainmu.augmentation": "brainmu.training.augmentation",
    "brainmu.batches": "brainmu.epochs",
    "brainmu.deletion": "brainmu.explanation.occlusion",
    "brainmu.devices": "brainmu.training.devices",
    "brainmu.distillation": "brainmu.training.distillation",
    "brainmu.encoders.calcium": "brainmu.encoders.behaviour",
    "brainmu.encoders.channels": "brainmu.encoders.contract",
    "brainmu.encoders.levels": "brainmu.encoders.electrophysiology",
    "brainmu.encoders.spectral_frames": "brainmu.encoders.electrophysiology",
    "brainmu.encoders.spikes": "brainmu.encoders.electrophysiology",
    "brainmu.encoders.stage_course": "brainmu.encoders.stage_history",
    "brainmu.encoders.summaries": "brainmu.encoders.behaviour",
    "brainmu.encoders.wearable": "brainmu.encoders.electrophysiology",
    "brainmu.export": "brainmu.runtime.export",
    "brainmu.finetuning": "brainmu.training.finetuning",
    "brainmu.latents": "brainmu.explanation.latents",
    "brainmu.measures": "brainmu.explanation.measures",
    "brainmu.night_pass": "brainmu.runtime.staging",
    "brainmu.novelty": "brainmu.explanation.out_of_distribution",
    "brainmu.objective": "brainmu.training.objective",
    "brainmu.online": "brainmu.runtime.online",
    "brainmu.pieces": "brainmu.training.crops",
    "brainmu.pretraining": "brainmu.training.pretraining",
    "brainmu.reactivation_frames": "brainmu.reactivation.reactivation_frames",
    "brainmu.reactivation_head": "brainmu.reactivation.reactivation_head",
    "brainmu.reactivation_places": "brainmu.reactivation.reactivation_places",
    "brainmu.sharding": "brainmu.training.devices",
    "brainmu.staging": "brainmu.runtime.staging",
    "brainmu.stored_windows": "brainmu.training.crops",
    "brainmu.tracing": "brainmu.attention",
    "brainmu.training_log": "brainmu.training.resume",
    "brainmu.training_options": "brainmu.training.objective",
    "brainmu.training_state": "brainmu.training.resume",
    "brainmu.weight_average": "brainmu.training.resume",
    "brainmu.windows": "brainmu.epochs",
    "causality.association": "causality.surrogates",
    "causality.coupling": "causality.memory",
    "causality.course": "causality.series",
    "causality.course_files": "causality.series_files",
    "causality.covariates": "causality.design",
    "causality.directed": "causality.directions",
    "causality.infraslow": "causality.series",
    "causality.moves": "causality.outcomes",
    "causality.regression": "causality.hazards",
    "causality.reverse": "causality.directions",
    "causality.rows": "causality.effects_table",
    "causality.sensitivity": "causality.intervals",
    "causality.units": "causality.intervals",
    "causality.wording": "causality.rules",
    "cli": "commands.cli",
    "cli_data": "commands.cli",
    "cli_memory": "commands.cli",
    "cli_training": "commands.cli",
    "consolidation.anatomy": "consolidation.modules",
    "consolidation.body": "consolidation.learner",
    "consolidation.columns": "consolidation.table",
    "consolidation.distributed": "consolidation.modules",
    "consolidation.frozen": "consolidation.modules",
    "consolidation.homeostasis": "consolidation.significance",
    "consolidation.modes": "consolidation.modules",
    "consolidation.normalisation": "consolidation.modules",
    "consolidation.objective": "consolidation.batches",
    "consolidation.perturbation": "consolidation.modules",
    "consolidation.replaying": "consolidation.nrem",
    "consolidation.report": "consolidation.night",
    "consolidation.snapshot": "consolidation.night",
    "consolidation.strain": "consolidation.learner",
    "consolidation.strata": "consolidation.admission",
    "demo": "commands.demo",
    "doctor": "commands.doctor",
    "evaluation.baselines": "forecasting",
    "evaluation.baselines.boosting": "forecasting.boosting",
    "evaluation.baselines.contract": "forecasting.contract",
    "evaluation.baselines.hmm": "forecasting.hmm",
    "evaluation.baselines.inputs": "forecasting.inputs",
    "evaluation.baselines.networks": "forecasting.networks",
    "evaluation.baselines.tables": "forecasting.tables",
    "evaluation.benchmarks": "benchmarks",
    "evaluation.benchmarks.ablations": "benchmarks.multimodal.ablations",
    "evaluation.benchmarks.causality": "benchmarks.causality.benchmark",
    "evaluation.benchmarks.causality_scores": "benchmarks.causality.scores",
    "evaluation.benchmarks.continual": "benchmarks.continual.benchmark",
    "evaluation.benchmarks.continual_cifar10": "benchmarks.continual.benchmark",
    "evaluation.benchmarks.decode_memory": "benchmarks.decode.memory",
    "evaluation.benchmarks.decode_once": "benchmarks.decode.once",
    "evaluation.benchmarks.decode_speed": "benchmarks.decode.speed",
    "evaluation.benchmarks.dynamics": "benchmarks.dynamics.benchmark",
    "evaluation.benchmarks.explanation_doubts": "benchmarks.explanations.abstention",
    "evaluation.benchmarks.explanations": "benchmarks.explanations.benchmark",
    "evaluation.benchmarks.forecast": "benchmarks.forecast.benchmark",
    "evaluation.benchmarks.forecast_brainmu": "benchmarks.forecast.brainmu",
    "evaluation.benchmarks.forecast_scores": "benchmarks.forecast.scores",
    "evaluation.benchmarks.labels": "benchmarks.multimodal.labels",
    "evaluation.benchmarks.multimodal": "benchmarks.multimodal.benchmark",
    "evaluation.benchmarks.night_files": "benchmarks.decode.nights",
    "evaluation.benchmarks.reactivation": "benchmarks.reactivation.benchmark",
    "evaluation.benchmarks.recorded_replay": "benchmarks.replay.recorded",
    "evaluation.benchmarks.replay_peer": "benchmarks.replay.other_libraries",
    "evaluation.benchmarks.replay_session": "benchmarks.replay.session",
    "evaluation.benchmarks.replay_speed": "benchmarks.replay.speed",
    "evaluation.benchmarks.resilience": "benchmarks.resilience.benchmark",
    "evaluation.benchmarks.rows": "benchmarks.rows",
    "evaluation.benchmarks.run_decoding": "benchmarks.replay.run_decoding",
    "evaluation.benchmarks.runner": "benchmarks.runner",
    "evaluation.benchmarks.sleep_cost": "benchmarks.sleep_cost",
    "evaluation.benchmarks.spindles": "benchmarks.spindles",
    "evaluation.benchmarks.staging": "benchmarks.staging.benchmark",
    "evaluation.benchmarks.staging_baselines": "benchmarks.staging.baselines",
    "evaluation.benchmarks.staging_brainmu": "benchmarks.staging.methods",
    "evaluation.benchmarks.staging_cohorts": "benchmarks.staging.cohorts",
    "evaluation.benchmarks.staging_methods": "benchmarks.staging.methods",
    "evaluation.benchmarks.staging_scores": "benchmarks.staging.scores",
    "evaluation.benchmarks.subsets": "benchmarks.multimodal.subsets",
    "evaluation.benchmarks.training_cost": "benchmarks.training_cost",
    "evaluation.benchmarks.transfer": "benchmarks.multimodal.transfer",
    "evaluation.brainmu": "recipes",
    "evaluation.brainmu.companions": "recipes.files_beside_weights",
    "evaluation.brainmu.cross_validation": "recipes.cross_validation",
    "evaluation.brainmu.decoding": "brainmu.shipped",
    "evaluation.brainmu.explaining": "night.explanation",
    "evaluation.brainmu.forecaster": "forecasting.brainmu_forecaster",
    "evaluation.brainmu.mixture": "recipes.sources",
    "evaluation.brainmu.nights": "forecasting.brainmu_nights",
    "evaluation.brainmu.reactivation_nights": "recipes.replay_nights",
    "evaluation.brainmu.reactivation_recipe": "recipes.reactivation_recipe",
    "evaluation.brainmu.recipe": "recipes.recipe",
    "evaluation.brainmu.scorers": "recipes.sources",
    "evaluation.brainmu.simulated": "recipes.sources",
    "evaluation.brainmu.staging_nights": "recipes.staging_nights",
    "evaluation.brainmu.staging_training": "recipes.staging_training",
    "evaluation.causality": "benchmarks.causality",
    "evaluation.causality.cues": "benchmarks.causality.trials",
    "evaluation.causality.naive": "benchmarks.causality.baselines",
    "evaluation.causality.nights": "night.planted",
    "evaluation.causality.oracles": "benchmarks.causality.oracles",
    "evaluation.causality.shifts": "benchmarks.causality.baselines",
    "evaluation.causality.trials": "benchmarks.causality.trials",
    "evaluation.cohorts": "forecasting.cohorts",
    "evaluation.continual": "benchmarks.continual",
    "evaluation.continual.harness": "benchmarks.continual.harness",
    "evaluation.continual.idx": "benchmarks.continual.images",
    "evaluation.continual.image_files": "benchmarks.continual.images",
    "evaluation.continual.images": "benchmarks.continual.images",
    "evaluation.continual.ingredients": "benchmarks.continual.learners.ours",
    "evaluation.continual.learners": "benchmarks.continual.learners",
    "evaluation.continual.learners.agem": "benchmarks.continual.learners.replay",
    "evaluation.continual.learners.cls_er": "benchmarks.continual.learners.replay",
    "evaluation.continual.learners.contract": "benchmarks.continual.learners.contract",
    "evaluation.continual.learners.der": "benchmarks.continual.learners.replay",
    "evaluation.continual.learners.er": "benchmarks.continual.learners.replay",
    "evaluation.continual.learners.ewc": "benchmarks.continual.learners.regularisation",
    "evaluation.continual.learners.finetune": "benchmarks.continual.learners.bounds",
    "evaluation.continual.learners.joint": "benchmarks.continual.learners.bounds",
    "evaluation.continual.learners.lwf": "benchmarks.continual.learners.regularisation",
    "evaluation.continual.learners.progressive": "benchmarks.continual.learners.bounds",
    "evaluation.continual.learners.si": "benchmarks.continual.learners.regularisation",
    "evaluation.continual.learners.sleeper": "benchmarks.continual.learners.ours",
    "evaluation.continual.learners.stored": "benchmarks.continual.learners.contract",
    "evaluation.continual.models": "demonstrations.networks",
    "evaluation.continual.protocols": "benchmarks.continual.protocols",
    "evaluation.continual.scores": "benchmarks.continual.benchmark",
    "evaluation.continual.streams": "demonstrations.streams",
    "evaluation.continual.tuning": "benchmarks.continual.tuning",
    "evaluation.deletion_curves": "benchmarks.explanations.occlusion",
    "evaluation.finetuned": "recipes.finetuned",
    "evaluation.forecaster": "forecasting.forecaster",
    "evaluation.interval_calibration": "recipes.interval_calibration",
    "evaluation.multimodal": "benchmarks.multimodal",
    "evaluation.multimodal.coarse": "benchmarks.multimodal.nights",
    "evaluation.multimodal.judging": "benchmarks.multimodal.learning",
    "evaluation.multimodal.learning": "benchmarks.multimodal.learning",
    "evaluation.multimodal.nights": "benchmarks.multimodal.nights",
    "evaluation.multimodal.scores": "benchmarks.multimodal.scores",
    "evaluation.multimodal.simulated_forecast": "benchmarks.multimodal.benchmark",
    "evaluation.multimodal.splits": "benchmarks.multimodal.splits",
    "evaluation.night": "night.scores",
    "evaluation.night_courses": "night.effects",
    "evaluation.night_effects": "night.effects",
    "evaluation.night_reactivations": "night.reactivations",
    "evaluation.planted_nights": "night.planted",
    "evaluation.protocols": "forecasting.protocols",
    "evaluation.reactivation": "benchmarks.reactivation",
    "evaluation.reactivation.contents": "benchmarks.reactivation.detectors",
    "evaluation.reactivation.difficulty": "recipes.difficulty",
    "evaluation.reactivation.hand_crafted": "benchmarks.reactivation.detectors",
    "evaluation.reactivation.scoring": "benchmarks.reactivation.benchmark",
    "evaluation.resilience": "demonstrations",
    "evaluation.resilience.contrasts": "benchmarks.dynamics.states",
    "evaluation.resilience.courses": "demonstrations.training_runs",
    "evaluation.resilience.demonstration": "demonstrations.network_sleep",
    "evaluation.resilience.digits": "demonstrations.streams",
    "evaluation.resilience.exam": "demonstrations.streams",
    "evaluation.resilience.hidden_states": "demonstrations.networks",
    "evaluation.resilience.label_noise": "benchmarks.resilience.robustness",
    "evaluation.resilience.layers": "benchmarks.resilience.robustness",
    "evaluation.resilience.network": "demonstrations.networks",
    "evaluation.resilience.nights": "benchmarks.dynamics.states",
    "evaluation.resilience.perturbations": "demonstrations.networks",
    "evaluation.resilience.recovering": "demonstrations.recovery",
    "evaluation.resilience.run_tables": "demonstrations.network_sleep",
    "evaluation.resilience.spiking": "benchmarks.dynamics.spiking",
    "evaluation.sampled_hypnograms": "evaluation.sleep_statistics",
    "evaluation.seen": "night.trust",
    "evaluation.shipped": "forecasting.shipped",
    "evaluation.stage_measures": "evaluation.sleep_statistics",
    "evaluation.stagers": "staging",
    "evaluation.stagers.boosted": "staging.boosted",
    "evaluation.stagers.brainmu_stager": "staging.brainmu_stager",
    "evaluation.stagers.context": "staging.boosted",
    "evaluation.stagers.contract": "staging.contract",
    "evaluation.stagers.eeg_features": "staging.eeg_features",
    "evaluation.stagers.hidden_markov": "staging.hidden_markov",
    "evaluation.stagers.lightgbm_lfp": "staging.lightgbm_stagers",
    "evaluation.stagers.lightgbm_wearable": "staging.lightgbm_stagers",
    "evaluation.stagers.rodent": "staging.rodent",
    "evaluation.stagers.training": "recipes.stagers",
    "evaluation.stagers.wearable_features": "staging.lightgbm_stagers",
    "evaluation.stagers.weights": "staging.weights",
    "evaluation.stagers.yasa_resampled": "staging.yasa_stager",
    "evaluation.stagers.yasa_stager": "staging.yasa_stager",
    "evaluation.tally": "benchmarks.forecast.accumulator",
    "evaluation.trust": "night.trust",
    "explain": "commands.explain",
    "export": "commands.export",
    "finetune": "commands.finetune",
    "inputs": "night.options",
    "network_sleep": "commands.demo",
    "reactivation.bayes": "reactivation.decoding",
    "reactivation.experience": "reactivation.session",
    "reactivation.filtering": "reactivation.decoding",
    "reactivation.random_walk": "reactivation.state_space",
    "reactivation.running_walk": "reactivation.decoding",
    "reactivation.surrogates": "reactivation.significance",
    "recordings.channel_table": "recordings.channels",
    "recordings.datasets.columns": "recordings.datasets.files",
    "recordings.datasets.matlab": "recordings.datasets.files",
    "recordings.readers.clock": "recordings.clock",
    "recordings.readers.edf_annotations": "recordings.readers.edf",
    "recordings.readers.epochs": "recordings.readers.scoring",
    "recordings.readers.guard": "recordings.readers.files",
    "recordings.readers.hypnogram_lines": "recordings.readers.hypnogram_texts",
    "recordings.readers.nwb_clock": "recordings.readers.nwb_times",
    "recordings.readers.on_disk": "recordings.readers.files",
    "recordings.readers.text": "recordings.readers.files",
    "recordings.stage_labels": "recordings.readers.scoring",
    "recordings.store.encoding": "recordings.store.layout",
    "relate": "commands.effects",
    "related_nights": "commands.effects",
    "replay": "commands.replay",
    "reports.bids_files": "reports.files",
    "reports.colours": "reports.formats",
    "reports.downsample": "reports.timeline",
    "reports.effect_charts": "reports.charts",
    "reports.methods": "night.methods",
    "reports.network_run": "reports.network_page",
    "reports.night": "night.decoded",
    "resilience.integration": "resilience.connectivity",
    "resilience.metastability": "resilience.dynamics",
    "resilience.modularity": "resilience.connectivity",
    "resilience.surrogates": "resilience.windows",
    "signals.amplitude": "signals.staging",
    "signals.band_power": "signals.spectra",
    "signals.depth": "signals.spectra",
    "simulation.clock": "simulation.hypnograms",
    "simulation.eeg": "simulation.polysomnography",
    "simulation.emg": "simulation.polysomnography",
    "simulation.eog": "simulation.polysomnography",
    "simulation.events": "simulation.scene",
    "simulation.noise": "simulation.waveforms",
    "simulation.nuisance": "simulation.effects",
    "simulation.scorers": "simulation.hypnograms",
    "simulation.track": "simulation.spikes",
    "stores": "commands.convert",
    "train": "commands.train",
}
"""Modules below `sharpwave`: old address → new one."""


class _MovedModule(MetaPathFinder, Loader):
    """Loads the module at its new address where its old one is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, old = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == "sharpwave" and old in MODULES else None

    def get_code(self, fullname: str) -> None:
        """Asked by `python -m` alone: what moved can be imported, and is not run."""
        raise ImportError(f"{fullname} has moved; run `sharpwave`, or `python -m sharpwave`, in its place")

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        new = f"sharpwave.{MODULES[module.__name__.partition('.')[2]]}"
        warn(f"the module {module.__name__}", new)
        sys.modules[module.__name__] = import_module(new)


def warn(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Say that an old name was used, and which is the new one."""
    warnings.warn(f"{old} is now {new}; the old name goes with version 0.3", DeprecationWarning, stacklevel=stacklevel)


def rename(
    module: str, names: Mapping[str, str], *, otherwise: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """A module's `__getattr__` for names that changed.

    Args:
        module: `__name__` of the module.
        names: Old name → new name in the same module, or "module.below.sharpwave:name" where it lives elsewhere.
        otherwise: Asked for every other name; such as the `__getattr__` of `lazy_loader.attach`.
    """

    def get(name: str) -> Any:
        if name not in names:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = names[name].rpartition(":")
        home = f"sharpwave.{home}" if home else module
        warn(f"{module}.{name}", f"{home}.{new}")
        return getattr(import_module(home), new)

    return get


def rename_keywords(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function accept keywords by their old names, with a warning.

    Args:
        names: New name of each old keyword.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            for old in names.keys() & kwargs.keys():
                warn(f"the keyword {old} of {function.__name__}", names[old])
                kwargs[names[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


def install() -> None:
    """Let old addresses be imported; called once by `sharpwave`."""
    if not any(isinstance(finder, _MovedModule) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MovedModule())  # before the finder of files, which would load a second copy
