"""A voice's config as a person would write it: every field of the consent with what it is for.

config_text(voice, ("the folder has a metadata.csv",))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from voice_pipeline.voice import Consent, Voice

# Of a person's consent: field, an example, what it is for. docs/consent.md says more.
_PERSON = (
    ("pseudonymous", "true", "no name of the person in what is handed on"),
    ("granted_on", "2026-01-31", "the day of the signature"),
    ("expires_on", "2031-01-31", "the last day, where it ends"),
    ("commercial_use", "true", "whether the voice may be sold"),
    ("purposes", "[text_to_speech]", "what for; none covers nothing"),
    ("languages", "[en]", "in which languages; without it, the voice's own only"),
    ("territories", "[worldwide]", "or ISO 3166-1 codes, such as [US, CA]; none covers nothing"),
    ("how", "signed on paper, after reading the purposes aloud", "how it was given"),
    ("evidence", "papers/consent.pdf", "the signed file, or where it is kept"),
    ("evidence_sha256", "what sha256sum prints", "of the signed file"),
)


def config_text(voice: Voice, because: Iterable[str] = ()) -> str:
    """The config of a voice that is imported. ``because`` says why its source was taken for what it is."""
    source = voice.source
    why = "".join(f"  # {reason}\n" for reason in because)
    beside = "" if source.text_path is None else f"  text_path: {_value(source.text_path.as_posix())}\n"
    return f"""\
voice_profile_id: {_value(voice.voice_profile_id)}
display_name: {_value(voice.display_name)}
language: {_value(voice.language)}
lane: production
recipe: {_value(voice.recipe)}
source:
  path: {_value(source.path.as_posix())}  # relative to the project's root, or absolute
{why}  kind: {source.kind}
  text: {source.text}
{beside}  channel: {source.channel}
  min_bytes: {source.min_bytes}
  license: {_value(source.license)}
consent:  # docs/consent.md explains it
  speaker_type: {_speaker_type(voice.consent)}
  speaker: {_value(voice.consent.speaker)}
{_terms(voice.consent)}gates: {{}}
"""


def _speaker_type(consent: Consent) -> str:
    """Who speaks, with what follows from it."""
    return "human" if consent.speaker_type == "human" else "synthetic  # a program, which cannot agree"


def _terms(consent: Consent) -> str:
    if consent.speaker_type == "synthetic":
        commercial = str(consent.commercial_use).lower()
        return (
            f"  status: {consent.status}  # there is no person whose voice this is\n"
            f"  commercial_use: {commercial}  # whether its licence allows it\n"
        )
    lines = [f"  status: {consent.status}"]
    if consent.status == "missing":
        lines = [
            "  # Nothing is trained before the speaker agreed. Then: status: granted, and what was agreed to.",
            *lines,
        ]
    for field, example, meaning in _PERSON:
        value = getattr(consent, field)
        if value in (None, (), False) and not (field == "commercial_use" and consent.status == "granted"):
            lines.append(f"  # {field}: {example}  # {meaning}")
        else:
            lines.append(f"  {field}: {_value(value)}  # {meaning}")
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """A value, on one line, as YAML reads it back."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, allow_unicode=True, width=10_000, default_flow_style=True)
    return text.removesuffix("...\n").strip()
