"""What this instrumentation needs to be present: nothing but Python itself."""

_instruments: tuple[str, ...] = ()

_supports_metrics = True
