"""Checks of what was handed over, and the keys that they need: ``verify-bundle``, ``verify-weights``, ``keygen``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from voice_pipeline.commands.options import JsonOption, StoreOption, open_store, project_root
from voice_pipeline.failures import ConfigError

_KEY_ENVIRONMENT = "VOICE_VERIFICATION_KEY"
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key", envvar=_KEY_ENVIRONMENT, help="The public key that must have signed, or a folder of such keys."
    ),
]


def verify_bundle(
    folder: Annotated[Path, typer.Argument(help="The bundle's folder, with its manifest.json.")],
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check a voice bundle: every listed file, its size and its digest, and nothing else; with a key, who signed it."""
    from voice_pipeline.bundle.validation import validate_bundle
    from voice_pipeline.failures import EXIT_PROMOTION_BLOCKED

    problems = validate_bundle(folder)
    signers: tuple[str, ...] = ()
    if key is not None or _KEY_ENVIRONMENT in os.environ:  # set, but empty: a mistake, told by verification_key
        from voice_pipeline.promotion import signing

        trusted = signing.verification_key(key)
        assert trusted is not None
        if not problems:
            problems = signing.attestation_problems(folder, trusted, validated=True)
            signers = () if problems else signing.signed_by(folder, trusted)
    if as_json:
        value = {"valid": not problems, "problems": [str(problem) for problem in problems], "signed_by": list(signers)}
        typer.echo(json.dumps(value, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem))
        by = f", signed by {', '.join(signers)}" if signers else ""
        typer.echo(f"bundle valid{by}" if not problems else f"bundle invalid: {len(problems)} problem(s)")
    return EXIT_PROMOTION_BLOCKED if problems else 0


def verify_weights(
    manifest: Annotated[Path, typer.Argument(help="A weights manifest (JSON).")],
    file: Annotated[Path | None, typer.Option("--file", help="The weights, to compare with the checksum.")] = None,
) -> int:
    """Check a weights manifest; prints one line and exits with the validator's own code, 0 to 11.

    What its licences allow is the licence gate's question; here they only have to be readable.
    """
    from voice_pipeline.licensing.policy import load_policy
    from voice_pipeline.licensing.weights_manifest import validate_weights_manifest

    try:
        fault = load_policy(project_root()).fault
    except ConfigError:  # outside a project: there is no policy to read licences by
        fault = None
    code, line = validate_weights_manifest(manifest, file, fault=fault)
    typer.echo(line)
    return code


def keygen(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The private key's file. [default: ~/.config/voice-pipeline/signing.key]"),
    ] = None,
    store: StoreOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a key that is there.")] = False,
) -> int:
    """Make the key pair that signs promoted voices (Ed25519). The private key stays outside store and project."""
    from voice_pipeline.promotion.signing_keys import keygen as make

    private, public, key_id = make(output, open_store(store), overwrite=overwrite)
    typer.echo(f"private key: {private}  (keep it; only you can read it)")
    typer.echo(f"public key:  {public}  (give it to whoever checks)")
    typer.echo(f"key id:      {key_id}")
    typer.echo(f"To sign:     export VOICE_SIGNING_KEY={private}")
    typer.echo(f"To check:    export VOICE_VERIFICATION_KEY={public}")
    return 0
