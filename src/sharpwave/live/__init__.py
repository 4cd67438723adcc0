"""The live loop: cue the sleeping brain, only when every condition of a protocol holds, and keep the proof.

Not a medical device; for research under an ethics board. Names load when first used, so importing costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "audit": ["AuditLog"],
        "clock": ["Clocked", "ClockState", "step_clock"],
        "decision": [
            "Cancelled",
            "Chunk",
            "Command",
            "Condition",
            "Decision",
            "Estimates",
            "Hold",
            "Intend",
            "Outcome",
            "StageResult",
        ],
        "display": ["LivePage", "open_live_page", "open_night_page"],
        "gate": ["LiveState", "init_live", "step_live"],
        "recorded": ["NightRecorder", "write_recorded_page"],
        "schedule": ["choose_cue", "draw_condition", "judge_night", "open_seal", "seal_seed"],
        "view": ["NightCard", "Trial", "compute_view"],
        "verify": ["Replay", "Verdict", "replay_log", "verify_log"],
        "edge": ["EdgePredictor", "export_predictor"],
        "estimates": ["EstimatesState", "init_estimates", "step_estimates"],
        "phase": ["Predictor", "load_predictor", "step_phase"],
        "consent": ["Consent", "read_consent"],
        "interlock": ["InterlockLimits", "step_interlock"],
        "morning": ["write_morning"],
        "night": ["LiveNight"],
        "run": ["Plan", "run_live", "run_started", "start_night"],
        "protocol": ["Protocol", "load_protocol", "parse_protocol"],
        "stage": ["StagerState", "init_stager", "step_stager"],
        "stage_process": ["ProcessStager"],
    },
)
