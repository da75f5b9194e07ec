"""What a voice is: one YAML file in configs/voices/, read strictly.

    voice = load_voice(project / "configs/voices/dottie_default.yaml")

Unknown fields are errors, and an error names the file and the field.
"""

from __future__ import annotations

import copy
import functools
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from voice_pipeline.atomic import read_bytes
from voice_pipeline.failures import ConfigError
from voice_pipeline.project import VOICES_FOLDER, voice_ids
from voice_pipeline.store import profile_id
from voice_pipeline.strict_yaml import parse_yaml

MAX_CONFIG_BYTES = 4 << 20  # of any YAML file of the project; the policy has some 60,000
NO_LICENSE = "NOASSERTION"  # SPDX's word for what nobody said
DEFAULT_MIN_BYTES = 5_000_000  # bytes of source audio; some two minutes of 16-bit mono at 22.05 kHz

Model = TypeVar("Model", bound=BaseModel)
Lane = Literal["production", "experimental"]
TextKind = Literal[
    "ljspeech", "piper", "txt", "lab", "nemo", "kaldi", "audiofolder", "column", "srt", "vtt", "textgrid", "none"
]


WORLDWIDE = "worldwide"
_ALPHA_2 = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
    SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
_COUNTRIES = frozenset(_ALPHA_2.split())  # of ISO 3166-1


def _territories(value: tuple[str, ...]) -> tuple[str, ...]:
    """Known codes, or worldwide alone."""
    for one in value:
        if one != WORLDWIDE and one not in _COUNTRIES:
            hint = "; the United Kingdom is GB" if one == "UK" else ""
            raise ValueError(f"{one!r} is neither {WORLDWIDE} nor an ISO 3166-1 alpha-2 code such as US{hint}")
    if WORLDWIDE in value and len(value) > 1:
        raise ValueError(f"{WORLDWIDE} stands alone")
    return value


def _quoted(value: Any) -> Any:
    """YAML 1.1 reads NO, which is Norway, and no, which is Norwegian, as false."""
    if value is False:
        raise ValueError('put it in quotes: YAML reads no as false; write "NO" for Norway, "no" for Norwegian')
    return value


