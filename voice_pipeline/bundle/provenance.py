"""Where a bundle comes from: the code's commit, and the digests of config, dataset and recipe."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import voice_pipeline
from voice_pipeline.bundle.format import Provenance
from voice_pipeline.store import canonical_json
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.voice import Voice

COMMIT_ENVIRONMENT = "VOICE_COMMIT"  # an image has no git; its build names the commit
UNKNOWN = "unknown"
_GIT_SECONDS = 10
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(-dirty)?")


def provenance_of(project: Path, voice: Voice, recipe: Recipe, dataset_sha256: str) -> Provenance:
    """What is known before the bundle is built."""
    return Provenance(
        commit=code_commit(project),
        config_sha256=hashlib.sha256(canonical_json(voice.model_dump(mode="json"))).hexdigest(),
        dataset_sha256=dataset_sha256,
        code_version=voice_pipeline.__version__,
        job_type=voice.job_type,
        recipe=recipe.name,
        recipe_sha256=recipe_digest(recipe),
        seed=voice.seed,
    )


def recipe_digest(recipe: Recipe) -> str:
    """sha256 of a resolved recipe."""
    return hashlib.sha256(canonical_json(recipe.model_dump(mode="json"))).hexdigest()


def code_commit(project: Path) -> str:
    """The commit of the code in ``project``, ``-dirty`` where tracked files differ; ``unknown`` where there is none."""
    named = os.environ.get(COMMIT_ENVIRONMENT, "")
    if _COMMIT.fullmatch(named):
        return named
    try:
        commit = _git(project, "rev-parse", "HEAD")
        changed = _git(project, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return f"{commit}-dirty" if changed else commit


def _git(project: Path, *arguments: str) -> str:
    command = ["git", "-C", str(project), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    return done.stdout.strip()
