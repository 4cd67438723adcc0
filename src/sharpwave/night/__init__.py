"""The main job: a recording in; stages, forecast, events, effects and how far to trust them out."""
