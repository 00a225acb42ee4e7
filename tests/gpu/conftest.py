import pytest
import torch


def pytest_collection_modifyitems(items):
    """Without a GPU these tests are skipped."""
    if not torch.cuda.is_available():
        for item in items:
            if "tests/gpu" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason="there is no GPU"))
