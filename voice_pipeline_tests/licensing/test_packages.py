"""The packages of the speaking path: what they are, what their metadata says, and that none is GPL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voice_pipeline.atomic import write_json
from voice_pipeline.bundle.settings import SynthesizerSettings
from voice_pipeline.failures import ConfigError
from voice_pipeline.licensing.gate import installed_frontend
from voice_pipeline.licensing.packages import (
    OWN_PACKAGE,
    PACKAGES_PATH,
    SPEAKING_ROOTS,
    Package,
    code_policy,
    load_packages_config,
    package_blockers,
    speaking_packages,
)
from voice_pipeline.licensing.policy import load_policy
from voice_pipeline_tests.conftest import PROJECT, make_project
from voice_pipeline_tests.speaking_models import HOP, MELS, write_models

# Prints the distributions of every module that speaking imported, and not the start of the interpreter.
SPEAKER = """
import sys
before = set(sys.modules)
import json
from importlib import metadata
from pathlib import Path
from voice_pipeline.bundle.synthesizer import Synthesizer, write_wav
speech = Synthesizer.load(Path(sys.argv[1])).speak("Good morning. It is $23.50 on May 3rd, 2026, said the flibberwock.")
write_wav(Path(sys.argv[1]) / "out.wav", speech)
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
owners = metadata.packages_distributions()
print(json.dumps(sorted({owner for name in loaded for owner in owners.get(name, ())})))
"""


def found(project: Path = PROJECT) -> dict[str, Package]:
    return {one.name: one for one in speaking_packages(project, load_policy(project))}


def install(folder: Path, name: str, *fields: str, version: str = "1.0") -> None:
    """A distribution as an installer leaves it, its metadata alone."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *fields, ""])
    )


