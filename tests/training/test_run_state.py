"""The state of a run, written and read."""

from pathlib import Path

import torch
from torch import nn

from medrecon.training.state import Position, State, read_state, write_state


def test_the_scaler_of_float16_goes_on(tmp_path: Path) -> None:
    network = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(network.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)

    def step(scaler: torch.amp.GradScaler) -> None:
        optimizer.zero_grad()
        scaler.scale(network(torch.ones(1, 2)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    step(scaler)
    write_state(tmp_path / "s.safetensors", State(network, optimizer, Position(step=1), 1, scaler.state_dict()), {})
    found = read_state(tmp_path / "s.safetensors", network, optimizer, 1).scaler
    assert {name: (type(value), value) for name, value in found.items()} == {
        name: (type(value), value) for name, value in scaler.state_dict().items()
    }
    resumed = torch.amp.GradScaler("cpu")
    resumed.load_state_dict(dict(found))
    step(resumed)
    assert resumed.get_scale() == 16.0  # it grows at the second good step in a row
