"""All stages from recordings to a dataset as one call, for programs, benchmarks and tests; assets call each by itself.

record = prepare(project, voice, store, frontend, sample_rate=22_050)
record.count, record.blockers
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from voice_pipeline.recognition.recognizer import load_recognizer
from voice_pipeline.recordings import manifest, preflight
from voice_pipeline.recordings.cleaning import stage as cleaning
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.recordings.segmentation import stage as segmentation
from voice_pipeline.recordings.texts import stage as texts
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice


def prepare(
    project: Path,
    voice: Voice,
    store: Store,
    frontend: TextFrontend,
    *,
    sample_rate: int,
    today: date | None = None,
) -> DatasetRecord:
    """The dataset of ``voice``, computing what is not there yet. Raises what its stages raise."""
    checked = preflight.run(project, voice, store, today=today)
    segments = segmentation.run(project, voice, store, checked)
    recognizer = load_recognizer(project, voice)
    spoken = texts.run(project, voice, store, frontend, checked, segments, recognizer)
    clean = cleaning.run(project, voice, store, checked, segments, sample_rate=sample_rate)
    return manifest.run(project, voice, store, frontend, checked, segments, spoken, clean)
