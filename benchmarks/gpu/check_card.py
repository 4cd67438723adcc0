"""Whether sleep does on a graphics card what it does on a processor. Two minutes; no data.

Each check is a row: 1 where it holds, 0 where it does not, with the reason printed. Checked are: wake and night in
float32, bfloat16 and float16 (with a scaler, through a step that overflows); a night that is rolled back bit for bit; a
state saved in the middle of a night and resumed bit for bit; and a compiled model.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import torch
from card import Results, check_device, make_parser
from torch import Tensor, nn

from sharpwave.benchmarks.rows import Row
from sharpwave.consolidation import NREM, ReplayBuffer, Sleep

WIDTH, CLASSES, BATCH, STEPS = 64, 4, 32, 30


def main() -> None:
    options = make_parser(__doc__ or "", output="check-card.json").parse_args()
    device = check_device(options.device)
    results = Results("check-card", options.output, {"device": device.type}, limit=options.limit)
    for name, check in CHECKS.items():
        if results.has("check", name) or not results.may_begin():
            continue
        try:
            check(device)
            passed = 1.0
        except Exception as error:  # a check that breaks is a result
            passed = 0.0
            print(f"{name}: {type(error).__name__}: {str(error)[:400]}")
        results.add(Row("random numbers", "check", name, "passed", passed, n=1))


def make_sleep(device: torch.device, *, compiled: bool = False, **options: object) -> tuple[nn.Module, Sleep]:
    """A small network that can sleep, and was not trained."""
    torch.manual_seed(0)
    model: nn.Module = nn.Sequential(nn.Linear(WIDTH, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, CLASSES))
    model = model.to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    buffer = ReplayBuffer(200, generator=torch.Generator().manual_seed(0))
    called = torch.compile(model) if compiled else model
    return model, Sleep(called, buffer, optimiser, nrem=NREM(batch_size=BATCH), **options)  # type: ignore[arg-type]


def draw(number: int, device: torch.device) -> dict[str, Tensor]:
    """A batch whose class is where its largest mean lies; the same number gives the same batch."""
    generator = torch.Generator().manual_seed(number)
    y = torch.randint(CLASSES, (BATCH,), generator=generator)
    x = torch.randn(BATCH, WIDTH, generator=generator)
    x[torch.arange(BATCH), y] += 4
    return {"x": x.to(device), "y": y.to(device)}


def train(sleep: Sleep, device: torch.device, *, scaler: torch.amp.GradScaler | None = None) -> None:
    """Some steps awake."""
    optimiser = sleep.learner.optimiser
    for number in range(STEPS):
        optimiser.zero_grad()
        loss = sleep.wake(draw(number, device))
        if scaler is None:
            loss.backward()
            optimiser.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()


def score(model: nn.Module, device: torch.device) -> float:
    model.eval()
    with torch.no_grad():
        batch = draw(1000, device)
        right = (model(batch["x"]).argmax(dim=1) == batch["y"]).float().mean()
    model.train()
    return float(right)


def check_learns(device: torch.device, **options: object) -> None:
    model, sleep = make_sleep(device, **options)
    scaler = options.get("scaler")
    train(sleep, device, scaler=scaler)  # type: ignore[arg-type]
    report = sleep.night(10)
    assert report.committed, report.reason
    assert score(model, device) > 0.9, f"accuracy {score(model, device)}"
    assert all(torch.isfinite(value).all() for value in model.state_dict().values() if value.is_floating_point())


def check_float16(device: torch.device) -> None:
    """A scale that is far too large overflows at first; the scaler skips those steps."""
    check_learns(device, autocast=torch.float16, scaler=torch.amp.GradScaler(device.type, init_scale=2.0**32))


def check_rolled_back(device: torch.device) -> None:
    model, sleep = make_sleep(device)
    train(sleep, device)
    before = copy.deepcopy(model.state_dict())
    sleep.fall_asleep(5)
    sleep.step()
    sleep.abandon()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def check_resumed(device: torch.device) -> None:
    """Deterministic kernels, so that two runs can be the same bit for bit."""
    model, sleep = make_sleep(device)
    train(sleep, device)
    sleep.fall_asleep(8)
    for _ in range(3):
        sleep.step()
    file = io.BytesIO()
    torch.save((model.state_dict(), sleep.learner.optimiser.state_dict(), sleep.state_dict()), file)
    file.seek(0)
    weights, moments, state = torch.load(file, weights_only=False, map_location=device)
    other, resumed = make_sleep(device)
    other.load_state_dict(weights)
    resumed.learner.optimiser.load_state_dict(moments)
    resumed.load_state_dict(state)
    for each in (sleep, resumed):
        while each.step():
            pass
        each.wake_up()
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs), "weights differ"


CHECKS: dict[str, Callable[[torch.device], None]] = {
    "float32": check_learns,
    "bfloat16": lambda device: check_learns(device, autocast=torch.bfloat16),
    "float16 with a scaler": check_float16,
    "night rolled back": check_rolled_back,
    "night resumed": check_resumed,
    "compiled": lambda device: check_learns(device, compiled=True),
}

if __name__ == "__main__":
    main()
