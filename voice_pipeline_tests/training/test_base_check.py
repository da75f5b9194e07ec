"""A base is refused in seconds when it does not fit the recipe, and the message names what differs."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.nemo_tokenizer import tokenizer_config
from voice_pipeline.training import checkpoint
from voice_pipeline.training.base_check import Model, check_base, listed
from voice_pipeline.training.nemo.models import fastpitch_config, hifigan_config
from voice_pipeline.training.nemo.shapes import fastpitch_shapes, hifigan_shapes
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.training.spec import BaseFile
from voice_pipeline.voice import BaseWeights, Voice
from voice_pipeline_tests.nemo_files import hostile_pickles, nemo, torch_zip, weights
from voice_pipeline_tests.training.conftest import TINY, Prepared, make_voice

Config = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]
TARGETS = {
    "fastpitch": "nemo.collections.tts.models.fastpitch.FastPitchModel",
    "hifigan": "nemo.collections.tts.models.hifigan.HifiGanModel",
}


@pytest.fixture(scope="module")
def italian() -> TextFrontend:
    """A language read by letters: its vocabulary is in the config."""
    return TextFrontend.for_language("it-IT")


class Bases:
    """Bases of the tiny recipe in a project, changed at will."""

    def __init__(self, project: Path, recipe: Recipe, frontend: TextFrontend) -> None:
        self.project, self.recipe, self.frontend = project, recipe, frontend

    def parts(self, model: Model) -> tuple[Config, Shapes]:
        if model == "hifigan":
            config = hifigan_config(self.recipe)
            shapes = hifigan_shapes(config)
        else:
            config = fastpitch_config(self.recipe, tokenizer_config(self.frontend, Path("nemo:words.txt")))
            shapes = fastpitch_shapes(config, len(self.frontend.symbol_table))
        return copy.deepcopy({**config, "target": TARGETS[model]}), shapes

    def write(self, model: Model, config: Config, state: bytes, *, checksum: str | None = None) -> Voice:
        path = nemo(self.project / f"{model}.nemo", config, state)
        manifest = {"checksum": checksum or f"sha256:{sha256_file(path)}"}
        (self.project / "base.json").write_text(json.dumps(manifest))
        base = {model: BaseWeights(path=Path(path.name), manifest=Path("base.json"))}
        return make_voice().model_copy(update={"base": base})

    def check(self, voice: Voice, recipe: Recipe | None = None) -> BaseFile:
        (model,) = voice.base
        return check_base(self.project, voice, model, recipe or self.recipe, self.frontend)

    def refused(self, voice: Voice, reason: str = "base_checkpoint_incompatible", recipe: Recipe | None = None) -> str:
        with pytest.raises(VoiceFailure) as caught:
            self.check(voice, recipe)
        assert (caught.value.reason, caught.value.voice) == (reason, voice.voice_profile_id), str(caught.value)
        return caught.value.detail

    def changed(self, model: Model, change: Callable[[Config, Shapes], object]) -> Voice:
        config, shapes = self.parts(model)
        change(config, shapes)
        return self.write(model, config, weights(shapes))


@pytest.fixture
def bases(tmp_path: Path, tiny: Recipe, italian: TextFrontend) -> Bases:
    return Bases(tmp_path, tiny, italian)


def put(place: str, value: Any) -> Callable[[Config, Shapes], object]:
    """Sets one value of the base's config."""

    def change(config: Config, shapes: Shapes) -> None:
        *owners, key = place.split(".")
        for owner in owners:
            config = config[owner]
        config[key] = value

    return change


@pytest.mark.parametrize("model", ["fastpitch", "hifigan"])
def test_a_base_that_fits_passes(bases: Bases, model: Model) -> None:
    found = bases.check(bases.changed(model, lambda config, shapes: None))
    assert found == BaseFile(path=bases.project / f"{model}.nemo", sha256=sha256_file(bases.project / f"{model}.nemo"))


