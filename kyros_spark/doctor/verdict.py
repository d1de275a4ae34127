"""Word a check: its verdict, the finding and the fix."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Check:
    """A finding: ok, warn (costs time or certainty) or fail (a stage would not get through)."""

    name: str
    verdict: str
    found: str
    fix: str = ""

    def line(self) -> str:
        """Return the finding as a line for people."""
        line = f"{self.verdict:<5} {self.name:<13} {self.found}"
        return f"{line} -> {self.fix}" if self.fix else line

    def as_dict(self) -> dict[str, str]:
        """Return the finding as the result line holds it."""
        return asdict(self)


def ok(name: str, finding: str) -> Check:
    """Return a check that needs no fix."""
    return Check(name, "ok", finding)


def warn(name: str, finding: str, fix: str) -> Check:
    """Return a check whose finding costs time or certainty."""
    return Check(name, "warn", finding, fix)


def fail(name: str, finding: str, fix: str) -> Check:
    """Return a check whose finding stops a stage."""
    return Check(name, "fail", finding, fix)
