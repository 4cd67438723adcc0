"""Old addresses of modules and names, which work for one release with a warning that says the new one.

To be deleted with version 0.3.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES: dict[str, str] = {
    "batch": "commands.batch",
    "bids_app": "commands.bids_app",
    "brainmu._place_kernels": "brainmu.reactivation._place_kernels",
    "brainmu.arrivals": "brainmu.runtime.arrivals",
    "brainmu.attribution": "brainmu.explanation.attribution",
    "brainmu.augmentation": "brainmu.training.augmentation",
    "brainmu.deletion": "brainmu.explanation.deletion",
    "brainmu.devices": "brainmu.training.devices",
    "brainmu.distillation": "brainmu.training.distillation",
    "brainmu.export": "brainmu.runtime.export",
    "brainmu.finetuning": "brainmu.training.finetuning",
    "brainmu.latents": "brainmu.explanation.latents",
    "brainmu.measures": "brainmu.explanation.measures",
    "brainmu.night_pass": "brainmu.runtime.night_pass",
    "brainmu.novelty": "brainmu.explanation.novelty",
    "brainmu.online": "brainmu.runtime.online",
    "brainmu.pieces": "brainmu.training.pieces",
    "brainmu.pretraining": "brainmu.training.pretraining",
    "brainmu.reactivation_frames": "brainmu.reactivation.reactivation_frames",
    "brainmu.reactivation_head": "brainmu.reactivation.reactivation_head",
    "brainmu.reactivation_places": "brainmu.reactivation.reactivation_places",
    "brainmu.sharding": "brainmu.training.sharding",
    "brainmu.staging": "brainmu.runtime.staging",
    "brainmu.stored_windows": "brainmu.training.stored_windows",
    "brainmu.tracing": "brainmu.explanation.tracing",
    "brainmu.training_log": "brainmu.training.training_log",
    "brainmu.training_options": "brainmu.training.training_options",
    "brainmu.training_state": "brainmu.training.training_state",
    "brainmu.weight_average": "brainmu.training.weight_average",
    "cli": "commands.cli",
    "cli_data": "commands.cli_data",
    "cli_memory": "commands.cli_memory",
    "cli_training": "commands.cli_training",
    "decode": "night.decode",
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
    "evaluation.benchmarks.ablations": "benchmarks.ablations",
    "evaluation.benchmarks.causality": "benchmarks.causality.benchmark",
    "evaluation.benchmarks.causality_scores": "benchmarks.causality_scores",
    "evaluation.benchmarks.continual": "benchmarks.continual.benchmark",
    "evaluation.benchmarks.continual_cifar10": "benchmarks.continual_cifar10",
    "evaluation.benchmarks.decode_memory": "benchmarks.decode_memory",
    "evaluation.benchmarks.decode_once": "benchmarks.decode_once",
    "evaluation.benchmarks.decode_speed": "benchmarks.decode_speed",
    "evaluation.benchmarks.dynamics": "benchmarks.dynamics",
    "evaluation.benchmarks.explanation_doubts": "benchmarks.explanation_doubts",
    "evaluation.benchmarks.explanations": "benchmarks.explanations",
    "evaluation.benchmarks.forecast": "benchmarks.forecast",
    "evaluation.benchmarks.forecast_brainmu": "benchmarks.forecast_brainmu",
    "evaluation.benchmarks.forecast_scores": "benchmarks.forecast_scores",
    "evaluation.benchmarks.labels": "benchmarks.labels",
    "evaluation.benchmarks.multimodal": "benchmarks.multimodal.benchmark",
    "evaluation.benchmarks.night_files": "benchmarks.night_files",
    "evaluation.benchmarks.reactivation": "benchmarks.reactivation.benchmark",
    "evaluation.benchmarks.recorded_replay": "benchmarks.recorded_replay",
    "evaluation.benchmarks.replay_peer": "benchmarks.replay_peer",
    "evaluation.benchmarks.replay_session": "benchmarks.replay_session",
    "evaluation.benchmarks.replay_speed": "benchmarks.replay_speed",
    "evaluation.benchmarks.resilience": "benchmarks.resilience.benchmark",
    "evaluation.benchmarks.rows": "benchmarks.rows",
    "evaluation.benchmarks.run_decoding": "benchmarks.run_decoding",
    "evaluation.benchmarks.runner": "benchmarks.runner",
    "evaluation.benchmarks.sleep_cost": "benchmarks.sleep_cost",
    "evaluation.benchmarks.spindles": "benchmarks.spindles",
    "evaluation.benchmarks.staging": "benchmarks.staging",
    "evaluation.benchmarks.staging_baselines": "benchmarks.staging_baselines",
    "evaluation.benchmarks.staging_brainmu": "benchmarks.staging_brainmu",
    "evaluation.benchmarks.staging_cohorts": "benchmarks.staging_cohorts",
    "evaluation.benchmarks.staging_methods": "benchmarks.staging_methods",
    "evaluation.benchmarks.staging_scores": "benchmarks.staging_scores",
    "evaluation.benchmarks.subsets": "benchmarks.subsets",
    "evaluation.benchmarks.training_cost": "benchmarks.training_cost",
    "evaluation.benchmarks.transfer": "benchmarks.transfer",
    "evaluation.brainmu": "recipes",
    "evaluation.brainmu.companions": "recipes.companions",
    "evaluation.brainmu.cross_validation": "recipes.cross_validation",
    "evaluation.brainmu.decoding": "brainmu.shipped",
    "evaluation.brainmu.explaining": "night.explanation",
    "evaluation.brainmu.forecaster": "forecasting.brainmu_forecaster",
    "evaluation.brainmu.mixture": "recipes.mixture",
    "evaluation.brainmu.nights": "forecasting.brainmu_nights",
    "evaluation.brainmu.reactivation_nights": "recipes.replay_nights",
    "evaluation.brainmu.reactivation_recipe": "recipes.reactivation_recipe",
    "evaluation.brainmu.recipe": "recipes.recipe",
    "evaluation.brainmu.scorers": "recipes.scorers",
    "evaluation.brainmu.simulated": "recipes.simulated",
    "evaluation.brainmu.staging_nights": "recipes.staging_nights",
    "evaluation.brainmu.staging_training": "recipes.staging_training",
    "evaluation.causality": "benchmarks.causality",
    "evaluation.causality.cues": "benchmarks.causality.cues",
    "evaluation.causality.naive": "benchmarks.causality.naive",
    "evaluation.causality.nights": "benchmarks.causality.nights",
    "evaluation.causality.oracles": "benchmarks.causality.oracles",
    "evaluation.causality.shifts": "benchmarks.causality.shifts",
    "evaluation.causality.trials": "benchmarks.causality.trials",
    "evaluation.cohorts": "forecasting.cohorts",
    "evaluation.continual": "benchmarks.continual",
    "evaluation.continual.harness": "benchmarks.continual.harness",
    "evaluation.continual.idx": "benchmarks.continual.idx",
    "evaluation.continual.image_files": "benchmarks.continual.image_files",
    "evaluation.continual.images": "benchmarks.continual.images",
    "evaluation.continual.ingredients": "benchmarks.continual.ingredients",
    "evaluation.continual.learners": "benchmarks.continual.learners",
    "evaluation.continual.learners.agem": "benchmarks.continual.learners.agem",
    "evaluation.continual.learners.cls_er": "benchmarks.continual.learners.cls_er",
    "evaluation.continual.learners.contract": "benchmarks.continual.learners.contract",
    "evaluation.continual.learners.der": "benchmarks.continual.learners.der",
    "evaluation.continual.learners.er": "benchmarks.continual.learners.er",
    "evaluation.continual.learners.ewc": "benchmarks.continual.learners.ewc",
    "evaluation.continual.learners.finetune": "benchmarks.continual.learners.finetune",
    "evaluation.continual.learners.joint": "benchmarks.continual.learners.joint",
    "evaluation.continual.learners.lwf": "benchmarks.continual.learners.lwf",
    "evaluation.continual.learners.progressive": "benchmarks.continual.learners.progressive",
    "evaluation.continual.learners.si": "benchmarks.continual.learners.si",
    "evaluation.continual.learners.sleeper": "benchmarks.continual.learners.sleeper",
    "evaluation.continual.learners.stored": "benchmarks.continual.learners.stored",
    "evaluation.continual.models": "benchmarks.continual.models",
    "evaluation.continual.protocols": "benchmarks.continual.protocols",
    "evaluation.continual.scores": "benchmarks.continual.scores",
    "evaluation.continual.streams": "benchmarks.continual.streams",
    "evaluation.continual.tuning": "benchmarks.continual.tuning",
    "evaluation.deletion_curves": "benchmarks.deletion_curves",
    "evaluation.finetuned": "recipes.finetuned",
    "evaluation.forecaster": "forecasting.forecaster",
    "evaluation.multimodal": "benchmarks.multimodal",
    "evaluation.multimodal.coarse": "benchmarks.multimodal.coarse",
    "evaluation.multimodal.judging": "benchmarks.multimodal.judging",
    "evaluation.multimodal.learning": "benchmarks.multimodal.learning",
    "evaluation.multimodal.nights": "benchmarks.multimodal.nights",
    "evaluation.multimodal.scores": "benchmarks.multimodal.scores",
    "evaluation.multimodal.simulated_forecast": "benchmarks.multimodal.simulated_forecast",
    "evaluation.multimodal.splits": "benchmarks.multimodal.splits",
    "evaluation.night": "night.scores",
    "evaluation.night_courses": "night.effects",
    "evaluation.night_effects": "night.effects",
    "evaluation.night_reactivations": "night.reactivations",
    "evaluation.planted_nights": "benchmarks.planted_nights",
    "evaluation.protocols": "forecasting.protocols",
    "evaluation.reactivation": "benchmarks.reactivation",
    "evaluation.reactivation.contents": "benchmarks.reactivation.contents",
    "evaluation.reactivation.difficulty": "recipes.difficulty",
    "evaluation.reactivation.hand_crafted": "benchmarks.reactivation.hand_crafted",
    "evaluation.reactivation.scoring": "benchmarks.reactivation.scoring",
    "evaluation.resilience": "benchmarks.resilience",
    "evaluation.resilience.contrasts": "benchmarks.resilience.contrasts",
    "evaluation.resilience.courses": "benchmarks.resilience.courses",
    "evaluation.resilience.demonstration": "benchmarks.resilience.demonstration",
    "evaluation.resilience.digits": "benchmarks.resilience.digits",
    "evaluation.resilience.exam": "benchmarks.resilience.exam",
    "evaluation.resilience.hidden_states": "benchmarks.resilience.hidden_states",
    "evaluation.resilience.label_noise": "benchmarks.resilience.label_noise",
    "evaluation.resilience.layers": "benchmarks.resilience.layers",
    "evaluation.resilience.network": "benchmarks.resilience.network",
    "evaluation.resilience.nights": "benchmarks.resilience.nights",
    "evaluation.resilience.perturbations": "benchmarks.resilience.perturbations",
    "evaluation.resilience.recovering": "benchmarks.resilience.recovering",
    "evaluation.resilience.run_tables": "benchmarks.resilience.run_tables",
    "evaluation.resilience.spiking": "benchmarks.resilience.spiking",
    "evaluation.seen": "night.trust",
    "evaluation.shipped": "forecasting.shipped",
    "evaluation.stagers": "staging",
    "evaluation.stagers.boosted": "staging.boosted",
    "evaluation.stagers.brainmu_stager": "staging.brainmu_stager",
    "evaluation.stagers.context": "staging.context",
    "evaluation.stagers.contract": "staging.contract",
    "evaluation.stagers.eeg_features": "staging.eeg_features",
    "evaluation.stagers.hidden_markov": "staging.hidden_markov",
    "evaluation.stagers.lightgbm_lfp": "staging.lightgbm_lfp",
    "evaluation.stagers.lightgbm_wearable": "staging.lightgbm_wearable",
    "evaluation.stagers.rodent": "staging.rodent",
    "evaluation.stagers.training": "recipes.stagers",
    "evaluation.stagers.wearable_features": "staging.wearable_features",
    "evaluation.stagers.weights": "staging.weights",
    "evaluation.stagers.yasa_resampled": "staging.yasa_resampled",
    "evaluation.stagers.yasa_stager": "staging.yasa_stager",
    "evaluation.tally": "benchmarks.tally",
    "evaluation.trust": "night.trust",
    "explain": "commands.explain",
    "export": "commands.export",
    "finetune": "commands.finetune",
    "inputs": "night.options",
    "network_sleep": "commands.network_sleep",
    "relate": "commands.effects",
    "related_nights": "commands.effects",
    "replay": "commands.replay",
    "reports.bids_files": "reports.files",
    "reports.methods": "night.methods",
    "reports.network_run": "reports.network_page",
    "reports.night": "night.decoded",
    "stores": "commands.stores",
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


def install() -> None:
    """Let old addresses be imported; called once by `sharpwave`."""
    if not any(isinstance(finder, _MovedModule) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MovedModule())  # before the finder of files, which would load a second copy
