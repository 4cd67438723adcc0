"""The learners by name: baselines, a ceiling, and ours with and without sleep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sharpwave.benchmarks.continual.learners.bounds import Finetune, Joint, Progressive
from sharpwave.benchmarks.continual.learners.contract import Learner
from sharpwave.benchmarks.continual.learners.exemplars import ExtendedReplay, GreedyDumb, ICaRL
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
    MetricReplay,
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
    "er-aml": MetricReplay,
    "gdumb": GreedyDumb,
    "icarl": ICaRL,
    "x-der": ExtendedReplay,
    "er-annealed": ExperienceReplay,
    "der++-annealed": DarkExperienceReplay,
    "er-ace-annealed": partial(ExperienceReplay, asymmetric=True),
    "cls-er-annealed": ComplementaryReplay,
    "wake": partial(SleepLearner, sleeps=False),
    "sleep": SleepLearner,
    "sleep-default": DefaultSleepLearner,
    "ssr": SSRLearner,
    "src": SRCLearner,
}
"""Each is called as `(model, setting, lr=…, **options)`. `wake` is `sleep` without its nights. Those that are annealed
are the same learners, whose options were chosen together with how much of a task the step size falls over."""

OURS = ("wake", "sleep", "sleep-default", "ssr", "src")
UNEQUAL = {
    "joint": "keeps all data",
    "progressive": "grows by a column with every task and is told the task",
    "cls-er": "keeps three networks, of which one answers",
    "cls-er-annealed": "keeps three networks, of which one answers",
}
"""Methods that keep more than a buffer and one network, and what."""

NEW_CLASSES = ("gdumb", "icarl", "x-der")
"""Methods whose rule is about classes that come anew: where every task has all classes they are not run. There GDumb
would keep the first task alone, iCaRL would have no old class, X-DER none to come."""
