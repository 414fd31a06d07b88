"""Grafana's dashboards: `python -m orchestration.observability.dashboards` writes them anew.

A panel is a title, what it shows, and its queries; all that is the same everywhere is added here.
The files in `grafana/dashboards/` are what Grafana reads; a test says when they are out of date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana/dashboards"
WIDTH = 24  # of Grafana's grid
HEIGHTS = {"stat": 4, "timeseries": 8, "bargauge": 8, "barchart": 9, "table": 9}
Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """A panel.

    Args:
        title: What it answers.
        description: What to make of it.
        queries: PromQL or SQL; a pair gives the legend, which may name labels.
        kind: Grafana's type of panel.
        unit: Grafana's name of the unit.
        width: Of the 24 columns of the grid.
        source: The uid of the data source.
        limit: From which value on it is red.
        low: Whether it is red below the limit, and not from it on.

    """

    title: str
    description: str
    queries: Sequence[str | tuple[str, str]]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    source: str = "prometheus"
    limit: float | None = None
    low: bool = False

    def json(self, number: int, x: int, y: int) -> Json:
        """Return it as Grafana reads it."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": self._datasource(),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": HEIGHTS[self.kind]},
            "targets": [self._target(n, query) for n, query in enumerate(self.queries)],
            "fieldConfig": {
                "defaults": {"unit": self.unit, "thresholds": self._thresholds()},
                "overrides": [],
            },
            "options": self._options(),
        }

    def _datasource(self) -> Json:
        return {"type": "postgres" if self.source == "pro" else self.source, "uid": self.source}

    def _target(self, number: int, query: str | tuple[str, str]) -> Json:
        text, legend = query if isinstance(query, tuple) else (query, "")
        target: Json = {"refId": chr(ord("A") + number), "datasource": self._datasource()}
        if self.source == "pro":
            return target | {
                "format": "table",
                "rawQuery": True,
                "editorMode": "code",
                "rawSql": text,
            }
        now = self.kind in ("stat", "bargauge", "table")
        return target | {
            "expr": text,
            "legendFormat": legend or "__auto",
            "instant": now,
            "range": not now,
            **({"format": "table"} if self.kind == "table" else {}),
        }

    def _thresholds(self) -> Json:
        first, then = ("red", "green") if self.low else ("green", "red")
        steps: list[Json] = [{"color": first if self.limit is not None else "green", "value": None}]
        if self.limit is not None:
            steps.append({"color": then, "value": self.limit})
        return {"mode": "absolute", "steps": steps}

    def _options(self) -> Json:
        if self.kind == "stat":
            # Where nothing is too much, a colour would say that all is well.
            colour = "none" if self.limit is None else "background"
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": colour}
        if self.kind == "bargauge":
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "horizontal"}
        if self.kind == "timeseries":
            return {"legend": {"displayMode": "list", "placement": "bottom"}}
        return {}


OWN = 'datname!~"template.|postgres"'  # databases that are not the server's


def _quantile(metric: str, *by: str, over: str = "$__rate_interval") -> str:
    labels = ", ".join(("le", *by))
    rate = f"rate({metric}_bucket[{over}])"
    return f"histogram_quantile(0.95, sum by ({labels}) ({rate}))"


def _database_rate(counter: str) -> str:
    rate = f"rate(pg_stat_database_{counter}{{{OWN}}}[$__rate_interval])"
    return f"sum by (server, datname) ({rate})"


def _stat(title: str, description: str, query: str, **more: Any) -> Panel:  # noqa: ANN401
    return Panel(title, description, [query], kind="stat", width=4, **more)


