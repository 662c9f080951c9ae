"""The table of docs/identity.md: case × tier × what happens, out of what the suite saw."""

from __future__ import annotations

from lab import REPOSITORY
from suite import TIERS, Case

DOCUMENT = REPOSITORY / "docs" / "identity.md"
BEGIN, END = "<!-- what tests/system/identity saw -->\n", "<!-- end -->\n"
WORDS = {"named": "named", "holders": "named, with all who hold it", "holder": "**another holder is named**", "wrong": "**a wrong name**"}


def _word(outcome: str) -> str:
    return WORDS.get(outcome, f"`{outcome}`")


def _cell(case: Case, tier: str, outcomes: list[str] | None) -> str:
    """What was seen; where it is a matter of time, or was not run here, all that may be."""
    if tier in case.faulty:
        return f"{_word(case.faulty[tier])}; it should be {_word(case.expected(tier, 1)[0])}"
    count = len(outcomes) if outcomes is not None else len(getattr(case, tier).split(";"))
    parts = []
    for place in range(1, count + 1):
        expected = case.expected(tier, place)
        words = " or ".join(map(_word, expected)) if outcomes is None or len(expected) > 1 else _word(outcomes[place - 1])
        parts.append(words)
    return ", then ".join(parts)


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
