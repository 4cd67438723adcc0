"""Sleep for networks in JAX: pure functions over pytrees, any optax transformation, memory shared with PyTorch.

    memory = Memory(ReplayBuffer(500))
    for batch in batches:
        params, opt_state, step = wake_step(params, opt_state, memory, batch, tx=tx, apply=apply)
    params, opt_state, report = night(params, opt_state, memory, tx=tx, apply=apply)

Names load when first used; JAX and optax come with `sharpwave[jax]`.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "memory": ["Memory", "load_tree", "save_tree"],
        "network": ["Network", "Split", "Variables", "from_equinox", "from_nnx"],
        "nights": ["night"],
        "losses": ["wake_loss"],
        "steps": ["wake_step"],
    },
)
