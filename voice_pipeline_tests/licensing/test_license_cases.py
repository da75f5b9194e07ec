"""What an attorney would say: one row a case, as somebody wrote it, read against the licence's own text.

The question is always the same: may a voice that is trained with weights or recordings under this be sold, and what is
owed? Duties: A name the authors, S hand on under the same licence, N may not be handed on itself.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.licensing.evidence import share_alike_blockers
from voice_pipeline.licensing.policy import Policy, load_policy

PROJECT = Path(__file__).parents[2]
YES, NO, ASK = "allowed", "forbidden", "unclear"


@cache
def policy() -> Policy:
    return load_policy(PROJECT)


class Case(NamedTuple):
    written: str
    verdict: str
    duties: str
    why: str


# fmt: off
LICENCES = [
    # -- permissive
    Case("Apache-2.0",           YES, "A",  "section 4: keep licence, notices and NOTICE, state changes"),
    Case("apache-2.0",           YES, "A",  "SPDX ids are compared without regard to case"),
    Case("MIT",                  YES, "A",  "the notice shall be included in all copies"),
    Case("MIT-0",                YES, "",   "MIT without the sentence on the notice"),
    Case("BSD-2-Clause",         YES, "A",  "clause 2: the notice in the documentation"),
    Case("BSD-3-Clause",         YES, "A",  "and no endorsement by name"),
    Case("BSD-3-Clause-Clear",   YES, "A",  "grants no patents, forbids nothing else"),
    Case("BSD-4-Clause",         ASK, "A",  "clause 3 reaches all advertising of the voice"),
    Case("0BSD",                 YES, "",   "no condition at all"),
    Case("ISC",                  YES, "A",  "the notice appears in all copies"),
    Case("BSL-1.0",              YES, "A",  "the Boost licence"),
    Case("BUSL-1.1",             ASK, "A",  "the Business Source License: no production use before the change date"),
    Case("Unlicense",            YES, "",   "a dedication to the public domain"),
    Case("WTFPL",                YES, "",   "do what you want"),
    Case("LicenseRef-OpenMDW-1.0", YES, "A", "permissive licence for models: keep the agreement and notices"),
    # -- public domain and data
    Case("CC0-1.0",              YES, "",   "waives all rights"),
    Case("CC-PDM-1.0",           YES, "",   "LibriVox, LJ Speech: free of known rights"),
    Case("ODC-By-1.0",           YES, "A",  "section 4.2: keep the notice of the database"),
    Case("CDLA-Permissive-2.0",  YES, "A",  "share the text with the data"),
    Case("CDLA-Sharing-1.0",     YES, "A",  "3.5: results are free of it; the sharing is about the data itself"),
    Case("ODbL-1.0",             ASK, "AS", "is a voice a produced work (4.3) or a derivative database (4.4)?"),
    # -- Creative Commons
    Case("CC-BY-1.0",            YES, "A",  "attribution alone"),
    Case("CC-BY-2.5",            YES, "A",  "attribution alone"),
    Case("CC-BY-3.0",            YES, "A",  "attribution alone"),
    Case("CC-BY-4.0",            YES, "A",  "3(a): name, link, say what was changed (LibriTTS, VCTK)"),
    Case("CC-BY-SA-3.0",         YES, "AS", "4(b): adaptations under this or a later version (Asterisk's sounds)"),
    Case("CC-BY-SA-4.0",         YES, "AS", "3(b): the adapter's licence is this or a compatible one"),
    Case("CC-BY-NC-3.0",         NO,  "A",  "4(b): not for commercial advantage"),
    Case("CC-BY-NC-4.0",         NO,  "A",  "NonCommercial (MMS, F5-TTS, Emilia)"),
    Case("CC-BY-NC-SA-4.0",      NO,  "AS", "NonCommercial (Fish Speech, Spark-TTS)"),
    Case("CC-BY-NC-ND-4.0",      NO,  "AN", "NonCommercial and no adapted material shared"),
    Case("CC-BY-ND-4.0",         NO,  "AN", "commercial use, but no adapted material may be shared"),
    # -- copyleft
    Case("MPL-2.0",              YES, "AS", "3.1: modified files stay under it"),
    Case("LGPL-2.1-only",        ASK, "AS", "what is linking, for weights?"),
    Case("LGPL-3.0-or-later",    ASK, "AS", "the same"),
    Case("GPL-2.0-only",         ASK, "AS", "is a fine-tuned voice a work based on the program?"),
    Case("GPL-3.0",              ASK, "AS", "former id of GPL-3.0-only"),
    Case("GPL-3.0+",             ASK, "AS", "former id of GPL-3.0-or-later"),
    Case("AGPL-3.0-only",        ASK, "AS", "section 13 reaches a voice that is only served (ChatTTS's code)"),
    # -- written for models
    Case("LicenseRef-BigScience-OpenRAIL-M",              ASK, "A",  "use restrictions flow down to every user"),
    Case("LicenseRef-BigScience-BLOOM-RAIL-1.0",          ASK, "A",  "the same, of BLOOM (RAIL 1.0)"),
    Case("LicenseRef-BigCode-OpenRAIL-M",                 ASK, "A",  "the same"),
    Case("LicenseRef-CreativeML-OpenRAIL-M",              ASK, "A",  "the same, attachment A"),
    Case("LicenseRef-CreativeML-OpenRAIL-PlusPlus-M",     ASK, "A",  "the same"),
    Case("LicenseRef-Coqui-Public-Model-License-1.0.0",   NO,  "A",  "XTTS: non-commercial, its outputs too"),
    Case("LicenseRef-NVIDIA-Open-Model-License",          YES, "A",  "commercial use, derivatives; keep the notice"),
    Case("LicenseRef-NVIDIA-Source-Code-License-NC",      NO,  "A",  "3.3: non-commercial"),
    Case("LicenseRef-NGC-Terms-Of-Use",                   ASK, "N",  "the catalogue's terms grant no redistribution"),
    Case("LicenseRef-Llama-2-Community",                  ASK, "A",  "700 million users, no training of other models"),
    Case("LicenseRef-Llama-3-Community",                  ASK, "A",  "the same"),
    Case("LicenseRef-Llama-3.1-Community",                ASK, "A",  "700 million users, the name begins with Llama"),
    Case("LicenseRef-Gemma-Terms",                        ASK, "A",  "its restrictions may be changed at any time"),
    Case("LicenseRef-Stability-AI-Community",             ASK, "A",  "free below a yearly revenue"),
    Case("LicenseRef-Fish-Audio-Research",                NO,  "A",  "research and non-commercial"),
    Case("LicenseRef-Research-Only",                      NO,  "N",  "Lessac, Blizzard 2013, and Piper's voices of it"),
    Case("LicenseRef-Non-Commercial",                     NO,  "N",  "in words of its own"),
    Case("LicenseRef-LDC-User-Agreement-Non-Member",      NO,  "N",  "non-commercial linguistic research"),
    Case("PolyForm-Noncommercial-1.0.0",                  NO,  "A",  "for any noncommercial purpose"),
    Case("LicenseRef-Proprietary-Own-Recording",          YES, "N",  "one's own; the consent is another gate"),
    Case("LicenseRef-Proprietary-Own-Weights",            YES, "",   "one's own model; its lineage is judged apart"),
]

EXPRESSIONS = [
    Case("MIT OR CC-BY-NC-4.0",                     YES, "A",  "one may choose MIT"),
    Case("CC-BY-NC-4.0 OR MIT",                     YES, "A",  "in either order"),
    Case("CC-BY-SA-4.0 OR CC0-1.0",                 YES, "",   "of two that allow, one takes the one that asks less"),
    Case("GPL-3.0-only OR Apache-2.0",              YES, "A",  "dual licensed"),
    Case("CC-BY-NC-4.0 OR GPL-3.0-only",            ASK, "AS", "better a question than a no"),
    Case("MIT AND CC-BY-NC-4.0",                    NO,  "A",  "both bind: code MIT, weights non-commercial"),
    Case("Apache-2.0 AND CC-BY-SA-4.0",             YES, "AS", "both bind, so that the sharing does"),
    Case("CC0-1.0 AND MIT",                         YES, "A",  "the duties of both"),
    Case("MIT AND LicenseRef-NGC-Terms-Of-Use",     ASK, "AN", "the worst of both"),
    Case("MIT AND GPL-3.0-only",                    ASK, "AS", "the worst of both"),
    Case("MIT AND BSD-3-Clause OR CC-BY-NC-4.0",    YES, "A",  "AND binds stronger than OR"),
    Case("MIT AND (BSD-3-Clause OR CC-BY-NC-4.0)",  YES, "A",  "choose BSD"),
    Case("CC-BY-NC-4.0 AND (MIT OR Apache-2.0)",    NO,  "A",  "no choice heals the first"),
    Case("(MIT OR GPL-2.0-only) AND (Apache-2.0 OR AGPL-3.0-only)", YES, "A", "choose twice"),
    Case("mit or apache-2.0",                       YES, "A",  "small letters, plain meaning"),
    Case("Apache-2.0 WITH LLVM-exception",          YES, "A",  "the exception only lifts duties"),
    Case("GPL-2.0-only WITH Classpath-exception-2.0", ASK, "AS", "it frees linking, which weights are not"),
    Case("CC-BY-NC-4.0 WITH LLVM-exception",        NO,  "A",  "no exception of SPDX allows what NC forbids"),
    Case("Apache-2.0+",                             YES, "A",  "or later: choose this one"),
    Case("MIT OR LicenseRef-Somebody",              YES, "A",  "whatever the other is, one may choose MIT"),
    Case("MIT AND LicenseRef-Somebody",             ASK, "AN", "whatever the other is, it binds"),
    Case("CC-BY-NC-4.0 AND LicenseRef-Somebody",    NO,  "AN", "whatever the other is, NC binds"),
    Case("LicenseRef-MIT-Bootstrap",                ASK, "N",  "a name of somebody's own is not MIT"),
    Case("AFL-3.0",                                 ASK, "N",  "known to SPDX, but nobody here has read it"),
]

# what is written, and words of the answer
UNREADABLE = [
    ("",                              "no licence is given"),
    ("   ",                           "no licence is given"),
    ("NONE",                          "all rights are reserved"),
    ("NOASSERTION",                   "did not look"),
    ("unknown",                       "names no licence"),
    ("Other",                         "names no licence"),
    ("n/a",                           "names no licence"),
    ("UNLICENSED",                    "the Unlicense is another thing"),
    ("All rights reserved",           "nothing is licensed"),
    ("proprietary",                   "LicenseRef-Proprietary-Own-Recording"),
    ("cc",                            "a family of licences"),
    ("apache 2.0",                    "did you mean Apache-2.0?"),
    ("Apache License, Version 2.0",   "did you mean Apache-2.0?"),
    ("MIT License",                   "did you mean MIT?"),
    ("BSD",                           "did you mean BSD-3-Clause?"),
    ("BSL 1.1",                       "did you mean BUSL-1.1?"),
    ("GPLv3",                         "did you mean GPL-3.0-only?"),
    ("GPL",                           "did you mean GPL-1.0-or-later?"),
    ("CC BY-NC 4.0",                  "did you mean CC-BY-NC-4.0?"),
    ("CC-BY-NC",                      "did you mean CC-BY-NC-4.0?"),
    ("Apache-2.0 (non-commercial)",   "did you mean LicenseRef-Non-Commercial?"),
    ("public domain",                 "did you mean CC-PDM-1.0?"),
    ("research only",                 "did you mean LicenseRef-Research-Only?"),
    ("CPML",                          "did you mean LicenseRef-Coqui-Public-Model-License-1.0.0?"),
    ("openrail",                      "did you mean LicenseRef-BigScience-OpenRAIL-M?"),
    ("creativeml-openrail-m",         "did you mean LicenseRef-CreativeML-OpenRAIL-M?"),
    ("llama3.1",                      "did you mean LicenseRef-Llama-3.1-Community?"),
    ("gemma",                         "did you mean LicenseRef-Gemma-Terms?"),
    ("LicenseRef-NVIDIA-Open-Model",  "did you mean LicenseRef-NVIDIA-Open-Model-License?"),
    ("MIT OR",                        "a licence is missing after OR"),
    ("AND MIT",                       "a licence is missing before AND"),
    ("MIT WITH",                      "a licence is missing after WITH"),
    ("(MIT",                          "the brackets do not match"),
    ("MIT)",                          "the brackets do not match"),
    ("()",                            "no licence in the brackets"),
    ("MIT/Apache-2.0",                "write AND between the licences where both hold, OR where one may choose"),
    ("MIT, Apache-2.0",               "write AND between the licences"),
    ("MIT Apache-2.0",                "write AND between the licences"),
    ("LLVM-exception",                "an exception stands after WITH"),
    ("MIT WITH Apache-2.0",           "no SPDX expression"),
    ("foo OR MIT",                    "'foo' is no SPDX expression"),
    ("see the website",               "no SPDX expression"),
    ("МIT",                           "U+041C (CYRILLIC CAPITAL LETTER EM)"),
    ("MIT\u200b",                     "U+200B (ZERO WIDTH SPACE)"),
    ("Apache‑2.0",                    "U+2011 (NON-BREAKING HYPHEN)"),
    ("MIT AND " * 100 + "MIT",        "longer than 500 characters"),
    ("(" * 240 + "MIT",               "the brackets do not match"),
]

# the voice's licence, the shipped parts, what is said (None: nothing is)
SHARE_ALIKE = [
    (None,            ["MIT", "CC-BY-4.0"],             None),                          # nobody asks
    (None,            ["CC-BY-SA-4.0 OR MIT"],          None),                          # one chooses MIT
    ("CC-BY-SA-3.0",  ["CC-BY-SA-3.0"],                 None),
    ("CC-BY-SA-4.0",  ["CC-BY-SA-3.0"],                 None),                          # 3.0, 4(b): a later version
    ("CC-BY-SA-4.0",  ["CC-BY-SA-3.0", "CC-BY-SA-4.0"], None),
    ("cc-by-sa-4.0",  ["CC-BY-SA-4.0"],                 None),
    ("CC-BY-SA-3.0",  ["CC-BY-SA-4.0"],                 "set license: CC-BY-SA-4.0"),   # never an earlier one
    ("CC-BY-SA-2.0",  ["CC-BY-SA-1.0"],                 "set license: CC-BY-SA-1.0"),   # 1.0 knows no later version
    ("CC-BY-4.0",     ["CC-BY-SA-4.0"],                 "the voice's license is CC-BY-4.0"),
    ("MIT",           ["CC-BY-SA-3.0"],                 "the voice's license is MIT"),
    ("CC-BY-SA-4.0 OR MIT", ["CC-BY-SA-4.0"],           "set license"),                 # who takes MIT shares nothing
    (None,            ["CC-BY-SA-3.0"],                 "names no licence"),
    ("apache 2.0",    ["MIT"],                          "did you mean Apache-2.0?"),    # nobody could read it
    ("LicenseRef-Ours", ["MIT"],                        None),                          # terms of one's own
    ("LicenseRef-Ours", ["CC-BY-SA-4.0"],               "set license"),
    (None,            ["CC-BY-SA-1.0", "CC-BY-SA-4.0"], "contradict each other"),
    ("CC-BY-SA-4.0",  ["CC-SA-1.0", "CC-BY-SA-4.0"],    "contradict each other"),
    ("GPL-2.0-only",  ["GPL-2.0-only", "CC-BY-SA-4.0"], "contradict each other"),
    ("GPL-3.0-only",  ["GPL-3.0-only", "CC-BY-SA-4.0"], None),                          # 4.0's compatible licence
    (None,            ["GPL-2.0-only AND CC-BY-SA-4.0"], "contradict each other"),      # within one part
]
# fmt: on


@pytest.mark.parametrize("case", [*LICENCES, *EXPRESSIONS], ids=lambda case: case.written)
def test_reading_of_the_text(case: Case) -> None:
    decision = policy().decide(case.written)
    duties = "A" * decision.attribution + "S" * decision.share_alike + "N" * (not decision.redistribution)
    assert (decision.verdict, duties) == (case.verdict, case.duties), case.why


@pytest.mark.parametrize(("written", "told"), UNREADABLE, ids=lambda value: repr(value)[:40])
def test_what_names_no_licence_is_answered_in_clear_words(written: str, told: str) -> None:
    decision = policy().decide(written)
    assert decision.verdict == "unclear"
    assert told in decision.reason
    assert not decision.redistribution


@pytest.mark.parametrize(("voice_license", "shipped", "told"), SHARE_ALIKE)
def test_share_alike(voice_license: str | None, shipped: list[str], told: str | None) -> None:
    parts = [(f"part {number}", expression) for number, expression in enumerate(shipped)]
    blockers = share_alike_blockers(voice_license, parts, policy())
    assert [blocker.reason for blocker in blockers] == ([] if told is None else ["license_unclear"])
    assert told is None or told in blockers[0].detail


share_alike = st.lists(
    st.sampled_from([key for key, facts in policy().licenses.items() if facts.share_alike] + ["MIT", "CC-BY-4.0"]),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(share_alike)
def test_what_is_advised_helps(shipped: list[str]) -> None:
    """Every licence that a blocker tells to set is accepted; where it tells none, no licence would be."""
    parts = [(f"part {number}", expression) for number, expression in enumerate(shipped)]
    blockers = share_alike_blockers(None, parts, policy())
    if not blockers:
        assert not any(policy().decide(expression).share_alike for expression in shipped)
    elif "contradict" in blockers[0].detail:
        assert all(share_alike_blockers(key, parts, policy()) for key in policy().licenses)
    else:
        advised = blockers[0].detail.split("set license: ")[1].removesuffix(" in its config").split(" or ")
        assert all(share_alike_blockers(key, parts, policy()) == () for key in advised)


def test_the_table_is_as_long_as_promised_and_holds_nothing_twice() -> None:
    written = [*(case.written for case in (*LICENCES, *EXPRESSIONS)), *(text for text, _ in UNREADABLE)]
    assert len(written) == len(set(written)) >= 60


def test_every_license_of_the_policy_is_a_choice_of_its_own() -> None:
    """No word that names no licence hides one, and what is suggested can be written."""
    known = policy()
    for key, facts in known.licenses.items():
        assert known.decide(key).verdict == facts.verdict, key
    for name, key in known.names.items():
        assert known.decide(name).suggestion == key, name
