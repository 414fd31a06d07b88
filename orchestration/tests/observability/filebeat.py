"""What Filebeat makes of a line, by its documentation: the inputs and processors used here.

Not Filebeat. A processor, option or layout that is not known here is an error, so that the
configuration cannot use what nothing has looked at.
"""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import yaml

LAYOUTS = {
    "2006-01-02T15:04:05.999999Z": "%Y-%m-%dT%H:%M:%S.%fZ",
    "2006-01-02 15:04:05.999 MST": "%Y-%m-%d %H:%M:%S.%f UTC",
}


def get(event: dict, path: str) -> object:
    """A field by its dotted name; LookupError when there is none."""
    for name in path.split("."):
        if not isinstance(event, dict):
            raise KeyError(path)
        event = event[name]
    return event


def has(event: dict, path: str) -> bool:
    try:
        get(event, path)
    except LookupError:
        return False
    return True


def put(event: dict, path: str, value: object) -> None:
    *parents, last = path.split(".")
    for name in parents:
        event = event.setdefault(name, {})
    event[last] = value


def remove(event: dict, path: str) -> object:
    *parents, last = path.split(".")
    parent = get(event, ".".join(parents)) if parents else event
    return parent.pop(last)


def only(options: dict, *known: str) -> None:
    assert set(options) <= set(known), options


def add_fields(event: dict, options: dict) -> None:
    only(options, "target", "fields")
    for name, value in options["fields"].items():
        put(event, f"{options['target']}.{name}", value)


def dissect(event: dict, options: dict) -> None:
    only(options, "tokenizer", "field", "target_prefix")
    parts = re.split(r"%\{(\w*)\}", options["tokenizer"])
    pattern = "".join(
        (f"(?P<{part}>.*?)" if part else ".*?") if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
    found = re.fullmatch(pattern, get(event, options["field"]))
    if not found:  # the event goes on, flagged
        put(event, "log.flags", ["dissect_parsing_error"])
        return
    for name, value in found.groupdict().items():
        put(event, f"{options['target_prefix']}.{name}", value)


def decode_json_fields(event: dict, options: dict) -> None:
    only(options, "fields", "target", "max_depth", "add_error_key")
    (field,) = options["fields"]
    try:
        decoded = json.loads(get(event, field))
    except json.JSONDecodeError as error:
        put(event, "error", {"message": str(error), "type": "json"})
        return
    put(event, options["target"], decoded)


def drop_fields(event: dict, options: dict) -> None:
    only(options, "fields", "ignore_missing")
    for field in options["fields"]:
        if has(event, field):
            remove(event, field)
        else:
            assert options.get("ignore_missing"), f"{field} is missing"


def rename(event: dict, options: dict) -> None:
    only(options, "fields", "ignore_missing", "fail_on_error")
    for pair in options["fields"]:
        if not has(event, pair["from"]):
            assert options["ignore_missing"]
            continue
        if has(event, pair["to"]):  # an error in Filebeat, after which the field stays as it was
            assert options["fail_on_error"] is False
            continue
        put(event, pair["to"], remove(event, pair["from"]))


def timestamp(event: dict, options: dict) -> None:
    only(options, "field", "layouts", "test")
    (layout,) = options["layouts"]
    for example in options["test"]:  # Filebeat does not start when one cannot be parsed
        datetime.strptime(example, LAYOUTS[layout])
    moment = datetime.strptime(get(event, options["field"]), LAYOUTS[layout]).replace(tzinfo=UTC)
    event["@timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


PROCESSORS = {
    function.__name__: function
    for function in (
        add_fields,
        dissect,
        decode_json_fields,
        drop_fields,
        rename,
        timestamp,
    )
}


def _holds(event: dict, condition: dict) -> bool:
    ((kind, argument),) = condition.items()
    if kind == "has_fields":
        return all(has(event, field) for field in argument)
    assert kind == "contains", kind
    return all(has(event, field) and text in get(event, field) for field, text in argument.items())


def process(event: dict, processors: list[dict]) -> None:
    for processor in processors:
        if "if" in processor:
            only(processor, "if", "then", "else")
            branch = "then" if _holds(event, processor["if"]) else "else"
            process(event, processor.get(branch, []))
            continue
        ((name, options),) = processor.items()
        PROCESSORS[name](event, options)


class Filebeat:
    """The configuration, applied to lines."""

    def __init__(self, configuration: Path) -> None:
        self._configuration = yaml.safe_load(configuration.read_text())
        self._inputs = self._configuration["filebeat.inputs"]

    def _input(self, path: str) -> dict:
        found = [one for one in self._inputs if any(_matches(path, p) for p in one["paths"])]
        assert len(found) == 1, f"{len(found)} inputs read {path}"
        return found[0]

    def reads(self, path: str) -> bool:
        return any(_matches(path, p) for one in self._inputs for p in one["paths"])

    def document(self, path: str, line: str) -> tuple[str, dict]:
        """The index and the document that a line of a file becomes."""
        one = self._input(path)
        event: dict = {
            "@timestamp": "1970-01-01T00:00:00.000Z",  # when it was read
            "message": line,
            "log": {"file": {"path": path}, "offset": 0},
            "agent": {"type": "filebeat", "id": "a", "name": "b", "ephemeral_id": "c"},
            "ecs": {"version": "8.0.0"},
            "host": {"name": "b"},
            "input": {"type": "filestream"},
        }
        process(event, copy.deepcopy(one["processors"]))
        process(event, self._configuration["processors"])
        return one["index"], event


def _matches(path: str, pattern: str) -> bool:
    """Filebeat's globs: a star stays within a folder, two are up to eight folders, or none."""
    expression = re.escape(pattern).replace(r"/\*\*", "(?:/[^/]+){0,8}").replace(r"\*", "[^/]*")
    return bool(re.fullmatch(expression, path))
