"""Keep the `models` registry: versions, the champion of each name, and the gate to become one."""

from kyros_spark.registry.entry import Described, Entry, Trained
from kyros_spark.registry.versions import (
    Promoted,
    Refused,
    Registered,
    Registry,
    champion_of,
    next_version,
)

__all__ = [
    "Described",
    "Entry",
    "Promoted",
    "Refused",
    "Registered",
    "Registry",
    "Trained",
    "champion_of",
    "next_version",
]
