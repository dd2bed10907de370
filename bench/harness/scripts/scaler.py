"""Train a perceptron in float16 with a gradient scaler."""

import time
from statistics import median

import torch
from torch import nn

BATCH_SIZE, STEPS = 64, 120


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))


def samples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 128), torch.randint(10, (count,))


def main() -> None:
    device = torch.device("cpu")
    torch.manual_seed(0)
    model = perceptron().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler(device.type)
    seconds = []
    for inputs, labels in [samples(BATCH_SIZE) for _ in range(STEPS)]:
        start = time.perf_counter()
        inputs, labels = inputs.to(device), labels.to(device)
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=torch.float16):
            loss = criterion(model(inputs), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        seconds.append(time.perf_counter() - start)
    print(f"{median(seconds):.9f} s per step")


if __name__ == "__main__":
    main()
