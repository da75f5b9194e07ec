"""Which text belongs to which segment: given, from cues, aligned to a whole reading, or recognised."""
