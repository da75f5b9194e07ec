"""The assets, in the order of the data's path."""

from voice_pipeline.orchestration.assets.dataset import dataset_manifest
from voice_pipeline.orchestration.assets.gates import license_gate
from voice_pipeline.orchestration.assets.promotion import promoted_voice, verification
from voice_pipeline.orchestration.assets.recordings import (
    audio_preflight,
    clean_utterances,
    utterance_segments,
    utterance_texts,
)
from voice_pipeline.orchestration.assets.speech import voice_bundle, voice_evaluation
from voice_pipeline.orchestration.assets.training import nemo_checkpoint, training_features

ASSETS = (
    audio_preflight,
    utterance_segments,
    utterance_texts,
    clean_utterances,
    dataset_manifest,
    training_features,
    nemo_checkpoint,
    voice_bundle,
    voice_evaluation,
    license_gate,
    verification,
    promoted_voice,
)
