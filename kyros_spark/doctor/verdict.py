"""Word a check: its verdict, what was found, what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Check:
    """One finding: ok, warn (it works, but) or fail (a stage would not get through)."""

    name: str
    verdict: str
    found: str
    fix: str = ""

    def line(self) -> str:
        """Return the finding as a line for people."""
        told = f"{self.verdict:<5} {self.name:<13} {self.found}"
        return f"{told} -> {self.fix}" if self.fix else told

    def as_dict(self) -> dict[str, str]:
        """Return the finding as the result line holds it."""
        return asdict(self)


def ok(name: str, found: str) -> Check:
    """Return a finding that needs nothing."""
    return Check(name, "ok", found)


def warn(name: str, found: str, fix: str) -> Check:
    """Return a finding that costs time or certainty."""
    return Check(name, "warn", found, fix)


def fail(name: str, found: str, fix: str) -> Check:
    """Return a finding that stops a stage."""
    return Check(name, "fail", found, fix)
