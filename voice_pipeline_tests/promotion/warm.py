"""Loaded by a fork server alone: what each of its children would load again."""

from voice_pipeline.licensing.gate import installed_frontend

installed_frontend("en-US")
