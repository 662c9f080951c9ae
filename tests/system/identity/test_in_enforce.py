"""The same cases in enforce, where only the cases' own programs have a grant: whoever is nobody is refused."""

from __future__ import annotations

import pytest

import suite
from daemon import field

# One after the other, on one gateway; those that take their time are about time.
CASES = [case for case in suite.table() if not (case.crowd or case.overrun or case.run == ["client", "direct"])]


def granted(bench: suite.Bench, case: suite.Case, tier: str, truth: suite.Truth, outcome: str) -> bool:
    """Who truly asked, from which program, has the grant of conftest.py, and so has everyone else who is named with him."""
    return case.uid == "1001" and not case.unproven(tier) and bench.granted >= truth.programs(outcome == "holders")


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
        assert outcome != "wrong" and (outcome not in suite.LIMITS or case.limit), f"{outcome}: {truth}: {event}"
        if outcome in ("named", "holders"):
            assert (done[0] == "forward") == granted(bench, case, tier, truth, outcome), f"{truth}: {event}"
        if outcome not in suite.LIMITS:
            assert done[0] == "forward" and outcome in ("named", "holders") or done == ("block", 403), f"{outcome}: {truth}: {event}"
