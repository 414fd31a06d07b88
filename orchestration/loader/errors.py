"""Why a load does not go on; each text is one line: what, where, what to do."""

from orchestration.warehouse.errors import UserError


class LoaderError(UserError):
    """A load stopped. What it had merged stays; loading the file again repairs the rest."""


class RefusedError(LoaderError):
    """A file is refused whole: nothing of it is landed."""
