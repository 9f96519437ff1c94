import itertools
import mmap
import re
from pathlib import Path

import pytest

from pcdenoise.viewer.keys import KEYS, MEANINGS, SCREENSHOT, ViewState

START = ViewState(views=3, colourings=2)


def after(*keys, state=START):
    for key in keys:
        state = state.pressed(key)
    return state


def test_flipping_shows_every_cloud_in_every_view_and_then_the_first_again():
    states = [after(*["SPACE"] * n) for n in range(4)]
    assert [[state.cloud_in(view) for view in range(3)] for state in states] == [
        [0, 1, 2],
        [1, 2, 0],
        [2, 0, 1],
        [0, 1, 2],
    ]


def test_colourings_follow_each_other_and_come_back_to_the_plain_one():
    assert [after(*["M"] * n).colouring for n in range(4)] == [0, 1, 2, 0]
    assert after("M", state=ViewState(views=1, colourings=0)).colouring == 0


def test_a_slice_is_put_on_changed_and_taken_off():
    assert [after(*keys).axis for keys in ("", "X", "XX", "XY", "XYZ", "ZXX")] == [None, 0, None, 1, 2, None]
    assert after("X", "RIGHT", "Y").position == 0.5, "a new slice begins in the middle"


def test_a_slice_moves_between_the_ends_of_the_clouds():
    assert after("X", "RIGHT").position == pytest.approx(0.52)
    assert after("X", "RIGHT", "LEFT").position == pytest.approx(0.5)
    assert after("X", *["LEFT"] * 99).position == 0
    assert after("X", *["RIGHT"] * 99).position == 1


def test_a_slice_gets_thicker_and_thinner_within_limits():
    assert after("Z", "UP").thickness == pytest.approx(0.025)
    assert after("Z", "UP", "DOWN").thickness == pytest.approx(0.02)
    assert after("Z", *["DOWN"] * 99).thickness == 0.001
    assert after("Z", *["UP"] * 99).thickness == 0.5


@pytest.mark.parametrize("key", ["LEFT", "RIGHT", "UP", "DOWN", "Q", "?"])
def test_without_a_slice_the_arrows_change_nothing_and_other_keys_never_do(key):
    assert after(key) == START


def test_every_order_of_keys_leads_to_a_state_that_can_be_drawn():
    for keys in itertools.product(KEYS, repeat=3):
        state = after(*keys)
        assert {state.cloud_in(view) for view in range(3)} == {0, 1, 2}
        assert 0 <= state.colouring <= 2
        assert 0 <= state.position <= 1


def test_no_key_of_open3ds_own_window_is_taken():
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    libraries = list(Path(open3d.__file__).parent.glob("libOpen3D.so*"))
    if not libraries:
        pytest.skip("open3d keeps its help text elsewhere on this system")
    # the help that its key H prints
    with libraries[0].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        middle = data.find(b"-- Keyboard view control --")
        text = data[middle - 6000 : middle + 6000].decode("latin1")
    shortcuts = re.findall(r"    ([ -~]{1,13}?) *: [A-Z][ -~]+", text)
    own = {key.upper() for shortcut in shortcuts for key in re.split(r"[ ,./+]+|Ctrl|Cmd|Shift|Alt", shortcut)}
    assert {"R", "H", "P", "D", "L", "N", "S", "W", "B", "I", "T", "O", "Q", "ESC", "C", "V"} <= own
    assert not own & MEANINGS.keys()


def test_every_key_has_a_meaning():
    assert MEANINGS.keys() == KEYS.keys() | {SCREENSHOT}
    assert len(set(MEANINGS.values())) == len(MEANINGS)
