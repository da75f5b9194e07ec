"""What a person is told when a text cannot be spoken."""

from __future__ import annotations

EMPTY_TEXT = "empty_text"  # nothing in it is spoken
UNSUPPORTED_SCRIPT = "unsupported_script"  # letters that this language does not read
TEXT_TOO_LONG = "text_too_long"
TEXT_ERROR_CODES = frozenset({EMPTY_TEXT, UNSUPPORTED_SCRIPT, TEXT_TOO_LONG})


class TextError(ValueError):
    """A text that cannot be spoken. ``code`` is one of ``TEXT_ERROR_CODES``, stable for programs."""

    def __init__(self, code: str, message: str) -> None:
        if code not in TEXT_ERROR_CODES:
            raise KeyError(code)
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return (TextError, (self.code, str(self)))
