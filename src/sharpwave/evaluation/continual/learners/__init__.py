"""The learners by name: peers, a ceiling, and ours with and without sleep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sharpwave.evaluation.continual.learners.agem import AveragedGEM
from sharpwave.evaluation.continual.learners.cls_er import ComplementaryReplay
from sharpwave.evaluation.continual.learners.contract import Learner
from sharpwave.evaluation.continual.learners.der import DarkExperienceReplay
from sharpwave.evaluation.continual.learners.er import ExperienceReplay
from sharpwave.evaluation.continual.learners.ewc import OnlineEWC
from sharpwave.evaluation.continual.learners.finetune import Finetune
from sharpwave.evaluation.continual.learners.joint import Joint
from sharpwave.evaluation.continual.learners.lwf import LearningWithoutForgetting
from sharpwave.evaluation.continual.learners.progressive import Progressive
from sharpwave.evaluation.continual.learners.si import SynapticIntelligence
from sharpwave.evaluation.continual.learners.sleeper import LiteralSleeper, Sleeper, SpikingSleeper

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
