"""A Prometheus server's own answers: `query_range`, page after page."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.analyze.naming import METRICS
from opentelemetry.instrumentation.memory._commands.analyze.problems import (
    InputError,
    Problem,
    Problems,
    quoted,
)
from opentelemetry.instrumentation.memory._commands.analyze.prometheus import (
    LONGEST_ANSWER_BYTES,
    MatrixReader,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message

    from opentelemetry.instrumentation.memory._commands.sample import Labels
    from opentelemetry.instrumentation.memory.model import MemorySample

SCHEMES: Final = ("http://", "https://")
# Prometheus refuses more points a series in one answer.
LARGEST_PAGE: Final = 11_000
_TIMEOUT_SECONDS: Final = 60.0
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_EXPECTED: Final = "a Prometheus server"
ALL_METRICS: Final = "|".join(f"{each.replace('.', '_')}_bytes" for each in METRICS)
DEFAULT_QUERY: Final = f'{{__name__=~"{ALL_METRICS}"}}'


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """What to ask of which server; times in seconds since 1970."""

    url: str
    query: str
    start: float
    end: float
    step: float

    @property
    def pages(self) -> int:
        """How many answers it takes."""
        return int((self.end - self.start) / self.step) // LARGEST_PAGE + 1


def is_address(name: str) -> bool:
    """Tell whether an input is a server's address and no file."""
    return name.startswith(SCHEMES)


def without_password(url: str) -> str:
    """Return an address as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", url)


def seconds(text: str) -> float:
    """Return a duration such as 15, 90s, 5m, 6h or 2d.

    Raises:
        ValueError: It is none, or not positive.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|[smhdw])?", text)
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r}: expected a duration such as 15s, 5m, 6h or 2d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def moment(text: str) -> float:
    """Return a moment in seconds since 1970; it is given so, or as an RFC 3339 time.

    Raises:
        ValueError: It is none.
    """
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        time = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise ValueError(
            f"{text!r}: expected seconds since 1970 or a time such as 2025-05-01T12:00:00Z"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=dt.timezone.utc)).timestamp()


class Start:
    """When a range begins: at a moment, or so long before its end.

    Raises:
        ValueError: The text is neither.
    """

    def __init__(self, text: str) -> None:
        self._ago = seconds(text) if text[-1:].isalpha() and text[-1:] != "Z" else None
        self._moment = moment(text) if self._ago is None else 0.0

    def before(self, end: float) -> float:
        """Return the moment in seconds since 1970."""
        return self._moment if self._ago is None else end - self._ago


def read_server(
    query: RangeQuery, problems: Problems, on_page: Callable[[float], None]
) -> Iterator[tuple[Labels, MemorySample]]:
    """Yield the samples that a server has stored, page by page.

    Raises:
        InputError: It cannot be reached, or answers something else.
    """
    reader = MatrixReader(problems)
    for page in range(query.pages):
        start = query.start + page * LARGEST_PAGE * query.step
        end = min(start + (LARGEST_PAGE - 1) * query.step, query.end)
        yield from reader.read(_ask(query, start, end))
        on_page((page + 1) / query.pages)


class _SameHostRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0913, PLR0917 - as it is called
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message | http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            found = f"a redirection to {without_password(newurl)}"
            raise InputError(Problem(found, f"{_EXPECTED} at the address that was given"))
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _ask(query: RangeQuery, start: float, end: float) -> str:
    options = {"query": query.query, "start": start, "end": end, "step": query.step}
    opener = urllib.request.build_opener(_SameHostRedirects)
    try:
        address, headers = _address(query.url)
        target = f"{address}/api/v1/query_range?{urllib.parse.urlencode(options)}"
        request = urllib.request.Request(target, headers=headers)  # noqa: S310 - http, by is_address
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return _text(response)
    except urllib.error.HTTPError as error:
        with error:
            text = _text(error)
        if text.startswith("{"):
            return text  # Prometheus says what is wrong in the usual form
        raise InputError(Problem(f"HTTP status {error.code}", _EXPECTED)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(Problem(f"no answer ({reason})", _EXPECTED)) from error


def _text(response: IO[bytes]) -> str:
    content = response.read(LONGEST_ANSWER_BYTES + 1)
    if len(content) > LONGEST_ANSWER_BYTES:
        problem = Problem(
            f"an answer of more than {LONGEST_ANSWER_BYTES} bytes", "a query for fewer series"
        )
        raise InputError(problem)
    return content.decode("utf-8", "backslashreplace")


def _address(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without what stands before the host; that goes into a header."""
    parts = urllib.parse.urlsplit(url)
    if parts.query or parts.fragment or "/api/v1" in parts.path:
        found = quoted(without_password(url))
        raise InputError(Problem(found, "a server's address only, such as http://host:9090"))
    user, at, host = parts.netloc.rpartition("@")
    headers = {}
    if at:
        secret = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        headers["Authorization"] = f"Basic {secret}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}", headers
