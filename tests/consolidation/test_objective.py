"""Any network: what its outputs mean, how batches come, and what is said where they do not fit."""

from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import make_network, make_points
from torch import Tensor, nn

from sharpwave.consolidation import NREM, Objective, Probe, Protection, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.batches import compute_cross_entropy
from sharpwave.consolidation.wake import compute_distillation, mask_unseen
from sharpwave.errors import SharpwaveError

POINTS, LABELS = make_points(40, seed=1)


def train(model: nn.Module, batch: dict, *, steps: int = 60, rate: float = 0.05, **options):
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    sleep = Sleep(model, ReplayBuffer(100, **options.pop("buffer", {})), optimiser, **options)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(len(next(iter(batch.values()))), (16,), generator=generator)
        optimiser.zero_grad()
        sleep.wake({name: value[chosen] for name, value in batch.items()}).backward()
        optimiser.step()
    return sleep, sleep.night(4)


def test_one_logit() -> None:
    model = make_network(n_out=1)
    yes = (LABELS < 3).long()
    for objective in (Objective.multilabel(), Objective.for_model(model)):
        _, report = train(model, {"x": POINTS, "y": yes}, objective=objective)
        assert report.committed
        assert report.score_after < 0
        assert ((model(POINTS)[:, 0] > 0) == yes).float().mean() > 0.9
    with pytest.raises(SharpwaveError, match="one logit, outputs of shape"):
        train(model, {"x": POINTS, "y": yes})


