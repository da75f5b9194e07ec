"""Old Pythons unpack a .nemo as new ones do."""

from __future__ import annotations

import subprocess
import sys

import pytest

OLD_PYTHON = """
import io, sys, tarfile
del tarfile.data_filter                       # as before Python 3.11.4
from voice_pipeline.nemo_archive import give_extraction_filters
give_extraction_filters()
import tarfile as seen
assert seen is not tarfile
data = io.BytesIO()
with seen.open(fileobj=data, mode="w") as archive:
    archive.addfile(seen.TarInfo("../out"), io.BytesIO())
data.seek(0)
with seen.open(fileobj=data) as archive:
    try:
        archive.extract("../out", sys.argv[1], filter="data")
    except seen.OutsideDestinationError:
        print("refused")
"""


def test_an_old_python_gets_extraction_filters(tmp_path: object) -> None:
    pytest.importorskip("backports.tarfile")
    done = subprocess.run([sys.executable, "-c", OLD_PYTHON, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
