"""The dataset for people: one HTML page that needs nothing else, not even a network.

    page = Page(voice, figures, gates, sounds, frontend)
    page.render(index, store)          # bytes

Verdicts, what to record next, histograms, the rejected with their reasons and the weakest that are kept, with their
sounds. Every text in it comes from strangers, and is escaped. The same dataset gives the same bytes.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from voice_pipeline.recordings.dataset.advice import advise
from voice_pipeline.recordings.dataset.coverage import Frontend, Sounds
from voice_pipeline.recordings.dataset.histograms import histograms
from voice_pipeline.recordings.dataset.index import RowIndex
from voice_pipeline.recordings.dataset.review import REVIEWS_FOLDER
from voice_pipeline.recordings.dataset.rows import Row
from voice_pipeline.recordings.dataset.verdicts import DatasetFigures, blockers_of, verdicts
from voice_pipeline.recordings.thresholds import DatasetGates
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

NAME = "index.html"
_WORST = 20
_WORST_ORDERS = ("cer IS NULL, cer DESC", "snr_db IS NULL, snr_db", "speaker_similarity IS NULL, speaker_similarity")
_REJECTED = 50
_REVIEWED = 100
_SOUND_BYTES = 9_000_000  # of all sounds on the page, as they stand in it
_MAX_SECONDS = 30.0  # of one sound


@dataclass(frozen=True)
class _Shown:
    """A row with its sound as a data URI, or without."""

    row: Row
    sound: str


@dataclass(frozen=True)
class Page:
    """What the page is about."""

    voice: Voice
    figures: DatasetFigures
    gates: DatasetGates
    sounds: Sounds
    frontend: Frontend

    def render(self, index: RowIndex, store: Store) -> bytes:
        """The page as UTF-8."""
        import jinja2

        template = resources.files("voice_pipeline.recordings.dataset").joinpath("page.html").read_text("utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        sounds = _Sounds(store)
        worst = [sounds.of(row) for row in _worst(index)]
        counted: Counter[str] = Counter()
        rejected = [sounds.of(row) for row in _rejected(index, counted)]
        html = environment.from_string(template).render(
            voice=self.voice,
            figures=self.figures,
            verdicts=verdicts(self.figures, self.gates),
            blocked=bool(blockers_of(self.figures, self.gates)),
            advice=advise(index, self.sounds, self.frontend, self.figures, self.gates, self.voice.language),
            pictures=histograms(index, self.gates),
            reasons=sorted(counted.items(), key=lambda one: (-one[1], one[0])),
            rejected=rejected,
            rejected_more=self.figures.rejected + self.figures.texts_without_audio - len(rejected),
            overruled=list(
                index.rows("review <> '' OR text_as_given IS NOT NULL", order=f"utterance_id LIMIT {_REVIEWED}")
            ),
            worst=worst,
            review=(REVIEWS_FOLDER / f"{self.voice.voice_profile_id}.yaml").as_posix(),
            shown=lambda value, form: "" if value is None else form % value,
        )
        return html.encode()


class _Sounds:
    """Sounds as data URIs, as many as there is room for."""

    def __init__(self, store: Store) -> None:
        self._store, self._left = store, _SOUND_BYTES

    def of(self, row: Row) -> _Shown:
        """The row with its sound. A clip that cannot be read is shown without: the page is no place to fail."""
        sound = ""
        if row.wav and (row.duration or 0.0) <= _MAX_SECONDS:
            try:
                sound = "data:audio/flac;base64," + base64.b64encode(_flac(self._store, row.wav)).decode()
            except (OSError, ValueError, RuntimeError):
                sound = ""
        if len(sound) > self._left:
            return _Shown(row, "")
        self._left -= len(sound)
        return _Shown(row, sound)


def _flac(store: Store, wav: str) -> bytes:
    import soundfile

    samples, rate = soundfile.read(store.resolve(wav), dtype="int16", always_2d=True)
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, subtype="PCM_16", format="FLAC")
    return stream.getvalue()


def _worst(index: RowIndex) -> list[Row]:
    """The worst by each of three figures, in turn, each once."""
    found: dict[str, Row] = {}
    lists = [list(index.rows("kept = 1", order=f"{order}, utterance_id LIMIT {_WORST}")) for order in _WORST_ORDERS]
    for rows in zip(*lists, strict=True):
        for row in rows:
            found.setdefault(row.utterance_id, row)
    return list(found.values())[:_WORST]


def _rejected(index: RowIndex, counted: Counter[str]) -> Iterator[Row]:
    """Some of every reason, in turn; ``counted`` gets how many rows have each reason."""
    by_reason: dict[str, list[Row]] = {}
    for row in index.rows("kept = 0"):
        counted.update({reason.code for reason in row.reasons})
        examples = by_reason.setdefault(row.reason, [])
        if len(examples) < _REJECTED:
            examples.append(row)
    shown = 0
    for place in range(_REJECTED):
        for reason in sorted(by_reason):
            if place < len(by_reason[reason]) and shown < _REJECTED:
                shown += 1
                yield by_reason[reason][place]
