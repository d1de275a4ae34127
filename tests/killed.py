"""What tests of micro-batches share: a process that dies at a chosen call, and what it leaves."""

import pytest

from kyros_spark.delta.staging import StagedWrite


def staged_logs(portfolio, table):
    return list((portfolio.base / table).glob("staged-*/_delta_log"))


class Killed(BaseException):
    """What no code of ours catches: the process is gone."""


def _killed_at(monkeypatch, call, when):
    """Make the ``when``-th call of a method of StagedWrite die, before or after it worked."""
    method, calls = getattr(StagedWrite, call), []

    def dies(self, *given):
        calls.append(given)
        if len(calls) == abs(when) and when > 0:
            raise Killed
        done = method(self, *given)
        if len(calls) == abs(when):
            raise Killed
        return done

    monkeypatch.setattr(StagedWrite, call, dies)


def killed_run(portfolio, monkeypatch, command, call, when):
    """Give a command to a process that dies at that call; what is given next lives."""
    with monkeypatch.context() as dying:
        _killed_at(dying, call, when)
        with pytest.raises(Killed):
            portfolio.kyros(command)
