from __future__ import annotations

from voice_pipeline_tests.tiny_bundle import tiny_bundle

__all__ = ["tiny_bundle"]
