"""utterance_texts: the text of every segment, where it comes from, and how far it is from what is heard.

    record = stage.run(project, voice, store, frontend, preflight, segments, recognizer)
    record.origins, record.mean_cer, record.unspoken_words

Text that was given for a clip stays as it was given, and so does that of cues; that of a whole reading is divided among
the segments by alignment; where there is no text, it is what the recogniser hears. What is heard is compared with every
text: a clip whose text says something else is kept here, with a character error rate that tells.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recognition.recognizer import Recognizer
from voice_pipeline.recordings.preflight import PreflightRecord
from voice_pipeline.recordings.segmentation.stage import SegmentsRecord
from voice_pipeline.recordings.source import OnProgress, Recordings, find_recordings, read_from
from voice_pipeline.recordings.tables import (
    AudioFile,
    Segment,
    TableError,
    Unmatched,
    UtteranceText,
    read_rows,
    write_rows,
)
from voice_pipeline.recordings.texts import timing
from voice_pipeline.recordings.texts.alignment import align
from voice_pipeline.recordings.texts.borders import (
    Spans,
    Tie,
    decided,
    missed,
    ties,
    with_missed_words,
    without_guesses,
)
from voice_pipeline.recordings.texts.comparison import heard_words
from voice_pipeline.recordings.texts.hypotheses import MAX_SECONDS, Hypotheses, Piece, read_piece
from voice_pipeline.recordings.texts.judging import Judgement, KeptJudgement
from voice_pipeline.recordings.texts.matching import Placed, Texts, placed_text
from voice_pipeline.recordings.texts.timing import WordClock
from voice_pipeline.recordings.texts.words import WrittenWord, read_words
from voice_pipeline.recordings.transcripts import SourceText, WholeText, read_source_text
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice

STAGE = "utterance_texts"
VERSION = "1"


class TextsRecord(BaseModel):
    """What this stage found. The same segments, texts and recogniser give the same record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["utterance_texts"]
    identity: str
    voice_profile_id: str
    table: str  # of UtteranceText, relative to the store
    sha256: str  # of the table
    count: int
    unmatched: str  # table of Unmatched: texts without audio, and stretches of text that nobody spoke
    unmatched_sha256: str
    unmatched_count: int
    text: str  # how the source's text is written: a TextKind
    origins: dict[str, int]  # utterances by where their text comes from
    problems: dict[str, int]  # utterances without a usable text, by reason
    mean_cer: float | None  # of the utterances that have a text and a hypothesis; each counts the same
    unspoken_words: int  # of whole texts
    unwritten_segments: int
    recognised_seconds: float  # of audio that the recogniser heard, in this run or before
    models: tuple[ListeningModel, ...]


def run(
    project: Path,
    voice: Voice,
    store: Store,
    frontend: TextFrontend,
    preflight: PreflightRecord,
    segments: SegmentsRecord,
    recognizer: Recognizer | None,
    *,
    progress: OnProgress | None = None,
) -> TextsRecord:
    """Find the text of every segment; write the two tables and the record.

    ``progress(current, total)`` counts seconds of audio. What was heard before is not listened to again.

    Raises VoiceFailure: ``recognizer_unavailable`` where text can only be had by listening and nobody listens,
    ``transcript_missing`` when no segment has a text, ``source_changed``, ``audio_undecodable``, ``table_damaged``,
    ``out_of_memory``, ``disk_full``, ``permission_denied``; and what reading the source's text raises.
    """
    try:
        return _Run(project, voice, store, frontend, preflight, segments, recognizer).record(progress)
    except (TableError, FileNotFoundError) as error:
        raise VoiceFailure("table_damaged", str(error), voice=voice.voice_profile_id) from error


def read_record(store: Store, voice: str) -> TextsRecord | None:
    """The stored record of ``voice``; None where there is none that can be read."""
    try:
        return TextsRecord.model_validate(read_json(store.record(voice, STAGE)))
    except (OSError, ValueError, ValidationError):
        return None


