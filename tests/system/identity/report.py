"""The table of docs/identity.md: case × tier × what happens, out of what the suite saw."""

from __future__ import annotations

from lab import REPOSITORY
from suite import TIERS, Case

DOCUMENT = REPOSITORY / "docs" / "identity.md"
BEGIN, END = "<!-- what tests/system/identity saw -->\n", "<!-- end -->\n"
WORDS = {"named": "named", "holders": "named, with all who hold it", "holder": "**another holder is named**",
         "believed": "**another program is believed**", "wrong": "**a wrong name**"}
NAMED = ("named", "holders")


def _word(outcome: str) -> str:
    return WORDS.get(outcome, f"`{outcome}`")


def _request(case: Case, tier: str, number: int, outcome: str) -> str:
    """What was seen of one request; where it is a matter of time all that may be."""
    expected = case.expected(tier, number)
    words = " or ".join(map(_word, expected)) if len(expected) > 1 else _word(outcome)
    by = case.named_by(tier, number)
    if tier != "bpf" or by == ["kernel"] or outcome not in NAMED:
        return words
    return f"{words} ({' or '.join(by)})"


def _cell(case: Case, tier: str, outcomes: list[str] | None) -> str:
    if outcomes is None:
        return "not run here"
    if tier in case.faulty:
        return f"{_word(case.faulty[tier])}; it should be {_word(case.expected(tier, 1)[0])}"
    return ", then ".join(_request(case, tier, number, outcome) for number, outcome in enumerate(outcomes, start=1))


def lines(cases: list[Case], seen: dict) -> list[str]:
    head = ["| case | what it does | BPF | without |", "| --- | --- | --- | --- |"]
    return head + [f"| {case.case} | {case.about} | " + " | ".join(_cell(case, tier, seen[case.case, tier]) for tier in TIERS) + " |"
                   for case in cases]


def documented() -> list[str]:
    _, _, rest = DOCUMENT.read_text().partition(BEGIN)
    return rest.partition(END)[0].strip().splitlines()


def write(cases: list[Case], seen: dict) -> None:
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(before + BEGIN + "\n" + "\n".join(lines(cases, seen)) + "\n\n" + END + after)
