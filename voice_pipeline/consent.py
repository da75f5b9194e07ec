"""Whether a speaker agreed to what a voice is for, on a given day."""
