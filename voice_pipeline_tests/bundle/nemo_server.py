"""What a NeMo server does with a bundle: restore both models, speak. Knows NeMo only, nothing of this project.

    python nemo_server.py BUNDLE TEXT OUT.npz [EXPORT_SPEC.json]

Writes ids [N], mel [80, T] and audio [T * 256]. With a spec it also runs the export program once more, in this
process, because NeMo's import is what costs.
"""

from __future__ import annotations

import sys


def main(bundle: str, text: str, output: str, *export_spec: str) -> int:
    import numpy as np
    import torch
    from nemo.collections.tts.models import FastPitchModel, HifiGanModel

    torch.set_num_threads(1)
    fastpitch = FastPitchModel.restore_from(f"{bundle}/fastpitch.nemo", map_location="cpu").eval()
    hifigan = HifiGanModel.restore_from(f"{bundle}/hifigan.nemo", map_location="cpu").eval()
    with torch.inference_mode():
        ids = fastpitch.parse(text)
        mel = fastpitch.generate_spectrogram(tokens=ids)
        audio = hifigan.convert_spectrogram_to_audio(spec=mel)
    np.savez(output, ids=ids[0].numpy(), mel=mel[0].numpy(), audio=audio[0].numpy())
    strangers = [name for name in sys.modules if name.startswith("voice_pipeline")]
    if strangers:
        raise SystemExit(f"a NeMo server has no {strangers[0]}")
    if not export_spec:
        return 0

    from voice_pipeline.bundle.export import main as export

    return export(list(export_spec))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
