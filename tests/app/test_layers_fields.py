"""High-power fields of the count area, the density's units, and the panel of layers."""

import numpy as np
import pytest
import shapely
from deskviews import MPP, area
from hypothesis import given
from hypothesis import strategies as st

from app.bridge import GuiBridge, WorkThread
from app.panels.layers import LayerPanel
from app.viewer.areas import fields_of
from app.viewer.density import density_per_mm2
from app.viewer.layers import LayerStack
from core.counting.protocols import load_protocols
from core.geometry import Mpp, area_mm2


@pytest.mark.parametrize("protocol", load_protocols())
@pytest.mark.parametrize("mpp", [MPP, Mpp(0.25, 0.5)])
def test_fields_are_equal_and_fill_the_count_area(protocol, mpp):
    whole = area((9000.0, 7000.0), angle_deg=25.0, protocol=protocol, mpp=mpp)
    fields = fields_of(whole, mpp)
    assert sum(field.area for field in fields) == pytest.approx(whole.polygon0.area)
    assert shapely.union_all(fields).symmetric_difference(whole.polygon0).area < 1
    for field in fields:
        assert area_mm2(field, mpp) == pytest.approx(whole.planned_mm2 / len(fields))


@pytest.mark.parametrize(
    ("protocol", "count"),
    [("vet_std", 10), ("breast_10hpf", 10), ("lung_ne", 10), ("net_gep", 50)],
)
def test_protocols_have_their_number_of_fields(protocol, count):
    assert len(fields_of(area(protocol=protocol), MPP)) == count


def test_all_tissue_has_no_fields():
    assert fields_of(area(kind="tissue"), MPP) == []


@given(
    st.lists(
        st.tuples(st.floats(0, 5e4, width=32), st.floats(0, 5e4, width=32)), min_size=1, max_size=40
    ),
    st.floats(0.5, 10),
)
def test_density_holds_every_mitosis(points, area_in_mm2):
    density, _, cell_um = density_per_mm2(np.array(points), area_in_mm2)
    assert density.sum() * cell_um**2 / 1e6 == pytest.approx(len(points), rel=0.02)
    assert density.max() <= len(points) / area_in_mm2 * 2.1


def test_panel_shows_and_hides_layers(qtbot):
    thread = WorkThread("density", GuiBridge())
    stack = LayerStack(thread)
    panel = LayerPanel(stack)
    qtbot.addWidget(panel)
    panel.box("candidates").click()
    assert not stack.candidates.visible
    stack.set_visible("candidates", not stack.layer("candidates").visible)
    assert panel.box("candidates").isChecked()
    assert not panel.opacity_slider.isEnabled()
    panel.box("density").click()
    assert panel.opacity_slider.isEnabled()
    panel.opacity_slider.setValue(25)
    assert stack.density.opacity == 0.25
    panel.shade_box.click()
    assert stack.count_area.shade_outside
    assert all(panel.box(layer.name) for layer in stack.layers)
    assert thread.close()
