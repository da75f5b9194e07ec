from __future__ import annotations

from voice_pipeline_tests.ready_voice import ready_voice

__all__ = ["ready_voice"]
