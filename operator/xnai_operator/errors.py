"""The error tree. Each error carries a reason of `api.conditions` and a message for people."""

from xnai_operator.api.conditions import Reason


class XnaiError(Exception):
    """Base of what the operator raises on purpose."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SpecError(XnaiError):
    """The resource is wrong; nothing changes until it is edited."""


class BackendError(XnaiError):
    """The runtime failed; tried again with back-off."""


class ApiError(XnaiError):
    """The API server refused a request (`status` is HTTP's) or did not answer (`status` 0). `conflicts`: the paths of
    fields that another field manager owns."""

    def __init__(self, status: int, message: str, conflicts: tuple[str, ...] = ()) -> None:
        super().__init__(Reason.API_REFUSED if status else Reason.API_UNAVAILABLE, message)
        self.status = status
        self.conflicts = conflicts


class StateError(Exception):
    """A file of the state is damaged. The message names it and says what to do."""
