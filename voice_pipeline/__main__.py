"""``python -m voice_pipeline``: the same as the command ``voice-pipeline``."""

import sys

from voice_pipeline.cli import main

sys.exit(main())
