"""The peer of `cargo xtask bench training`: the loop as people write it, in Python PyTorch.

64-128-64-10 MLP with ReLU, batch 64, Adam, cross-entropy, one thread, data in memory.
Prints {"steps_per_second": ...} as its last line.
"""

import argparse
import json
import time

import torch
from torch import nn


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3000)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()
    rows, batch = 4096, 64
    inputs, labels = torch.randn(rows, 64), torch.randint(0, 10, (rows,))

    def run(count: int) -> None:
        done = 0
        while done < count:
            order = torch.randperm(rows)
            for start in range(0, rows, batch):
                chosen = order[start : start + batch]
                optimizer.zero_grad(set_to_none=True)
                loss_of(model(inputs[chosen]), labels[chosen]).backward()
                optimizer.step()
                done += 1
                if done == count:
                    return

    run(300)
    started = time.perf_counter()
    run(steps)
    print(json.dumps({"steps_per_second": steps / (time.perf_counter() - started)}))


if __name__ == "__main__":
    main()
