"""Train a generator and a discriminator against each other, each with its own optimizer."""

import time
from statistics import median

import torch
from torch import nn

BATCH_SIZE, NOISE, STEPS = 64, 32, 120


def generator() -> nn.Module:
    return nn.Sequential(nn.Linear(NOISE, 128), nn.LeakyReLU(0.2), nn.Linear(128, 256), nn.Tanh())


def discriminator() -> nn.Module:
    return nn.Sequential(nn.Linear(256, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))


def samples(count: int) -> torch.Tensor:
    return torch.tanh(torch.randn(count, 256))


def main() -> None:
    device = torch.device("cpu")
    torch.manual_seed(0)
    makes, judges = generator().to(device), discriminator().to(device)
    criterion = nn.BCEWithLogitsLoss()
    for_makes, for_judges = (torch.optim.Adam(net.parameters(), lr=2e-4) for net in (makes, judges))
    seconds = []
    for real in [samples(BATCH_SIZE) for _ in range(STEPS)]:
        start = time.perf_counter()
        real = real.to(device)
        ones, zeros = torch.ones(len(real), 1, device=device), torch.zeros(len(real), 1, device=device)
        made = makes(torch.randn(len(real), NOISE, device=device))

        for_judges.zero_grad()
        loss = criterion(judges(real), ones) + criterion(judges(made.detach()), zeros)
        loss.backward()
        for_judges.step()

        for_makes.zero_grad()
        fooled = criterion(judges(made), ones)
        fooled.backward()
        for_makes.step()
        seconds.append(time.perf_counter() - start)
    print(f"{median(seconds):.9f} s per step")


if __name__ == "__main__":
    main()