@pytest.mark.parametrize(
    ("model", "place", "value", "said"),
    [
        ("fastpitch", "preprocessor.sample_rate", 44100, "audio.sample_rate: 44100 in the base, 22050 in the recipe"),
        ("fastpitch", "preprocessor.features", 128, "audio.mels: 128 in the base, 80 in the recipe"),
        ("fastpitch", "preprocessor.n_fft", 2048, "audio.n_fft: 2048 in the base, 1024 in the recipe"),
        ("fastpitch", "preprocessor.n_window_size", 800, "audio.n_fft (its window): 800 in the base, 1024 in"),
        ("fastpitch", "preprocessor.n_window_stride", 512, "audio.hop: 512 in the base, 256 in the recipe"),
        ("fastpitch", "preprocessor.lowfreq", 20, "audio.mel_fmin: 20 in the base, 0.0 in the recipe"),
        ("fastpitch", "preprocessor.highfreq", None, "audio.mel_fmax: 11025.0 in the base, 8000.0 in the recipe"),
        ("fastpitch", "preprocessor.mag_power", 2.0, "preprocessor.mag_power: 2.0 in the base, 1.0 in the recipe"),
        ("fastpitch", "preprocessor.normalize", "per_feature", "normalize: per_feature in the base, None in the"),
        ("fastpitch", "input_fft.n_layer", 6, "fastpitch.encoder_layers: 6 in the base, 1 in the recipe"),
        ("fastpitch", "output_fft.n_layer", 4, "fastpitch.decoder_layers: 4 in the base, 1 in the recipe"),
        ("fastpitch", "symbols_embedding_dim", 384, "fastpitch.hidden: 384 in the base, 16 in the recipe"),
        ("fastpitch", "output_fft.d_inner", 64, "fastpitch.inner: 64 in the base, 16 in the recipe"),
        ("fastpitch", "n_speakers", 12, "n_speakers: 12 in the base, 1 in the recipe"),
        ("fastpitch", "text_tokenizer.chars", "abc", "another vocabulary: text_tokenizer.chars: abc in the base,"),
        ("fastpitch", "text_tokenizer.apostrophe", False, "text_tokenizer.apostrophe: False in the base, True here"),
        ("fastpitch", "text_tokenizer", "english", "its config has no text_tokenizer"),
        ("fastpitch", "target", TARGETS["hifigan"], "it is a HifiGanModel, not a FastPitchModel"),
        ("fastpitch", "input_fft", [], "fastpitch.encoder_layers: nothing in the base, 1 in the recipe"),
        ("hifigan", "preprocessor.nfilt", 64, "audio.mels: 64 in the base, 80 in the recipe"),
        ("hifigan", "generator.upsample_rates", [8, 8, 2, 2], "upsample_rates: [8, 8, 2, 2] in the base, [8, 8, 4]"),
        ("hifigan", "generator.resblock", 1, "hifigan.resblock: 1 in the base, 2 in the recipe"),
        ("hifigan", "generator.upsample_initial_channel", 512, "hifigan.initial_channels: 512 in the base, 16 in the"),
        ("hifigan", "debug", False, "hifigan.small_discriminators: False in the base, True in the recipe"),
    ],
)  # fmt: skip
def test_what_differs_is_named(bases: Bases, model: Model, place: str, value: Any, said: str) -> None:
    assert said in bases.refused(bases.changed(model, put(place, value)))


def test_the_order_of_letters_is_a_vocabulary(bases: Bases) -> None:
    letters = bases.parts("fastpitch")[0]["text_tokenizer"]["chars"]
    assert "another vocabulary" in bases.refused(bases.changed("fastpitch", put("text_tokenizer.chars", letters[::-1])))


def test_several_differences_are_named_at_once(bases: Bases) -> None:
    voice = bases.changed("fastpitch", lambda config, shapes: None)
    sizes = {"hidden": 32, "inner": 32, "encoder_layers": 2, "decoder_layers": 2, "predictor_size": 32, "head_size": 16}
    audio = bases.recipe.audio.model_copy(update={"mels": 64, "mel_fmax": 7000.0})
    larger = bases.recipe.model_copy(
        update={"audio": audio, "fastpitch": bases.recipe.fastpitch.model_copy(update=sizes)}
    )
    said = bases.refused(voice, recipe=larger)
    assert said.startswith("audio.mel_fmax: 8000.0 in the base, 7000.0 in the recipe; audio.mels: 80 in the base")
    assert said.count(" in the base") == 6
    assert said.endswith("; and 2 more")
    assert listed(["one", "two"]) == "one; two"


