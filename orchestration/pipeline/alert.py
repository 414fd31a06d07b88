"""Who is told when a run fails: any of Airflow's notifiers, named in the environment.

`FOREX_ALERT_NOTIFIER` is the import path of a notifier's class, `FOREX_ALERT_ARGUMENTS` its
arguments as JSON (templates are rendered). Unset, the failure is written to the log only.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from urllib.request import Request, urlopen

from airflow.sdk import BaseNotifier, Context

TEXT = "{{ dag.dag_id }} failed: run {{ run_id }} of {{ run_after }}. {{ reason | default('') }}"
TIMEOUT_SECONDS = 10


class LogNotifier(BaseNotifier):
    """Write the alert to the log."""

    template_fields: Sequence[str] = ("text",)

    def __init__(self, text: str = TEXT) -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Context) -> None:
        """Write it."""
        self.log.error("ALERT %s", self.text)


class WebhookNotifier(BaseNotifier):
    """Post the alert as JSON, `{"text": …}`, which chat systems take."""

    template_fields: Sequence[str] = ("text", "url")

    def __init__(self, url: str, text: str = TEXT) -> None:
        super().__init__()
        self.url = url
        self.text = text

    def notify(self, context: Context) -> None:
        """Post it."""
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("a webhook's address begins with http:// or https://")
        body = json.dumps({"text": self.text}).encode()
        request = Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310
        with urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            self.log.info("alert posted")


def notifier() -> BaseNotifier:
    """Return the notifier that the environment names."""
    path = os.environ.get("FOREX_ALERT_NOTIFIER", "")
    if not path:
        return LogNotifier()
    module, _, name = path.rpartition(".")
    arguments = json.loads(os.environ.get("FOREX_ALERT_ARGUMENTS") or "{}")
    made: BaseNotifier = getattr(importlib.import_module(module), name)(**arguments)
    return made
