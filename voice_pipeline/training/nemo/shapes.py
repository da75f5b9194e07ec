"""Names and shapes of the tensors of NeMo's models, computed from their configs: no torch, no NeMo.

    fastpitch_shapes(fastpitch_config(recipe, tokenizer), symbols=114)    # {"fastpitch.proj.weight": (80, 128), …}

They are those of NeMo 3.0.0's modules; a test holds them equal to the state dicts of real models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
_Named = Iterator[tuple[str, Shape]]

_PERIODS = 5  # of the multi-period discriminator: 2, 3, 5, 7, 11
_SCALES = 3  # of the multi-scale discriminator


def fastpitch_shapes(config: Mapping[str, Any], symbols: int) -> Shapes:
    """The tensors of a FastPitchModel of ``config`` with a vocabulary of ``symbols``."""
    mels, hidden = config["n_mel_channels"], config["symbols_embedding_dim"]
    aligner = dict(_aligner(**config["alignment_module"]))
    found: Shapes = {
        f"{owner}.{name}": shape for owner in ("aligner", "fastpitch.aligner") for name, shape in aligner.items()
    }
    found.update(_mel("preprocessor.featurizer", config["n_window_size"], config["n_fft"], mels))
    found.update({"fastpitch.pitch_mean": (1,), "fastpitch.pitch_std": (1,)})
    found.update(_transformer("fastpitch.encoder", config["input_fft"]))
    found["fastpitch.encoder.word_emb.weight"] = (symbols, hidden)
    found.update(_transformer("fastpitch.decoder", config["output_fft"]))
    for name in ("duration_predictor", "pitch_predictor"):
        found.update(_predictor(f"fastpitch.{name}", config[name]))
    found.update(_layer("fastpitch.pitch_emb", hidden, 1, config["pitch_embedding_kernel_size"]))
    found.update(_layer("fastpitch.proj", mels, config["output_fft"]["d_model"]))
    return found


def hifigan_shapes(config: Mapping[str, Any]) -> Shapes:
    """The tensors of a HifiGanModel of ``config``: generator, discriminators and the two mel analyses."""
    audio, generator = config["preprocessor"], config["generator"]
    found: Shapes = {}
    for owner in ("audio_to_melspec_precessor", "trg_melspec_fn"):
        found.update(_mel(owner, audio["n_window_size"], audio["n_fft"], audio["nfilt"]))
    channels = generator["upsample_initial_channel"]
    found.update(_weight_normed("generator.conv_pre", channels, generator["initial_input_size"], 7))
    for stage, kernel in enumerate(generator["upsample_kernel_sizes"]):
        channels //= 2
        name = f"generator.ups.{stage}"  # a transposed convolution: its weight has the input's channels first
        found.update({f"{name}.bias": (channels,), f"{name}.weight_g": (2 * channels, 1, 1)})
        found[f"{name}.weight_v"] = (2 * channels, channels, kernel)
        for block, size in enumerate(generator["resblock_kernel_sizes"]):
            found.update(_resblock(f"generator.resblocks.{stage}.{block}", generator["resblock"], channels, size))
    found.update(_weight_normed("generator.conv_post", 1, channels, 7))
    found.update(_period_discriminators(small=config["debug"]))
    found.update(_scale_discriminators(small=config["debug"]))
    return found


def _layer(name: str, *weight: int) -> _Named:
    yield f"{name}.weight", weight
    yield f"{name}.bias", (weight[0],)


def _weight_normed(name: str, *weight: int) -> _Named:
    yield f"{name}.bias", (weight[0],)
    yield f"{name}.weight_g", (weight[0], *(1 for _ in weight[1:]))
    yield f"{name}.weight_v", weight


def _spectral_normed(name: str, outputs: int, inputs: int, kernel: int) -> _Named:
    yield f"{name}.bias", (outputs,)
    yield f"{name}.weight_orig", (outputs, inputs, kernel)
    yield f"{name}.weight_u", (outputs,)
    yield f"{name}.weight_v", (inputs * kernel,)


def _mel(name: str, window: int, n_fft: int, mels: int) -> _Named:
    yield f"{name}.window", (window,)
    yield f"{name}.fb", (1, mels, n_fft // 2 + 1)


def _aligner(n_mel_channels: int, n_text_channels: int, n_att_channels: int, **_other: Any) -> _Named:
    yield from _layer("key_proj.0.conv", 2 * n_text_channels, n_text_channels, 3)
    yield from _layer("key_proj.2.conv", n_att_channels, 2 * n_text_channels, 1)
    yield from _layer("query_proj.0.conv", 2 * n_mel_channels, n_mel_channels, 3)
    yield from _layer("query_proj.2.conv", n_mel_channels, 2 * n_mel_channels, 1)
    yield from _layer("query_proj.4.conv", n_att_channels, n_mel_channels, 1)


def _transformer(name: str, config: Mapping[str, Any]) -> _Named:
    model, heads, inner = config["d_model"], config["n_head"] * config["d_head"], config["d_inner"]
    yield f"{name}.pos_emb.inv_freq", ((model + 1) // 2,)
    for number in range(config["n_layer"]):
        layer = f"{name}.layers.{number}"
        yield from _layer(f"{layer}.dec_attn.qkv_net", 3 * heads, model)
        yield f"{layer}.dec_attn.o_net.weight", (model, heads)
        yield from _layer(f"{layer}.dec_attn.layer_norm", model)
        yield from _layer(f"{layer}.pos_ff.CoreNet.0", inner, model, config["kernel_size"])
        yield from _layer(f"{layer}.pos_ff.CoreNet.2", model, inner, config["kernel_size"])
        yield from _layer(f"{layer}.pos_ff.layer_norm", model)


def _predictor(name: str, config: Mapping[str, Any]) -> _Named:
    inputs, size = config["input_size"], config["filter_size"]
    for number in range(config["n_layers"]):
        layer = f"{name}.layers.{number}"
        yield from _layer(f"{layer}.conv", size, inputs if number == 0 else size, config["kernel_size"])
        yield from _layer(f"{layer}.norm", size)
    yield from _layer(f"{name}.fc", 1, size)


def _resblock(name: str, kind: int, channels: int, kernel: int) -> _Named:
    owners, layers = (("convs1", "convs2"), 3) if kind == 1 else (("convs",), 2)
    for owner in owners:
        for number in range(layers):
            yield from _weight_normed(f"{name}.{owner}.{number}", channels, channels, kernel)


def _period_discriminators(*, small: bool) -> _Named:
    sizes = (1, 8, 12, 32, 64, 64) if small else (1, 32, 128, 512, 1024, 1024)
    for number in range(_PERIODS):
        name = f"mpd.discriminators.{number}"
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            yield from _weight_normed(f"{name}.convs.{layer}", outputs, inputs, 5, 1)
        yield from _weight_normed(f"{name}.conv_post", 1, sizes[-1], 3, 1)


def _scale_discriminators(*, small: bool) -> _Named:
    a, b, c, d = (16, 32, 32, 64) if small else (128, 256, 512, 1024)
    # Output channels, input channels of a group, kernel.
    layers = (
        (a, 1, 15),
        (a, a // 4, 41),
        (b, a // 16, 41),
        (c, b // 16, 41),
        (d, c // 16, 41),
        (d, d // 16, 41),
        (d, d, 5),
    )
    for number in range(_SCALES):
        normed = _spectral_normed if number == 0 else _weight_normed
        for layer, (outputs, inputs, kernel) in enumerate(layers):
            yield from normed(f"msd.discriminators.{number}.convs.{layer}", outputs, inputs, kernel)
        yield from normed(f"msd.discriminators.{number}.conv_post", 1, d, 3)
