"""dataset_manifest: measured utterances become a dataset for the trainers, and a manifest that says what is in it.

    record = run(project, voice, store, frontend, preflight, segments, texts, clean)
    record.train_count, record.rejected_reasons, record.blockers

Writes ``dataset/`` of the voice (clips/<utterance id>.wav, NeMo's train.jsonl and validation.jsonl, kaldi/,
dataset.parquet and index.html) as one folder that changes as a whole, then the manifest of CONTRACTS 5 and its latest
copy, then the record. No audio is computed: another threshold, review or text costs seconds. Memory is flat, whatever
the number of rows.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from voice_pipeline.atomic import atomic_folder, atomic_path, write_json
from voice_pipeline.failures import VoiceFailure, disk_errors
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recordings.cleaning.fingerprint import NEAR_BELOW
from voice_pipeline.recordings.dataset import export, page
from voice_pipeline.recordings.dataset.coverage import Frontend, Sounds
from voice_pipeline.recordings.dataset.duplicates import (
    find_near,
    leaks,
    near_groups,
    reject_duplicates,
    reject_near_duplicates,
)
from voice_pipeline.recordings.dataset.gather import UNMATCHED, Inputs, gather
from voice_pipeline.recordings.dataset.index import RowIndex
from voice_pipeline.recordings.dataset.links import all_match, link_clips
from voice_pipeline.recordings.dataset.record import STAGE, DatasetRecord, WrittenFile, read_record
from voice_pipeline.recordings.dataset.review import Review, read_review, review_path, unknown_id
from voice_pipeline.recordings.dataset.split import assign
from voice_pipeline.recordings.dataset.verdicts import DatasetFigures, blockers_of, verdicts
from voice_pipeline.recordings.source import OnProgress
from voice_pipeline.recordings.thresholds import DatasetGates, load_dataset_gates
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.voice import Voice

VERSION = "2"
SCHEMA = "voice_dataset/1"


class Preflight(Protocol):
    """What of the record of audio_preflight is used here."""

    @property
    def identity(self) -> str:
        """sha256 of everything that decided it."""

    @property
    def sha256(self) -> str:
        """sha256 of the recordings."""

    @property
    def source(self) -> str:
        """The source as the voice's config has it."""

    @property
    def files_sha256(self) -> str:
        """sha256 of the table of files."""


class Upstream(Protocol):
    """What of the record of an earlier stage is used here."""

    @property
    def identity(self) -> str:
        """sha256 of everything that decided the stage's table."""

    @property
    def sha256(self) -> str:
        """sha256 of the stage's table."""

    @property
    def models(self) -> tuple[ListeningModel, ...]:
        """The models that listened."""


class Texts(Upstream, Protocol):
    """What of the record of utterance_texts is used here."""

    @property
    def unmatched_sha256(self) -> str:
        """sha256 of the table of texts without audio."""


def run(
    project: Path,
    voice: Voice,
    store: Store,
    frontend: Frontend,
    preflight: Preflight,
    segments: Upstream,
    texts: Texts,
    clean: Upstream,
    *,
    job_type: str | None = None,
    progress: OnProgress | None = None,
) -> DatasetRecord:
    """Make the dataset of ``voice`` from the tables of the three stages.

    A dataset whose verdicts are bad is written too, so that a person can look at it: the record's ``blockers`` say why
    it must not be trained on (see ``refuse_blocked``). Where nothing is left, table and page are in
    ``store.nothing_kept(voice)``, and the former dataset stays as it is.

    Raises ConfigError for a wrong gate or review, and VoiceFailure: ``empty_dataset`` when fewer than two utterances
    are left (one for each split), ``table_damaged``, ``disk_full``, ``permission_denied``.
    """
    name, job_type = voice.voice_profile_id, job_type or voice.job_type
    gates, review = load_dataset_gates(project, voice), read_review(project, name)
    key = identity(
        stage=STAGE, version=VERSION, preflight=preflight.identity, segments=segments.identity, texts=texts.identity,
        clean=clean.identity, gates=gates.model_dump(), review=review.digest, frontend=frontend.identity,
        near_below=NEAR_BELOW, job_type=job_type,
    )  # fmt: skip
    known = read_record(store, name)
    if known is not None and known.identity == key and is_complete(store, known):
        return known
    _check_tables(
        store,
        name,
        {
            store.audio_files(name): preflight.files_sha256,
            store.segments(name): segments.sha256,
            store.texts(name): texts.sha256,
            store.texts(name).with_name(UNMATCHED): texts.unmatched_sha256,
            store.utterances(name): clean.sha256,
        },
    )
    models = tuple(sorted({*segments.models, *texts.models, *clean.models}, key=_model_order))
    with disk_errors(voice=name, file=store.root), RowIndex.open(store.root) as index:
        gather(index, Inputs(name, store, preflight.source), review, gates, frontend.normalise, progress)
        _check_review(index, review, review_path(project, name))
        reject_duplicates(index, review, review_path(project, name))
        find_near(index, store.root)
        reject_near_duplicates(index, review)
        try:
            assign(index, near_groups(index))
        except ValueError as error:
            shown = _write_nothing_kept(store, index, voice, gates, frontend)
            raise _nothing_kept(index, voice, shown) from error
        base = store.dataset(name)
        index.execute(
            "UPDATE row SET target = ? || utterance_id || '.wav' WHERE kept = 1",
            store.relative(base / export.CLIPS) + "/",
        )
        sounds = Sounds(frontend)
        for (text,) in index.query("SELECT normalized_text FROM row WHERE split = 'train'"):
            sounds.add(text)
        figures = figures_of(index, sounds)
        about = {
            "schema": SCHEMA,
            "mode": "voice_dataset",
            "count": figures.kept,
            "voice_profile_id": name,
            "job_type": job_type,
            "language": voice.language,
            "sample_rate": _sample_rate(index, store, name),
            "source_sha256": preflight.sha256,
            "normaliser": frontend.identity,
            "gates": gates.model_dump(),
            "gate_overrides": dict(sorted(voice.dataset_gates.items())),
            "review_sha256": review.digest,
            "models": [asdict(model) for model in models],
            "figures": asdict(figures),
            "verdicts": [asdict(verdict) for verdict in verdicts(figures, gates)],
        }
        _write_folder(base, store, index, about, page.Page(voice, figures, gates, sounds, frontend))
        manifest = _publish(store, name, job_type)
        record = _record(store, key, about, index, manifest, figures, gates, models)
    write_json(store.record(name, STAGE), record.model_dump(mode="json"))
    shutil.rmtree(store.nothing_kept(name), ignore_errors=True)
    return record


