"""Predict the next character with a recurrent network; gradients are clipped, the learning rate decays."""

import time
from statistics import median

import torch
from torch import nn

BATCH_SIZE, LENGTH, CHARACTERS, STEPS = 16, 24, 64, 120


class Characters(nn.Module):
    """An embedding, a recurrent layer and a score for each character."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CHARACTERS, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.scores = nn.Linear(width, CHARACTERS)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        states, _ = self.recurrent(self.embedding(text))
        return self.scores(states).transpose(1, 2)


def samples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    text = torch.randint(CHARACTERS, (count, LENGTH + 1))
    return text[:, :-1], text[:, 1:]


def main() -> None:
    device = torch.device("cpu")
    torch.manual_seed(0)
    model = Characters().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.999)
    seconds = []
    for text, following in [samples(BATCH_SIZE) for _ in range(STEPS)]:
        start = time.perf_counter()
        text, following = text.to(device), following.to(device)
        optimizer.zero_grad()
        loss = criterion(model(text), following)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
        optimizer.step()
        scheduler.step()
        seconds.append(time.perf_counter() - start)
    print(f"{median(seconds):.9f} s per step")


if __name__ == "__main__":
    main()
