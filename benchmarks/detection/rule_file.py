"""The shipped recording rules as a judge: a real Prometheus asks them about the whole catalogue.

Every series becomes a process in a Prometheus of its own making, all of them at once. Rules are
evaluated by `promtool tsdb create-blocks-from rules`, at the file's own interval, in as many passes
as rules build upon rules, and what they recorded is then asked for.

The file's windows are of fixed length and made for one interval between samples, while those of
the catalogue are from 0.25 s to 2 h apart. So a series is stretched or shrunk until its samples are
as far apart as the file wants them. That is the file that `make_leak_rules.py` writes for that very
interval; it flatters the rules, as nobody writes one for each process. Two more judges are the
same file with samples twice as dense and half as dense as it was made for.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import yaml
from judges import truth
from scoring import NO_SEGMENTS, Opinion, Outcome, judge_run
from series import load, partition

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts import tools  # noqa: E402 - found by the line above
from scripts.make_leak_rules import DEFAULT_SAMPLE_SECONDS, ONE_WINDOW  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from series import Label, Series

JUDGE = "recording rules"
JUDGES = {
    JUDGE: DEFAULT_SAMPLE_SECONDS,
    f"{JUDGE}, {DEFAULT_SAMPLE_SECONDS / 2:g} s": DEFAULT_SAMPLE_SECONDS / 2,
    f"{JUDGE}, {DEFAULT_SAMPLE_SECONDS * 2:g} s": DEFAULT_SAMPLE_SECONDS * 2,
}
"""How far apart each of them gets the samples."""
RULES = ROOT / "collector-config" / "rules" / "leak.yaml"
VERDICT = "process_memory:rule_leak_risk"
BEGIN = 1_700_006_400  # a whole number of days and blocks
PATIENCE_SECONDS = 60
SEGMENTS = ("python_heap", "native_heap", "retained", "other_anonymous")


class RulesUnavailableError(Exception):
    """There is no Prometheus here to ask them."""


@dataclass(frozen=True)
class Server:
    """A Prometheus that has what was stored in its folder when it started."""

    prometheus: Path
    folder: Path

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Give its address on loopback, until the block is left."""
        config, log = self.folder / "prometheus.yaml", self.folder / "prometheus.log"
        config.write_text("{}")
        url = f"http://127.0.0.1:{_free_port()}"
        command = [
            self.prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'stored'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={url.removeprefix('http://')}",
        ]
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RulesUnavailableError(log.read_text(errors="replace")[-2000:])
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait()


def outcomes(labels: Sequence[Label], judge: str = JUDGE) -> list[tuple[Label, Outcome]]:
    """Return how the rules did on each of these series, stretched as a judge has them.

    Raises:
        RulesUnavailableError: Prometheus is missing, with the reason.
    """
    prometheus, promtool = (_program(name) for name in ("prometheus", "promtool"))
    every = [Stretched(load(label), JUDGES[judge]) for label in labels]
    with tempfile.TemporaryDirectory(prefix="leak-rules-") as name:
        server = Server(prometheus, Path(name))
        _store(promtool, server.folder, every)
        longest = max(each.seconds[-1] for each in every)
        for number, layer in enumerate(layers(RULES)):
            path = server.folder / f"layer-{number}.yaml"
            path.write_text(json.dumps(layer))  # JSON is YAML
            with server.running() as url:
                _record(promtool, path, url, server.folder / "stored", longest)
        with server.running() as url:
            risks = _recorded(url, longest)
    return [(each.label, _judged(each, risks.get(each.label.name, []))) for each in every]


def _program(name: str) -> Path:
    path = tools.find(tools.PROMETHEUS, name)
    if path is None:
        raise RulesUnavailableError(f"{name} is missing; `make tools` fetches it")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):  # noqa: S310 - loopback
            return True
    except OSError:
        return False


# --- the series, as the collector's exporter would have shown them --------------------------------


class Stretched:
    """A series whose samples are so far apart, typically, and begin at zero."""

    def __init__(self, series: Series, sample_seconds: float) -> None:
        times = [row.time for row in series.rows]
        typical = median(b - a for a, b in pairwise(times))
        self.series, self.rows, self.label = series, series.rows, series.label
        self.seconds = [(each - times[0]) * sample_seconds / typical for each in times]


