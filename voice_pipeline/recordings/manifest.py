"""dataset_manifest: what others use of the stage that makes the dataset; see ``recordings.dataset``.

record = manifest.run(project, voice, store, frontend, preflight, segments, texts, clean)
manifest.refuse_blocked(record)
"""

from voice_pipeline.recordings.dataset.build import SCHEMA, VERSION, Upstream, is_complete, run
from voice_pipeline.recordings.dataset.coverage import Frontend
from voice_pipeline.recordings.dataset.export import CLIPS, OLDER_READERS_NAME, PARQUET
from voice_pipeline.recordings.dataset.record import STAGE, DatasetRecord, read_record, refuse_blocked
from voice_pipeline.recordings.dataset.validation import Listed, listing, validate_manifest

SAMPLE_RATE = 22_050  # Hz, of every recipe's FastPitch and HiFi-GAN

__all__ = [
    "CLIPS", "OLDER_READERS_NAME", "PARQUET", "SAMPLE_RATE", "SCHEMA", "STAGE", "VERSION", "DatasetRecord", "Frontend",
    "Listed", "Upstream", "is_complete", "listing", "read_record", "refuse_blocked", "run", "validate_manifest",
]  # fmt: skip
