"""The live loop: cue the sleeping brain, only when every condition of a protocol holds, and keep the proof.

Not a medical device; for research under an ethics board. Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "clock": ["Clocked", "ClockState", "step_clock"],
        "decision": ["Chunk", "Command", "Condition", "Decision", "Estimates", "Hold", "Intend", "StageResult"],
        "edge": ["EdgePredictor", "export_predictor"],
        "estimates": ["EstimatesState", "init_estimates", "step_estimates"],
        "phase": ["Predictor", "load_predictor", "step_phase"],
        "protocol": ["Protocol", "load_protocol", "parse_protocol"],
        "stage": ["StagerState", "init_stager", "step_stager"],
        "stage_process": ["ProcessStager"],
    },
)