def test_many_labels_numbers_and_other_names() -> None:
    many = torch.stack([LABELS % 2, LABELS // 3, LABELS // 5], dim=1)
    sleep, report = train(
        make_network(n_out=3),
        {"image": POINTS, "tags": many},
        objective=Objective.multilabel(input="image", label="tags"),
    )
    assert report.committed
    assert report.score_after > -0.5
    sleep, report = train(make_network(n_out=1), {"x": POINTS, "y": POINTS[:, 0]}, objective=Objective.regression())
    assert report.committed
    assert sleep.night(1).groups["kind"].tolist() == ["all"]
    model = make_network()
    sleep, report = train(model, {"x": POINTS, "label": LABELS}, objective=Objective.classification(label="label"))
    assert "label" in report.groups["kind"].tolist()
    assert sleep.learner.buffer.label == "label"
    assert sleep.learner.sample(60)["label"].bincount().tolist() == [10] * 6


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_probe_of_losses_is_in_the_unit_of_chance(scale: float) -> None:
    model = nn.Linear(8, 1)
    with torch.no_grad():
        model.weight.zero_()[0, 0] = scale
        model.bias.zero_()
    batch = {"x": POINTS, "y": scale * POINTS[:, 0]}
    sleep, good = train(model, batch, steps=5, rate=1e-12, objective=Objective.regression())
    assert good.committed
    sleep.fall_asleep(1)
    sleep.step()
    with torch.no_grad():
        model.bias += 3 * scale
    report = sleep.wake_up()
    assert not report.committed
    assert "fell" in report.reason


class Tokens(nn.Module):
    def __init__(self, n_classes: int = 12) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 16), nn.Linear(16, n_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.head(self.embed(input_ids))


def test_tokens_of_varying_length() -> None:
    torch.manual_seed(0)
    model = Tokens()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    buffer = ReplayBuffer(40, max_length={"input_ids": 9, "labels": 9, "logits": 9})
    sleep = Sleep(model, buffer, optimiser, objective=Objective.for_model(model))
    for step in range(60):
        ids = torch.randint(12, (8, 3 + step % 7))
        optimiser.zero_grad()
        sleep.wake({"input_ids": ids, "labels": ids}).backward()
        optimiser.step()
    report = sleep.night(6)
    assert report.committed
    assert report.score_after > -1.5
    read = buffer.read(torch.arange(40))
    short = int(read["labels_length"].argmin())
    assert (read["labels"][short, read["labels_length"][short] :] == -100).all()
    assert read["logits"].shape[:2] == read["labels"].shape


def test_padded_logits_teach_nothing() -> None:
    logits = torch.randn(2, 4, 5, requires_grad=True)
    taught, lengths = torch.randn(2, 4, 5), torch.tensor([4, 2])
    loss = compute_distillation(logits, taught, lengths=lengths)
    expected = torch.cat([(logits - taught)[0].flatten(), (logits - taught)[1, :2].flatten()]).square().mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert not logits.grad[1, 2:].any()
    soft = compute_distillation(logits, taught, lengths=lengths, temperature=2.0)
    whole = [
        compute_distillation(logits[:1], taught[:1], temperature=2.0),
        compute_distillation(logits[1:, :2], taught[1:, :2], temperature=2.0),
    ]
    torch.testing.assert_close(soft, (4 * whole[0] + 2 * whole[1]) / 6)
    wide = torch.randn(3, 6)
    torch.testing.assert_close(compute_distillation(wide, wide[:, :4]), torch.tensor(0.0))


@pytest.mark.parametrize("method", ["der++", "er", "er-ace"])
def test_a_head_that_grows(method: str) -> None:
    torch.manual_seed(0)
    model = make_network(n_out=2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    sleep = Sleep(model, ReplayBuffer(60), optimiser, wake=method, protection=Protection(step_size=0.3, anchor=0.1))
    for task in range(3):
        if task:
            old, model[-1] = model[-1], nn.Linear(24, 2 * task + 2)
            with torch.no_grad():
                model[-1].weight[: 2 * task], model[-1].bias[: 2 * task] = old.weight, old.bias
            optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
            sleep.use(optimiser)
        mine = torch.nonzero(task == LABELS // 2)[:, 0]
        for step in range(40):
            chosen = mine[torch.randint(len(mine), (16,), generator=torch.Generator().manual_seed(step))]
            optimiser.zero_grad()
            sleep.wake({"x": POINTS[chosen], "y": LABELS[chosen]}).backward()
            optimiser.step()
        assert sleep.night().committed
    assert (model(POINTS).argmax(1) == LABELS).float().mean() > 0.8
    if method == "der++":
        assert set(sleep.learner.buffer.read(torch.arange(60))["logits_length"].tolist()) == {6}


def test_integer_labels_of_any_width_and_shares() -> None:
    for kind in (torch.int8, torch.int16, torch.int32, torch.uint8, torch.bool):
        _, report = train(make_network(), {"x": POINTS, "y": (LABELS % 2).to(kind)}, wake="er-ace", steps=5)
        assert report.groups["kind"].tolist()[:1] == ["all"]
    logits = torch.randn(4, 3)
    shares = torch.softmax(torch.randn(4, 3), dim=1)
    expected = -(shares * torch.log_softmax(logits, 1)).sum(1)
    torch.testing.assert_close(compute_cross_entropy(logits, {"y": shares}), expected)
    pixels, labels = torch.randn(2, 5, 4, 3), torch.randint(5, (2, 4, 3))
    labels[0, 0] = -100
    expected = torch.stack([nn.functional.cross_entropy(p[None], y[None]) for p, y in zip(pixels, labels, strict=True)])
    torch.testing.assert_close(compute_cross_entropy(pixels, {"y": labels}), expected)


def test_labels_that_are_no_class_open_none() -> None:
    masked = mask_unseen(torch.zeros(2, 3, 5), torch.tensor([[1, -100, 7], [3, 3, -100]]))
    assert (masked[0, 0] > -1e6).tolist() == [False, True, False, True, False]


def test_batches_as_loaders_give_them() -> None:
    for batch in ((POINTS, LABELS), [POINTS, LABELS], {"x": POINTS, "y": LABELS}):
        network = make_network()
        sleep = Sleep(network, ReplayBuffer(5))
        torch.testing.assert_close(sleep.wake(batch), nn.functional.cross_entropy(network(POINTS), LABELS))
        assert sleep.learner.buffer.entries == ("x", "y", "logits")
    for wrong, words in (
        ((POINTS, LABELS, LABELS), "tuple of 3 parts"),
        (POINTS, "a pair"),
        ({"image": POINTS, "label": LABELS}, r"the entry 'x'; got the entries image, label.*classification\(input="),
        ({"x": POINTS}, "x .240, 8. of torch.float32: KeyError"),
        ({"x": POINTS, "y": LABELS + 3}, r"y \(240,\) of torch.int64: IndexError"),
        ({"x": POINTS, "y": LABELS[:7]}, "check the entry 'y'"),
    ):
        with pytest.raises(SharpwaveError, match=words):
            Sleep(make_network(), ReplayBuffer(5)).wake(wrong)
    other = Objective(loss=lambda o, b: nn.functional.cross_entropy(o, b["aim"], reduction="none"), label="z")
    sleep = Sleep(make_network(), ReplayBuffer(5), wake="er-ace", objective=other)
    sleep.wake({"x": POINTS, "aim": LABELS})
    with pytest.raises(SharpwaveError, match="an entry 'z' with the classes, for er-ace"):
        sleep.wake({"x": POINTS, "aim": LABELS})


def test_losses_that_are_not_of_each_item() -> None:
    column = make_network(n_out=1)
    for loss, words in (
        (lambda o, b: nn.functional.mse_loss(o[:, 0], b["y"]), r"shape \(240,\); got shape \(\)"),
        (lambda o, b: (o - b["y"]).square(), r"got shape \(240, 240\) from outputs \(240, 1\)"),
        (lambda o, b: o[:, 0] - b["y"][:-1], "check the entry 'y'"),
    ):
        with pytest.raises(SharpwaveError, match=words):
            Sleep(column, ReplayBuffer(5), objective=Objective(loss=loss)).wake({"x": POINTS, "y": POINTS[:, 0]})
    wide = Objective(loss=lambda o, b: (o - b["y"]).square())
    sleep = Sleep(make_network(n_out=8), ReplayBuffer(5), objective=wide)
    loss = sleep.wake({"x": POINTS, "y": POINTS})
    torch.testing.assert_close(loss, (sleep.learner.model(POINTS) - POINTS).square().mean())
    with pytest.raises(SharpwaveError, match="picks it out"):
        Sleep(make_network(), ReplayBuffer(5), objective=Objective(forward=lambda m, b: (m(b["x"]),))).wake(
            (POINTS, LABELS)
        )


def test_a_batch_of_nan_is_never_replayed() -> None:
    model = make_network()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    sleep = Sleep(model, ReplayBuffer(100), optimiser)
    with pytest.warns(UserWarning, match="16 items with NaN"):
        sleep.wake({"x": torch.full((16, 8), torch.nan), "y": LABELS[:16]})
    losses = []
    for _ in range(10):
        optimiser.zero_grad()
        loss = sleep.wake({"x": POINTS, "y": LABELS})
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert torch.isfinite(torch.tensor(losses)).all()
    assert sleep.night(3).committed
    shares = torch.nn.functional.one_hot(LABELS, 6).float()
    shares[3] = torch.nan
    soft = Sleep(make_network(), ReplayBuffer(300), objective=Objective())
    with pytest.warns(UserWarning, match="1 items"):
        soft.wake({"x": POINTS, "y": shares})
    assert len(soft.learner.buffer) == 239


@pytest.mark.parametrize("method", ["er", "der++", "er-ace"])
def test_one_pass_for_new_and_old_items_is_the_same(method: str) -> None:
    losses, passes = [], []
    for fuse in (False, True, None):
        model = make_network()
        buffer = ReplayBuffer(60, generator=torch.Generator().manual_seed(0))
        sleep = Sleep(model, buffer, wake=Wake(method, fuse=fuse, draws=2))
        sleep.wake({"x": POINTS, "y": LABELS})
        seen: list[int] = []
        model.register_forward_hook(lambda m, i, o, seen=seen: seen.append(len(o)))
        losses.append(sleep.wake({"x": POINTS[:16], "y": LABELS[:16]}))
        passes.append(len(seen))
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[0], losses[2])
    assert passes[1:] == [1, 1]
    assert passes[0] == (3 if method == "der++" else 2)
    norm = make_network(norm=True)
    sleep = Sleep(norm, ReplayBuffer(60), wake=Wake(method, draws=2))
    sleep.wake({"x": POINTS, "y": LABELS})
    seen = []
    norm.register_forward_hook(lambda m, i, o: seen.append(len(o)))
    sleep.wake({"x": POINTS[:16], "y": LABELS[:16]})
    assert len(seen) == passes[0]


def test_new_items_are_transformed_and_stored_as_they_were() -> None:
    buffer = ReplayBuffer(300, transform=lambda batch: batch | {"x": batch["x"] * 0})
    model = make_network()
    sleep = Sleep(model, buffer, nrem=NREM(refresh="none"))
    loss = sleep.wake({"x": POINTS, "y": LABELS})
    torch.testing.assert_close(loss, nn.functional.cross_entropy(model(POINTS * 0), LABELS))
    assert torch.equal(buffer.read(torch.arange(240))["x"], POINTS)


def test_labels_that_only_the_loss_can_read_claim_no_accuracy() -> None:
    table = torch.tensor([3, 2, 1, 0])

    def from_one(output: Tensor, batch: dict) -> Tensor:
        return nn.functional.cross_entropy(output, batch["y"] - 1, reduction="none")

    def by_a_table(output: Tensor, batch: dict) -> Tensor:
        return nn.functional.cross_entropy(output, table[batch["y"]], reduction="none")

    def focal(output: Tensor, batch: dict) -> Tensor:
        loss = nn.functional.cross_entropy(output, batch["y"], reduction="none", label_smoothing=0.1)
        return (1 - (-loss).exp()) ** 2 * loss

    labels = LABELS.clamp(max=2)
    outputs = nn.functional.one_hot(labels, 4).float() * 9
    for loss, added, is_class in ((from_one, 1, False), (by_a_table, 0, False), (focal, 0, True)):
        objective, batch = Objective(loss=loss), {"x": POINTS, "y": labels + added}
        with torch.inference_mode():
            assert objective.scores_share(outputs, batch) is is_class
    assert Objective(loss=from_one, has_classes=True).scores_share(outputs, {"x": POINTS, "y": labels + 1})


@pytest.mark.parametrize(
    "batch",
    [
        {"x": POINTS.numpy(), "y": LABELS}, {"x": POINTS.tolist(), "y": LABELS}, {"x": {"a": POINTS}, "y": LABELS},
        {"x": POINTS.double(), "y": LABELS}, {"x": POINTS.to_sparse(), "y": LABELS},
        {"x": torch.tensor(1.0), "y": LABELS},
    ],
)  # fmt: skip
def test_batches_that_no_layer_takes_are_named(batch: dict) -> None:
    with pytest.raises(SharpwaveError, match=r"takes; got x|dense tensor"):
        Sleep(make_network(), ReplayBuffer(5)).wake(batch)


def test_what_cannot_learn_and_odd_arguments_are_said() -> None:
    sleep = Sleep(make_network().requires_grad_(False), ReplayBuffer(5))
    sleep.wake({"x": POINTS, "y": LABELS.to(torch.uint16)})  # a type that torch cannot index
    with pytest.raises(SharpwaveError, match="parameters that learn"):
        sleep.night(1)
    assert not sleep.is_asleep
    for steps in ("10", 2.5, -1):
        with pytest.raises(SharpwaveError, match="a whole number of steps"):
            sleep.night(steps)
    with pytest.raises(SharpwaveError, match=r"loss of each item.*got float"):
        Sleep(make_network(), ReplayBuffer(5), objective=Objective(loss=lambda o, b: 1.0)).wake((POINTS, LABELS))
    with pytest.raises(SharpwaveError, match=r"Probe\(tolerance="):
        Probe(0.5)


def test_the_axis_of_the_classes() -> None:
    pixels, tokens = torch.randn(2, 3, 4, 5), torch.randn(2, 4, 4)
    labels = torch.tensor([0, 1, -100]).repeat(14)[:40].view(2, 4, 5)
    shut = mask_unseen(pixels, labels)
    assert torch.equal(shut[:, :2], pixels[:, :2])
    assert float(shut[:, 2].max()) < -1e30
    assert float(mask_unseen(tokens, torch.zeros(2, 4))[..., 1:].max()) < -1e30
    shares = torch.softmax(tokens, dim=2)  # (item, token, class), of as many tokens as classes
    each = -(shares * tokens.log_softmax(2)).sum(2).mean(1)
    torch.testing.assert_close(compute_cross_entropy(tokens, {"y": shares}), each)
    places = tokens.argmax(dim=2)
    each = nn.functional.cross_entropy(tokens.flatten(0, 1), places.flatten(), reduction="none").view(2, 4).mean(1)
    torch.testing.assert_close(compute_cross_entropy(tokens, {"y": places}), each)
    by_axis = [compute_distillation(pixels, pixels.roll(1, 1), temperature=2.0)]
    by_axis += [
        compute_distillation(
            *(each.movedim(1, -1).flatten(0, 2) for each in (pixels, pixels.roll(1, 1))), temperature=2.0
        )
    ]
    torch.testing.assert_close(*by_axis)


@pytest.mark.parametrize("targets", [POINTS, POINTS.abs(), (POINTS > 0).float(), POINTS[:, :1]])
def test_numbers_that_are_no_shares_are_not_taken_for_them(targets: Tensor) -> None:
    with pytest.raises(SharpwaveError, match=r"Objective.regression\(\)"):
        Sleep(make_network(n_out=targets.shape[1]), ReplayBuffer(5)).wake({"x": POINTS, "y": targets})


def test_what_layers_refuse_in_other_ways_is_said() -> None:
    norm = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4))
    table = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.LazyLinear(2))
    for network, x, words in ((norm, POINTS[:1], "BatchNorm needs two"), (table, torch.full((4, 2), 9), "IndexError")):
        network(torch.zeros_like(x).repeat(2, 1))
        with pytest.raises(SharpwaveError, match=words):
            Sleep(network, ReplayBuffer(5)).wake({"x": x, "y": LABELS[: len(x)]})
    sleep = Sleep(make_network(), ReplayBuffer(5))
    with pytest.raises(SharpwaveError, match="at least one item; got an empty one"):
        sleep.wake({"x": POINTS[:0], "y": LABELS[:0]})
    sleep.learner.objective = Objective(loss=lambda output, batch: output.argmax(1) != batch["y"])
    with pytest.raises(SharpwaveError, match=r"got torch\.bool of shape"):
        sleep.wake({"x": POINTS, "y": LABELS})
    with pytest.raises(SharpwaveError, match=r"nn.ModuleList"):
        Sleep(nn.Flatten(), ReplayBuffer(5))
    with pytest.raises(SharpwaveError, match="an empty one"):
        Probe({"x": POINTS[:0], "y": LABELS[:0]})
    for make in (Wake, NREM):
        with pytest.raises(SharpwaveError, match="at least one item"):
            make(**{"n_replay" if make is Wake else "batch_size": 2.5})