def test_configs_that_say_the_same_in_other_words_fit(bases: Bases) -> None:
    def other_words(config: Config, shapes: Shapes) -> None:
        config["preprocessor"]["sample_rate"] = "${sample_rate}"
        config["preprocessor"]["lowfreq"] = 0
        config["preprocessor"].update(n_window_size=None, window_size=1024 / 22050 + 1e-6)
        config["text_tokenizer"]["_target_"] = "nemo.collections.tts.torch.tts_tokenizers.BaseCharsTokenizer"
        config.pop("optim")
        config["input_fft"]["dropout"] = 0.5

    bases.check(bases.changed("fastpitch", other_words))
    bases.check(bases.changed("hifigan", put("generator.resblock", "2")))


def test_references_without_an_end_are_differences(bases: Bases) -> None:
    voice = bases.changed("fastpitch", put("preprocessor.sample_rate", "${preprocessor.sample_rate}"))
    assert "audio.sample_rate" in bases.refused(voice)


def test_tensors_that_the_config_does_not_tell_of_are_named(bases: Bases) -> None:
    def change(config: Config, shapes: Shapes) -> None:
        shapes["fastpitch.encoder.word_emb.weight"] = (7, 16)
        shapes["fastpitch.speaker_emb.weight"] = (2, 16)
        del shapes["fastpitch.proj.bias"]

    said = bases.refused(bases.changed("fastpitch", change))
    assert said.startswith("tensor fastpitch.encoder.word_emb.weight: (7, 16) in the base, (")
    assert "tensor fastpitch.proj.bias is missing" in said
    assert "tensor fastpitch.speaker_emb.weight is unknown to the recipe" in said


def test_names_that_are_no_text_are_shown_harmlessly(bases: Bases) -> None:
    def change(config: Config, shapes: Shapes) -> None:
        shapes["\x1b[2Jword_emb\nsecond line"] = (1,)
        config["preprocessor"]["window"] = "\x1b[31mhann"

    said = bases.refused(bases.changed("fastpitch", change))
    assert said.isprintable()
    assert "\\x1b[31mhann" in said
    voice = bases.changed("fastpitch", lambda config, shapes: shapes.update({"\x1b[2Jword_emb\nsecond line": (1,)}))
    assert bases.refused(voice).isprintable()
    config, _shapes = bases.parts("fastpitch")
    code = torch_zip(b"\x80\x02cos\x1b[2J\nsys\ttem\nR.")
    assert bases.refused(bases.write("fastpitch", config, code), "base_checkpoint_unsafe").isprintable()


def test_without_a_manifest_nothing_is_read(bases: Bases) -> None:
    voice = bases.changed("hifigan", lambda config, shapes: None)
    for text in (None, "no JSON", "[]", "{}", '{"checksum": 3}', '{"checksum": "sha256:12"}'):
        if text is None:
            (bases.project / "base.json").unlink()
        else:
            (bases.project / "base.json").write_text(text)
        bases.refused(voice, "license_unclear")


def test_other_bytes_than_the_manifest_names_are_not_even_looked_at(bases: Bases, tmp_path: Path) -> None:
    """The archive is hostile, but nobody gets as far as to say so."""
    hostile = torch_zip(hostile_pickles(tmp_path / "canary")["reduce"])
    voice = bases.write("hifigan", {"target": "x"}, hostile, checksum="sha256:" + "0" * 64)
    assert "its weights manifest says 000000000000…" in bases.refused(voice, "weights_checksum_mismatch")
    voice = bases.write("hifigan", {"target": "x"}, hostile)
    assert "os.system" in bases.refused(voice, "base_checkpoint_unsafe")
    assert not (tmp_path / "canary").exists()


def test_a_missing_base_is_named(bases: Bases) -> None:
    voice = bases.changed("hifigan", lambda config, shapes: None)
    (bases.project / "hifigan.nemo").unlink()
    assert bases.refused(voice, "base_checkpoint_missing") == "no such file"


def test_no_training_is_planned_on_an_unfit_base(bases: Bases, prepared: Prepared, tmp_path: Path) -> None:
    """What the command, the UI and the step alone have in common."""
    voice = bases.changed("fastpitch", put("input_fft.n_layer", 6))
    store = Store(tmp_path / "store")
    with pytest.raises(VoiceFailure, match=r"fastpitch\.encoder_layers: 6 in the base") as caught:
        checkpoint.plan_training(
            bases.project, voice, store, bases.recipe, prepared.record, bases.frontend, run_id="run-1"
        )
    assert caught.value.reason == "base_checkpoint_incompatible"
    assert list(store.root.rglob("spec.json")) == []
    fitting = bases.changed("fastpitch", lambda config, shapes: None)
    plan = checkpoint.plan_training(
        bases.project, fitting, store, bases.recipe, prepared.record, bases.frontend, run_id="run-1"
    )
    assert plan.spec.base["fastpitch"].sha256 == sha256_file(bases.project / "fastpitch.nemo")


