"""What a change touches: dbt's `state:modified`, and what that does not see.

dbt compares nodes, contracts, and the macros that it saw called while it parsed. It does not see

- macros called by a build only: under `is_incremental()`, in hooks, by dbt itself;
- variables (dbt 1.11 has the flag `state_modified_compare_vars`, which nothing reads);
- settings of the whole project, columns of sources, the landing tables.

Whatever cannot be traced to nodes is a reason to build everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestration.slim_ci.state import LANDING_FILE, PROJECT_FILE, State

DBT_PACKAGES = ("dbt", "dbt_postgres")
# Macros that dbt calls wherever it renders anything.
BUILTINS = {"ref", "source", "config"}
# Parts of dbt_project.yml that dbt compares node by node, and the variables.
COMPARED = {"version", "models", "seeds", "snapshots", "data_tests", "unit_tests", "vars"}
LANDING_SCHEMA = "data_lake"
PROPERTY_FOLDERS = ("models", "macros", "tests", "seeds", "snapshots")
CALL = re.compile(r"\b(\w+)\s*\(|dispatch\(\s*['\"](\w+)")
VARIABLE = re.compile(r"\b(?:has_)?var\(\s*(?:\\?['\"](\w+)\\?['\"]\s*[,)]|\S)")

Manifest = dict[str, Any]


@dataclass
class Changes:
    """What to build beside dbt's `state:modified+`, each with its reason."""

    everything: list[str] = field(default_factory=list)
    selected: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def selection(self) -> list[str]:
        """Arguments for dbt: none when everything is to be built."""
        return [] if self.everything else ["--select", "state:modified+", *sorted(self.selected)]


def find(before: State, after: Manifest, project: Path) -> Changes:
    """Compare the project in a folder, parsed to the manifest `after`, with a state."""
    changes = Changes()
    project_file = (project / PROJECT_FILE).read_text()
    variables = _settings(changes, before.file(PROJECT_FILE), project_file)
    names = _changed_macros(before.manifest, after)
    own = [m for m in after["macros"].values() if m["package_name"] not in DBT_PACKAGES]
    names |= {_name(macro) for macro in own if _uses(macro["macro_sql"], variables)}
    _properties(changes, project, project_file, variables)

    while more := {_name(m) for m in own if _called(m["macro_sql"]) & names} - names:
        names |= more
    by_dbt = {_name(m) for m in after["macros"].values() if m["package_name"] in DBT_PACKAGES}
    by_dbt |= BUILTINS | _called(project_file)
    changes.everything += [
        f"macro {name}, which dbt itself calls" for name in sorted(names & by_dbt)
    ]

    for node in after["nodes"].values():
        text = node["raw_code"] + json.dumps(node["unrendered_config"])
        if used := _called(text) & names:
            _select(changes, node, "macro " + ", ".join(sorted(used)))
        if used := _uses(text, variables):
            _select(changes, node, "variable " + ", ".join(sorted(used)))

    _sources(changes, before, after, (project / LANDING_FILE).read_text())
    changes.removed = sorted(set(before.manifest["nodes"]) - set(after["nodes"]))
    return changes


def _select(changes: Changes, node: dict[str, Any], reason: str) -> None:
    changes.selected["fqn:" + ".".join(node["fqn"]) + "+"] = reason


def _name(macro: dict[str, Any]) -> str:
    """Name by which a macro is called: `adapter.dispatch` puts a prefix before it."""
    return re.sub("^(default|postgres)__", "", macro["name"])


def _called(text: str) -> set[str]:
    return {name for pair in CALL.findall(text) for name in pair if name}


def _uses(text: str, variables: set[str]) -> set[str]:
    """Variables that a text uses; all of them, where it computes a name."""
    used = set(VARIABLE.findall(text))
    return variables if "" in used else used & variables


def _changed_macros(before: Manifest, after: Manifest) -> set[str]:
    def source(manifest: Manifest, name: str) -> str | None:
        macro = manifest["macros"].get(name)
        return macro["macro_sql"] if macro else None

    return {
        _name(after["macros"].get(name) or before["macros"].get(name))
        for name in {*before["macros"], *after["macros"]}
        if source(before, name) != source(after, name)
    }


def _leaves(value: object, *path: str) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, *path, str(key))
    else:
        yield path, value


def _settings(changes: Changes, before: str | None, after: str) -> set[str]:
    """Note changed settings of the project; return the names of changed variables."""
    if before is None:
        changes.everything.append(f"the state lacks {PROJECT_FILE}: variables cannot be compared")
        return set()
    old, new = yaml.safe_load(before), yaml.safe_load(after)
    changes.everything += [
        f"{key} in {PROJECT_FILE}"
        for key in sorted({*old, *new} - COMPARED)
        if old.get(key) != new.get(key)
    ]
    was, now = (dict(_leaves(project.get("vars") or {})) for project in (old, new))
    return {
        name
        for path in {*was, *now}
        if path not in was or path not in now or was[path] != now[path]
        for name in path
    }


def _properties(changes: Changes, project: Path, project_file: str, variables: set[str]) -> None:
    """Note variables in YAML: there they may be part of anything, a test or a configuration."""
    texts = {PROJECT_FILE: project_file}
    for folder in PROPERTY_FOLDERS:
        for path in sorted((project / folder).rglob("*.y*ml")):
            texts[str(path.relative_to(project))] = path.read_text()
    for name, text in texts.items():
        if used := _uses(text, variables):
            changes.everything.append(f"variable {', '.join(sorted(used))}, used in {name}")


def _sources(changes: Changes, before: State, after: Manifest, landing: str) -> None:
    def columns(source: dict[str, Any]) -> dict[str, str | None]:
        return {name: column["data_type"] for name, column in source["columns"].items()}

    for key, source in after["sources"].items():
        old = before.manifest["sources"].get(key)
        table = f"{source['source_name']}.{source['name']}"
        if source["schema"] == LANDING_SCHEMA and before.file(LANDING_FILE) != landing:
            changes.selected[f"source:{table}+"] = "the landing tables"
        elif old and columns(old) != columns(source):
            changes.selected[f"source:{table}+"] = "columns of the source"
