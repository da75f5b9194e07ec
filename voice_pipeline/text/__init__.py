"""From written text to symbol ids: one code path for training and for speaking."""
