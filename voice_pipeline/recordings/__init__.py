"""From source recordings to a manifest of utterances that a trainer can read."""
