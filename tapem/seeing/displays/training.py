"""The display of a training: its losses as curves, and its parameters folded."""

from __future__ import annotations

from tapem.display import Mark, Part, Sheet, curves, shows
from tapem.seeing.displays.trees import tree_fold
from tapem.training import FitState, Fitted


@shows(Fitted)
def fitted_sheet(fitted: Fitted) -> Sheet:
    """How far a training came, with the curves of its losses."""
    history, state = fitted.history, fitted.state
    epochs = f"{state.epoch} epoch{'s' * (state.epoch != 1)}"
    parts: list[Part] = []
    if fitted.interrupted:
        parts.append(Mark("interrupted: it did not come to its end", False))
    ends = [
        f"{name} {values[0]:.4g} -> {values[-1]:.4g}"
        for name in ("loss", "validation")
        if (values := history.get(name, []))
    ]
    by_epoch = {name: values for name, values in history.items() if name != "step_loss"}
    drawn = curves(by_epoch) or curves({"loss of each step": history.get("step_loss", [])})
    if ends:
        parts.append("   ".join(ends))
    if drawn is not None:
        parts.append(drawn._replace(text=""))
    if fitted.best is not None:
        parts.append(f"best: {fitted.best.score:.4g} after epoch {fitted.best.epoch}")
    parts.append(tree_fold("params", state.params))
    return Sheet(f"Fitted: {epochs}", tuple(part for part in parts if part))


@shows(FitState)
def state_sheet(state: FitState) -> Sheet:
    """A training between two steps: a tree of trees."""
    return Sheet(
        f"FitState after {state.epoch} epochs",
        tuple(tree_fold(name, part) for name, part in zip(state._fields, state, strict=True)),
    )


__all__ = ["fitted_sheet", "state_sheet"]
