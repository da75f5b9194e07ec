"""NeMo's own torch inference of a bundle's two .nemo files, as a server would do it: restore, parse, speak, write.

    python nemo_inference.py BUNDLE OUT.wav THREADS REPEATS SENTENCE...

Writes the first sentence as a WAV and prints ``WAV`` and the CPU's seconds up to there; the clock's seconds are taken
by whoever starts this process. Then speaks all sentences ``REPEATS`` times for the real-time factor, and prints one
line of JSON. Knows NeMo only.
"""

from __future__ import annotations

import json
import sys
import time
import wave


def main(bundle: str, output: str, threads: str, repeats: str, *sentences: str) -> None:
    import numpy as np
    import torch
    from nemo.collections.tts.models import FastPitchModel, HifiGanModel

    torch.set_num_threads(int(threads))
    fastpitch = FastPitchModel.restore_from(f"{bundle}/fastpitch.nemo", map_location="cpu").eval()
    hifigan = HifiGanModel.restore_from(f"{bundle}/hifigan.nemo", map_location="cpu").eval()
    rate = int(fastpitch.cfg.preprocessor.sample_rate)

    def speak(texts: tuple[str, ...]) -> np.ndarray:
        parts = []
        with torch.inference_mode():
            for sentence in texts:
                mel = fastpitch.generate_spectrogram(tokens=fastpitch.parse(sentence))
                parts.append(hifigan.convert_spectrogram_to_audio(spec=mel)[0].numpy())
        return np.concatenate(parts)

    samples = speak(sentences[:1])
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    print("WAV", time.process_time(), flush=True)

    samples, seconds = speak(sentences), []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        speak(sentences)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"spoken_seconds": len(samples) / rate, "synthesis_seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