Code = Annotated[str, BeforeValidator(_quoted)]
Language = Annotated[Code, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
Purpose = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Territories = Annotated[tuple[Code, ...], AfterValidator(_territories)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Source(_Strict):
    """Where the recordings are and what they are."""

    path: Path = Field(description="A recording, or a folder of recordings or clips; relative to the project's root.")
    kind: Literal["recording", "clips", "parquet"] | None = Field(
        None,
        description="recording: one or more long ones, to be cut; clips: one utterance each; parquet: clips in a "
        "table. Detected when not given.",
    )
    text: TextKind | None = Field(
        None,
        description="How the text is written. Of clips: ljspeech, piper, txt, lab, nemo, kaldi, audiofolder, column "
        "(of parquet). Of recordings: txt, srt, vtt, textgrid. none: it is recognised. Detected when not given.",
    )
    text_path: Path | None = Field(None, description="The text, where it does not lie beside the audio.")
    channel: Literal["mix"] | int = Field("mix", description="Mix all channels evenly, or take one, counted from 0.")
    min_bytes: int = Field(DEFAULT_MIN_BYTES, ge=1, description="The least bytes of audio, in all.")
    license: str = Field(
        NO_LICENSE,
        description="Of the recordings: an SPDX id; LicenseRef-Proprietary-Own-Recording for one's own. Without it no "
        "voice of them is promoted.",
    )

    @field_validator("channel")
    @classmethod
    def _counted_from_zero(cls, value: Any) -> Any:
        if isinstance(value, int) and value < 0:
            raise ValueError("channels are counted from 0")
        return value


class RecognizerSettings(_Strict):
    """What listens to the recordings: for text where there is none, and to compare given text with."""

    kind: Literal["whisper", "nemo", "pocketsphinx", "none"] = Field(
        "whisper", description="whisper: the packaged tiny.en, or the folder at path; nemo: the .nemo file at path."
    )
    path: Path | None = Field(None, description="A local model; relative to the project's root.")
    manifest: Path | None = Field(None, description="The weights manifest of the model at path.")

    @model_validator(mode="after")
    def _complete(self) -> RecognizerSettings:
        if self.kind == "nemo" and self.path is None:
            raise ValueError("kind nemo needs a path")
        if self.path is not None and self.manifest is None:
            raise ValueError("a model at a path needs its weights manifest")
        if self.path is not None and self.kind in ("pocketsphinx", "none"):
            raise ValueError(f"kind {self.kind} takes no path")
        return self


class Cleaning(_Strict):
    """What every utterance is brought to."""

    loudness_lufs: float = Field(default=-23.0, ge=-40, le=-10, description="ITU-R BS.1770 loudness of each utterance.")
    true_peak_dbtp: float = Field(default=-1.0, ge=-20, le=0, description="No true peak is above this.")


class Consent(_Strict):
    """Who speaks, and what that person agreed to. The rules are in ``consent``; docs/consent.md explains the fields.

    What a person did not say is not agreed to: no purposes cover nothing, and neither do no territories.
    """

    speaker_type: Literal["human", "synthetic"]
    speaker: str = Field(min_length=1, description="The person's name or pseudonym; for a synthetic one, its maker.")
    pseudonymous: bool = Field(False, description="The person wants no name in what is handed on.")
    status: Literal["granted", "missing", "revoked", "not_applicable"]
    commercial_use: bool = False
    purposes: tuple[Purpose, ...] = Field((), description="What for, such as text_to_speech. None covers nothing.")
    languages: tuple[Language, ...] = Field(
        (), description="In which languages, such as en-US, or en for all of English. None: the voice's own only."
    )
    territories: Territories = Field((), description="Where: ISO 3166-1 codes, or worldwide. None covers nothing.")
    granted_on: date | None = None
    expires_on: date | None = Field(None, description="The last day on which it holds.")
    revoked_on: date | None = Field(None, description="The first day on which it holds no more.")
    how: str | None = Field(
        None, min_length=1, max_length=200, description="How it was given, such as signed on paper."
    )
    evidence: str | None = Field(None, description="Where the signed consent is kept.")
    evidence_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="sha256 of the file of the signed consent."
    )

    @model_validator(mode="after")
    def _fits_the_speaker(self) -> Consent:
        if self.speaker_type == "human" and self.status == "not_applicable":
            raise ValueError("a human speaker's consent cannot be not_applicable")
        if self.speaker_type == "synthetic" and self.status not in ("not_applicable", "revoked"):
            raise ValueError("a synthetic speaker cannot agree: its status is not_applicable")
        if self.status == "granted" and self.speaker_type == "human" and not (self.granted_on and self.evidence):
            raise ValueError("a granted consent needs granted_on and evidence")
        return self


class BaseWeights(_Strict):
    """Weights that training starts from: a local ``.nemo`` and its weights manifest."""

    path: Path
    manifest: Path = Field(description="The weights manifest (CONTRACTS 8) of this file.")


class Voice(_Strict):
    """One voice, as its config describes it."""

    voice_profile_id: str
    display_name: str = Field(min_length=1, max_length=200)
    language: Language = "en-US"
    lane: Lane = "production"
    license: str | None = Field(
        None,
        description="SPDX id or LicenseRef under which the voice itself is handed on; share-alike parts decide it.",
    )
    distribution: Territories = Field(
        (WORLDWIDE,), min_length=1, description="Where the voice is handed on or heard; its consent must cover it."
    )
    recipe: str = Field("cpu_small", pattern=r"^[a-z0-9_]+$", description="A file in configs/recipes/.")
    source: Source
    consent: Consent
    recognizer: RecognizerSettings | None = Field(
        None, description="By default the packaged Whisper tiny.en for English, and none for other languages."
    )
    cleaning: Cleaning = Cleaning()
    base: dict[Literal["fastpitch", "hifigan"], BaseWeights] = Field(default_factory=dict)
    gates: dict[str, float] = Field(default_factory=dict, description="Overrides of configs/gates.yaml, shown as such.")
    dataset_gates: dict[str, float] = Field(
        default_factory=dict, description="Overrides of the section dataset: of configs/gates.yaml."
    )
    seed: int = Field(1234, ge=0, le=2**31 - 1)

    @field_validator("voice_profile_id")
    @classmethod
    def _checked_id(cls, value: str) -> str:
        return profile_id(value)

    @property
    def job_type(self) -> str:
        """The job type that trains this voice."""
        return "tts_prod_train_nemo" if self.lane == "production" else "tts_voice_train"


def load_voice_by_id(project: Path, voice: str) -> Voice:
    """The voice of that id. Raises ConfigError, naming the voices that there are."""
    path = project / VOICES_FOLDER / f"{profile_id(voice)}.yaml"
    if not path.is_file():
        known = ", ".join(voice_ids(project)) or "none"
        raise ConfigError(f"no voice {voice!r}: {VOICES_FOLDER / path.name} does not exist (voices: {known})")
    return load_voice(path)


def load_voice(path: Path) -> Voice:
    """Read and check one voice config. Raises ConfigError that names the file and every wrong field."""
    voice = parse_strict(Voice, path)
    if voice.voice_profile_id != path.stem:
        raise ConfigError(f"{path}: voice_profile_id is {voice.voice_profile_id!r}, but the file is {path.name}")
    return voice


def parse_strict(model: type[Model], path: Path) -> Model:
    """Read a YAML file into ``model``. Raises ConfigError that names the file and every wrong field."""
    try:
        value: Any = copy.deepcopy(_read_yaml(read_bytes(path, most=MAX_CONFIG_BYTES).decode("utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected fields, found {type(value).__name__}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}" for item in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error


@functools.lru_cache(maxsize=32)
def _read_yaml(text: str) -> Any:
    """What the text says. Policy and allowlist are read several times in a decision, and parsing them is most of it."""
    return parse_yaml(text)
