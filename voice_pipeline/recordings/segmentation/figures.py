"""What a person judges a segmentation by: its figures and one picture."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from voice_pipeline.recordings.segmentation.activity import SILENCE_DB, Activity
from voice_pipeline.recordings.segmentation.cuts import Cut
from voice_pipeline.recordings.segmentation.pictures import Excerpt, segments_png
from voice_pipeline.recordings.tables import AudioFile

EXCERPT_SECONDS = 60.0
_NAMED = 5  # files without speech that the record names


class Figures:
    """Collects one file after the other; memory is four bytes a segment."""

    def __init__(self, short: float, long: float) -> None:
        self.speech_seconds = 0.0
        self._short, self._long = short, long
        self._lengths = array("f")
        self._whole = self._files = self._silent = 0
        self._silent_files = list[str]()
        self._source_seconds = 0.0
        self._excerpt: Excerpt | None = None

    def add_file(self, file: AudioFile, activity: Activity, cuts: Sequence[Cut], *, whole: bool) -> None:
        """Add one file and what was cut of it."""
        self._files += 1
        self._source_seconds += file.seconds
        self._lengths.extend(cut.end - cut.start for cut in cuts)
        self._whole += len(cuts) if whole else 0
        speech = sum(end - start for cut in cuts for start, end in cut.speech)
        self.speech_seconds += speech
        if not speech:
            self._silent += 1
            if len(self._silent_files) < _NAMED:
                self._silent_files.append(file.name)
        if self._excerpt is None and speech:
            self._excerpt = Excerpt.of(file.name, activity, cuts, min(file.seconds, EXCERPT_SECONDS))

    def summary(self) -> dict[str, Any]:
        """The fields of the record that are figures. Seconds to the millisecond."""
        lengths = np.frombuffer(self._lengths, np.float32) if self._lengths else np.zeros(1, np.float32)
        segments = float(lengths.sum(dtype=np.float64))
        return {
            "whole_count": self._whole,
            "file_count": self._files,
            "silent_count": self._silent,
            "silent_files": tuple(self._silent_files),
            "source_seconds": round(self._source_seconds, 3),
            "segment_seconds": round(segments, 3),
            "speech_seconds": round(self.speech_seconds, 3),
            "silence_seconds": round(max(0.0, segments - self.speech_seconds), 3),
            "left_out_seconds": round(max(0.0, self._source_seconds - segments), 3),
            "min_seconds": round(float(lengths.min()), 3),
            "median_seconds": round(float(np.median(lengths)), 3),
            "max_seconds": round(float(lengths.max()), 3),
            "short_count": int((lengths < self._short - 5e-4).sum()),
            "long_count": int((lengths > self._long + 5e-4).sum()),
        }

    def png(self) -> bytes:
        """The picture: a minute of the first file with speech, and how long the segments are."""
        excerpt = self._excerpt or Excerpt("", 1.0, np.full(100, SILENCE_DB, np.float32), (), ())
        return segments_png(
            excerpt, np.frombuffer(self._lengths, np.float32) if self._lengths else np.zeros(0, np.float32)
        )
