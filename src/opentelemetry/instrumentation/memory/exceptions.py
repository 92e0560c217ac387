"""The errors a caller may see."""

from __future__ import annotations


class ConfigError(ValueError):
    """A setting has a value that is not allowed; the message names it, the value and the range."""


class SourceUnavailable(Exception):  # noqa: N818 - a state of the platform, not a mistake
    """A memory source does not exist here; the message says why and what would bring it back."""