OPERATIONS = [
    _stat(
        "Alerts firing",
        "Each has a page in docs/operations/alerts/.",
        'sum(ALERTS{alertstate="firing"}) or vector(0)',
        limit=1,
    ),
    _stat("Targets down", "What Prometheus cannot ask.", "count(up == 0) or vector(0)", limit=1),
    _stat("Workers", "Heard of in the last 30 seconds.", "forex:workers_alive:count"),
    _stat(
        "Workers missing",
        "Of those that there should be.",
        "max(forex_workers_expected) - forex:workers_alive:count",
        limit=1,
    ),
    _stat("Queue", "Tasks that wait for a worker.", "forex:celery_queue:length", limit=10),
    _stat(
        "DAG files with errors",
        "Files that cannot be imported.",
        "airflow_dag_import_errors",
        limit=1,
    ),
    Panel(
        "Unfinished tasks",
        "By state, from Airflow's database.",
        [("sum by (state) (forex_task_instances)", "{{state}}")],
    ),
    Panel(
        "Tasks that ended",
        "A minute, by state.",
        [
            (
                "sum by (state) (rate(airflow_task_finishes_total[$__rate_interval])) * 60",
                "{{state}}",
            )
        ],
        unit="cpm",
    ),
    Panel(
        "Slots of the executor",
        "Open and in use.",
        [
            ("max(airflow_executor_open_slots)", "open"),
            ("max(airflow_executor_running_tasks)", "in use"),
        ],
    ),
    Panel(
        "Slowest tasks (95 %)",
        "Of all runs in the time shown.",
        [
            (
                "topk(12, " + _quantile("airflow_task_seconds", "task_id", over="$__range") + ")",
                "{{task_id}}",
            )
        ],
        kind="bargauge",
        unit="s",
    ),
    Panel(
        "Waiting tasks",
        "Sent to the workers and not begun; grows when there are too few of them.",
        [
            ("forex:celery_queue:length", "in the queue"),
            ("max(airflow_executor_queued_tasks)", "as the executor sees it"),
        ],
    ),
    Panel(
        "Beats of each worker",
        "About 30 a minute; none is a worker that is gone.",
        [
            (
                "sum by (hostname) (rate(airflow_worker_heartbeats_total[$__rate_interval])) * 60",
                "{{hostname}}",
            )
        ],
        unit="cpm",
    ),
    Panel(
        "Scheduler",
        "Its loop (95 %) and the parsing of the DAGs; slow ones schedule late.",
        [
            (
                _quantile("airflow_scheduler_loop_seconds"),
                "loop",
            )
        ],
        unit="s",
        width=6,
    ),
    Panel(
        "Connections in use",
        "Share of max_connections.",
        [("forex:postgres_connections:ratio", "{{server}}")],
        unit="percentunit",
        width=6,
        limit=0.8,
    ),
    Panel(
        "Size of the databases",
        "On disk.",
        [(f"pg_database_size_bytes{{{OWN}}}", "{{server}} {{datname}}")],
        unit="bytes",
        width=6,
    ),
    Panel(
        "Disk and broker in use",
        "Full, nothing is written and no task is taken.",
        [
            ("forex:volume_used:ratio", "volume {{volume}}"),
            ("redis_memory_used_bytes / redis_memory_max_bytes", "broker's memory"),
        ],
        unit="percentunit",
        width=6,
        limit=0.85,
    ),
    Panel(
        "Commits",
        "A second, by database.",
        [
            (
                _database_rate("xact_commit"),
                "{{server}} {{datname}}",
            )
        ],
        unit="ops",
        width=12,
    ),
    Panel(
        "Read from memory",
        "Share of the pages that were in the server's own memory.",
        [
            (
                f"{_database_rate('blks_hit')}"
                f" / ({_database_rate('blks_hit')} + {_database_rate('blks_read')})",
                "{{server}} {{datname}}",
            )
        ],
        unit="percentunit",
        width=12,
    ),
]

PIPELINE = [
    _stat(
        "Marts behind the lake",
        "How long the oldest load has been waiting for a successful build.",
        "forex_lake_to_gold_lag_seconds",
        unit="s",
        limit=7200,
    ),
    _stat(
        "Since the last load",
        "Since a load last finished.",
        "time() - forex_load_last_finish_timestamp_seconds",
        unit="s",
    ),
    _stat(
        "Since the last good build",
        "Of pro.",
        "time() - forex_dbt_last_success_timestamp_seconds",
        unit="s",
        limit=7800,
    ),
    _stat("Last build", "1: it succeeded.", "forex_dbt_build_success", limit=1, low=True),
    _stat("Time of the last build", "All models and tests.", "forex_dbt_build_seconds", unit="s"),
    _stat(
        "Loads that are open",
        "They run, or died half-way; loading the file again repairs that.",
        "forex_loads_unfinished",
    ),
    Panel(
        "Since the last good run",
        "Of each DAG.",
        [('time() - forex_dag_last_end_timestamp_seconds{state="success"}', "{{dag_id}}")],
        unit="s",
    ),
    Panel(
        "Until the next run",
        "Below zero, it is late.",
        [("forex_dag_next_run_timestamp_seconds - time()", "{{dag_id}}")],
        unit="s",
    ),
    Panel(
        "Time of the last run",
        "Of each DAG, by how it ended.",
        [("forex_dag_last_run_seconds", "{{dag_id}} {{state}}")],
        unit="s",
    ),
    Panel(
        "Rows by what became of them",
        "Of the loads of an hour.",
        [("sum by (outcome) (increase(forex_load_rows_total[1h]))", "{{outcome}}")],
        width=12,
    ),
    Panel(
        "Rows a second",
        "All loads, their rows by the time they took.",
        [("sum(forex_load_rows_total) / (sum(forex_load_seconds_total) > 0)", "all loads")],
        unit="rowsps",
        width=12,
    ),
    Panel(
        "Slowest models",
        "Of the last build.",
        [("topk(12, forex_dbt_node_seconds)", "{{node}}")],
        kind="bargauge",
        unit="s",
        width=12,
    ),
    Panel(
        "Rows written",
        "By the last build; none where nothing changed.",
        [("sort_desc(forex_dbt_node_rows)", "{{node}}")],
        kind="bargauge",
        width=12,
    ),
]