def figures_of(index: RowIndex, sounds: Sounds) -> DatasetFigures:
    """What the verdicts look at, of the rows of ``index``; ``sounds`` of the training split."""
    seconds = index.one("SELECT TOTAL(duration) FROM row WHERE kept = 1")
    return DatasetFigures(
        kept=index.one("SELECT COUNT(*) FROM row WHERE kept = 1"),
        rejected=index.one("SELECT COUNT(*) FROM row WHERE kept = 0 AND kind <> 'text'"),
        texts_without_audio=index.one("SELECT COUNT(*) FROM row WHERE kind = 'text'"),
        minutes=round(seconds / 60, 6),
        phone_coverage=round(sounds.coverage, 6),
        missing_phones=sounds.missing,
        other_speaker=index.one("SELECT COUNT(*) FROM row WHERE kept = 0 AND reasons LIKE '%[\"other_speaker\"%'"),
        leaks=sum(1 for _ in leaks(index)),
    )


def is_complete(store: Store, record: DatasetRecord) -> bool:
    """Whether everything that the record names is still there, byte for byte, the clips too."""
    from voice_pipeline.recordings.dataset.validation import clips_of

    files = [(record.manifest, record.manifest_sha256), *((one.path, one.sha256) for one in record.files)]
    try:
        return all_match(store, files) and all_match(store, clips_of(store.resolve(record.table)))
    except (OSError, ValueError):
        return False


def _check_tables(store: Store, voice: str, tables: Mapping[Path, str]) -> None:
    """Raises VoiceFailure ``table_damaged`` for a table that is not what its stage recorded."""
    for path, digest in tables.items():
        try:
            same = sha256_file(path) == digest
        except OSError as error:
            detail = f"cannot be read: {error.strerror or error}"
            raise VoiceFailure("table_damaged", detail, voice=voice, file=store.relative(path)) from error
        if not same:
            detail = "is not the table that its stage recorded"
            raise VoiceFailure("table_damaged", detail, voice=voice, file=store.relative(path))


def _check_review(index: RowIndex, review: Review, path: Path) -> None:
    """Raises ConfigError for an id that no utterance has, and for a ``keep`` of what cannot be kept."""
    from voice_pipeline.failures import ConfigError

    for identifier in review.ids:
        row = index.utterance(identifier)
        if row is None:
            known = (
                str(one) for (one,) in index.query("SELECT utterance_id FROM row WHERE kind = 'utterance' ORDER BY 1")
            )
            raise unknown_id(path, identifier, known)
        if identifier in review.keep and row.reasons:
            raise ConfigError(
                f"{path}: keep.{identifier}: {row.reason} is no matter of judgement ({row.detail}); take the line out"
            )


def _write_nothing_kept(store: Store, index: RowIndex, voice: Voice, gates: DatasetGates, frontend: Frontend) -> str:
    """Table and page of what was rejected; the page's path, relative to the store."""
    index.execute("UPDATE row SET split = ''")
    sounds = Sounds(frontend)
    figures = figures_of(index, sounds)
    folder = store.nothing_kept(voice.voice_profile_id)
    with atomic_folder(folder) as temporary:
        with export.ParquetTable(temporary / export.PARQUET) as table:
            for row in index.rows():
                table.add(row)
        shown = page.Page(voice, figures, gates, sounds, frontend)
        (temporary / page.NAME).write_bytes(shown.render(index, store))
    return store.relative(folder / page.NAME)


