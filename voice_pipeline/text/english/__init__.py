"""English (US): normalisation, lexicon, pronunciation of unknown words."""
