"""NeMo's way: its dataset class reads each clip, makes the mel, and fills its pitch folder by librosa's pyin."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

settings = json.loads(sys.argv[1])


def main() -> None:
    from nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers import EnglishCharsTokenizer
    from nemo.collections.tts.data.dataset import TTSDataset

    audio = settings["audio"]
    Path(settings["pitch"]).mkdir(parents=True, exist_ok=True)
    dataset = TTSDataset(
        manifest_filepath=settings["manifest"],
        sample_rate=audio["sample_rate"],
        text_tokenizer=EnglishCharsTokenizer(),
        sup_data_path=settings["pitch"],
        sup_data_types=["align_prior_matrix", "pitch"],
        n_fft=audio["n_fft"],
        win_length=audio["n_fft"],
        hop_length=audio["hop"],
        n_mels=audio["mels"],
        lowfreq=audio["mel_fmin"],
        highfreq=audio["mel_fmax"],
        use_beta_binomial_interpolator=True,
        pitch_fmin=audio["pitch_fmin"],
        pitch_fmax=audio["pitch_fmax"],
    )
    dataset[0]  # the first call compiles
    begin = time.perf_counter()
    for number in range(1, len(dataset)):
        dataset[number]
    spent = (time.perf_counter() - begin) * len(dataset) / (len(dataset) - 1)
    print(json.dumps({"seconds": spent}))


main()
