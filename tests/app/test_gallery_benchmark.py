from blobs import blob_slide

from app.benchmarks.keys import measure_keys


def test_the_time_from_key_to_crop_is_measured_in_the_real_window(qtbot, tmp_path):
    path = tmp_path / "blobs.tif"
    blob_slide(path, 1400, 1000, count=6)
    row = measure_keys(path, candidates=60, presses=3, pause_s=0.01)
    assert (row.candidates, row.presses) == (60, 3)
    assert 0 < row.saved_median_ms <= row.shown_median_ms <= row.shown_worst_ms
