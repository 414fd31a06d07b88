"""Results as JSON, as tables and as a plot, in `docs/benchmarks/`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from html import escape
from typing import Any

from orchestration.warehouse.settings import CHECKOUT

FOLDER = CHECKOUT / "docs" / "benchmarks"
RESULTS = FOLDER / "results.json"
PARALLEL_COPY = "COPY, 4 sessions: table with primary key"
BAR, ROW, LABEL, SCALE = 16, 24, 330, 380
Results = dict[str, dict[str, Any]]


def add(stage: str, size: str, found: dict[str, Any]) -> None:
    """Put what a stage found into the results, and write the pages anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    results: Results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    sizes = results.setdefault(stage, {})
    sizes[size] = found
    results[stage] = dict(sorted(sizes.items(), key=lambda item: (len(item[0]), item[0])))
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    (FOLDER / "results.md").write_text(_page(results))
    for name, text in _plots(results).items():
        (FOLDER / f"{name}.svg").write_text(text)


def _page(results: Results) -> str:
    parts = ["# Results", "Written by `make bench`; [README.md](README.md) says how to read it."]
    if "load" in results:
        parts += ["## Loading: rows a second", "![Loading](load.svg)", _load(results["load"])]
    if "build" in results:
        parts += ["## Building: seconds", "![Building](build.svg)", _build(results["build"])]
    if "words" in results:
        parts += ["## word_to_number: values a second on one core", _words(results["words"])]
    if "peers" in results:
        parts += ["## Other tools: rows a second, the same upsert", *_peers(results["peers"])]
    parts += ["## Measured on", _machines(results)]
    return "\n\n".join(parts) + "\n"


def _load(sizes: dict[str, Any]) -> str:
    rates = {size: found["rows_per_second"] for size, found in sizes.items()}
    lines = _lines(rates)
    for kind in ("first load", "1 % changed"):
        own = f"this loader: {kind}"
        for limit in (f"one session of COPY and MERGE: {kind}", PARALLEL_COPY):
            lines.append((f"**{own} / {limit}**", *_ratios(rates, own, limit)))
    peaks = (str(found["peak_mb_per_process"]) for found in sizes.values())
    lines.append(("peak memory of a process of this loader, MB", *peaks))
    return _table(["", *(f"{int(size):,} rows" for size in sizes)], lines)


def _build(sizes: dict[str, Any]) -> str:
    rates = {size: found["full_refresh"] | found["increment"] for size, found in sizes.items()}
    lines = _lines(rates, digits=2)
    for kind in ("full", "1,000 changed"):
        own, limit = f"{kind}: models", f"script by hand: {kind}"
        lines.append((f"**{own} / {limit}**", *_ratios(rates, own, limit)))
    return _table(["", *(f"{int(size):,} rows" for size in sizes)], lines)


def _words(sizes: dict[str, Any]) -> str:
    rates = sizes["all"]["values_per_second"]
    return _table(["values", "a second"], [(name, f"{rate:,.0f}") for name, rate in rates.items()])


def _peers(sizes: dict[str, Any]) -> Iterable[str]:
    for size, found in sizes.items():
        yield _table(
            [f"{int(size):,} rows", "first load", "1 % changed", "bad rows"],
            [
                (tool, *(_cell(rates[kind]) for kind in ("first load", "1 % changed", "bad rows")))
                for tool, rates in found["rows_per_second"].items()
            ],
        )


def _machines(results: Results) -> str:
    facts = [
        (f"{stage} {size}", f"{found['repetitions']}×", *map(str, found["machine"].values()))
        for stage, sizes in results.items()
        for size, found in sizes.items()
    ]
    some = next(iter(next(iter(results.values())).values()))["machine"]
    return _table(["stage", "repeated", *some], facts)


def _lines(rates: dict[str, dict[str, float]], digits: int = 0) -> list[tuple[str, ...]]:
    names = next(iter(rates.values()))
    return [(name, *(f"{rate[name]:,.{digits}f}" for rate in rates.values())) for name in names]


def _ratios(rates: dict[str, dict[str, float]], own: str, limit: str) -> list[str]:
    return [f"{rate[own] / rate[limit]:.2f}×" for rate in rates.values()]


def _cell(value: float | str) -> str:
    return value.replace("|", "/") if isinstance(value, str) else f"{value:,.0f}"


def _table(head: list[str], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plots(results: Results) -> dict[str, str]:
    plots = {}
    if "load" in results:
        size, found = list(results["load"].items())[-1]
        plots["load"] = _bars(f"{int(size):,} rows: rows a second", found["rows_per_second"])
    if "build" in results:
        bars = {
            f"{name}, {int(size):,} rows": value
            for size, found in results["build"].items()
            for name, value in (found["full_refresh"] | found["increment"]).items()
            if "work in the server" not in name
        }
        plots["build"] = _bars("Seconds, on a scale of powers of ten", bars, logarithmic=True)
    return plots


def _bars(title: str, values: dict[str, float], *, logarithmic: bool = False) -> str:
    """Draw bars, longest for the greatest; what is this project's is darker."""
    least = min(values.values()) / 2
    top = max(values.values())
    height = ROW * (len(values) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + SCALE + 90}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(values.items(), 1):
        share = math.log(value / least) / math.log(top / least) if logarithmic else value / top
        y = ROW * number + 10
        own = "by hand" not in name and "COPY" not in name
        parts += [
            f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{share * SCALE:.0f}" height="{BAR}"'
            f' fill="{"#1f5fa8" if own else "#b8c4d4"}"/>',
            f'<text x="{LABEL + share * SCALE + 6:.0f}" y="{y + 12}">'
            f"{f'{value:,.0f}' if value >= 100 else f'{value:.2f}'}</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
