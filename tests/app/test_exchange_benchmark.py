"""The benchmark of exchange formats, on few points."""

import json

from app.__main__ import main
from app.benchmarks.exchange import OF_DICOM
from core.exchange.formats import FORMATS


def test_every_format_is_measured(capsys):
    assert main(["benchmark", "exchange", "--points", "20", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    formats = [id_ for id_ in FORMATS if id_ not in OF_DICOM]
    assert [row.get("format") for row in rows] == [*formats, None]
    assert rows[-1]["points"] == 20
