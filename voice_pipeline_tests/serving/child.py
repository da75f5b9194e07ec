"""The server, as a process of its own: python -m voice_pipeline_tests.serving.child PROJECT OPTIONS"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

from voice_pipeline.promotion import verification
from voice_pipeline.serving.server import serve
from voice_pipeline.serving.speaking import Limits
from voice_pipeline.store import Store
from voice_pipeline_tests.ready_voice import TODAY


class TestsDay(date):
    """The day on which the ready voice's consent holds, whenever the tests run."""

    @classmethod
    def today(cls) -> TestsDay:
        return cls(TODAY.year, TODAY.month, TODAY.day)


if __name__ == "__main__":
    verification.date = TestsDay  # type: ignore[attr-defined, misc]
    project, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    limits = Limits(**options.pop("limits", {}))
    sys.exit(serve(project, Store(project / "store"), port=0, limits=limits, today=lambda: TODAY, **options))
