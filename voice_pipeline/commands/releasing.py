"""What may be shipped: checks of bundles and weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from voice_pipeline.commands.options import JsonOption


def verify_bundle(
    folder: Annotated[Path, typer.Argument(help="The bundle's folder, with its manifest.json.")],
    as_json: JsonOption = False,
) -> int:
    """Check a voice bundle: every listed file, its size and its digest, and nothing else."""
    from voice_pipeline.bundle.validation import validate_bundle
    from voice_pipeline.failures import EXIT_PROMOTION_BLOCKED

    problems = validate_bundle(folder)
    if as_json:
        typer.echo(json.dumps({"valid": not problems, "problems": [str(problem) for problem in problems]}, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem))
        typer.echo("bundle valid" if not problems else f"bundle invalid: {len(problems)} problem(s)")
    return EXIT_PROMOTION_BLOCKED if problems else 0


def verify_weights(
    manifest: Annotated[Path, typer.Argument(help="A weights manifest (JSON).")],
    file: Annotated[Path | None, typer.Option("--file", help="The weights, to compare with the checksum.")] = None,
) -> int:
    """Check a weights manifest; prints one line and exits with the validator's own code, 0 to 11."""
    from voice_pipeline.licensing.weights_manifest import validate_weights_manifest

    code, line = validate_weights_manifest(manifest, file)
    typer.echo(line)
    return code
