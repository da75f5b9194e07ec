"""Whether training may start from a base, found in seconds: before the trainer, without torch and without NeMo.

    base = check_base(project, voice, "fastpitch", recipe, frontend)      # BaseFile(path, sha256), or VoiceFailure

In this order: the file is there, its bytes are those that its weights manifest names, the archive is safe
(``voice_pipeline.nemo_archive``), and it fits the recipe: the class, the analysis of the audio, the vocabulary, the
sizes, and name and shape of every tensor. What the recipe needs is what the trainer builds its models from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.nemo_archive import NemoArchive, open_archive
from voice_pipeline.store import sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.nemo_tokenizer import tokenizer_config
from voice_pipeline.training.nemo.models import fastpitch_config, hifigan_config
from voice_pipeline.training.nemo.shapes import fastpitch_shapes, hifigan_shapes
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.training.spec import BaseFile
from voice_pipeline.voice import Voice

Model = Literal["fastpitch", "hifigan"]

_NAMED = 6  # differences that a message names
_MANIFEST_MAX_BYTES = 1 << 20
_CHECKSUM = re.compile(r"sha256:([0-9a-fA-F]{64})")
_CLASSES: Mapping[Model, str] = {"fastpitch": "FastPitchModel", "hifigan": "HifiGanModel"}
_MISSING = object()
# The options that decide which symbols a tokenizer has and in which order, with the defaults of NeMo's
# EnglishPhonemesTokenizer.
_VOCABULARY_DEFAULTS = {
    "_target_": "",
    "punct": True,
    "non_default_punct_list": None,
    "stresses": False,
    "chars": False,
    "space": " ",
    "silence": None,
    "apostrophe": True,
    "add_blank_at": None,
}
# Where a model's config says what must be equal: the name that a person reads, the recipe's where it has one; the
# path in the config; what NeMo takes where the config is silent.
_Field = tuple[str, str, Any]
_AUDIO: tuple[_Field, ...] = (
    ("audio.sample_rate", "preprocessor.sample_rate", 16000),
    ("audio.n_fft", "preprocessor.n_fft", None),
    ("audio.n_fft (its window)", "preprocessor.n_window_size", None),
    ("audio.hop", "preprocessor.n_window_stride", None),
    ("audio.mel_fmin", "preprocessor.lowfreq", 0),
    ("audio.mel_fmax", "preprocessor.highfreq", None),
    ("preprocessor.window", "preprocessor.window", "hann"),
    ("preprocessor.mag_power", "preprocessor.mag_power", 2.0),
    ("preprocessor.log", "preprocessor.log", True),
    ("preprocessor.normalize", "preprocessor.normalize", "per_feature"),
    ("preprocessor.preemph", "preprocessor.preemph", 0.97),
)
_FIELDS: Mapping[Model, tuple[_Field, ...]] = {
    "fastpitch": (
        *_AUDIO,
        ("audio.mels", "preprocessor.features", 64),
        ("fastpitch.hidden", "symbols_embedding_dim", _MISSING),
        ("fastpitch.hidden", "input_fft.d_model", _MISSING),
        ("fastpitch.hidden", "output_fft.d_model", _MISSING),
        ("fastpitch.encoder_layers", "input_fft.n_layer", _MISSING),
        ("fastpitch.decoder_layers", "output_fft.n_layer", _MISSING),
        ("fastpitch.heads", "input_fft.n_head", _MISSING),
        ("fastpitch.heads", "output_fft.n_head", _MISSING),
        ("fastpitch.head_size", "input_fft.d_head", _MISSING),
        ("fastpitch.head_size", "output_fft.d_head", _MISSING),
        ("fastpitch.inner", "input_fft.d_inner", _MISSING),
        ("fastpitch.inner", "output_fft.d_inner", _MISSING),
        ("fastpitch.kernel_size", "input_fft.kernel_size", _MISSING),
        ("fastpitch.kernel_size", "output_fft.kernel_size", _MISSING),
        ("fastpitch.predictor_size", "duration_predictor.filter_size", _MISSING),
        ("fastpitch.predictor_size", "pitch_predictor.filter_size", _MISSING),
        ("input_fft.pre_lnorm", "input_fft.pre_lnorm", False),
        ("output_fft.pre_lnorm", "output_fft.pre_lnorm", False),
        ("n_speakers", "n_speakers", 1),
        ("learn_alignment", "learn_alignment", False),
    ),
    "hifigan": (
        *_AUDIO,
        ("audio.mels", "preprocessor.nfilt", 64),
        ("hifigan.initial_channels", "generator.upsample_initial_channel", _MISSING),
        ("hifigan.upsample_rates", "generator.upsample_rates", _MISSING),
        ("hifigan.upsample_kernel_sizes", "generator.upsample_kernel_sizes", _MISSING),
        ("hifigan.resblock", "generator.resblock", _MISSING),
        ("hifigan.resblock_kernel_sizes", "generator.resblock_kernel_sizes", _MISSING),
        ("hifigan.resblock_dilation_sizes", "generator.resblock_dilation_sizes", _MISSING),
        ("hifigan.small_discriminators", "debug", False),
    ),
}


def check_base(project: Path, voice: Voice, model: Model, recipe: Recipe, frontend: TextFrontend) -> BaseFile:
    """The base of ``model`` that the voice's config names, checked.

    Raises VoiceFailure ``base_checkpoint_missing``; ``license_unclear`` without a readable weights manifest;
    ``weights_checksum_mismatch``; ``base_checkpoint_unsafe``; ``base_checkpoint_incompatible``, naming what differs.
    """
    base, name = voice.base[model], voice.voice_profile_id
    path = project / base.path
    if not path.is_file():
        raise VoiceFailure("base_checkpoint_missing", "no such file", voice=name, file=base.path)
    declared, found = _declared(project / base.manifest, name, base.manifest), sha256_file(path)
    if found != declared:
        detail = f"its sha256 is {found[:12]}…, but its weights manifest says {declared[:12]}…"
        raise VoiceFailure("weights_checksum_mismatch", detail, voice=name, file=base.path)
    file = BaseFile(path=path.resolve(), sha256=found)
    try:
        check_file(model, file, recipe, frontend)
    except VoiceFailure as failure:
        raise VoiceFailure(failure.reason, failure.detail, voice=name, file=base.path) from failure
    return file


def check_file(model: Model, base: BaseFile, recipe: Recipe, frontend: TextFrontend) -> None:
    """Check the safety of a base and its fit.

    Raises VoiceFailure ``base_checkpoint_missing``, ``base_checkpoint_unsafe``, ``base_checkpoint_incompatible``.
    """
    if not base.path.is_file():
        raise VoiceFailure("base_checkpoint_missing", "there is no such file", file=base.path)
    with open_archive(base.path, sha256=base.sha256) as archive:
        found = differences(model, recipe, frontend, archive)
    if found:
        raise VoiceFailure("base_checkpoint_incompatible", listed(found), file=base.path)


def differences(model: Model, recipe: Recipe, frontend: TextFrontend, archive: NemoArchive) -> list[str]:
    """What of a base does not fit the recipe, the most telling first."""
    if model == "fastpitch":
        config = fastpitch_config(recipe, tokenizer_config(frontend, Path("phoneme_dict.txt")))
        shapes = fastpitch_shapes(config, len(frontend.symbol_table))
    else:
        config = hifigan_config(recipe)
        shapes = hifigan_shapes(config)
    theirs = str(archive.config.get("target")).rpartition(".")[2]
    if theirs != _CLASSES[model]:
        return [f"it is a {_shown(theirs)}, not a {_CLASSES[model]}"]
    found = vocabulary_differences(config["text_tokenizer"], archive.config) if model == "fastpitch" else []
    found += _config_differences(_FIELDS[model], config, archive.config)
    # The tensors say the same once more, in numbers that fewer understand.
    return found or tensor_differences(shapes, {name: tensor.shape for name, tensor in archive.tensors.items()})


def vocabulary_differences(own: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Options by which a base's tokenizer has other symbols, or another order of them. ``own``: the recipe's."""
    base = config.get("text_tokenizer")
    if not isinstance(base, Mapping):
        return ["its config has no text_tokenizer"]
    own, theirs = _vocabulary(own), _vocabulary(base)
    different = [
        f"text_tokenizer.{name}: {_shown(theirs[name])} in the base, {_shown(own[name])} here"
        for name in _VOCABULARY_DEFAULTS
        if theirs[name] != own[name]
    ]
    return ["another vocabulary: " + "; ".join(different)] if different else []


