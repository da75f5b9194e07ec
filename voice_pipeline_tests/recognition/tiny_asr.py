"""``python tiny_asr.py FOLDER``: a NeMo recogniser of random weights, a WAV, and what NeMo itself hears in it.

Leaves asr.nemo, clip.wav and heard.json in FOLDER. Run as a program, so that the tests' process imports no NeMo.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

RATE = 16_000


def main(folder: Path) -> None:
    import numpy as np
    import soundfile
    import torch
    from nemo.collections.asr.models import EncDecCTCModel
    from omegaconf import OmegaConf

    torch.manual_seed(3)
    torch.set_num_threads(1)
    block = {"filters": 16, "repeat": 1, "kernel": [5], "stride": [4], "dilation": [1], "dropout": 0.0}
    labels = [" ", *"abcdefghij"]
    model = EncDecCTCModel(
        OmegaConf.create(
            {
                "sample_rate": RATE,
                "labels": labels,
                "preprocessor": {
                    "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
                    "sample_rate": RATE,
                    "features": 16,
                    "normalize": "per_feature",
                    "window_size": 0.025,
                    "window_stride": 0.01,
                    "n_fft": 512,
                    "dither": 0.0,
                    "pad_to": 0,
                },
                "encoder": {
                    "_target_": "nemo.collections.asr.modules.ConvASREncoder",
                    "feat_in": 16,
                    "activation": "relu",
                    "conv_mask": True,
                    "jasper": [{**block, "residual": False, "separable": False}],
                },
                "decoder": {
                    "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
                    "feat_in": 16,
                    "num_classes": len(labels),
                    "vocabulary": labels,
                },
            }
        )
    )
    model.eval()
    times = np.arange(2 * RATE) / RATE
    samples = (0.1 * np.sin(2 * np.pi * (200 + 400 * times) * times)).astype(np.float32)
    soundfile.write(folder / "clip.wav", samples, RATE, subtype="FLOAT")
    (found,) = model.transcribe([str(folder / "clip.wav")], batch_size=1, num_workers=0, verbose=False)
    model.save_to(str(folder / "asr.nemo"))
    (folder / "heard.json").write_text(json.dumps(" ".join(getattr(found, "text", found).split())))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
