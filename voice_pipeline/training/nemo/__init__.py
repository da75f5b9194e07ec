"""The NeMo backend: a program of its own, ``python -m voice_pipeline.training.nemo SPEC.json``."""
