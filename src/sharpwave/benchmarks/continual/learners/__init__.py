"""The learners by name: baselines, a ceiling, and ours with and without sleep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sharpwave.benchmarks.continual.learners.bounds import Finetune, Joint, Progressive
from sharpwave.benchmarks.continual.learners.contract import Learner
from sharpwave.benchmarks.continual.learners.ours import (
    DefaultSleepLearner,
    SleepLearner,
    SRCLearner,
    SSRLearner,
)
from sharpwave.benchmarks.continual.learners.regularisation import (
    LearningWithoutForgetting,
    OnlineEWC,
    SynapticIntelligence,
)
from sharpwave.benchmarks.continual.learners.replay import (
    AveragedGEM,
    ComplementaryReplay,
    DarkExperienceReplay,
    ExperienceReplay,
)

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
    "wake": partial(SleepLearner, sleeps=False),
    "sleep": SleepLearner,
    "sleep-default": DefaultSleepLearner,
    "ssr": SSRLearner,
    "src": SRCLearner,
}
"""Each is called as `(model, setting, lr=…, **options)`. `wake` is `sleep` without its nights."""

OURS = ("wake", "sleep", "sleep-default", "ssr", "src")
UNEQUAL = {
    "joint": "keeps all data",
    "progressive": "grows by a column with every task and is told the task",
    "cls-er": "keeps three networks, of which one answers",
}
"""Methods that keep more than a buffer and one network, and what."""
