import os
from pathlib import Path

import pytest

import app
import core
import models
import resources


@pytest.mark.skipif("MITOSCOPE_INSTALLED" not in os.environ, reason="MITOSCOPE_INSTALLED not set")
def test_the_tests_run_on_the_installed_package():
    checkout = Path(__file__).resolve().parents[2]
    for package in (app, core, models, resources):
        assert checkout not in Path(str(package.__file__)).resolve().parents
