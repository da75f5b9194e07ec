"""The voice bundle: its format, its export, its validation, and what speaks with it."""