def test_the_check_takes_seconds_and_no_framework(bases: Bases) -> None:
    """Of a large base, in a process of its own."""
    wide = bases.recipe.model_copy(
        update={"hifigan": bases.recipe.hifigan.model_copy(update={"initial_channels": 512})}
    )
    large = Bases(bases.project, wide, bases.frontend)
    large.changed("hifigan", lambda config, shapes: None)
    path = bases.project / "hifigan.nemo"
    assert path.stat().st_size > 8 * 2**20
    code = f"""
import sys
from pathlib import Path
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training.base_check import differences
from voice_pipeline.nemo_archive import open_archive
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.voice import parse_strict
recipe, frontend = parse_strict(Recipe, Path({str(TINY)!r})), TextFrontend.for_language("it-IT")
with open_archive(Path({str(path)!r})) as archive:
    print(differences("hifigan", recipe, frontend, archive))
print([name for name in ("torch", "nemo", "dagster") if name in sys.modules])
"""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 10
    assert done.stdout.splitlines() == ["['hifigan.initial_channels: 512 in the base, 16 in the recipe']", "[]"]


REAL = """
import json, sys
from pathlib import Path
from voice_pipeline.training.nemo.runtime import import_nemo
import_nemo()
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.nemo_tokenizer import tokenizer_config, write_phoneme_dict
from voice_pipeline.training.nemo.models import build_fastpitch, build_hifigan
from voice_pipeline.training.recipe import Recipe
found = {}
for number, text in enumerate(json.loads(Path(sys.argv[1]).read_text())):
    recipe = Recipe.model_validate(text)
    for language in ("en-US", "it-IT"):
        frontend = TextFrontend.for_language(language)
        words = Path(sys.argv[1]).with_name("words.txt")
        write_phoneme_dict(frontend, words)
        found[f"{number} {language}"] = build_fastpitch(recipe, tokenizer_config(frontend, words)).state_dict()
    found[f"{number} hifigan"] = build_hifigan(recipe).state_dict()
shapes = {name: {key: list(one.shape) for key, one in state.items()} for name, state in found.items()}
Path(sys.argv[2]).write_text(json.dumps(shapes))
"""


@pytest.mark.nemo
@pytest.mark.slow
def test_the_computed_shapes_are_those_of_real_models(tiny: Recipe, tmp_path: Path) -> None:
    pytest.importorskip("nemo")
    other = tiny.model_dump()
    other["audio"].update(mels=40, n_fft=512, hop=128)
    other["fastpitch"].update(hidden=24, heads=2, inner=20, encoder_layers=2, kernel_size=5, predictor_size=20)
    other["hifigan"].update(
        upsample_rates=(8, 16), upsample_kernel_sizes=(16, 32), resblock=1, resblock_kernel_sizes=(3, 5),
        resblock_dilation_sizes=((1, 3, 5), (1, 1, 2)), small_discriminators=False, initial_channels=20,
    )  # fmt: skip
    recipes = [tiny, Recipe.model_validate(other)]
    (tmp_path / "recipes.json").write_text(json.dumps([recipe.model_dump(mode="json") for recipe in recipes]))
    command = [sys.executable, "-c", REAL, str(tmp_path / "recipes.json"), str(tmp_path / "shapes.json")]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    real = json.loads((tmp_path / "shapes.json").read_text())
    for number, recipe in enumerate(recipes):
        for language in ("en-US", "it-IT"):
            frontend = TextFrontend.for_language(language)
            config = fastpitch_config(recipe, tokenizer_config(frontend, Path("words.txt")))
            computed = fastpitch_shapes(config, len(frontend.symbol_table))
            assert {name: list(shape) for name, shape in computed.items()} == real[f"{number} {language}"]
        computed = hifigan_shapes(hifigan_config(recipe))
        assert {name: list(shape) for name, shape in computed.items()} == real[f"{number} hifigan"]
