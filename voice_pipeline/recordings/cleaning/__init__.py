"""Segments to clean utterances: the audio chain, the figures of the source, fingerprints, and who speaks."""
