"""Classify small images with a convolutional network; four batches add up to one optimizer step."""

import time
from statistics import median

import torch
from torch import nn

BATCH_SIZE, ACCUMULATE, STEPS = 16, 4, 60


class Classifier(nn.Module):
    """Two convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        )  # fmt: skip
        self.classes = nn.Linear(32 * 16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(self.features(images).flatten(1))


def samples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 3, 32, 32), torch.randint(10, (count,))


def main() -> None:
    device = torch.device("cpu")
    torch.manual_seed(0)
    model = Classifier().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batches = [samples(BATCH_SIZE) for _ in range(ACCUMULATE * STEPS)]
    seconds, start = [], time.perf_counter()
    for i, (images, labels) in enumerate(batches):
        images, labels = images.to(device), labels.to(device)
        loss = criterion(model(images), labels)
        (loss / ACCUMULATE).backward()
        if (i + 1) % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
    print(f"{median(seconds):.9f} s per step")


if __name__ == "__main__":
    main()