def _figure(title: str, description: str, sql: str, unit: str = "locale") -> Panel:
    return Panel(title, description, [sql], kind="stat", width=6, source="pro", unit=unit)


def _marts(
    title: str, description: str, sql: str, kind: str = "barchart", width: int = 12
) -> Panel:
    # Whole, with separators: "short" makes 2.02 K of the year 2023.
    return Panel(title, description, [sql], kind=kind, width=width, source="pro", unit="locale")


FOUND = 'sum(forex_dbt_test_failures{test="%s"})'
QUALITY = [
    _stat(
        "Lines never landed",
        "In all loads; forex.rejected_row has each, with its reason.",
        'sum(forex_load_rows_total{outcome="rejected"})',
    ),
    _stat(
        "Rows that cannot be cleaned",
        "silver.rejected_transaction has each, with its reasons.",
        FOUND % "rejected_rows_exist",
    ),
    _stat(
        "Rows that others took over",
        "silver.superseded_transaction has each, with the row that took over.",
        FOUND % "superseded_rows_exist",
    ),
    _stat(
        "Tests that warn",
        "In the last build.",
        'sum(forex_dbt_nodes{resource_type="test", status="warn"}) or vector(0)',
    ),
    _stat(
        "Tests that fail",
        "In the last build.",
        'sum(forex_dbt_nodes{resource_type=~"test|unit_test", status=~"fail|error"}) or vector(0)',
        limit=1,
    ),
    _stat(
        "Age of the newest row",
        "Of the source.",
        "max(time() - forex_source_max_loaded_timestamp_seconds)",
        unit="s",
        limit=86400,
    ),
    Panel(
        "Share of rows that could not be landed",
        "Of an hour's loads; nothing is shown when nothing was loaded.",
        ["forex:lake_rows_rejected:ratio_1h"],
        unit="percentunit",
        width=12,
        limit=0.05,
    ),
    Panel(
        "Rows with a flaw",
        "Found by each build: rejected, superseded, with a quantity that cannot be read.",
        [
            (FOUND % "rejected_rows_exist", "rejected"),
            (FOUND % "superseded_rows_exist", "superseded"),
            (FOUND % "unreadable_quantities_exist", "unreadable quantity"),
        ],
        width=12,
    ),
    Panel(
        "Tests by outcome",
        "Of each build.",
        [('sum by (status) (forex_dbt_nodes{resource_type=~"test|unit_test"})', "{{status}}")],
        width=12,
    ),
    Panel(
        "Tests that found something",
        "And how many rows, in the last build.",
        ["sort_desc(forex_dbt_test_failures > 0)"],
        kind="table",
        width=12,
    ),
    Panel(
        "Freshness of the sources",
        "0 fresh, 1 past the age of the warning, 2 past that of the error.",
        [("forex_source_stale", "{{source}}")],
        limit=1,
        width=12,
    ),
    Panel(
        "Rows superseded within their file",
        "A later line had the same id; of an hour's loads.",
        [('sum(increase(forex_load_rows_total{outcome="superseded"}[1h]))', "superseded")],
        width=12,
    ),
    _marts(
        "Since when it is bad",
        "Tests and models that were not good when they last ran, in the last seven days.",
        "select bad_since, name, status, failures, last_passed_at, last_run_at"
        " from data_marts.data_quality_check"
        " where bad_since is not null and last_run_at > now() - interval '7 days'"
        " order by bad_since desc",
        kind="table",
        width=24,
    ),
    _marts(
        "Runs by day",
        "Of the last 30.",
        "select date_day::text as day, runs - failed_runs as good, failed_runs as failed"
        " from data_marts.data_quality_daily where date_day > current_date - 30 order by 1",
    ),
    _marts(
        "Rows with a flaw by day",
        "As the last run of each day found them.",
        "select date_day::text as day, rows_rejected as rejected, rows_superseded as superseded,"
        " rows_unreadable_quantity as unreadable_quantity,"
        " rows_missing_quantity as missing_quantity"
        " from data_marts.data_quality_daily where date_day > current_date - 30 order by 1",
    ),
    _marts(
        "Rows by day",
        "In the lake and in silver; the difference is rejected or superseded.",
        "select date_day::text as day, rows_in_lake as lake, rows_in_silver as silver"
        " from data_marts.data_quality_daily where date_day > current_date - 30 order by 1",
    ),
    _marts(
        "Lines that could not be landed, by day",
        "Of that day's loads.",
        "select date_day::text as day, lines_rejected as rejected"
        " from data_marts.data_quality_daily where date_day > current_date - 30 order by 1",
    ),
    _marts(
        "Last runs",
        "What each found.",
        "select started_at, command, succeeded, tests_failed, tests_warned, rows_rejected,"
        " rows_superseded, extract(epoch from finished_at - started_at)::integer as seconds"
        " from data_marts.data_quality_run order by started_at desc limit 50",
        kind="table",
        width=24,
    ),
]


