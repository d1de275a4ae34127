"""Sums over rows as mergeable states: computed in this process or on the executors alike."""
