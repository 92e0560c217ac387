"""Write the recording rules that approximate the leak verdict: collector-config/rules/leak.yaml.

    python scripts/make_leak_rules.py > collector-config/rules/leak.yaml
    python scripts/make_leak_rules.py --sample-seconds 15 > leak-15s.yaml

PromQL has windows of fixed length only, and what is enough evidence depends on how many samples
there are. So every window of the file is so many samples long, and this is the only parameter.
"""
# ruff: noqa: E501 - the lines of the file that it writes

from __future__ import annotations

import argparse
import sys
from string import Template

DEFAULT_SAMPLE_SECONDS = 60.0
"""So far apart do SDKs export unless told otherwise (OTEL_METRIC_EXPORT_INTERVAL)."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 3600.0
BLOCKS_A_WINDOW = 6
BLOCK_SAMPLES = (40, 80, 160, 320)
"""A floor is that of a block; six blocks make a window, and each window gives an opinion."""
MEMORY_SAMPLES = 7680
"""For so long a rise that was given back is remembered."""

# By how many windows agree: the share of such moments that were in a leak, in the tuning half of
# benchmarks/detection. Two and more are one class.
ONE_WINDOW, MORE_WINDOWS = 0.84, 0.96

SERVICE = "service_namespace, service_name"
VERSION = f"{SERVICE}, service_version"
PROCESS = f"{VERSION}, service_instance_id, k8s_namespace_name, k8s_pod_name"


def duration(seconds: float) -> str:
    """Return a Prometheus duration: whole milliseconds in the largest unit that is exact."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


HEAD = Template("""\
# The leak verdict by recording rules alone, for Prometheus, Mimir, Thanos and VictoriaMetrics: an approximation for
# processes of any language whose memory metrics arrive, where neither the process nor a watch beside it judges itself.
# Names as the collector's Prometheus exporter makes them (with languages.yaml); no rule needs `job` or `instance`.
#
# Made by scripts/make_leak_rules.py for one sample in $sample; SDKs export once a minute unless told otherwise. With denser
# samples it finds less and errs less, with sparser ones it errs more. For services that export every 15 s, say:
#
#   python scripts/make_leak_rules.py --sample-seconds 15 > leak.yaml
#
# Checked by:
#
#   promtool check rules leak.yaml && promtool test rules leak_test.yaml
#
# What it can and cannot tell, and how often it is right, is in docs/leak-rules.md.

groups:
  - name: process-memory-leak-by-rule
    # In order: each rule reads what those above it have recorded.
    interval: $sample
    rules:
      # --- levels: one series for each part of a process that can leak, whatever scope or scrape it came by
      - record: process_memory:part_bytes:max
        expr: |
          max by ($process, process_memory_segment) (
            process_memory_resident_bytes{process_memory_segment=~"python_heap|native_heap|other_anonymous"}
          )
          or label_replace(
            max by ($process) (process_runtime_memory_heap_used_bytes)
            unless on ($process) process_memory_resident_bytes,
            "process_memory_segment", "heap", "", ""
          )
          or label_replace(
            max by ($process) (process_runtime_memory_external_bytes)
            unless on ($process) process_memory_resident_bytes,
            "process_memory_segment", "external", "", ""
          )
          # Only where nothing says what is outside the heap.
          or label_replace(
            max by ($process) (process_memory_usage_bytes)
            unless on ($process) process_memory_resident_bytes
            unless on ($process) process_runtime_memory_external_bytes,
            "process_memory_segment", "resident", "", ""
          )
      - record: process_memory:whole_bytes:max
        expr: |
          max by ($process) (process_memory_usage_bytes)
          or sum by ($process) (process_memory:part_bytes:max)
      - record: process_memory:headroom_bytes:min
        expr: |
          clamp_min(
            min by ($process) (
              label_replace(
                max by ($process) (process_memory_limit_bytes)
                - max by ($process) (process_memory_usage_bytes),
                "of", "process", "", ""
              )
              or label_replace(
                max by ($process) (process_runtime_memory_heap_limit_bytes)
                - max by ($process) (process_runtime_memory_heap_used_bytes),
                "of", "heap", "", ""
              )
            ),
            0
          )
      - record: process_memory:up_seconds
        expr: time() - min_over_time(timestamp(process_memory:whole_bytes:max)[$day:$block])

      # --- floors: what was never given back within a block; longer blocks are made of the shortest
      - record: process_memory:part_bytes:min$block
        expr: min_over_time(process_memory:part_bytes:max[$block])
""")

LONGER_FLOOR = Template("""\
      - record: process_memory:part_bytes:min$block
        expr: min_over_time(process_memory:part_bytes:min$shortest[$rest:$fine])
""")

HIGHEST = Template("""\
      # So long is remembered what was given back.
      - record: process_memory:part_bytes:highest$memory
        expr: max_over_time(process_memory:part_bytes:min$shortest[$memory:$shortest])
""")