def _nothing_kept(index: RowIndex, voice: Voice, shown: str) -> VoiceFailure:
    found = Counter(row.reason for row in index.rows("kept = 0"))
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(found.items()))
    kept = index.one("SELECT COUNT(*) FROM row WHERE kept = 1")
    detail = f"{kept} usable utterances, at least 2 different ones are needed; rejected: {reasons or 'none'}"
    first = next(index.rows("kept = 0"), None)
    if first is not None:
        detail += f"; the first is {first.source}: {first.detail}"
    return VoiceFailure("empty_dataset", detail, voice=voice.voice_profile_id, file=shown)


def _sample_rate(index: RowIndex, store: Store, voice: str) -> int:
    rates = [rate for (rate,) in index.query("SELECT DISTINCT sample_rate FROM row WHERE kept = 1")]
    if len(rates) != 1:
        detail = f"its clips have different sample rates: {sorted(rates)}"
        raise VoiceFailure("table_damaged", detail, voice=voice, file=store.utterances(voice))
    return int(rates[0])


def _write_folder(base: Path, store: Store, index: RowIndex, about: Mapping[str, Any], shown: page.Page) -> None:
    voice = str(about["voice_profile_id"])
    with atomic_folder(base, linked=export.CLIPS) as folder:
        clips = folder / export.CLIPS
        clips.mkdir()
        link_clips(store, clips, index.query("SELECT utterance_id, wav, sha256 FROM row WHERE kept = 1"), voice=voice)
        with export.TrainerFiles(folder, voice) as trainers, export.ParquetTable(folder / export.PARQUET) as table:
            for row in index.rows():
                table.add(row)
                if row.kept:
                    trainers.add(row)
        with atomic_path(clips / export.OLDER_READERS_NAME) as path:  # clips/ is not synced as a whole
            export.write_manifest(path, about, index.rows("kept = 1"), index.rows("kept = 0"))
        (folder / page.NAME).write_bytes(shown.render(index, store))


def _publish(store: Store, voice: str, job_type: str) -> Path:
    """The manifest where CONTRACTS 5 has it, and the latest of any voice."""
    written, manifest = _older_copy(store, voice), store.dataset_manifest(voice, job_type)
    for path in (manifest, store.latest_dataset_manifest(job_type)):
        with atomic_path(path) as temporary:
            shutil.copyfile(written, temporary)
    return manifest


def _older_copy(store: Store, voice: str) -> Path:
    return store.dataset(voice) / export.CLIPS / export.OLDER_READERS_NAME


def _record(
    store: Store,
    key: str,
    about: Mapping[str, Any],
    index: RowIndex,
    manifest: Path,
    figures: DatasetFigures,
    gates: DatasetGates,
    models: tuple[ListeningModel, ...],
) -> DatasetRecord:
    voice = str(about["voice_profile_id"])
    base = store.dataset(voice)
    train, validation = base / "train.jsonl", base / "validation.jsonl"
    written = sorted(path for path in (*base.iterdir(), *(base / export.KALDI).rglob("*")) if path.is_file())
    digests = {path: sha256_file(path) for path in (*written, _older_copy(store, voice))}
    held_out = index.one("SELECT COUNT(*) FROM row WHERE split = 'validation'")
    reasons = Counter(row.reason for row in index.rows("kept = 0"))
    return DatasetRecord(
        stage="dataset_manifest",
        identity=key,
        voice_profile_id=voice,
        job_type=about["job_type"],
        source_sha256=about["source_sha256"],
        sample_rate=about["sample_rate"],
        count=figures.kept,
        train_count=figures.kept - held_out,
        validation_count=held_out,
        rejected_count=figures.rejected + figures.texts_without_audio,
        rejected_reasons=dict(sorted(reasons.items())),
        duration_seconds=_seconds(index, "kept = 1"),
        validation_seconds=_seconds(index, "split = 'validation'"),
        manifest=store.relative(manifest),
        manifest_sha256=digests[_older_copy(store, voice)],
        manifest_bytes=manifest.stat().st_size,
        train_manifest=store.relative(train),
        train_manifest_sha256=digests[train],
        validation_manifest=store.relative(validation),
        validation_manifest_sha256=digests[validation],
        table=store.relative(base / export.PARQUET),
        page=store.relative(base / page.NAME),
        files=tuple(WrittenFile(path=store.relative(path), sha256=digest) for path, digest in digests.items()),
        figures=figures,
        verdicts=verdicts(figures, gates),
        blockers=blockers_of(figures, gates),
        gates=gates.model_dump(),
        gate_overrides=about["gate_overrides"],
        review_sha256=about["review_sha256"],
        reviewed=index.one("SELECT COUNT(*) FROM row WHERE review <> '' OR text_as_given IS NOT NULL"),
        models=models,
    )


def _seconds(index: RowIndex, where: str) -> float:
    return round(float(index.one(f"SELECT TOTAL(duration) FROM row WHERE {where}")), 6)


def _model_order(model: ListeningModel) -> tuple[str, str, str]:
    return model.role, model.model_id, model.sha256
