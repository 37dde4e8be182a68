"""The peer of `cargo xtask bench training`: the same loop in Python PyTorch.

A 64-128-64-10 MLP with ReLU, cross-entropy, Adam (lr 1e-3), batches of 64 from 1,797 rows of digits-like random
data, reshuffled each epoch, float32, one thread. Adam runs as it comes (what most people have) and fused (the fastest
PyTorch offers here). Prints one line of JSON with the fastest repeat of each.
"""

import argparse
import json
import time

import torch

ROWS, INPUTS, CLASSES, BATCH = 1797, 64, 10, 64


def repeat(x, y, steps, fused):
    torch.manual_seed(7)
    model = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, 128), torch.nn.ReLU(), torch.nn.Linear(128, 64), torch.nn.ReLU(), torch.nn.Linear(64, CLASSES)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    done, loss = 0, None
    started = time.perf_counter()
    while done < steps:
        order = torch.randperm(ROWS)
        for start in range(0, ROWS - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return time.perf_counter() - started, float(loss.detach())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 17, (ROWS, INPUTS), generator=generator).float() / 16
    y = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    result = {"steps": options.steps}
    for name, fused in [("steps_per_second", None), ("steps_per_second_fused", True)]:
        repeat(x, y, 200, fused)
        seconds, loss = min(repeat(x, y, options.steps, fused) for _ in range(options.repeats))
        result[name], result["loss"] = options.steps / seconds, loss
    print(json.dumps(result))


main()
