"""The scripts in tools/, as modules."""

import importlib.util
import sys

import pytest


@pytest.fixture(scope="module")
def tool(request):
    """The script that a test module names `TOOL`."""
    path = request.module.TOOL
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
