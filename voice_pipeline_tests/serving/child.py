"""The server, as a process of its own: python -m voice_pipeline_tests.serving.child PROJECT OPTIONS"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from voice_pipeline import clock
from voice_pipeline.serving.server import serve
from voice_pipeline.serving.speaking import Limits
from voice_pipeline.store import Store
from voice_pipeline_tests.ready_voice import NOW

if __name__ == "__main__":
    clock.now = lambda: NOW  # whenever the tests run, it is the day on which the ready voice's consent holds
    project, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    limits = Limits(**options.pop("limits", {}))
    sys.exit(serve(project, Store(project / "store"), port=0, limits=limits, **options))
