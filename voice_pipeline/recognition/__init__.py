"""Pretrained models that listen: speech recognition, voice activity, forced alignment, speaker identity."""
