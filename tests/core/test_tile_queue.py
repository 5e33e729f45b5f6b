import threading

from core.geometry import Rect0
from core.slides.levels import LevelScale
from core.slides.tilegrid import TileGrid, TileKey
from core.slides.tilequeue import COARSE, SHARP, TileQueue, Wish, plan_wishes

GRID = TileGrid(
    ((8192, 8192), (2048, 2048), (512, 512)),
    tuple(LevelScale(f, f) for f in (1, 4, 16)),
    Rect0(0, 0, 8192, 8192),
    256,
)


def wish(column, kind=SHARP, distance=0.0):
    return Wish((kind, 1, distance), TileKey(0, column, 0))


def taken(queue, count):
    keys = []
    for _ in range(count):
        key = queue.take()
        keys.append(key.column)
        queue.done(key)
    return keys


def test_the_most_needed_comes_first():
    queue = TileQueue()
    queue.replace([wish(1, SHARP, 5), wish(2, SHARP, 1), wish(3, COARSE, 9)])
    assert taken(queue, 3) == [3, 2, 1]


def test_a_new_view_replaces_what_was_wanted():
    queue = TileQueue()
    queue.replace([wish(n) for n in range(5)])
    queue.replace([wish(7)])
    assert not queue.wants(TileKey(0, 1, 0))
    assert taken(queue, 1) == [7]
    assert queue.idle()


def test_a_tile_in_hand_is_not_handed_out_again():
    queue = TileQueue()
    queue.replace([wish(1)])
    first = queue.take()
    queue.replace([wish(1), wish(2)])
    assert taken(queue, 1) == [2]
    assert not queue.idle()
    queue.done(first)
    assert queue.idle()
    queue.replace([wish(1)])
    assert taken(queue, 1) == [1]


def test_a_tile_that_failed_is_never_tried_again():
    queue = TileQueue()
    queue.replace([wish(1)])
    queue.done(queue.take(), failed=True)
    queue.replace([wish(1), wish(2)])
    assert taken(queue, 1) == [2]
    assert queue.failed(TileKey(0, 1, 0))
    assert queue.idle()


def test_the_background_comes_when_nothing_is_wanted():
    queue = TileQueue()
    queue.set_background([TileKey(3, 8, 0), TileKey(3, 9, 0)])
    queue.replace([wish(1)])
    assert taken(queue, 3) == [1, 8, 9]
    assert queue.idle()


def test_closing_wakes_who_waits():
    queue, answers = TileQueue(), []
    waiting = threading.Thread(target=lambda: answers.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join(5)
    assert answers == [None]
    queue.replace([wish(1)])
    assert queue.take() is None


def test_a_view_wants_coarse_then_sharp_from_the_middle_then_margin():
    wishes = plan_wishes(GRID, Rect0(2048, 2048, 1536, 1536), 1.0, lambda key: True)
    order = [w.key for w in sorted(wishes, key=lambda w: w.rank)]
    assert order[0].level == GRID.coarsest
    assert order[1] == TileKey(0, 5, 5)
    assert {key.level for key in order[1:10]} == {0}
    assert len(order) == len(set(order)) == 1 + 9 + 16 + 4
    assert {key.level for key in order[-4:]} == {1}


def test_what_is_there_is_not_wanted():
    assert plan_wishes(GRID, Rect0(0, 0, 500, 500), 1.0, lambda key: False) == []
