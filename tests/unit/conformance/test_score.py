"""The score is the share of judged scenarios without any difference."""

from comfyfarm.conformance.differences import Difference
from comfyfarm.conformance.score import ScenarioOutcome, Score, by_family

SAME = ScenarioOutcome("a", "http", 1.0)
OTHER = ScenarioOutcome("b", "http", 2.0, (Difference("status", "200", "404"),))
SKIPPED = ScenarioOutcome("c", "sampling", 0.0, skipped="no checkpoint")


def test_skipped_scenarios_are_not_judged() -> None:
    """They are counted separately."""
    assert Score.of([SAME, OTHER, SKIPPED]) == Score(same=1, judged=2, skipped=1, seconds=3.0)


def test_a_score_is_full_only_if_at_least_one_was_judged_and_none_differs() -> None:
    """A run without judged scenarios is no success."""
    assert Score.of([SAME, SKIPPED]).is_full
    assert not Score.of([SAME, OTHER]).is_full
    assert not Score.of([SKIPPED]).is_full
    assert not Score.of([]).is_full


def test_only_a_full_score_reads_as_a_hundred_percent() -> None:
    """Rounding must not hide the last difference."""
    assert str(Score(same=93, judged=93, skipped=0, seconds=0)) == "93/93 (100.0 %)"
    assert str(Score(same=9999, judged=10000, skipped=0, seconds=0)) == "9999/10000 (99.9 %)"
    assert str(Score(same=0, judged=0, skipped=5, seconds=0)) == "0/0 (0.0 %)"


def test_families_are_counted_separately_in_their_order() -> None:
    """Each has a score of its own."""
    assert by_family([SKIPPED, SAME, OTHER]) == {"sampling": Score.of([SKIPPED]), "http": Score.of([SAME, OTHER])}
