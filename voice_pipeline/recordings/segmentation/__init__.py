"""From recordings to utterances: where somebody speaks, and where to cut."""
