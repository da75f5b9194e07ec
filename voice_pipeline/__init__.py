"""Turn one speaker's recordings into a voice one may ship."""

__version__ = "0.1.0"