def test_a_process_that_speaks_imports_the_speaking_path_and_nothing_else(tmp_path: Path) -> None:
    frontend = installed_frontend("en-US")
    assert frontend is not None
    write_models(tmp_path)
    settings = SynthesizerSettings("en-US", 22_050, HOP, MELS, len(frontend.symbol_table), frontend.identity)
    write_json(tmp_path / "synthesizer.json", settings.to_json())
    frontend.save(tmp_path / "text")
    command = [sys.executable, "-c", SPEAKER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    imported = {name.lower().replace("_", "-") for name in json.loads(done.stdout.splitlines()[-1])}
    assert imported >= {OWN_PACKAGE, "numpy", "onnxruntime"}
    assert imported <= set(found()), "a new import: add it to packages.SPEAKING_ROOTS, and look at its licence"
    assert set(SPEAKING_ROOTS) <= imported, "no longer imported: take it out of packages.SPEAKING_ROOTS"


def test_all_that_is_installed_may_run_there() -> None:
    packages = found()
    assert package_blockers(tuple(packages.values()), "dottie_default") == ()
    assert all(one.license and one.version for one in packages.values())
    assert packages["onnxruntime"].license == "MIT"
    assert packages["numpy"].told_by == "packages.yaml"  # its metadata is silent about the libraries in its wheel
    assert "LGPL-2.1-or-later" in str(packages["numpy"].license)
    assert packages["packaging"].purl.startswith("pkg:pypi/packaging@")
    assert found() == packages


GPL3 = "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)"
MIT = "Classifier: License :: OSI Approved :: MIT License"

# (what the metadata says, the verdict, what the reason says)
CASES = [
    (("License-Expression: GPL-3.0-or-later",), "unclear", "GPL code in the speaking path"),
    (("License-Expression: AGPL-3.0-only",), "unclear", "AGPL code in the speaking path"),
    (("License: GPL-2.0-only",), "unclear", "GPL code in the speaking path"),
    ((GPL3,), "unclear", "GPL code in the speaking path"),
    (("License: MIT", GPL3), "unclear", "GPL code in the speaking path"),  # the metadata contradicts itself
    (("License: MIT", "Classifier: License :: OSI Approved :: Some General Public License"), "unclear", "no single"),
    ((MIT, GPL3), "unclear", "GPL code in the speaking path"),
    (("License-Expression: MIT OR GPL-3.0-or-later",), "allowed", "MIT"),
    (("License-Expression: GPL-3.0-or-later WITH GCC-exception-3.1",), "allowed", "exception"),
    (("License-Expression: GPL-2.0-only WITH Classpath-exception-2.0",), "unclear", "GPL code"),
    (("License-Expression: LGPL-3.0-or-later",), "allowed", "anyone can replace"),
    (("License-Expression: MPL-2.0",), "allowed", "its own files"),
    (("License-Expression: CC-BY-NC-4.0",), "forbidden", "no commercial use"),
    (("License-Expression: AFL-3.0",), "unclear", "no verdict"),
    (("License-Expression: apache 2",), "unclear", "did you mean Apache-2.0?"),
    (("License: MIT License", MIT), "allowed", "MIT"),
    (("License: UNKNOWN",), "unclear", "names no licence"),
    (("Classifier: License :: OSI Approved :: BSD License",), "unclear", "no single licence"),  # which of them?
    (("License: Permission is hereby granted, free of charge" + " and more" * 40,), "unclear", "names no licence"),
    ((), "unclear", "names no licence"),
]


@pytest.mark.parametrize(("fields", "verdict", "reason"), CASES, ids=lambda value: str(value)[:60])
def test_what_metadata_says(
    fields: tuple[str, ...], verdict: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "unicode-rbnf", *fields)
    monkeypatch.syspath_prepend(tmp_path)
    one = found()["unicode-rbnf"]
    assert (one.version, one.verdict) == ("1.0", verdict)
    assert reason in one.reason


def test_gpl_code_behind_a_dependency_is_refused_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        "unicode-rbnf",
        "License-Expression: MIT",
        "Requires-Dist: Fake_GPL>=1",
        "Requires-Dist: x; extra == 'y'",
    )
    install(tmp_path, "fake-gpl", "License-Expression: GPL-3.0-only")
    monkeypatch.syspath_prepend(tmp_path)
    packages = tuple(found().values())
    assert "x" not in found()
    (blocker,) = package_blockers(packages, "dottie_default")
    assert blocker.reason == "license_unclear"
    assert blocker.detail.startswith(
        "dottie_default ← voice-pipeline ← unicode-rbnf ← fake-gpl: GPL-3.0-only: GPL code in the speaking path"
    )


def test_a_package_that_is_not_installed_is_unclear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "unicode-rbnf", "License-Expression: MIT", "Requires-Dist: nowhere-to-be-found")
    monkeypatch.syspath_prepend(tmp_path)
    (blocker,) = package_blockers(tuple(found().values()), "v")
    assert blocker.detail.endswith(
        "nowhere-to-be-found: nowhere-to-be-found is not installed, so its licence is not known"
    )


def test_an_override_counts_only_for_the_words_that_a_person_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "packaging", "License: Proprietary", version="99.0")
    monkeypatch.syspath_prepend(tmp_path)
    one = found()["packaging"]
    assert one.verdict == "unclear"
    assert "'Proprietary'" in one.reason


def test_every_name_means_a_licence_with_a_verdict() -> None:
    config, policy = load_packages_config(PROJECT), load_policy(PROJECT)
    code = code_policy(policy, config)
    written = {*config.licenses, *config.names.values(), *(one.license for one in config.packages)}
    assert {one for one in written if "no verdict" in code.decide(one).reason or code.decide(one).suggestion} == set()
    assert {key: facts for key, facts in policy.licenses.items() if "GPL" not in key and "-Open-MPI" not in key} == {
        key: facts for key, facts in code.licenses.items() if "GPL" not in key and "-Open-MPI" not in key
    }


def test_a_wrong_file_names_itself(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project / PACKAGES_PATH).write_text("packages: [{name: x}]")
    with pytest.raises(ConfigError, match=r"packages\.yaml.*declared"):
        speaking_packages(project, load_policy(project))
