"""Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Metric:
    """A metric with its samples; one with no sample is left out, as nothing is known of it."""

    name: str
    kind: str
    description: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> None:
        """Add a sample; a value that is not known adds none."""
        if value is not None:
            self.samples.append((labels, float(value)))


def gauge(name: str, description: str, value: float | None = None) -> Metric:
    """Return a metric that goes up and down, with its only sample if there is just one."""
    return _metric(name, "gauge", description, value)


def counter(name: str, description: str, value: float | None = None) -> Metric:
    """Return a metric that only grows, with its only sample if there is just one."""
    return _metric(name, "counter", description, value)


def _metric(name: str, kind: str, description: str, value: float | None) -> Metric:
    metric = Metric(name, kind, description)
    metric.add(value)
    return metric


def render(metrics: Iterable[Metric]) -> str:
    """Return the metrics as text."""
    lines = []
    for metric in metrics:
        if not metric.samples:
            continue
        lines.append(f"# HELP {metric.name} {_escaped(metric.description)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for labels, value in metric.samples:
            pairs = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
            lines.append(
                f"{metric.name}{{{pairs}}} {value!r}" if pairs else f"{metric.name} {value!r}"
            )
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