def _points(series: Stretched) -> Iterator[tuple[str, str, list[int | None]]]:
    """Yield metric, further labels and values, at every sample, of what is known of a process."""
    rows = series.rows
    yield "process_memory_usage_bytes", "", [row.rss for row in rows]
    yield "process_memory_limit_bytes", "", [row.limit for row in rows]
    if any(row.heap_used is not None or row.native_used is not None for row in rows):
        parts = [partition(row) for row in rows]
        for segment in SEGMENTS:
            values = [getattr(each, f"{segment}_bytes") for each in parts]
            yield "process_memory_resident_bytes", f',process_memory_segment="{segment}"', values


def _open_metrics(every: Sequence[Stretched]) -> Iterator[str]:
    metrics: dict[str, list[str]] = {}
    for series in every:
        for metric, further, values in _points(series):
            of = f'{{service_name="catalogue",service_instance_id="{series.label.name}"{further}}}'
            metrics.setdefault(metric, []).extend(
                f"{metric}{of} {value} {BEGIN + second:.3f}"
                for second, value in zip(series.seconds, values, strict=True)
                if value is not None
            )
    for metric, lines in metrics.items():
        yield f"# TYPE {metric} gauge"
        yield from lines
    yield "# EOF\n"


def _store(promtool: Path, folder: Path, every: Sequence[Stretched]) -> None:
    path = folder / "catalogue.txt"
    path.write_text("\n".join(_open_metrics(every)))
    _run(promtool, "tsdb", "create-blocks-from", "openmetrics", path, folder / "stored")


# --- the rules ------------------------------------------------------------------------------------


def layers(path: Path) -> list[dict[str, Any]]:
    """Return the recording rules up to the verdict, split so that none reads from its own file."""
    groups = yaml.safe_load(path.read_text())["groups"]
    rules = [(group, rule) for group in groups for rule in group["rules"] if "record" in rule]
    depth: dict[str, int] = {}
    split: dict[int, list[Any]] = {}
    for _, rule in rules:
        read = set(re.findall(r"process_memory:\w+(?::\w+)?", rule["expr"]))
        own = 1 + max((depth[each] for each in read), default=-1)
        name = rule["record"]
        depth[name] = max(own, depth.get(name, 0))
        split.setdefault(own, []).append(rule)
    interval = rules[0][0]["interval"]
    return [
        {"groups": [{"name": f"layer {number}", "interval": interval, "rules": split[number]}]}
        for number in range(depth[VERDICT] + 1)
    ]


def _record(promtool: Path, rules: Path, url: str, stored: Path, seconds: float) -> None:
    """Evaluate the rules of a file over all that is stored, and store what they record."""
    period = (f"--start={BEGIN}", f"--end={BEGIN + round(seconds)}")
    every = f"--eval-interval={DEFAULT_SAMPLE_SECONDS:g}s"
    _run(
        promtool, "tsdb", "create-blocks-from", "rules",
        *period, every, f"--url={url}", f"--output-dir={stored}", rules,
    )  # fmt: skip


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RulesUnavailableError(f"{' '.join(map(str, command[:4]))}: {done.stderr[-2000:]}")


def _recorded(url: str, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Return what was recorded of each process: seconds from the beginning, and the risk."""
    query = {"query": f"{VERDICT}[{round(seconds) + 1}s]", "time": BEGIN + round(seconds)}
    address = f"{url}/api/v1/query?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as response:  # noqa: S310
        answer = json.load(response)
    return {
        each["metric"]["service_instance_id"]: [(at - BEGIN, float(v)) for at, v in each["values"]]
        for each in answer["data"]["result"]
    }


# --- their opinions -------------------------------------------------------------------------------


def _judged(series: Stretched, risks: list[tuple[float, float]]) -> Outcome:
    """Judge what the rules had last said when each sample came."""
    opinions, heard, latest = [], iter([*risks, (float("inf"), 0.0)]), 0.0
    upcoming = next(heard)
    for row, second in zip(series.rows, series.seconds, strict=True):
        while upcoming[0] <= second:
            latest, upcoming = upcoming[1], next(heard)
        opinions.append((row.time, Opinion(latest >= ONE_WINDOW, latest, NO_SEGMENTS)))
    return judge_run(truth(series.series), opinions)