def tensor_differences(own: Mapping[str, Sequence[int]], base: Mapping[str, Sequence[int]]) -> list[str]:
    """Tensors (names and shapes) that a base has otherwise than the recipe's model."""
    different = [
        f"tensor {name}: {tuple(base[name])} in the base, {tuple(own[name])} here"
        for name in own
        if name in base and tuple(base[name]) != tuple(own[name])
    ]
    different += [f"tensor {name} is missing" for name in own if name not in base]
    different += [f"tensor {_shown(name)} is unknown to the recipe" for name in base if name not in own]
    # The embedding tells most: another number of symbols is another vocabulary.
    return sorted(different, key=lambda text: "word_emb" not in text)


def listed(found: Sequence[str]) -> str:
    """The first few differences, and how many more there are."""
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def _config_differences(fields: Sequence[_Field], own: Mapping[str, Any], base: Mapping[str, Any]) -> list[str]:
    found: dict[str, str] = {}
    for label, place, default in fields:
        needed, theirs = _normal(own, place, default), _normal(base, place, default)
        if theirs != needed and label not in found:
            said = "nothing" if theirs is _MISSING else _shown(theirs)
            found[label] = f"{label}: {said} in the base, {_shown(needed)} in the recipe"
    return list(found.values())


def _normal(config: Mapping[str, Any], place: str, default: Any) -> Any:
    """The value at ``place``, in the one form in which equal things are equal."""
    value = _at(config, place, default)
    rate = _at(config, "preprocessor.sample_rate", None)
    if place == "preprocessor.highfreq" and value is None and isinstance(rate, int | float):
        return rate / 2  # NeMo's meaning of none
    seconds = {"preprocessor.n_window_size": "window_size", "preprocessor.n_window_stride": "window_stride"}
    if value is None and place in seconds:
        length = _at(config, f"preprocessor.{seconds[place]}", None)
        if isinstance(length, float) and isinstance(rate, int):
            return int(length * rate)
    if place == "generator.resblock" and isinstance(value, str):
        return int(value) if value in ("1", "2") else value
    return value


