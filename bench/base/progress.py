"""Progress of work that takes longer than a second."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) by work that takes longer than a second; a total of 0 is not known yet."""


def no_progress(stage: str, done: int, total: int) -> None:
    """The callback that says nothing."""
