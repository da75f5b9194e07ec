"""When the words of two neighbouring pieces were spoken, by forced alignment: for English, where its aligner is there.

clock = WordClock.load("en-US", frontend)       # None: for another language, or without the aligner
clock.middles(left, right, ["she", "opened", …], channel="mix")      # (12.31, 12.6, …) seconds in the source
"""

from __future__ import annotations

from collections.abc import Sequence

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.forced_alignment import Aligner
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recordings.texts.hypotheses import Channel, Piece, read_piece
from voice_pipeline.text.frontend import TextFrontend

VERSION = "1"
_LONGEST = 60.0  # seconds of two segments and the pause between them


class WordClock:
    """A loaded aligner. ``used`` says whether it ever listened."""

    def __init__(self, aligner: Aligner, frontend: TextFrontend) -> None:
        self._aligner = aligner
        self._frontend = frontend
        self.used = False

    @classmethod
    def load(cls, language: str, frontend: TextFrontend) -> WordClock | None:
        """None where nothing can be timed: what hangs on it is decided without."""
        if language.partition("-")[0] != "en":
            return None
        try:
            return cls(Aligner.load(), frontend)
        except VoiceFailure:
            return None

    @property
    def model(self) -> ListeningModel:
        """What listened."""
        return ListeningModel("aligner", self._aligner.model_id, self._aligner.sha256)

    def middles(self, left: Piece, right: Piece, words: Sequence[str], channel: Channel) -> tuple[float, ...] | None:
        """The middle of each of ``words``, which are those of both segments, in seconds of their source.

        None where the segments are of two files or far apart, or where these words are not what is spoken there.
        Raises VoiceFailure ``audio_undecodable``.
        """
        start, end = left.segment.start, right.segment.end
        if left.segment.source != right.segment.source or end - start > _LONGEST:
            return None
        samples, rate = read_piece(left, channel, start=start, end=end)
        self.used = True
        times = self._aligner.align(samples, rate, words, self._pronounce)
        return None if times is None else tuple(start + (word.start + word.end) / 2 for word in times)

    def _pronounce(self, word: str) -> tuple[str, ...]:
        return self._frontend.symbols(word)