def _at(config: Mapping[str, Any], place: str, default: Any, depth: int = 0) -> Any:
    """The value at a dotted path. ``${a.b}``, as configs that were saved unresolved have it, is looked up."""
    value: Any = config
    for key in place.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    if isinstance(value, str) and (named := re.fullmatch(r"\$\{([\w.]+)\}", value)) and depth < 5:
        return _at(config, named[1], default, depth + 1)
    return value


def _vocabulary(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide the symbols. Old checkpoints have the class in an old module, so only its name counts."""
    found = {name: tokenizer.get(name, default) for name, default in _VOCABULARY_DEFAULTS.items()}
    return {**found, "_target_": str(found["_target_"]).rpartition(".")[2]}


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _declared(path: Path, voice: str, shown: Path) -> str:
    """The sha256 that a weights manifest gives the file. The manifest itself is judged by the licence gate."""
    try:
        with path.open("rb") as stream:
            value = json.loads(stream.read(_MANIFEST_MAX_BYTES))
        found = _CHECKSUM.fullmatch(value["checksum"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        detail = f"no weights manifest says which bytes the base has ({type(error).__name__})"
        raise VoiceFailure("license_unclear", detail, voice=voice, file=shown) from error
    if found is None:
        raise VoiceFailure("license_unclear", "its checksum is no sha256", voice=voice, file=shown)
    return found[1].lower()
