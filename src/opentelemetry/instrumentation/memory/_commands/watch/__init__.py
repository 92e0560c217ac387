"""`opentelemetry-memory watch`: one verdict for the processes of every language."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.watch.settings import (
    SETTINGS,
    WatchSettings,
    from_environment,
)

if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction
    from collections.abc import Callable

_EXIT_MISTAKE: Final = 2
_NEEDED: Final = ("grpc", "google.rpc", "opentelemetry.proto", "requests")
_DESCRIPTION: Final = """\
Receive memory metrics over OTLP, from processes of any language, judge each process, and send
process.memory.leak.risk, .growth, .time_to_exhaustion and the event process.memory.leak on, over
OTLP, attributed to the resource that they are about. Stops at SIGTERM or SIGINT, and saves its
state."""
_EPILOG: Final = """\
Each option is also a variable: MEMORY_WATCH_ and its name, such as MEMORY_WATCH_MAX_SERIES. Where
to send to is said by the usual OTEL_EXPORTER_OTLP_* variables, how often by
OTEL_METRIC_EXPORT_INTERVAL. Exit code 0 when it was told to stop, 2 when it could not start.
"""


def add_parser(commands: _SubParsersAction) -> None:  # type: ignore[type-arg] # no public type
    """Add this command's options."""
    parser = commands.add_parser(
        "watch",
        help="judge processes of any language by the metrics that they send",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for setting in SETTINGS:
        parser.add_argument(
            setting.flag,
            metavar=setting.metavar,
            type=_argument(setting.parse),
            default=argparse.SUPPRESS,
            help=f"{setting.meaning} (default: {setting.default_text})",
        )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the command and return its exit code."""
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        return _cannot(
            f"needs {', '.join(missing)}. "
            "Install it with: pip install 'opentelemetry-instrumentation-memory[watch]'"
        )
    given = {
        each.name: getattr(options, each.name) for each in SETTINGS if hasattr(options, each.name)
    }
    try:
        settings = WatchSettings(**{**from_environment(os.environ), **given})
    except ValueError as error:
        return _cannot(str(error))
    mistake = settings.mistake()
    if mistake is not None:
        return _cannot(mistake)
    return _watch(settings)


def _watch(settings: WatchSettings) -> int:
    # Only this command needs what these import.
    from opentelemetry.instrumentation.memory._commands.watch.service import watch  # noqa: PLC0415
    from opentelemetry.instrumentation.memory._commands.watch.store import (  # noqa: PLC0415
        DirectoryInUseError,
    )

    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    _warn(settings)
    try:
        watch(settings)
    except DirectoryInUseError as error:
        return _cannot(f"--state-directory {error}: another instance keeps its state there")
    except (OSError, ValueError) as error:
        return _cannot(str(error))
    return 0


def _warn(settings: WatchSettings) -> None:
    logger = logging.getLogger(__name__)
    is_open = any(
        address is not None and not address.is_loopback
        for address in (settings.grpc, settings.http)
    )
    is_guarded = settings.token_file is not None or settings.tls_client_ca is not None
    if is_open and not is_guarded:
        logger.warning("listening beyond loopback without --token-file or --tls-client-ca")
    if settings.token_file is not None and settings.tls_certificate is None and is_open:
        logger.warning("the bearer token is sent in the clear without --tls-certificate")
    if settings.state_directory is None:
        logger.warning("no --state-directory: every start begins anew")


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _cannot(why: str) -> int:
    sys.stderr.write(f"opentelemetry-memory watch: {why}\n")
    return _EXIT_MISTAKE


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser of an argument whose error says what was expected."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed
