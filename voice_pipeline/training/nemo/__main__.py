"""``python -m voice_pipeline.training.nemo SPEC.json``: train both models of a voice, or say why not."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the program; returns its exit code."""
    from voice_pipeline.training.nemo.program import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
