from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.serving.errors import ServingError
from voice_pipeline.serving.requests import SpeakRequest, parse_object, read_speak_request, trace_id_of

HASH = "ab" * 32


def refusal(value: dict[str, Any]) -> ServingError:
    with pytest.raises(ServingError) as caught:
        read_speak_request(value)
    return caught.value


def test_every_field_of_the_contract_is_read_by_its_name() -> None:
    request = read_speak_request(
        {
            "text": "Good morning.",
            "mode": "callout",
            "priority": "critical",
            "voiceProfile": "dottie_default",
            "voice_profile_id": "dottie_default",
            "format": "wav",
            "consent_asserted": True,
            "watermark_mode": "none",
            "traceId": "adapter:7",
            "missionId": "mission-1",
            "eventId": "event/2",
            "referenceAudioHash": HASH,
        }
    )
    assert (request.voice, request.pace, request.rank, request.trace_id) == ("dottie_default", 1.1, 0, "adapter:7")
    assert (request.mission_id, request.event_id, request.reference_audio_hash) == ("mission-1", "event/2", HASH)


def test_only_the_text_is_required_and_null_is_absent() -> None:
    plain = read_speak_request({"text": "Good morning."})
    assert (plain.voice, plain.pace, plain.rank) == (None, 1.0, 3)
    names = [field.alias or name for name, field in SpeakRequest.model_fields.items()]
    assert read_speak_request(dict.fromkeys(names) | {"text": "Good morning."}) == plain


@pytest.mark.parametrize("name", ["voiceProfile", "voice_profile_id"])
def test_a_voice_has_two_names(name: str) -> None:
    assert read_speak_request({"text": "Hi.", name: "ready"}).voice == "ready"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": None}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": 7}, "text"),
        ({"text": ["a"]}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "a\x1b[2J"}, "text"),
        ({"mode": "shout"}, "mode"),
        ({"mode": 1}, "mode"),
        ({"priority": "urgent"}, "priority"),
        ({"format": "mp3"}, "format"),
        ({"consent_asserted": "true"}, "consent_asserted"),
        ({"consent_asserted": 1}, "consent_asserted"),
        ({"watermark_mode": "perth"}, "watermark_mode"),
        ({"watermark_mode": True}, "watermark_mode"),
        ({"traceId": "a b"}, "traceId"),
        ({"traceId": "a\n"}, "traceId"),
        ({"missionId": "x" * 129}, "missionId"),
        ({"eventId": 3}, "eventId"),
        ({"referenceAudioHash": "beef"}, "referenceAudioHash"),
        ({"voiceProfile": "../secret"}, "voiceProfile"),
        ({"voiceProfile": "a", "voice_profile_id": "b"}, "voiceProfile"),
        ({"voice_profile": "ready"}, "voice_profile"),
        ({"trace_id": "x"}, "trace_id"),
        ({"__proto__": {}}, "__proto__"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    error = refusal({"text": "Good morning."} | change)
    assert (error.code, error.status) == ("voice_invalid_request", 400)
    assert field in error.message and field in error.details["fields"]


def test_a_refusal_never_repeats_the_text() -> None:
    for change in ({"mode": "shout"}, {"text": "the secret plan\0"}, {"traceId": "the secret plan"}):
        error = refusal({"text": "the secret plan"} | change)
        assert "secret" not in error.message + json.dumps(error.details)


@pytest.mark.parametrize(
    "asked",
    [
        {"referenceAudioHash": HASH},
        {"voiceProfile": "custom"},
        {"voiceProfile": "custom_anna"},
        {"voiceProfile": "custom:anna"},
        {"voice_profile_id": "custom-1"},
    ],
)
@pytest.mark.parametrize("consent", [None, False])
def test_a_custom_voice_needs_asserted_consent(asked: dict[str, Any], consent: bool | None) -> None:
    error = refusal({"text": "Hi.", "consent_asserted": consent} | asked)
    assert (error.code, error.status) == ("voice_consent_required", 403)


def test_a_voice_whose_name_only_begins_alike_is_no_custom_one() -> None:
    assert read_speak_request({"text": "Hi.", "voiceProfile": "customs_officer"}).voice == "customs_officer"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"text": "a", "text": "b"}', "'text' twice"),
        (b'{"text": NaN}', "NaN"),
        (b'{"text": "\xff"}', "not UTF-8"),
        (b'{"text": "\\ud800"}', "surrogate"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b"[" * 100_000, "too deeply"),
        (b'{"text": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_is_no_json_object_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        parse_object(data)
    assert caught.value.code == "voice_invalid_request"


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_refusal(data: bytes) -> None:
    try:
        value = parse_object(data)
    except ServingError as error:
        error.response().body.decode()
        return
    assert isinstance(value, dict)


NAMES = st.sampled_from(["text", "mode", "voiceProfile", "voice_profile_id", "traceId", "consent_asserted", "format"])
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=5))
def test_any_object_is_a_request_or_a_refusal_of_the_contract(value: dict[str, Any]) -> None:
    try:
        request = read_speak_request(value)
    except ServingError as error:
        assert error.code in ("voice_invalid_request", "voice_consent_required")
        error.response(trace_id_of(value)).body.decode()
        return
    assert request.text == value["text"]


def test_a_trace_id_is_echoed_when_it_is_one() -> None:
    assert trace_id_of({"traceId": "adapter:7"}) == "adapter:7"
    assert [trace_id_of({"traceId": value}) for value in (None, 7, "", "a b", "x" * 129)] == [None] * 5