class _Run:
    def __init__(
        self,
        project: Path,
        voice: Voice,
        store: Store,
        frontend: TextFrontend,
        preflight: PreflightRecord,
        segments: SegmentsRecord,
        recognizer: Recognizer | None,
    ) -> None:
        self._project, self._voice, self._store, self._frontend = project, voice, store, frontend
        self._preflight, self._segments, self._recognizer = preflight, segments, recognizer
        self._name = voice.voice_profile_id
        self._recordings: Recordings = find_recordings(project, voice)
        files = read_rows(store.audio_files(self._name), AudioFile)
        self._source: SourceText = read_source_text(project, voice, self._recordings, files)
        self._clock = WordClock.load(voice.language, frontend) if self._source.whole else None

    def record(self, progress: OnProgress | None) -> TextsRecord:
        """The record of this run; of an earlier one, where nothing has changed since."""
        key = identity(
            stage=STAGE, version=VERSION, voice=self._name, segments=self._segments.identity, text=self._source.sha256,
            frontend=self._frontend.identity, recognizer=self._recognizer and self._recognizer.identity,
            clock=self._clock and [timing.VERSION, self._clock.model.sha256],
        )  # fmt: skip
        known = read_record(self._store, self._name)
        if known is not None and known.identity == key and self._present(known):
            return known
        for table, digest, writer in (
            (self._store.audio_files(self._name), self._preflight.files_sha256, "audio_preflight"),
            (self._store.segments(self._name), self._segments.sha256, "utterance_segments"),
        ):
            if sha256_file(table) != digest:
                raise TableError(f"{table} is not what {writer} wrote")
        self._check_listener()
        with ExitStack() as stack:
            hypotheses, seconds = None, 0.0
            if self._recognizer is not None:
                channel = self._voice.source.channel
                hypotheses = stack.enter_context(Hypotheses.open(self._store, self._recognizer, channel=channel))
                seconds = self._listen(hypotheses, progress)
            judgement = stack.enter_context(KeptJudgement.open(self._store, self._frontend))
            return self._write(key, hypotheses, seconds, judgement)

    def _check_listener(self) -> None:
        """Raises VoiceFailure ``recognizer_unavailable`` where a text can only be had by listening."""
        if self._recognizer is not None:
            return
        if self._source.whole:
            detail = "only a recogniser can tell which words of this text were spoken when, and this voice has none: "
            detail += "name one under recognizer: in its config, or give the text as .srt, .vtt or TextGrid"
            raise VoiceFailure(
                "recognizer_unavailable", detail, voice=self._name, file=self._source.whole[0].path_shown
            )
        if not (self._source.clips or self._source.cues or self._source.problems):
            detail = "these recordings have no text, and this voice has no recogniser: give their text, or name a "
            detail += "recogniser under recognizer: in its config"
            raise VoiceFailure("recognizer_unavailable", detail, voice=self._name, file=self._recordings.shown)

    def _pieces(self, names: frozenset[str] | None = None) -> Iterator[Piece]:
        """The segments in the order of their table; of some files only where ``names`` is given."""
        files = read_rows(self._store.audio_files(self._name), AudioFile)  # in the same order
        file = None
        for segment in read_rows(self._store.segments(self._name), Segment):
            while file is None or file.name != segment.source:
                file = next(files, None)
                if file is None:
                    raise TableError(f"{self._store.audio_files(self._name)}: has no {segment.source} in its place")
            if names is None or segment.source in names:
                shown = self._recordings.shown_name(file.name)
                try:
                    path = read_from(self._store, self._recordings.root, file)
                except ValueError as error:
                    raise VoiceFailure("source_changed", str(error), voice=self._name, file=shown) from error
                yield Piece(self._name, segment, path, shown, original=file.decoded is None)

    def _listen(self, hypotheses: Hypotheses, progress: OnProgress | None) -> float:
        """Listen to all segments; seconds of audio that were ever listened to for them."""
        total = done = heard = 0.0
        for piece in self._pieces():
            total += piece.seconds
            heard += piece.seconds if piece.seconds <= MAX_SECONDS else 0.0

        def tell(seconds: float) -> None:
            nonlocal done
            done += seconds
            if progress is not None:
                progress(min(int(done + 1e-6), math.ceil(total)), math.ceil(total))

        hypotheses.listen(self._project, self._voice, self._pieces, tell)
        if progress is not None:
            progress(math.ceil(total), math.ceil(total))
        return heard

    def _write(self, key: str, hypotheses: Hypotheses | None, seconds: float, judgement: Judgement) -> TextsRecord:
        placed: dict[str, str] = {}
        unspoken: list[Unmatched] = []
        words = 0
        for whole in self._source.whole:
            assert hypotheses is not None
            found = self._place(whole, hypotheses)
            placed.update(found.texts)
            unspoken += found.unspoken
            words += found.unspoken_words
        texts, tally = Texts(self._source, placed, judgement), _Tally()
        path = self._store.texts(self._name)
        count, digest = write_rows(path, tally.follow(self._rows(texts, hypotheses)))
        if not tally.usable:
            raise VoiceFailure(
                "transcript_missing", f"none of {count} segments has a usable text; the first: {tally.first_problem}",
                voice=self._name, file=self._recordings.shown,
            )  # fmt: skip
        beside = path.with_name("unmatched.jsonl")
        rows: Iterable[Unmatched] = [*self._source.unmatched, *unspoken, *texts.unused_cues()]
        unmatched_count, unmatched_digest = write_rows(beside, rows)
        record = TextsRecord(
            stage="utterance_texts",
            identity=key,
            voice_profile_id=self._name,
            table=self._store.relative(path),
            sha256=digest,
            count=count,
            unmatched=self._store.relative(beside),
            unmatched_sha256=unmatched_digest,
            unmatched_count=unmatched_count,
            text=self._source.kind,
            origins=dict(sorted(tally.origins.items())),
            problems=dict(sorted(tally.problems.items())),
            mean_cer=tally.mean_cer,
            unspoken_words=words,
            unwritten_segments=tally.problems["unwritten"],
            recognised_seconds=round(seconds, 3),
            models=self._models(),
        )
        write_json(self._store.record(self._name, STAGE), record.model_dump(mode="json"))
        return record

    def _place(self, whole: WholeText, hypotheses: Hypotheses) -> Placed:
        order = {name: number for number, name in enumerate(whole.files)}
        pieces = sorted(
            self._pieces(frozenset(whole.files)), key=lambda piece: (order[piece.segment.source], piece.segment.start)
        )
        normalise: Callable[[str], str] = self._frontend.normalise
        words = read_words(whole.text, normalise)
        heard = [heard_words(hypotheses.of(piece) or "", normalise) for piece in pieces]
        speech = [math.fsum(end - start for start, end in piece.segment.speech) for piece in pieces]
        spans = without_guesses(words, heard, align(words, heard))
        if hypotheses.recognizer.has_words:
            found = missed(words, heard, speech, spans)
            timed = ((one, self._unheard(hypotheses.recognizer, pieces[one.segment], one.behind)) for one in found)
            spans = with_missed_words(spans, timed)
        if self._clock is not None:
            for tie in ties(words, heard, spans):
                spans = self._timed(self._clock, tie, pieces, words, spans)
        return placed_text(whole, words, spans, (piece.segment.utterance_id for piece in pieces))

    def _unheard(self, recognizer: Recognizer, piece: Piece, behind: bool) -> float:
        """Seconds of speech in a segment behind the last word that was heard in it, or before the first."""
        samples, rate = read_piece(piece, self._voice.source.channel)
        words = recognizer.words(samples, rate)
        start, end = piece.segment.start, piece.segment.end
        if words and behind:
            start += words[-1].end
        elif words:
            end = start + words[0].start
        return math.fsum(max(0.0, min(last, end) - max(first, start)) for first, last in piece.segment.speech)

    def _timed(
        self, clock: WordClock, tie: Tie, pieces: Sequence[Piece], words: Sequence[WrittenWord], spans: Spans
    ) -> Spans:
        """``spans`` with a border that what was heard leaves open where the clock has it."""
        left, right = pieces[tie.segment : tie.segment + 2]
        first, last = spans[tie.segment], spans[tie.segment + 1]
        assert first is not None and last is not None
        spoken = [word for one in words[first[0] : last[1]] for word in one.spoken]
        middles = clock.middles(left, right, spoken, self._voice.source.channel)
        if middles is None:
            return spans
        return decided(words, spans, tie, middles, (left.segment.end + right.segment.start) / 2)

    def _rows(self, texts: Texts, hypotheses: Hypotheses | None) -> Iterator[UtteranceText]:
        for piece in self._pieces():
            yield texts.of(piece.segment, None if hypotheses is None else hypotheses.of(piece))

    def _models(self) -> tuple[ListeningModel, ...]:
        if self._recognizer is None:
            return ()
        found = ListeningModel("recogniser", self._recognizer.model_id, self._recognizer.sha256)
        return (found, self._clock.model) if self._clock is not None and self._clock.used else (found,)

    def _present(self, record: TextsRecord) -> bool:
        try:
            return (
                sha256_file(self._store.resolve(record.table)) == record.sha256
                and sha256_file(self._store.resolve(record.unmatched)) == record.unmatched_sha256
            )
        except (OSError, ValueError):
            return False


class _Tally:
    """Counts rows on their way to the table."""

    def __init__(self) -> None:
        self.origins: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.usable = 0
        self.first_problem = "there are none"
        self._cer = self._compared = 0.0

    def follow(self, rows: Iterable[UtteranceText]) -> Iterator[UtteranceText]:
        for row in rows:
            self.origins[row.origin] += 1
            if row.problem is None:
                self.usable += 1
            else:
                if not self.problems:
                    self.first_problem = f"{row.utterance_id}: {row.detail}"
                self.problems[row.problem] += 1
            if row.cer is not None:
                self._cer += row.cer
                self._compared += 1
            yield row

    @property
    def mean_cer(self) -> float | None:
        return round(self._cer / self._compared, 4) if self._compared else None
