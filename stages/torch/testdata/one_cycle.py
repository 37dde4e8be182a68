"""Writes one_cycle.json: learning rates of PyTorch's OneCycleLR. Needs torch 2.13."""
import json, pathlib, torch

cases = []
for total, rate, warmup, start, final in [(10, 0.1, 0.3, 25.0, 1e4), (20, 0.1, 0.25, 10.0, 100.0), (7, 2.0, 0.5, 5.0, 10.0)]:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=total, pct_start=warmup, div_factor=start, final_div_factor=final)
    rates = []
    for step in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < total:
            schedule.step()
    cases.append({"rate": rate, "warmup": warmup, "start_divisor": start, "final_divisor": final, "rates": rates})
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=1) + "\n")
