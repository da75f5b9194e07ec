"""The assets, in the order of the data's path."""

from voice_pipeline.orchestration.assets.gates import license_gate, promoted_voice
from voice_pipeline.orchestration.assets.recordings import audio_preflight, dataset_manifest
from voice_pipeline.orchestration.assets.speech import voice_bundle, voice_evaluation
from voice_pipeline.orchestration.assets.training import nemo_checkpoint, training_features

ASSETS = (
    audio_preflight,
    dataset_manifest,
    training_features,
    nemo_checkpoint,
    voice_bundle,
    voice_evaluation,
    license_gate,
    promoted_voice,
)
