"""Every case on every tier: the right process, or nobody and why. A wrong name fails whatever the table says."""

from __future__ import annotations

import pytest

import report
import suite
from daemon import field, reasons

CASES = suite.table()
seen: dict[tuple[str, str], list[str] | None] = {}  # case and tier: the outcome of each request


@pytest.mark.parametrize("tier", suite.TIERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_case(case: suite.Case, tier: str, benches):
    observed = benches(tier).observe(case)
    if observed is None:
        seen[case.case, tier] = None
        pytest.skip("this kernel cannot run it")
    assert observed, "it asked for nothing"
    outcomes = []
    for place, (truth, event) in enumerate(observed.values(), start=1):
        outcome = suite.outcome(event, truth)
        expected = [case.faulty[tier]] if tier in case.faulty else case.expected(tier, place)
        assert outcome not in suite.LIMITS or case.limit, f"{suite.LIMITS[outcome]}: {truth}: {event}"
        assert outcome in expected, f"request {place}: {outcome}, not {expected}: {truth}: {event}"
        if outcome in ("named", "holders"):
            fields = case.fields_on(tier, place)
            assert {name: field(event, name) for name in fields} == fields, event
            assert set(case.reasons) <= reasons(event), event
            methods = [suite.METHODS[name] for name in case.named_by(tier, place)]
            assert field(event, "imdsgate.attribution.method") in methods, f"request {place}: not {methods}: {event}"
        outcomes.append(outcome)
    seen[case.case, tier] = outcomes


def test_the_documentation_says_the_same(request):
    if any((case.case, tier) not in seen for case in CASES for tier in suite.TIERS):
        pytest.skip("not every case was run, or one failed")
    if request.config.getoption("write_table"):
        report.write(CASES, seen)
    assert report.documented() == report.lines(CASES, seen)
