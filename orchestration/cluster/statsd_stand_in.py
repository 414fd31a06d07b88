"""A stand-in for prom/statsd-exporter, where that cannot be had; only for `make test-cluster`.

It is not that program. It reads the same mapping file and takes the same option and lines, in as
far as this project uses them: glob and catch-all matches, labels, drop, ttl, histograms; counters,
gauges and timers, with tags as InfluxDB writes them.
"""

from __future__ import annotations

import argparse
import re
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

LINE = re.compile(
    r"(?P<name>[^,:]+)(?P<tags>(?:,[^=,:]+=[^,:]*)*):(?P<value>[^|]+)\|(?P<type>c|g|ms)"
)
KINDS = {"c": "counter", "g": "gauge", "ms": "histogram"}
Labels = tuple[tuple[str, str], ...]


class Store:
    """The series, by name and labels."""

    def __init__(self, mapping: dict[str, Any]) -> None:
        defaults = mapping["defaults"]
        if defaults["observer_type"] != "histogram":
            raise ValueError("this stand-in knows no observer but histograms")
        self._buckets: list[float] = defaults["histogram_options"]["buckets"]
        self._rules = [(self._pattern(rule), rule) for rule in mapping["mappings"]]
        self._series: dict[tuple[str, str, Labels], list[float]] = {}
        self._ends: dict[tuple[str, str, Labels], float] = {}
        self._lock = threading.Lock()

    @staticmethod
    def _pattern(rule: dict[str, Any]) -> re.Pattern[str]:
        if rule.get("match_type") == "regex":
            return re.compile(f".*{rule['match']}.*")
        return re.compile(re.escape(rule["match"]).replace(r"\*", "([^.]*)"))

    def take(self, line: str) -> None:
        """Take a line of StatsD; one that is malformed is left out."""
        found = LINE.match(line)
        if not found:
            return
        name, labels, ttl = self._mapped(found["name"])
        if not name:
            return
        labels |= dict(tag.split("=", 1) for tag in found["tags"].split(",")[1:])
        kind, value = KINDS[found["type"]], found["value"]
        key = (name, kind, tuple(sorted(labels.items())))
        with self._lock:
            self._ends[key] = time.monotonic() + ttl if ttl else float("inf")
            if kind == "histogram":
                self._observe(key, float(value) / 1000)
            elif kind == "counter" or value[0] in "+-":
                self._series.setdefault(key, [0.0])[0] += float(value)
            else:
                self._series[key] = [float(value)]

    def _mapped(self, name: str) -> tuple[str, dict[str, str], float]:
        for pattern, rule in self._rules:
            match = pattern.fullmatch(name)
            if not match:
                continue
            if rule.get("action") == "drop":
                return "", {}, 0
            labels = {
                label: match.expand(re.sub(r"\$(\d)", r"\\\1", text))
                for label, text in rule.get("labels", {}).items()
            }
            return rule["name"], labels, _seconds(rule.get("ttl", "0s"))
        return re.sub(r"\W", "_", name), {}, 0

    def _observe(self, key: tuple[str, str, Labels], seconds: float) -> None:
        cells = self._series.setdefault(key, [0.0] * (len(self._buckets) + 2))
        for number, bound in enumerate(self._buckets):
            cells[number] += seconds <= bound
        cells[-2] += 1
        cells[-1] += seconds

    def text(self) -> str:
        """Return the series in Prometheus' text format."""
        with self._lock:
            for key in [key for key, end in self._ends.items() if end < time.monotonic()]:
                del self._ends[key], self._series[key]
            series = sorted(self._series.items())
        lines, last = [], ""
        for (name, kind, labels), values in series:
            if name != last:
                lines.append(f"# TYPE {name} {kind}")
            last = name
            lines += self._samples(name, kind, dict(labels), values)
        return "\n".join([*lines, ""])

    def _samples(
        self, name: str, kind: str, labels: dict[str, str], values: list[float]
    ) -> Iterator[str]:
        if kind != "histogram":
            yield f"{name}{_braces(labels)} {values[0]}"
            return
        for bound, value in zip([*map(str, self._buckets), "+Inf"], values[:-1], strict=True):
            yield f"{name}_bucket{_braces(labels | {'le': bound})} {value}"
        yield f"{name}_sum{_braces(labels)} {values[-1]}"
        yield f"{name}_count{_braces(labels)} {values[-2]}"


def _seconds(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def _braces(labels: dict[str, str]) -> str:
    pairs = ",".join(f'{name}="{text}"' for name, text in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statsd.mapping-config", dest="mapping", type=Path, required=True)
    store = Store(yaml.safe_load(parser.parse_args().mapping.read_text()))

    class Statsd(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            for line in self.request[0].decode().splitlines():
                store.take(line)

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(store.text().encode())

        def log_request(self, *_: object) -> None:
            """Say nothing."""

    statsd = socketserver.UDPServer(("", 9125), Statsd)
    threading.Thread(target=statsd.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("", 9102), Web).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
