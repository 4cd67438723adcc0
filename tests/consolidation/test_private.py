"""Learning in private: exact gradients of single items, what is spent against sums by hand, and what may not leak."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("opacus", reason="opacus is not installed: pip install 'sharpwave[private]'")

from sharpwave.consolidation import Homeostasis, Probe, Protection, ReplayBuffer, Sleep
from sharpwave.consolidation.accounting import Ledger, Use, compute_divergence, compute_epsilon, find_noise
from sharpwave.consolidation.batches import Objective
from sharpwave.consolidation.language import Dreams, TokenMemory
from sharpwave.consolidation.per_sample import EXACT, PerSampleGradients, without_dropout
from sharpwave.consolidation.private import Private
from sharpwave.consolidation.private_probe import COHORT
from sharpwave.errors import SharpwaveError


def integrate_divergence(noise: float, rate: float, order: float) -> float:
    """Rényi divergence of a subsampled Gaussian by its integral, in logarithms, on a grid of 20,001 places."""
    x = np.linspace(-40 * noise, 40 * noise + order, 20_001)
    log_density = -(x**2) / (2 * noise**2) - math.log(noise * math.sqrt(2 * math.pi))
    ratio = np.logaddexp(math.log1p(-rate) if rate < 1 else -np.inf, math.log(rate) + (2 * x - 1) / (2 * noise**2))
    values = log_density + order * ratio
    peak = values.max()
    return float((peak + np.log(np.exp(values - peak).sum() * (x[1] - x[0]))) / (order - 1))


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.032), (0.7, 0.64), (2.0, 1.0), (3.0, 0.005)])
def test_the_accountant_equals_an_integral(noise: float, rate: float) -> None:
    from sharpwave.consolidation.accounting import ORDERS

    mine = compute_divergence(noise, rate)
    for order in (1.5, 2.0, 2.75, 16, 32):
        place = ORDERS.index(order)
        assert mine[place] == pytest.approx(integrate_divergence(noise, rate, order), rel=1e-4), order


def test_epsilon_of_wake_and_night_equals_one_by_hand() -> None:
    delta = 1e-5
    uses = [Use(1.0, 64 / 2000, 156), Use(1.0, 64 / 100, 23)]
    orders = np.array([1.4, 1.5, 1.6, 1.7, 1.8, 2.0, 2.1, 2.25])
    total = sum(u.n_steps * np.array([integrate_divergence(u.noise, u.rate, a) for a in orders]) for u in uses)
    by_hand = (total + np.log((orders - 1) / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)).min()
    assert compute_epsilon(uses, delta) == pytest.approx(by_hand, rel=1e-3)
    assert compute_epsilon(uses, delta) == pytest.approx(22.6, abs=0.05)
    assert compute_epsilon(uses[:1], delta) == pytest.approx(3.14, abs=0.01)
    assert math.isinf(compute_epsilon([Use(0.0, 0.1, 1)], delta))


def test_a_ledger_counts_what_each_cohort_was_through() -> None:
    ledger = Ledger(1e-5)
    wake, night = Use(1.0, 0.032, 156), Use(1.0, 0.64, 23)
    ledger.charge(wake, cohort="a")
    ledger.charge(night)
    ledger.charge(wake, cohort="b")  # came after the night
    assert ledger.compute_epsilon() == compute_epsilon([wake, night], 1e-5)
    assert ledger.compute_epsilon(night) == compute_epsilon([wake, night, night], 1e-5)
    again = Ledger(1e-5)
    again.charge(Use(1.0, 0.032, 1), cohort="a")
    again.load_state_dict(ledger.state_dict())
    assert again.compute_epsilon() == ledger.compute_epsilon()
    ledger.load_state_dict(Ledger(1e-5).state_dict())  # nothing that was spent is forgotten
    assert ledger.compute_epsilon() == again.compute_epsilon()


@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_noise_is_the_smallest_that_keeps_epsilon(epsilon: float) -> None:
    noise = find_noise(epsilon, 1e-5, [Use(0, 0.05, 100)])
    assert (
        compute_epsilon([Use(noise, 0.05, 100)], 1e-5)
        <= epsilon
        < compute_epsilon([Use(noise * 0.99, 0.05, 100)], 1e-5)
    )


def make_language_model(kind: str, *, lora: bool) -> tuple[nn.Module, dict]:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    ids = torch.randint(2, 50, (5, 7), generator=torch.Generator().manual_seed(1))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}
    if kind == "llama":
        config = transformers.LlamaConfig(
            **sizes, intermediate_size=32, num_key_value_heads=1, tie_word_embeddings=True
        )
        model = transformers.LlamaForCausalLM(config)
    elif kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_head=2, n_layer=1, n_positions=16)
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.BertConfig(**sizes, intermediate_size=32, max_position_embeddings=16, num_labels=3)
        model = transformers.BertForSequenceClassification(config)
        batch["labels"] = torch.tensor([0, 1, 2, 1, 0])
    if lora:
        peft = pytest.importorskip("peft", reason="peft is not installed")
        targets = {"llama": ["q_proj", "v_proj"], "gpt2": ["c_attn"], "bert": ["query", "value"]}[kind]
        extra = {"fan_in_fan_out": True} if kind == "gpt2" else {}
        model = peft.get_peft_model(
            model, peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False, **extra)
        )
    return model.train(), batch


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_gradients_of_single_items_are_exact_for_language_models(kind: str, lora: bool) -> None:
    model, batch = make_language_model(kind, lora=lora)
    objective = Objective.for_model(model)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = PerSampleGradients(model, trained)

    def compute_losses(items: dict) -> torch.Tensor:
        return objective.compute_losses(objective.run(model, items), items)

    gradients.check(batch, compute_losses, lambda items: objective.run(model, items))
    assert bool(gradients.mended) == (kind in ("gpt2", "bert") and not lora)
    with without_dropout(model):
        gradients.begin()
        compute_losses(batch).sum().backward()
        found = gradients.collect(5)
        gradients.end()
        for item in range(5):
            model.zero_grad()
            compute_losses({name: value[item : item + 1] for name, value in batch.items()}).sum().backward()
            exact = torch.cat([p.grad.flatten() for p in trained.values() if p.grad is not None])
            mine = torch.cat([found[n][item].flatten() for n, p in trained.items() if p.grad is not None])
            assert float(mine.norm() / exact.norm()) == pytest.approx(1, abs=EXACT)
            torch.testing.assert_close(mine, exact, rtol=1e-4, atol=1e-5)


def test_positions_that_all_items_share_are_refused_where_they_cannot_be_mended(monkeypatch) -> None:
    model, batch = make_language_model("gpt2", lora=False)
    objective = Objective.for_model(model)
    monkeypatch.setattr("sharpwave.consolidation.per_sample.spread_positions", lambda module: None)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    sleep = Sleep(model, None, optimiser, objective=objective, private=make_private(noise=1.0))
    (drawn,) = sleep.private.batches(batch, 5)
    with pytest.raises(SharpwaveError, match="wpe"):
        sleep.wake(drawn)


def make_private(**options: object) -> Private:
    given = {"epsilon": 100.0, "delta": 1e-5, "generator": torch.Generator().manual_seed(0)}
    return Private(**{**given, **options})  # type: ignore[arg-type]


def make_sleep(private: Private, buffer: ReplayBuffer | None = None, **options: object) -> Sleep:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    return Sleep(model, buffer, torch.optim.SGD(model.parameters(), lr=0.5), private=private, **options)


def make_items(n: int = 60) -> dict:
    rng = torch.Generator().manual_seed(3)
    return {"x": torch.randn(n, 4, generator=rng), "y": torch.randint(3, (n,), generator=rng)}


def live(sleep: Sleep, items: dict, **options: object) -> list[float]:
    told = []
    for batch in sleep.private.batches(items, **options):
        sleep.learner.optimiser.zero_grad()
        loss = sleep.wake(batch)
        loss.backward()
        told.append(loss.item())
        sleep.learner.optimiser.step()
    return told


def test_a_step_without_noise_is_the_clipped_mean_by_hand() -> None:
    sleep = make_sleep(make_private(epsilon=math.inf, noise=0.0, clip=0.3))
    items, module = make_items(), sleep.learner.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    (batch,) = [each for step, each in enumerate(sleep.private.batches(items, 20, epochs=1 / 3)) if step == 0]
    total = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    lengths = []
    for row in range(len(batch["y"])):
        module.zero_grad()
        nn.functional.cross_entropy(module(batch["x"][row : row + 1]), batch["y"][row : row + 1]).backward()
        length = float(torch.cat([p.grad.flatten() for p in module.parameters()]).norm())
        lengths.append(length)
        for name, p in module.named_parameters():
            total[name] += p.grad * min(1.0, 0.3 / length)
    assert max(lengths) > 0.3
    module.zero_grad()
    sleep.wake(batch).backward()
    sleep.learner.optimiser.step()
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] - 0.5 * total[name] / 20, rtol=1e-5, atol=1e-6)


def test_noise_has_the_length_that_was_counted() -> None:
    sleep = make_sleep(make_private(noise=2.0, clip=0.7))
    items = {"x": torch.zeros(400, 4), "y": torch.zeros(400, dtype=torch.int64)}
    gradients = []
    sleep.learner.optimiser.param_groups[0]["lr"] = 0.0
    for batch in sleep.private.batches(items, 40, epochs=8):
        sleep.wake(batch).backward()
        sleep.learner.optimiser.step()
        gradients.append(sleep.learner.module[0].weight.grad.clone())  # inputs of 0: this is noise alone
    assert float(torch.stack(gradients).std()) == pytest.approx(2.0 * 0.7 / 40, rel=0.05)


def test_losses_scores_and_counts_are_withheld() -> None:
    sleep = make_sleep(make_private(noise=1.0))
    assert live(sleep, make_items(), batch_size=10, epochs=1) == [0.0] * 6
    report = sleep.night(2)
    assert math.isnan(report.score_before)
    assert not len(report.groups)
    assert report.cost["new"] == 60  # what was planned, not what was drawn
    assert sleep.state_dict()["buffer"] is None


def test_dreams_are_free_and_nights_from_the_buffer_are_told_before_they_are_spent() -> None:
    sleep = make_sleep(make_private(noise=1.0))
    live(sleep, make_items(), batch_size=10)
    before = sleep.private.spent
    assert sleep.private.foresee(20) == (before, before)
    assert "free of charge" in sleep.night(3).note
    assert sleep.private.spent == before

    sleep = make_sleep(make_private(noise=1.0, replay=True), ReplayBuffer(100))
    live(sleep, make_items(), batch_size=10)
    spent, after = sleep.private.foresee(3)
    with pytest.warns(UserWarning, match=f"raises ε from {spent:.1f} to {after:.1f}"):
        assert "withheld" in sleep.night(3).note
    assert sleep.private.spent == pytest.approx(after)
    assert after > spent

    sleep = make_sleep(make_private(epsilon=4.0, noise=1.0, replay=True), ReplayBuffer(100))
    live(sleep, make_items(600), batch_size=10, epochs=0.1)
    spent, weights = sleep.private.spent, sleep.learner.module[0].weight.detach().clone()
    with pytest.raises(SharpwaveError, match="keep ε at most 4"):
        sleep.night(2000)
    assert sleep.private.spent == spent
    assert torch.equal(sleep.learner.module[0].weight, weights)


def test_wake_and_nights_keep_the_epsilon_that_was_asked_for() -> None:
    sleep = make_sleep(Private(epsilon=3.0, delta=1e-5, replay=True, calls=2), ReplayBuffer(60))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            live(sleep, make_items(), batch_size=6)
            sleep.night()
    assert sleep.private.spent == pytest.approx(3.0, rel=0.02)
    with pytest.raises(SharpwaveError, match="keep ε at most 3"):
        sleep.private.batches(make_items(), 6)


def test_whether_an_item_is_kept_is_its_own_coin() -> None:
    kept = np.zeros(200)
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        sleep = make_sleep(make_private(noise=1.0, replay=True, generator=generator), ReplayBuffer(64))
        for first in (0, 100):
            rows = torch.arange(first, first + 100)
            sleep.private.batches({"x": torch.randn(100, 4), "y": rows % 3, "row": rows}, 10)
        kept[sleep.private.buffer.read(torch.arange(len(sleep.private.buffer)))["row"].numpy()] += 1
    expected = 60 * (64 - 4.5 * 8) / 200  # the same for early and late items
    assert kept[:100].mean() == pytest.approx(expected, rel=0.1)
    assert kept[100:].mean() == pytest.approx(expected, rel=0.1)
    pairs = np.corrcoef(kept[:100], kept[100:])[0, 1]
    assert abs(pairs) < 0.35


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"wake": "er"}, "wake='er'"),
        ({"protection": Protection(anchor=1.0)}, "protection"),
        ({"homeostasis": Homeostasis(prune=0.1)}, "homeostasis"),
        ({"probe": Probe({"x": torch.zeros(1, 4), "y": torch.zeros(1)})}, "may not be public"),
        ({"budget": 0.15}, "a budget"),
        ({"accumulate": 2}, "one batch a step"),
    ],
)
def test_what_would_leak_is_refused(options: dict, match: str) -> None:
    with pytest.raises(SharpwaveError, match=match):
        make_sleep(make_private(), **options)


def test_batches_of_another_hand_are_refused() -> None:
    sleep = make_sleep(make_private(noise=1.0))
    items = make_items()
    with pytest.raises(SharpwaveError, match=r"each batch of sleep\.private\.batches"):
        sleep.wake(items)
    batch = next(sleep.private.batches(items, 10))
    sleep.wake(batch).backward()
    with pytest.raises(SharpwaveError, match=r"each batch of sleep\.private\.batches"):
        sleep.wake(batch)  # a second time
    sleep.learner.optimiser.step()
    with pytest.raises(SharpwaveError, match=r"through sleep\.wake alone"):
        sleep.learner.optimiser.step()
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(SharpwaveError, match="which mixes the items"):
        Sleep(model, None, torch.optim.SGD(model.parameters(), lr=0.1), private=make_private())


def test_a_batch_that_chance_left_empty_is_a_step_of_noise() -> None:
    sleep = make_sleep(make_private(noise=1.0))
    before = sleep.learner.module[0].weight.detach().clone()
    sizes, moved = [], []
    for batch in sleep.private.batches(make_items(), 1, epochs=0.3):
        sizes.append(len(batch["y"]))
        sleep.wake(batch).backward()
        sleep.learner.optimiser.step()
        moved.append(not torch.equal(sleep.learner.module[0].weight, before))
        before = sleep.learner.module[0].weight.detach().clone()
    assert 0 in sizes
    assert all(moved)
    assert sleep.private.spent == compute_epsilon([Use(1.0, 1 / 60, len(sizes))], 1e-5)


def test_an_item_that_is_not_finite_counts_as_nothing() -> None:
    sleep = make_sleep(make_private(epsilon=math.inf, noise=0.0))
    items = make_items()
    items["x"][:30] = float("nan")
    live(sleep, items, batch_size=60, epochs=2)
    assert all(bool(torch.isfinite(p).all()) for p in sleep.learner.module.parameters())


def test_a_public_probe_may_undo_and_the_ledger_outlives_that() -> None:
    private = make_private(noise=1.0, replay=True, public_probe=True)
    scores = iter([0.9, 0.1])
    sleep = make_sleep(private, ReplayBuffer(100), probe=Probe(lambda _: next(scores)))
    live(sleep, make_items(), batch_size=10)
    spent, weight = sleep.private.spent, sleep.learner.module[0].weight.detach().clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = sleep.night(2)
    assert not report.committed
    assert torch.equal(sleep.learner.module[0].weight, weight)
    assert sleep.private.spent > spent


def make_charged(**options: object) -> tuple[Sleep, Probe]:
    probe = Probe(make_items(90), tolerance=float(options.pop("tolerance", 0.02)))
    private = make_private(noise=1.0, charged_probe=True, **options)
    return make_sleep(private, probe=probe), probe


def test_a_look_at_a_private_probe_is_charged_to_those_in_it_and_no_score_leaves() -> None:
    sleep, _ = make_charged(epsilon=3.0, nights=2)
    live(sleep, make_items(600), batch_size=10, epochs=0.1)
    spent, noise = sleep.private.ledger.compute_epsilon(), sleep.recipe.probe.held_out.noise
    report = sleep.night(2)
    assert sleep.private.ledger.cohorts[COHORT] == [Use(noise, 1.0, 1)]
    # of the Gaussian mechanism, by hand: divergence a / (2 s^2) at order a
    orders = np.array([1.5, 2.0, 3.0, 4.5, 6.5, 8.0, 12.0])
    total = (
        2 * orders / (2 * noise**2) + np.log((orders - 1) / orders) - (math.log(1e-5) + np.log(orders)) / (orders - 1)
    )
    assert total.min() == pytest.approx(3.0, rel=0.05)
    assert report.score_before == 0
    assert abs(report.score_after * 90) < 90 + 5 * noise
    assert not len(report.groups)
    sleep.night(1)
    assert sleep.private.spent == pytest.approx(3.0, rel=0.01)
    assert spent < 2.9  # of those who were learned from
    weight = sleep.learner.module[0].weight.detach().clone()
    with pytest.raises(SharpwaveError, match="keep ε at most 3"):
        sleep.night(1)
    assert not sleep.is_asleep
    assert torch.equal(sleep.learner.module[0].weight, weight)


def test_a_private_probe_undoes_a_night_that_harmed_and_noise_undoes_none() -> None:
    def scramble(sleep: Sleep) -> None:
        phase = next(iter(sleep.phases.values()))

        def finish() -> None:
            with torch.no_grad():
                for p in sleep.learner.module.parameters():
                    p.zero_()

        phase.finish = finish  # type: ignore[method-assign]

    items = {"x": 4 * torch.eye(4)[:3].repeat(200, 1), "y": torch.arange(3).repeat(200)}
    found = {}
    for harms in (False, True):
        private = make_private(noise=1.0, charged_probe=True, nights=20)
        sleep = make_sleep(private, probe=Probe({name: value[:300] for name, value in items.items()}))
        live(sleep, items, batch_size=60, epochs=5)
        if harms:
            scramble(sleep)
        reports = [sleep.night(2) for _ in range(10)]
        found[harms] = [report.committed for report in reports]
        changes = [report.score_after for report in reports]
    assert found == {False: [True] * 10, True: [False] * 10}
    spread = sleep.recipe.probe.held_out.noise / 300  # the same night each time, and never the same number
    assert 0.3 * spread < np.std(changes) < 2 * spread
    assert np.mean(changes) < -0.4


def test_one_item_more_changes_what_a_charged_probe_sums_by_one_at_most() -> None:
    sleep, _ = make_charged(epsilon=math.inf)
    items, sums = make_items(12), []
    items["x"][3] = float("nan")
    probe = sleep.recipe.probe.held_out
    assert probe.noise == 0
    for n_items in range(2, 13):
        probe.items = {name: value[:n_items] for name, value in items.items()}
        torch.manual_seed(1)
        sleep.learner.module[0].weight.data.normal_()
        sleep.private.lie_down()
        assert probe(sleep.learner.module) == 0
        sleep.learner.module[0].weight.data.normal_()
        sums.append(probe(sleep.learner.module) * n_items)
    assert 0 < np.abs(np.diff(sums)).max() <= 1 + 1e-9


@pytest.mark.parametrize(
    ("probe", "match"),
    [
        (Probe(lambda _: 0.5), "whose sensitivity nobody knows"),
        (Probe({"x": torch.zeros(2, 4), "y": torch.zeros(2)}, group_tolerance=0.1), "groups"),
        (Probe(), "no items"),
    ],
)
def test_a_probe_whose_look_has_no_price_is_refused(probe: Probe, match: str) -> None:
    with pytest.raises(SharpwaveError, match=match):
        make_sleep(make_private(charged_probe=True), probe=probe)
    with pytest.raises(SharpwaveError, match="public or charged"):
        make_private(charged_probe=True, public_probe=True)


def test_a_charged_probe_needs_scores_that_have_bounds_and_goes_on_in_the_middle_of_a_night() -> None:
    items = {"x": torch.randn(20, 4), "y": torch.randn(20, 3)}
    private = make_private(noise=1.0, charged_probe=True)
    sleep = make_sleep(private, probe=Probe(items), objective=Objective.regression())
    live(sleep, items, batch_size=10)
    with pytest.raises(SharpwaveError, match="score without bounds"):
        sleep.night(1)
    sleep, probe = make_charged()
    live(sleep, make_items(), batch_size=10)
    sleep.fall_asleep(2)
    again = make_sleep(make_private(noise=1.0, charged_probe=True), probe=probe)
    again.learner.module.load_state_dict(sleep.learner.module.state_dict())
    again.load_state_dict(sleep.state_dict())
    assert math.isfinite(again.night().score_after)
    assert again.private.ledger.cohorts[COHORT][0].n_steps == 1


def make_texts() -> tuple[nn.Module, dict, Objective]:
    model, batch = make_language_model("gpt2", lora=False)
    model.config.eos_token_id = model.generation_config.eos_token_id = model.generation_config.pad_token_id = 0
    items = {name: value.repeat(8, 1) for name, value in batch.items()}
    return model, items, Objective.for_model(model)


def test_dreams_of_a_private_language_model_are_texts_and_free() -> None:
    model, items, objective = make_texts()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    dreams = Dreams(prompts=[[1, 2], [3]], n_items=6, max_new_tokens=5)
    sleep = Sleep(model, None, optimiser, objective=objective, rem=dreams, private=make_private(noise=1.0))
    live(sleep, items, batch_size=10)
    spent, weight = sleep.private.spent, model.transformer.wte.weight.detach().clone()
    assert sleep.private.foresee(3) == (spent, spent)
    report = sleep.night(3)
    assert report.hypnogram.labels == ["R"] * 3
    assert "dreams" in report.note
    assert math.isfinite(report.divergence[0])
    assert sleep.private.spent == spent > 0
    assert not torch.equal(model.transformer.wte.weight, weight)
    assert sleep.state_dict()["buffer"] is None
    live(sleep, items, batch_size=10)  # a day after a night
    assert sleep.private.spent > spent


def test_a_memory_of_tokens_is_not_read_in_private() -> None:
    model, items, objective = make_texts()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    options = {"objective": objective, "rem": Dreams(prompts=[[1]], n_items=4, max_new_tokens=4)}
    memory = TokenMemory("10 kB")
    with pytest.warns(UserWarning, match="nothing is stored"):
        sleep = Sleep(model, memory, optimiser, private=make_private(noise=1.0), **options)
    live(sleep, items, batch_size=10)
    assert sleep.night(1).committed
    assert len(memory) == 0
    with pytest.raises(SharpwaveError, match=r"a capacity in items|a ReplayBuffer that holds nothing out"):
        Sleep(model, memory, optimiser, private=make_private(noise=1.0, replay=True), **options)


def test_a_state_goes_on_with_what_was_spent() -> None:
    sleep = make_sleep(make_private(noise=1.0, replay=True), ReplayBuffer(100))
    live(sleep, make_items(), batch_size=10)
    again = make_sleep(make_private(noise=1.0, replay=True), ReplayBuffer(100))
    again.load_state_dict(sleep.state_dict())
    assert again.private.spent == sleep.private.spent
    assert len(again.private.buffer) == len(sleep.private.buffer) > 0
