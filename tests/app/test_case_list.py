"""The slides of the open slide's case, in the whole desktop."""

import pytest
from desks import add_run, add_slide, candidate
from desktops import LONG_MS


@pytest.fixture
def names(desktop):
    """What the list shows; nothing while it is hidden."""
    desktop.window.docks.show("count")
    case = desktop.window.count.place.case

    def shown():
        rows = [case.list.item(n).text().split("–")[1].strip() for n in range(case.list.count())]
        return rows if case.isVisible() else []

    return shown


@pytest.fixture
def others(desktop):
    """Two slides that were analysed, with six and with two mitoses."""
    made = []
    for name, count in (("six", 6), ("two", 2)):
        made.append(add_slide(desktop.store, name))
        rows = [candidate(8000 + 50 * n, 8000, 0.9) for n in range(count)]
        add_run(desktop.store, made[-1], rows, name)
    return made


def test_the_list_follows_the_open_slide_into_a_case_and_out_of_it(qtbot, desktop, names, others):
    slides, here = desktop.window.slides, desktop.room.opened.slide_id
    assert names() == []
    slides.set_case([here, *others[:1]], "C")
    qtbot.waitUntil(lambda: names() == ["six.svs", "Smith.tif"], timeout=LONG_MS)
    slides.set_case([here, *others[1:]], "D")
    qtbot.waitUntil(lambda: names() == ["two.svs", "Smith.tif"], timeout=LONG_MS)
    slides.set_case([here], "")
    qtbot.waitUntil(lambda: names() == [], timeout=LONG_MS)


def test_the_list_follows_other_slides_into_the_case_and_out_of_it(qtbot, desktop, names, others):
    slides, here = desktop.window.slides, desktop.room.opened.slide_id
    slides.set_case([here, *others[:1]], "C")
    qtbot.waitUntil(lambda: names() == ["six.svs", "Smith.tif"], timeout=LONG_MS)
    slides.set_case(others[1:], "C")
    qtbot.waitUntil(lambda: names() == ["six.svs", "two.svs", "Smith.tif"], timeout=LONG_MS)
    slides.set_case(others[:1], "")
    qtbot.waitUntil(lambda: names() == ["two.svs", "Smith.tif"], timeout=LONG_MS)


def test_a_deleted_case_has_no_list(qtbot, desktop, names, others):
    slides, here = desktop.window.slides, desktop.room.opened.slide_id
    slides.set_case([here, *others], "C")
    qtbot.waitUntil(lambda: len(names()) == 3, timeout=LONG_MS)
    (case,) = desktop.store.cases()
    slides._cases.delete(case.id, "entered twice")
    qtbot.waitUntil(lambda: names() == [], timeout=LONG_MS)
    slides._cases.restore(case.id)
    qtbot.waitUntil(lambda: len(names()) == 3, timeout=LONG_MS)


def test_what_another_window_puts_into_a_case_is_listed(qtbot, desktop, names, others):
    case_id = desktop.store.add_case("C")
    for slide_id in (desktop.room.opened.slide_id, others[0]):
        desktop.store.set_case(slide_id, case_id, "Ben")
    desktop.room.ask(lambda desk: desk.refresh())
    qtbot.waitUntil(lambda: names() == ["six.svs", "Smith.tif"], timeout=LONG_MS)
