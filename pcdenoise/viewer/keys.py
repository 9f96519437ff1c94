"""What the keys of the window do: which cloud each view shows, in which colours, and how much of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

LEFT, RIGHT, UP, DOWN = "LEFT", "RIGHT", "UP", "DOWN"
STEP, WIDER = 0.02, 1.25  # of a slice: how far it moves, in extents, and how much thicker it gets
THINNEST, THICKEST = 0.001, 0.5  # in extents


@dataclass(frozen=True)
class ViewState:
    """What the views of a window show. Every key leads from one state to another.

    Attributes:
        views: how many there are.
        colourings: how many ways to colour there are, besides the plain one.
        turn: view i shows cloud (i + turn) modulo `views`.
        colouring: 0 for the plain colours, i for the i-th other way.
        axis: 0, 1 or 2 across which only a slice is shown, None for whole clouds.
        position: of the middle of the slice, from 0 to 1 along the extent of the clouds on that axis.
        thickness: of the slice, as a part of the largest extent.
    """

    views: int
    colourings: int
    turn: int = 0
    colouring: int = 0
    axis: int | None = None
    position: float = 0.5
    thickness: float = 0.02

    def cloud_in(self, view: int) -> int:
        """The number of the cloud that a view shows."""
        return (view + self.turn) % self.views

    def pressed(self, key: str) -> "ViewState":
        """The state after one of `KEYS`; any other key changes nothing."""
        return KEYS[key].change(self) if key in KEYS else self


class Key(NamedTuple):
    """What a key does, in words and in deed."""

    meaning: str
    change: Callable[[ViewState], ViewState]


def _slice_across(axis: int) -> Callable[[ViewState], ViewState]:
    def change(state: ViewState) -> ViewState:
        return replace(state, axis=None) if state.axis == axis else replace(state, axis=axis, position=0.5)

    return change


def _move(step: float) -> Callable[[ViewState], ViewState]:
    def change(state: ViewState) -> ViewState:
        return state if state.axis is None else replace(state, position=min(max(state.position + step, 0.0), 1.0))

    return change


def _thicken(factor: float) -> Callable[[ViewState], ViewState]:
    def change(state: ViewState) -> ViewState:
        thickness = min(max(factor * state.thickness, THINNEST), THICKEST)
        return state if state.axis is None else replace(state, thickness=thickness)

    return change


KEYS: dict[str, Key] = {
    "SPACE": Key(
        "flip: the next cloud in each view, in the same place", lambda s: replace(s, turn=(s.turn + 1) % s.views)
    ),
    "M": Key("next colouring", lambda s: replace(s, colouring=(s.colouring + 1) % (s.colourings + 1))),
    "X": Key("slice across x, seen face-on; again: whole clouds", _slice_across(0)),
    "Y": Key("slice across y", _slice_across(1)),
    "Z": Key("slice across z", _slice_across(2)),
    RIGHT: Key("move the slice on", _move(STEP)),
    LEFT: Key("move the slice back", _move(-STEP)),
    UP: Key("thicker slice", _thicken(WIDER)),
    DOWN: Key("thinner slice", _thicken(1 / WIDER)),
}
SCREENSHOT = "G"

MEANINGS = {name: key.meaning for name, key in KEYS.items()} | {
    SCREENSHOT: "grab all views and the colour bar: pcdenoise_view_1.png, ..., in the working folder"
}
