"""Hypothesis, and a property as it runs for the checks: by a seed, reporting the smallest example only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapem.errors import MissingExtraError


def hypothesis_modules() -> tuple[Any, Any]:
    """Import Hypothesis and its strategies. Raises MissingExtraError if it is not installed."""
    try:
        import hypothesis
        import hypothesis.strategies
    except ImportError as error:
        raise MissingExtraError(
            "tapem.testing.shaped and check_op draw their examples with Hypothesis, which is not installed. "
            "Install it with: pip install 'tapem[test]'"
        ) from error
    return hypothesis, hypothesis.strategies


def seeded(
    test: Callable[..., None], *strategies: Any, seed: int, max_examples: int | None = None, key: str | None = None
) -> Callable[[], None]:
    """Make a run of a property with what these strategies draw.

    Without `max_examples`, and for all else, Hypothesis' current profile decides. `key` names the run in Hypothesis'
    database of failed examples; it is not used if pytest was given a seed for all of Hypothesis.

    >>> from hypothesis.strategies import integers
    >>> numbers: list[int] = []
    >>> seeded(lambda number: numbers.append(number), integers(0, 9), seed=1, max_examples=5)()
    >>> len(numbers)
    5
    """
    hypothesis, _ = hypothesis_modules()
    profile = hypothesis.settings.default
    run: Any = hypothesis.seed(seed)(hypothesis.given(*strategies)(test))  # disables the database
    run = hypothesis.settings(
        max_examples=profile.max_examples if max_examples is None else max_examples,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=[phase for phase in profile.phases if phase is not hypothesis.Phase.explain],
        suppress_health_check=list(hypothesis.HealthCheck),
    )(run)
    if key is not None and hypothesis.core.global_force_seed is None:
        run._hypothesis_internal_database_key = key.encode()
    return run


__all__ = ["hypothesis_modules", "seeded"]
