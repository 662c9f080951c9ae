"""The same cases in enforce, where only the cases' own programs have a grant: whoever is nobody is refused."""

from __future__ import annotations

import pytest

import suite
from daemon import field

# One after the other, on one gateway; those that take their time are about time.
CASES = [case for case in suite.table() if not (case.crowd or case.overrun or case.run == ["client", "direct"])]


def granted(bench: suite.Bench, event: dict) -> bool:
    """By the grant in conftest.py, as far as the event's first holder goes."""
    return (field(event, "user.id") == "1001" and field(event, "imdsgate.proven.executable") is True
            and field(event, "process.executable").startswith(f"{bench.lab.programs}/"))


@pytest.mark.parametrize("tier", suite.TIERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_in_enforce(case: suite.Case, tier: str, enforcing):
    bench = enforcing(tier)
    observed = bench.observe(case)
    if observed is None:
        pytest.skip("this kernel cannot run it")
    for truth, event in observed.values():
        outcome = suite.outcome(event, truth)
        done = field(event, "imdsgate.action"), field(event, "http.response.status_code")
        if outcome in ("named", "holders"):
            expected = granted(bench, event) and outcome == "named"
            assert (done[0] == "forward") == expected or outcome == "holders", event
        elif outcome != "holder":  # which audit's cases are about
            assert outcome != "wrong" and done == ("block", 403), event
