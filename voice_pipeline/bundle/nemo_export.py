"""NeMo's own ONNX export of FastPitch and HiFi-GAN, made deterministic, and its comparison with torch.

Imported by the export program only: torch, NeMo and onnx are imported inside functions.

The acoustic graph: ``text`` int64 [B, N], ``pitch`` float32 [B, N] (added to the prediction, in standard
deviations), ``pace`` float32 [B, N] (2.0 is twice as fast) -> ``spect`` float32 [B, mels, T] and lengths.
The vocoder graph: ``spec`` float32 [B, mels, T] -> ``audio`` float32 [B, 1, T * hop].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.bundle import onnx_graph
from voice_pipeline.bundle.export_spec import (
    ACOUSTIC_NAME,
    OPSET,
    VOCODER_NAME,
    Difference,
    ExportedFile,
    ExportReport,
    ExportSpec,
    Sentence,
    SourceModel,
)
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.nemo_archive import give_extraction_filters
from voice_pipeline.store import sha256_file

Array = NDArray[Any]
_SEED = 0  # of the inputs that the graphs are traced with


def export(spec: ExportSpec) -> ExportReport:
    """Restore, speak in torch, export, speak in ONNX, compare. Raises VoiceFailure."""
    torch, models = _import_nemo(spec)
    torch.set_num_threads(spec.threads)
    fastpitch = _restore(models.FastPitchModel, spec, spec.fastpitch)
    hifigan = _restore(models.HifiGanModel, spec, spec.hifigan)
    _require_fitting(spec, fastpitch, hifigan)
    # Torch speaks first: the export folds the vocoder's weight normalisation into its weights.
    with torch.inference_mode():
        expected = [_speak_torch(torch, fastpitch, hifigan, sentence.ids) for sentence in spec.sentences]
    files = []
    for model, name in ((fastpitch, ACOUSTIC_NAME), (hifigan, VOCODER_NAME)):
        path = spec.output / name
        _export_onnx(torch, model, path)
        files.append(ExportedFile(path=name, bytes=path.stat().st_size, sha256=sha256_file(path)))
    differences = _compare(spec, expected)
    preprocessor = fastpitch.cfg.preprocessor
    return ExportReport(
        opset=OPSET,
        sample_rate=int(preprocessor.sample_rate),
        hop=int(preprocessor.n_window_stride),
        mels=int(fastpitch.cfg.n_mel_channels),
        pitch_mean=float(fastpitch.fastpitch.pitch_mean),
        pitch_std=float(fastpitch.fastpitch.pitch_std),
        files=tuple(files),
        differences=tuple(differences),
        tolerance=spec.tolerance,
        versions=_versions(),
    )


def _import_nemo(spec: ExportSpec) -> tuple[Any, Any]:
    try:
        give_extraction_filters()
        import onnx  # noqa: F401  needed later; better missed now than after the restore
        import torch
        from nemo.collections.tts import models
    except (ImportError, OSError) as error:  # OSError: a native library that cannot be loaded
        raise VoiceFailure(
            "nemo_runtime_unavailable", f"{type(error).__name__}: {error}", voice=spec.voice_profile_id
        ) from error
    return torch, models


def _restore(model_class: Any, spec: ExportSpec, source: SourceModel) -> Any:
    try:
        return model_class.restore_from(str(source.path), map_location="cpu", strict=True).eval()
    except MemoryError:
        raise VoiceFailure("out_of_memory", "restoring it", voice=spec.voice_profile_id, file=source.path) from None
    except Exception as error:  # NeMo raises whatever its parts raise
        raise VoiceFailure(
            "bundle_invalid",
            f"{model_class.__name__}.restore_from failed: {type(error).__name__}: {error}",
            voice=spec.voice_profile_id,
            file=source.path,
        ) from error


def _require_fitting(spec: ExportSpec, fastpitch: Any, hifigan: Any) -> None:
    """The two models and the text frontend must fit together. Raises VoiceFailure ``bundle_invalid``."""
    problems = []
    symbols = fastpitch.fastpitch.encoder.word_emb.num_embeddings
    if symbols != spec.vocabulary_size:
        problems.append(f"the acoustic model has {symbols} symbols, the text frontend {spec.vocabulary_size}")
    if fastpitch.fastpitch.speaker_emb is not None:
        problems.append("the acoustic model has several speakers; a bundle has one")
    ours, theirs = fastpitch.cfg.preprocessor, hifigan.cfg.preprocessor
    pairs = [("sample_rate", "sample_rate"), ("n_window_stride", "n_window_stride"), ("features", "nfilt")]
    for one, other in pairs:
        if ours.get(one) != theirs.get(other):
            problems.append(f"{one} is {ours.get(one)} in the acoustic model, {theirs.get(other)} in the vocoder")
    if problems:
        raise VoiceFailure("bundle_invalid", "; ".join(problems), voice=spec.voice_profile_id)


def _speak_torch(torch: Any, fastpitch: Any, hifigan: Any, ids: Sequence[int]) -> tuple[Array, Array]:
    """Mel [1, mels, T] and audio [1, T * hop], by the methods that a NeMo server calls."""
    mel = fastpitch.generate_spectrogram(tokens=torch.tensor([ids]), pace=1.0)
    if mel.shape[2] == 0:
        return mel.numpy(), np.zeros((1, 0), np.float32)
    return mel.numpy(), hifigan.convert_spectrogram_to_audio(spec=mel).numpy()


def _export_onnx(torch: Any, model: Any, path: Path) -> None:
    """Export one model by NeMo's own exporter, then make it fast to load, fast to run, and the same every time."""
    import onnx

    torch.manual_seed(_SEED)  # the example that is traced is drawn at random
    model.export(str(path), onnx_opset_version=OPSET)
    onnx_graph.fold(path)
    path.write_bytes(onnx_graph.plain_bytes(onnx_graph.widened(onnx.load(str(path)))))


