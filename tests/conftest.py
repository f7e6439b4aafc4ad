"""What all tests share: one thread each, so that parallel workers do not fight, and a seeded generator."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20261121)
