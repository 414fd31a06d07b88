"""A notifier for the tests, as an operator would name one in the environment."""

from pathlib import Path

from airflow.sdk import BaseNotifier

from orchestration.pipeline.alert import TEXT


class FileNotifier(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.text = TEXT

    def notify(self, context) -> None:
        Path(self.path).write_text(self.text)
