"""One partition is one voice, and configs/voices/ says which voices there are."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from voice_pipeline.project import voice_ids

VOICES = dg.DynamicPartitionsDefinition(name="voices")


def new_voices(instance: dg.DagsterInstance, project: Path) -> list[str]:
    """Voices that have a config and no partition yet."""
    known = set(instance.get_dynamic_partitions("voices"))
    return [voice for voice in voice_ids(project) if voice not in known]


def retired_voices(instance: dg.DagsterInstance, project: Path) -> list[str]:
    """Voices that have a partition and no config any more."""
    return sorted(set(instance.get_dynamic_partitions("voices")) - set(voice_ids(project)))


def register_voices(instance: dg.DagsterInstance, project: Path) -> list[str]:
    """Add the partitions that are missing; returns them. Retired ones stay: their history is worth keeping."""
    missing = new_voices(instance, project)
    if missing:
        instance.add_dynamic_partitions("voices", missing)
    return missing