WINDOW = Template("""
      # --- a window of $window: six floors of $block
      - record: process_memory:part_bytes:step$block
        expr: process_memory:part_bytes:min$block - process_memory:part_bytes:min$block offset $block
      - record: process_memory:part_bytes:rise$window
        expr: process_memory:part_bytes:min$block - process_memory:part_bytes:min$block offset $blocks5
      - record: process_memory:rule_window_growth_bytes_per_second
        labels: { window: $window }
        expr: |
          (
            process_memory:part_bytes:rise$window
            # The process was up for all of the window.
            and process_memory:part_bytes:min$shortest offset $window
            # The floor rose in every part of it, and nowhere did most of the rise come at once.
            and min_over_time(process_memory:part_bytes:step$block[$blocks4:$quarter]) > 0
            and max_over_time(process_memory:part_bytes:step$block[$reach:$quarter])
              <= 0.5 * process_memory:part_bytes:rise$window
            and process_memory:part_bytes:step$block <= 0.5 * process_memory:part_bytes:rise$window
            # It keeps its pace: a cache slows down, within the window or against the one before.
            and process_memory:part_bytes:min$block - process_memory:part_bytes:min$block offset $blocks2
              >= 0.8 * (process_memory:part_bytes:min$block offset $blocks3 - process_memory:part_bytes:min$block offset $blocks5)
            unless process_memory:part_bytes:rise$window
              < 0.8 * process_memory:part_bytes:rise$window offset $window
            # It is above every floor there was: teeth, batches, mornings and Mondays are not.
            unless process_memory:part_bytes:min$block - process_memory:part_bytes:highest$memory offset $window
              < 0.3 * process_memory:part_bytes:rise$window
            # It matters: 2 % of the process, and less than 200 such rises to the limit, if there is one.
            and process_memory:part_bytes:rise$window
              >= ignoring (process_memory_segment) group_left () (0.02 * process_memory:whole_bytes:max)
            unless 200 * process_memory:part_bytes:rise$window
              < ignoring (process_memory_segment) group_left () process_memory:headroom_bytes:min
          ) / $span
""")

VERDICT = Template("""
      # --- the verdict: an opinion stands for $hold
      - record: process_memory:rule_leak_growth_bytes_per_second
        expr: max without (window) (max_over_time(process_memory:rule_window_growth_bytes_per_second[$hold]))
      # Bytes by which a process is larger for each second that it is older than the others of its version, at this
      # moment: they share the load, so what is left is growth that follows uptime.
      - record: process_memory:growth_by_uptime_bytes_per_second
        expr: |
          (
            avg by ($version) (process_memory:whole_bytes:max * process_memory:up_seconds)
            - avg by ($version) (process_memory:whole_bytes:max) * avg by ($version) (process_memory:up_seconds)
          )
          / (stdvar by ($version) (process_memory:up_seconds) > 0)
      # $one: one window has seen a leak. $more: two or more have. 0: none has. Absent: not up for $shortest_window yet.
      - record: process_memory:rule_leak_risk
        expr: |
          max by ($process) (
            clamp_max(
              $base + $each * count without (window) (
                max_over_time(process_memory:rule_window_growth_bytes_per_second[$hold])
              ),
              $more
            )
          )
          # Growth that follows load: of three or more processes of different age most grow, and the old are hardly
          # larger. Asked of the same opinions as above: no later than they where a rule sees others' records late.
          unless on ($version) (
            process_memory:growth_by_uptime_bytes_per_second
            < 0.5 * avg by ($version) (sum by ($process) (
              max without (window) (max_over_time(process_memory:rule_window_growth_bytes_per_second[$hold]))
            ))
            and stddev by ($version) (process_memory:up_seconds) >= $shortest_seconds
            and count by ($version) (group by ($process) (
              max_over_time(process_memory:rule_window_growth_bytes_per_second[$hold])
            ))
              >= 0.5 * count by ($version) (process_memory:whole_bytes:max)
            and count by ($version) (process_memory:whole_bytes:max) >= 3
          )
          or 0 * (process_memory:whole_bytes:max and process_memory:whole_bytes:max offset $shortest_window)
      - record: process_memory:rule_time_to_exhaustion_seconds
        expr: |
          process_memory:headroom_bytes:min
          / sum by ($process) (process_memory:rule_leak_growth_bytes_per_second)
          and process_memory:rule_leak_risk > 0

      # --- by version: share of its processes that leak, and the version that a leak came with
      - record: process_memory:rule_leak_processes:ratio
        expr: avg by ($version) (process_memory:rule_leak_risk > bool 0.5)
      - record: process_memory:rule_version_first_seen_seconds
        expr: min_over_time(timestamp(process_memory:rule_leak_processes:ratio)[$week:$block])
      # The oldest version of which half or more leak, if an older one was judged within $week and never leaked.
      - record: process_memory:rule_leak_came_with_version:ratio
        expr: |
          max_over_time(process_memory:rule_leak_processes:ratio[$hold]) >= 0.5
          and (
            process_memory:rule_version_first_seen_seconds
            == on ($service) group_left () min by ($service) (
              process_memory:rule_version_first_seen_seconds
              and max_over_time(process_memory:rule_leak_processes:ratio[$hold]) >= 0.5
            )
            > on ($service) group_left () min by ($service) (
              process_memory:rule_version_first_seen_seconds
              and max_over_time(process_memory:rule_leak_processes:ratio[$week:$block]) == 0
            )
          )

  - name: process-memory-leak-by-rule-alerts
    rules:
      - alert: MemoryLeakByRule
        # Not where the process, or a watch beside it, gives a verdict of its own.
        expr: |
          process_memory:rule_leak_risk >= $one
          unless on ($process) process_memory_leak_risk_ratio
        for: $pending
        labels:
          severity: warning
        annotations:
          summary: '{{ $$labels.service_name }} seems to leak memory (by rule, risk {{ $$value | printf "%.2f" }})'
          description: >-
            Process {{ $$labels.service_instance_id }} of {{ $$labels.service_name }} {{ $$labels.service_version }}:
            {{ with printf "topk(1, process_memory:rule_leak_growth_bytes_per_second{service_name=%q,service_instance_id=%q})" $$labels.service_name $$labels.service_instance_id | query }}{{
            . | first | label "process_memory_segment" }} grows by {{ . | first | value | humanize1024 }}B/s{{
            else }}growth unknown{{ end }},
            {{ with printf "process_memory:rule_time_to_exhaustion_seconds{service_name=%q,service_instance_id=%q}" $$labels.service_name $$labels.service_instance_id | query }}limit reached in {{
            . | first | value | humanizeDuration }}{{ else }}no limit known{{ end }}.{{ with printf "process_memory:rule_leak_came_with_version:ratio{service_name=%q}" $$labels.service_name | query }} It came with version {{
            . | first | label "service_version" }}.{{ end }}
          runbook: docs/runbook.md#memoryleakbyrule
""")


