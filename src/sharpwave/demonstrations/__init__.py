"""Networks that sleep, on a scale of seconds: streams of tasks, small networks, damage; and a live night with cues."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "live_night": ["demonstrate_live_night"],
        "network_sleep": ["demonstrate_forgetting"],
        "networks": ["record_hidden_states"],
        "subject": ["NetworkSubject"],
    },
)
