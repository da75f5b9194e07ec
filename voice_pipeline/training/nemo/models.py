"""NeMo's own models, configured from a recipe: stock classes, stock modules, stock losses.

The ``.nemo`` files name the stock classes as their target, so a plain NeMo process restores them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voice_pipeline.training.mel import LOG_FLOOR
from voice_pipeline.training.recipe import AudioSettings, Recipe

if TYPE_CHECKING:
    from nemo.collections.tts.models.fastpitch import FastPitchModel
    from nemo.collections.tts.models.hifigan import HifiGanModel

# The aligner's softmax temperature and width in NVIDIA's recipe (NeMo examples/tts/conf/fastpitch_align_v1.05.yaml).
_ALIGNER_TEMPERATURE = 0.0005
_PREPROCESSOR = "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor"
_MODULES = "nemo.collections.tts.modules"


def build_fastpitch(recipe: Recipe, tokenizer: Mapping[str, Any]) -> FastPitchModel:
    """A new FastPitchModel. ``tokenizer``: see ``nemo_tokenizer``; its ``.nemo`` carries the files that this names."""
    from nemo.collections.tts.models.fastpitch import FastPitchModel
    from omegaconf import OmegaConf

    return FastPitchModel(OmegaConf.create(fastpitch_config(recipe, tokenizer)))


def build_hifigan(recipe: Recipe) -> HifiGanModel:
    """A new HifiGanModel, generator and discriminators."""
    from nemo.collections.tts.models.hifigan import HifiGanModel
    from omegaconf import OmegaConf

    return HifiGanModel(OmegaConf.create(hifigan_config(recipe)))


def fastpitch_config(recipe: Recipe, tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the FastPitchModel, in the form of NVIDIA's recipe (learned alignment, one speaker)."""
    audio, size = recipe.audio, recipe.fastpitch
    transformer = {
        "n_head": size.heads,
        "d_model": size.hidden,
        "d_head": size.head_size,
        "d_inner": size.inner,
        "kernel_size": size.kernel_size,
        "dropout": size.dropout,
        "dropatt": size.dropout,
        "dropemb": 0.0,
    }
    predictor = {
        "_target_": f"{_MODULES}.fastpitch.TemporalPredictor",
        "input_size": size.hidden,
        "kernel_size": 3,
        "filter_size": size.predictor_size,
        "dropout": size.predictor_dropout,
        "n_layers": 2,
    }
    return {
        "learn_alignment": True,
        "bin_loss_warmup_epochs": 100,
        "n_speakers": 1,
        "max_token_duration": size.max_token_duration,
        "symbols_embedding_dim": size.hidden,
        "pitch_embedding_kernel_size": 3,
        "pitch_fmin": audio.pitch_fmin,
        "pitch_fmax": audio.pitch_fmax,
        "sample_rate": audio.sample_rate,
        "n_mel_channels": audio.mels,
        "n_window_size": audio.n_fft,
        "n_window_stride": audio.hop,
        "n_fft": audio.n_fft,
        "lowfreq": audio.mel_fmin,
        "highfreq": audio.mel_fmax,
        "window": "hann",
        "text_tokenizer": dict(tokenizer),
        # The class is asked for by FastPitchModel; our entry point feeds cached features and never builds it.
        "train_ds": {"defer_setup": True, "dataset": {"_target_": "nemo.collections.tts.data.dataset.TTSDataset"}},
        "preprocessor": mel_preprocessor(audio),
        "input_fft": {
            "_target_": f"{_MODULES}.transformer.FFTransformerEncoder",
            "n_layer": size.encoder_layers,
            "d_embed": size.hidden,
            **transformer,
        },
        "output_fft": {
            "_target_": f"{_MODULES}.transformer.FFTransformerDecoder",
            "n_layer": size.decoder_layers,
            **transformer,
        },
        "alignment_module": {
            "_target_": f"{_MODULES}.aligner.AlignmentEncoder",
            "n_mel_channels": audio.mels,
            "n_text_channels": size.hidden,
            "n_att_channels": audio.mels,
            "temperature": _ALIGNER_TEMPERATURE,
        },
        "duration_predictor": predictor,
        "pitch_predictor": dict(predictor),
        "optim": _optimizer(size.learning_rate, size.betas, size.weight_decay),
    }


def hifigan_config(recipe: Recipe) -> dict[str, Any]:
    """The config of the HifiGanModel, in the form of NVIDIA's recipe."""
    audio, size = recipe.audio, recipe.hifigan
    preprocessor = mel_preprocessor(audio)
    bands = preprocessor.pop("features")
    for unused in ("window_size", "window_stride"):
        preprocessor.pop(unused)
    return {
        "max_steps": size.steps,
        "debug": size.small_discriminators,
        "l1_loss_factor": size.mel_loss_weight,
        "sample_rate": audio.sample_rate,
        "train_ds": {
            "defer_setup": True,
            "dataset": {"_target_": "nemo.collections.tts.data.vocoder_dataset.VocoderDataset"},
        },
        "preprocessor": {
            **preprocessor,
            "_target_": "nemo.collections.asr.parts.preprocessing.features.FilterbankFeatures",
            "nfilt": bands,
            # Frames of a segment must be whole: no centring, and the padding is split over both ends.
            "exact_pad": True,
            "log_zero_guard_type": "clamp",
            "use_grads": False,
        },
        "generator": {
            "_target_": f"{_MODULES}.hifigan_modules.Generator",
            "resblock": size.resblock,
            "upsample_rates": list(size.upsample_rates),
            "upsample_kernel_sizes": list(size.upsample_kernel_sizes),
            "upsample_initial_channel": size.initial_channels,
            "resblock_kernel_sizes": list(size.resblock_kernel_sizes),
            "resblock_dilation_sizes": [list(dilations) for dilations in size.resblock_dilation_sizes],
            "initial_input_size": audio.mels,
        },
        "optim": _optimizer(size.learning_rate, size.betas, size.weight_decay),
    }


def mel_preprocessor(audio: AudioSettings) -> dict[str, Any]:
    """NeMo's mel preprocessor of FastPitch; ``training.mel`` makes the same numbers."""
    return {
        "_target_": _PREPROCESSOR,
        "sample_rate": audio.sample_rate,
        "features": audio.mels,
        "n_fft": audio.n_fft,
        "n_window_size": audio.n_fft,
        "n_window_stride": audio.hop,
        "window_size": False,
        "window_stride": False,
        "window": "hann",
        "lowfreq": audio.mel_fmin,
        "highfreq": audio.mel_fmax,
        "normalize": None,
        "preemph": None,
        "dither": 0.0,
        "pad_to": 1,
        "pad_value": 0,
        "frame_splicing": 1,
        "log": True,
        "log_zero_guard_type": "add",
        "log_zero_guard_value": LOG_FLOOR,
        "mag_power": 1.0,
    }


def _optimizer(learning_rate: float, betas: tuple[float, float], weight_decay: float) -> dict[str, Any]:
    return {"name": "adamw", "lr": learning_rate, "betas": list(betas), "weight_decay": weight_decay}