def rules(sample_seconds: float) -> str:
    """Return the rule file for processes that are sampled so often."""
    blocks = [samples * sample_seconds for samples in BLOCK_SAMPLES]
    shortest, window = blocks[0], BLOCKS_A_WINDOW * blocks[0]
    names = {
        "sample": duration(sample_seconds),
        "service": SERVICE,
        "version": VERSION,
        "process": PROCESS,
        "shortest": duration(shortest),
        "shortest_window": duration(window),
        "shortest_seconds": f"{window:g}",
        "memory": duration(MEMORY_SAMPLES * sample_seconds),
        "hold": duration(shortest / 2),
        "pending": duration(shortest / 4),
        "day": duration(12 * window),
        "week": duration(84 * window),
        "one": f"{ONE_WINDOW:g}",
        "more": f"{MORE_WINDOWS:g}",
        "each": f"{MORE_WINDOWS - ONE_WINDOW:.2f}",
        "base": f"{2 * ONE_WINDOW - MORE_WINDOWS:.2f}",
    }
    parts = [HEAD.substitute(names, block=duration(shortest))]
    parts += [
        LONGER_FLOOR.substitute(
            names,
            block=duration(block),
            rest=duration(block - shortest),
            fine=duration(shortest / 4 if block <= 4 * shortest else shortest / 2),
        )
        for block in blocks[1:]
    ]
    parts.append(HIGHEST.substitute(names))
    parts += [WINDOW.substitute(names, **_of_window(block)) for block in blocks]
    parts.append(VERDICT.substitute(names, block=duration(shortest)))
    return "".join(parts)


def _of_window(block: float) -> dict[str, str]:
    multiples = {f"blocks{n}": duration(n * block) for n in range(2, BLOCKS_A_WINDOW)}
    return {
        "block": duration(block),
        "window": duration(BLOCKS_A_WINDOW * block),
        "quarter": duration(block / 4),
        # A subquery's points are at whole multiples of its step, so it may begin up to a step late;
        # as much again for where a rule sees late what others have recorded.
        "reach": duration((BLOCKS_A_WINDOW - 1.5) * block),
        # From the oldest floor to the newest.
        "span": f"{(BLOCKS_A_WINDOW - 1) * block:g}",
        **multiples,
    }


def main() -> None:
    """Print the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sample-seconds",
        type=float,
        default=DEFAULT_SAMPLE_SECONDS,
        help="between two samples of a process (default: %(default)g)",
    )
    options = parser.parse_args()
    if not SHORTEST_SECONDS <= options.sample_seconds <= LONGEST_SECONDS:
        parser.error(
            f"--sample-seconds {options.sample_seconds:g}:"
            f" expected {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g}"
        )
    sys.stdout.write(rules(options.sample_seconds))


if __name__ == "__main__":
    main()
