"""Sleep for networks: wake takes in experience, NREM replays it, REM recombines it.

Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batches": ["Objective"],
        "budget": ["Budget"],
        "buffer": ["ReplayBuffer"],
        "night": ["Phase"],
        "nrem": ["NREM"],
        "private": ["Private"],
        "probe": ["Probe"],
        "protection": ["Protection"],
        "recipe": ["Recipe"],
        "rem": ["REM"],
        "sleep_report": ["SleepReport"],
        "schedule": ["FixedRatio", "TwoProcess"],
        "significance": ["Homeostasis"],
        "sleep": ["Sleep"],
        "wake": ["Wake", "compute_wake_loss"],
    },
)
