# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of Backstay: a small tree, one stable code per branch.

A message is one sentence that says what is wrong and where; a hint says what to do. Modules and the worker turn an
error into the same three fields (``code``, ``message``, ``hint``) in one place, so an operator meets one shape.
"""

from __future__ import annotations

from typing import Dict


class BackstayError(Exception):
    """Root of the tree. ``code`` is stable: scripts may compare it, messages may change."""

    code = "internal"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_dict(self) -> Dict[str, str]:
        """Return ``{code, message, hint}``, the shape in which errors travel between processes."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class BadInput(BackstayError):
    """A value given by the user or the inventory is wrong; nothing was done."""

    code = "bad-input"


class Refused(BackstayError):
    """The request is well formed but would be unsafe; nothing was done."""

    code = "refused"


class Busy(Refused):
    """Another job holds the same resource."""

    code = "busy"


class PreflightFailed(BackstayError):
    """One or more named checks failed; nothing was done."""

    code = "preflight"


class PlanRefused(Refused):
    """The wanted moment cannot be restored; the message names the nearest moments that can."""

    code = "plan"


class NoSpace(BackstayError):
    """A filesystem is too small for what is about to be written to it."""

    code = "space"


class CaptureFailed(BackstayError):
    """The server's own tool failed or did not prove that it finished."""

    code = "capture"


class CommandFailed(BackstayError):
    """A native command of a procedure failed."""

    code = "command"


class Stalled(BackstayError):
    """No byte moved for the stall timeout; the processes were ended."""

    code = "stalled"


class Interrupted(BackstayError):
    """The worker ended before the job did (killed, rebooted, out of memory)."""

    code = "interrupted"


class IntegrityError(BackstayError):
    """Data that came back differs from what the receipt says."""

    code = "integrity"


class ApplicationDown(BackstayError):
    """The application did not come back after the job touched it."""

    code = "application-down"


class RepositoryError(BackstayError):
    """The repository or the path to it failed."""

    code = "repository"


class RepositoryAbsent(RepositoryError):
    """There is no repository at the given place."""

    code = "repository-absent"


class RepositoryPassword(RepositoryError):
    """The repository exists and the password does not open it."""

    code = "repository-password"


class RepositoryLocked(RepositoryError):
    """Somebody holds the repository exclusively."""

    code = "repository-locked"


class RepositoryPartial(RepositoryError):
    """The upload tool left out something; what it wrote is never offered for restore."""

    code = "repository-partial"


class ConnectionLost(BackstayError):
    """The way from the worker to the protected host broke; that host releases itself."""

    code = "connection"