MARTS = [
    _figure(
        "Revenue", "All of it.", "select sum(revenue) as revenue from data_marts.agg_sales_country"
    ),
    _figure(
        "Transactions",
        "All of them.",
        "select sum(transactions) as transactions from data_marts.agg_sales_country",
    ),
    _figure(
        "Customers",
        "Who bought.",
        "select count(*) as customers from data_marts.agg_sales_customer",
    ),
    _figure(
        "Without quantity",
        "Transactions that add nothing to the revenue.",
        "select sum(transactions_without_quantity)::numeric / sum(transactions) as share"
        " from data_marts.agg_sales_country",
        unit="percentunit",
    ),
    _marts(
        "Revenue by month",
        "",
        "select to_char(make_date(year, month, 1), 'YYYY-MM') as month, revenue"
        " from data_marts.agg_sales_monthly order by 1",
    ),
    _marts(
        "Revenue by country",
        "The first ten.",
        "select country, revenue from data_marts.agg_sales_country order by revenue desc limit 10",
    ),
    _marts(
        "Best customers",
        "The first ten, by name; how to reach them is not shown.",
        "select first_name || ' ' || last_name as customer, transactions, quantity, revenue"
        " from data_marts.agg_sales_customer order by revenue desc limit 10",
        kind="table",
    ),
    _marts(
        "Months",
        "Transactions and what they lack.",
        "select to_char(make_date(year, month, 1), 'YYYY-MM') as month, transactions,"
        " transactions_without_quantity, revenue"
        " from data_marts.agg_sales_monthly order by year desc, month desc",
        kind="table",
    ),
]

DASHBOARDS = {
    "operations": ("Operations", OPERATIONS),
    "pipeline": ("Pipeline", PIPELINE),
    "quality": ("Data quality", QUALITY),
    "marts": ("Marts", MARTS),
}


def dashboard(name: str) -> Json:
    """Return a dashboard as Grafana reads it; its panels stand in rows, in their order."""
    title, panels = DASHBOARDS[name]
    placed, x, y, height = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y, height = 0, y + height, 0
        placed.append(panel.json(number, x, y))
        x, height = x + panel.width, max(height, HEIGHTS[panel.kind])
    return {
        "uid": f"forex-{name}",
        "title": title,
        "tags": ["forex"],
        "schemaVersion": 39,
        "editable": False,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [
            {
                "title": "forex_warehouse",
                "type": "dashboards",
                "tags": ["forex"],
                "asDropdown": False,
                "keepTime": True,
            }
        ],
        "panels": placed,
    }


def text(name: str) -> str:
    """Return the file of a dashboard."""
    return json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Run the command line."""
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
