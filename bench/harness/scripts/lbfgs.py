"""Fit noisy waves with a small network and LBFGS, which evaluates the loss several times in each step."""

import time
from statistics import median

import torch
from torch import nn

BATCH_SIZE, STEPS = 256, 40


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))


def samples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    points = torch.rand(count, 16)
    return points, torch.sin(9 * points).sum(1, keepdim=True) + 0.1 * torch.randn(count, 1)


def main() -> None:
    device = torch.device("cpu")
    torch.manual_seed(0)
    model = network().to(device)
    criterion = nn.MSELoss()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.2, max_iter=10)
    points, waves = samples(BATCH_SIZE)
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        inputs, targets = points.to(device), waves.to(device)

        def closure(inputs=inputs, targets=targets):
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
        seconds.append(time.perf_counter() - start)
    print(f"{median(seconds):.9f} s per step")


if __name__ == "__main__":
    main()
