"""The commands of ``voice-pipeline``, by what they are for. ``cli`` puts them together."""
