"""The real-time factor of a bundle, without NeMo: the counterpart of the second half of nemo_inference.py.

    python bundle_inference.py BUNDLE THREADS REPEATS SENTENCE...

Speaks everything once to warm up, then ``REPEATS`` times, and prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from voice_pipeline.bundle.synthesizer import Synthesizer


def main(bundle: str, threads: str, repeats: str, *sentences: str) -> None:
    synthesizer = Synthesizer.load(Path(bundle), threads=int(threads))
    text = " ".join(sentences)
    speech = synthesizer.speak(text)
    seconds = []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        synthesizer.speak(text)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"spoken_seconds": speech.duration, "synthesis_seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
