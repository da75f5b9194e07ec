"""A person's word on single utterances: configs/reviews/<voice>.yaml.

    keep:
      LJ001-0017: the hiss is the sea, which belongs there
    reject:
      LJ001-0003: somebody coughs in it
    text:
      LJ001-0009: What she really says.

Overrides are part of the dataset's identity, and the manifest, the table and the page show them. A review does not
overrule facts: what has no sound, no text or too few seconds, or is there twice, stays out, and the file is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from voice_pipeline.failures import ConfigError
from voice_pipeline.store import identity, profile_id

REVIEWS_FOLDER = Path("configs/reviews")
_MAX_BYTES = 16_000_000
_NEAR_IDS = 3
_COMPARED_IDS = 200_000  # when a wrong id is to be explained

_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]


class Review(BaseModel):
    """What a person decided, by utterance id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep: dict[str, _Words] = Field(default_factory=dict, description="id: why it is kept all the same")
    reject: dict[str, _Words] = Field(default_factory=dict, description="id: why it is rejected")
    text: dict[str, _Words] = Field(default_factory=dict, description="id: what is really said")

    @property
    def digest(self) -> str:
        """sha256 of the overrides: the dataset's identity holds it. No overrides, no file: the same digest."""
        return identity(**self.model_dump())

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id that is named, sorted."""
        return tuple(sorted({*self.keep, *self.reject, *self.text}))


def review_path(project: Path, voice: str) -> Path:
    """Where the review of ``voice`` is."""
    return project / REVIEWS_FOLDER / f"{profile_id(voice)}.yaml"


def read_review(project: Path, voice: str) -> Review:
    """The review of ``voice``; an empty one where there is none. Raises ConfigError that names the file and the key."""
    path = review_path(project, voice)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Review()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: has {len(data):,} bytes; at most {_MAX_BYTES:,} are read")
    try:
        value = yaml.load(data.decode("utf-8-sig"), Loader=_PlainLoader)  # strings, lists and maps only
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if value in (None, ""):
        return Review()
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected keep, reject or text, found {type(value).__name__}")
    try:
        review = Review.model_validate({key: part or {} for key, part in value.items()})
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error
    both = sorted(set(review.keep) & set(review.reject))
    if both:
        raise ConfigError(f"{path}: {both[0]} is in keep and in reject; leave one of the two")
    return review


def unknown_id(path: Path, wrong: str, ids: Iterable[str]) -> ConfigError:
    """The error for an id that no utterance has; it names the most similar ones."""
    candidates: list[str] = []
    matcher = difflib.SequenceMatcher(b=wrong)
    scored: list[tuple[float, str]] = []
    for _, one in zip(range(_COMPARED_IDS), ids, strict=False):
        matcher.set_seq1(one)
        if matcher.real_quick_ratio() > 0.6 and matcher.quick_ratio() > 0.6:
            scored = sorted([*scored, (-matcher.ratio(), one)])[:_NEAR_IDS]
    candidates = [one for _, one in scored]
    near = f"; near are: {', '.join(candidates)}" if candidates else ""
    return ConfigError(f"{path}: no utterance has the id {wrong!r}{near}")


class _PlainLoader(yaml.BaseLoader):
    """Every scalar is a string: the id 0017 is not the number 15. A key that stands twice is an error."""


def _mapping(loader: _PlainLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
    return dict(yaml.BaseLoader.construct_mapping(loader, node, deep=True))


_PlainLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
