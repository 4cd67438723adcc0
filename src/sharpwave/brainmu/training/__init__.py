"""Training the model: the loop, its options and state, augmentation, distillation and fine-tuning."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "objective": ["TrainingOptions"],
        "training": ["Drawn", "Learner", "draw_batches", "make_optimiser", "train"],
    },
)