def _compare(spec: ExportSpec, expected: Sequence[tuple[Array, Array]]) -> list[Difference]:
    """Speak every sentence in ONNX. Raises VoiceFailure ``bundle_invalid`` above the tolerance."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    options.inter_op_num_threads = 1
    acoustic, vocoder = (
        onnxruntime.InferenceSession(str(spec.output / name), options, providers=["CPUExecutionProvider"])
        for name in (ACOUSTIC_NAME, VOCODER_NAME)
    )
    differences = []
    for sentence, (mel, audio) in zip(spec.sentences, expected, strict=True):
        count = len(sentence.ids)
        inputs = {"text": np.array([sentence.ids], np.int64), "pitch": np.zeros((1, count), np.float32)}
        found = acoustic.run(["spect"], inputs | {"pace": np.ones((1, count), np.float32)})[0]
        if found.shape != mel.shape:
            raise _too_different(spec, sentence, f"mel has shape {found.shape}, torch's has {mel.shape}")
        if mel.shape[2] == 0:
            raise _too_different(spec, sentence, "the acoustic model predicts no sound at all")
        same_mel = vocoder.run(["audio"], {"spec": mel})[0].reshape(audio.shape)
        in_a_row = vocoder.run(["audio"], {"spec": found})[0].reshape(audio.shape)
        difference = Difference(
            text=sentence.text,
            symbols=count,
            frames=mel.shape[2],
            mel_max=_largest(found, mel),
            mel_mean=_mean(found, mel),
            audio_peak=float(np.max(np.abs(audio))),
            audio_max=_largest(same_mel, audio),
            audio_mean=_mean(same_mel, audio),
            speech_max=_largest(in_a_row, audio),
        )
        differences.append(difference)
        # Written so that NaN, which compares false with everything, does not pass.
        if not difference.mel_max <= spec.tolerance.mel:
            raise _too_different(spec, sentence, f"mel differs by {difference.mel_max:.3g} > {spec.tolerance.mel:g}")
        if not difference.audio_max <= spec.tolerance.audio:
            raise _too_different(
                spec, sentence, f"audio differs by {difference.audio_max:.3g} > {spec.tolerance.audio:g}"
            )
    return differences


def _too_different(spec: ExportSpec, sentence: Sentence, detail: str) -> VoiceFailure:
    return VoiceFailure(
        "bundle_invalid", f"ONNX does not speak as torch does: {sentence.text!r}: {detail}", voice=spec.voice_profile_id
    )


def _largest(one: Array, other: Array) -> float:
    return float(np.max(np.abs(one.astype(np.float64) - other)))


def _mean(one: Array, other: Array) -> float:
    return float(np.mean(np.abs(one.astype(np.float64) - other)))


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("nemo_toolkit", "onnx", "onnxruntime", "torch")}
