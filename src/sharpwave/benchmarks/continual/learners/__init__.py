"""The learners by name: peers, a ceiling, and ours with and without sleep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sharpwave.benchmarks.continual.learners.agem import AveragedGEM
from sharpwave.benchmarks.continual.learners.cls_er import ComplementaryReplay
from sharpwave.benchmarks.continual.learners.contract import Learner
from sharpwave.benchmarks.continual.learners.der import DarkExperienceReplay
from sharpwave.benchmarks.continual.learners.er import ExperienceReplay
from sharpwave.benchmarks.continual.learners.ewc import OnlineEWC
from sharpwave.benchmarks.continual.learners.finetune import Finetune
from sharpwave.benchmarks.continual.learners.joint import Joint
from sharpwave.benchmarks.continual.learners.lwf import LearningWithoutForgetting
from sharpwave.benchmarks.continual.learners.progressive import Progressive
from sharpwave.benchmarks.continual.learners.si import SynapticIntelligence
from sharpwave.benchmarks.continual.learners.sleeper import LiteralSleeper, Sleeper, SpikingSleeper

LEARNERS: dict[str, Callable[..., Learner]] = {
    "finetune": Finetune,
    "joint": Joint,
    "ewc": OnlineEWC,
    "si": SynapticIntelligence,
    "lwf": LearningWithoutForgetting,
    "a-gem": AveragedGEM,
    "er": ExperienceReplay,
    "der++": DarkExperienceReplay,
    "er-ace": partial(ExperienceReplay, asymmetric=True),
    "progressive": Progressive,
    "cls-er": ComplementaryReplay,
    "wake": partial(Sleeper, sleeps=False),
    "sleep": Sleeper,
    "ssr": LiteralSleeper,
    "src": SpikingSleeper,
}
"""Each is called as `(model, setting, lr=…, **options)`. `wake` is `sleep` without its nights."""

OURS = ("wake", "sleep", "ssr", "src")
UNEQUAL = {
    "joint": "keeps all data",
    "progressive": "grows by a column with every task and is told the task",
    "cls-er": "keeps three networks, of which one answers",
}
"""Methods that keep more than a buffer and one network, and what."""
