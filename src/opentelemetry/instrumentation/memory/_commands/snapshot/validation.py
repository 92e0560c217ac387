"""Holds a value against a JSON Schema: the part of the language that our own schema uses.

The command line works where the library for all of it is not installed.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYWORDS: Final = frozenset(
    (
        *("type", "const", "enum", "minimum", "maximum", "maxLength", "pattern", "maxItems"),
        *("properties", "required", "items", "anyOf", "$ref"),
    )
)
"""Those that constrain; others are descriptions."""


class Mismatch(Exception):  # noqa: N818 - found in a file, not raised at the user
    """A value is not what the schema says.

    Attributes:
        field: Where, such as `history[3].resident_bytes`; empty for the whole document.
    """

    def __init__(self, field: str, found: str, expected: str) -> None:
        where = f"{field}: " if field else ""
        super().__init__(f"{where}found {found}, expected {expected}")
        self.field = field


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """Return when the value is valid.

    Raises:
        Mismatch: It is not; the first place is told.
    """
    _check(value, schema, "", schema.get("$defs", {}))


def _check(
    value: Any, schema: Mapping[str, Any], field: str, definitions: Mapping[str, Any]
) -> None:
    if "$ref" in schema:
        _check(value, definitions[schema["$ref"].rpartition("/")[2]], field, definitions)
    if "anyOf" in schema:
        _check_any(value, schema["anyOf"], field, definitions)
    expected = _expected(value, schema)
    if expected is not None:
        raise Mismatch(field, _found(value), expected)
    if isinstance(value, dict):
        _check_fields(value, schema, field, definitions)
    elif isinstance(value, list) and "items" in schema:
        for index, each in enumerate(value):
            _check(each, schema["items"], f"{field}[{index}]", definitions)


def _check_fields(
    value: dict[str, Any], schema: Mapping[str, Any], field: str, definitions: Mapping[str, Any]
) -> None:
    for name in schema.get("required", ()):
        if name not in value:
            raise Mismatch(_joined(field, name), "nothing", "this field")
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            _check(value[name], inner, _joined(field, name), definitions)


def _check_any(
    value: Any, choices: list[Mapping[str, Any]], field: str, definitions: Mapping[str, Any]
) -> None:
    # Of a value that fits none, the mistake within the last one is told.
    if not any(_is_valid(value, each, definitions) for each in choices[:-1]):
        _check(value, choices[-1], field, definitions)


def _is_valid(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    try:
        _check(value, schema, "", definitions)
    except Mismatch:
        return False
    return True


def _expected(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return what the schema expects instead of this value itself, or None when it is allowed."""
    for keyword, is_met, words in _RULES:
        if keyword in schema and not is_met(value, schema[keyword]):
            return words(schema[keyword])
    return None


def _has_type(value: Any, names: str | list[str]) -> bool:
    return any(_TYPES[name](value) for name in ([names] if isinstance(names, str) else names))


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and (isinstance(value, int) or math.isfinite(value))


_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and value == int(value),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}

_WORDS: Final = {
    "null": "null",
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}


def _type_words(names: str | list[str]) -> str:
    return " or ".join(_WORDS[name] for name in ([names] if isinstance(names, str) else names))


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


_RULES: Final[tuple[tuple[str, Callable[[Any, Any], bool], Callable[[Any], str]], ...]] = (
    ("type", _has_type, _type_words),
    ("const", _same, str),
    (
        "enum",
        lambda value, allowed: any(_same(value, each) for each in allowed),
        lambda allowed: "one of " + ", ".join("null" if each is None else each for each in allowed),
    ),
    (
        "minimum",
        lambda value, least: not _is_number(value) or value >= least,
        lambda least: f"at least {least}",
    ),
    (
        "maximum",
        lambda value, most: not _is_number(value) or value <= most,
        lambda most: f"at most {most}",
    ),
    (
        "maxLength",
        lambda value, most: not isinstance(value, str) or len(value) <= most,
        lambda most: f"at most {most} characters",
    ),
    (
        "pattern",
        lambda value, pattern: not isinstance(value, str) or re.search(pattern, value) is not None,
        lambda pattern: f"text that matches {pattern}",
    ),
    (
        "maxItems",
        lambda value, most: not isinstance(value, list) or len(value) <= most,
        lambda most: f"at most {most} entries",
    ),
)


def _joined(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _found(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value)
