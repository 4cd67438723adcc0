from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

from sharpwave.benchmarks.jax.benchmark import PLANS  # noqa: E402
from sharpwave.benchmarks.jax.parity import compare_weights  # noqa: E402
from sharpwave.consolidation import (  # noqa: E402
    NREM,
    REM,
    FixedRatio,
    Homeostasis,
    Probe,
    Protection,
    Recipe,
    ReplayBuffer,
    Sleep,
    Wake,
)
from sharpwave.consolidation.language import Dreams  # noqa: E402
from sharpwave.consolidation.recipe import make_ssr  # noqa: E402
from sharpwave.consolidation.state_files import load_state, save_state  # noqa: E402
from sharpwave.errors import SharpwaveError  # noqa: E402
from sharpwave.integrations.jax import (  # noqa: E402
    Memory,
    Network,
    from_nnx,
    load_tree,
    night,
    save_tree,
    wake_loss,
    wake_step,
)
from sharpwave.integrations.jax.carrier import evaluate_in_pieces  # noqa: E402
from sharpwave.integrations.jax.network import fill, find_bucket  # noqa: E402

RESULTS = Path(__file__).parents[2] / "benchmarks/results"
TX = optax.sgd(0.1, momentum=0.9)
PLAN = Recipe(nrem=NREM(batch_size=4))
"""The same everywhere, so that it is compiled once."""
WHOLE = Recipe(
    rem=REM(share=0.5, cycles=2, exploration=0.1),
    protection=Protection(anchor=1.0, step_size=0.3),
    steer="brittle",
    homeostasis=Homeostasis(prune=0.1),
    schedule=FixedRatio(0.8),
)
"""Every part that draws, or that looks at which weights matter."""


@pytest.fixture(autouse=True, scope="module")
def _compile_quickly() -> Iterator[None]:
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp", {}),
        ("mlp", {"recipe": replace(make_ssr(), schedule=FixedRatio(0.5))}),
        ("mlp", {"budget": 0.5, "steps": 60}),
        ("resnet-block", {}),
        ("mlp", {"recipe": WHOLE, "days": 2, "steps": 8}),
    ],
    ids=["default", "ssr", "shallow", "batchnorm", "dreams, protection and steering"],
)
def test_the_same_draws_give_the_weights_of_pytorch(name: str, options: dict[str, Any]) -> None:
    found = compare_weights(name, **({"days": 1, "steps": 12} | options))
    assert found["moved"] > 0.01
    assert found["difference"] < 1e-12


def test_every_network_and_recipe_was_within_the_bars_when_published() -> None:
    content = json.loads((RESULTS / "jax.json").read_text(encoding="utf-8"))
    rows = [row for row in content["rows"] if row["metric"] == "log10_difference"]
    assert {row["data"] for row in rows} == {"mlp", "resnet-block", "transformer"}
    assert {row["method"] for row in rows} == set(PLANS)
    for row in rows:
        assert row["value"] < {"64 bits": -12, "32 bits": -6}[row["setting"]]


def make_batch(n_items: int = 8, *, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n_items) % 2
    return {"x": (rng.normal(size=(n_items, 3)) + 2 * y[:, None]).astype(np.float32), "y": y}


def apply(params: Any, batch: Any) -> Any:
    return batch["x"] @ params["kernel"] + params["bias"]


def make_params() -> dict[str, Any]:
    return {"kernel": jnp.ones((3, 2)) * jnp.array([[0.1, -0.1]]), "bias": jnp.zeros(2)}


def live_a_day(tx: Any = TX, *, n_steps: int = 3) -> tuple[Any, Any, Memory]:
    memory = Memory(ReplayBuffer(16, generator=torch.Generator().manual_seed(0)))
    params = make_params()
    state = tx.init(params)
    for step in range(n_steps):
        params, state, _ = wake_step(params, state, memory, make_batch(seed=step), tx=tx, apply=apply)
    return params, state, memory


def test_a_night_that_harmed_gives_back_the_very_arrays() -> None:
    params, state, memory = live_a_day()
    logits = memory.buffer.read(torch.arange(16))["logits"].clone()
    never = replace(PLAN, probe=Probe(tolerance=-10.0))
    after, later, report = night(params, state, memory, TX, never, apply=apply)
    assert not report.committed
    assert after is params
    assert later is state
    assert torch.equal(memory.buffer.read(torch.arange(16))["logits"], logits)
    kept, _, report = night(params, state, memory, TX, PLAN, apply=apply, steps=2)
    assert report.committed
    assert not np.array_equal(kept["kernel"], params["kernel"])
    assert np.array_equal(params["kernel"], after["kernel"])


def test_a_key_decides_what_a_night_draws() -> None:
    found = []
    for key in (jax.random.key(1), jax.random.key(1), jax.random.key(2)):
        params, state, memory = live_a_day()
        found.append(night(params, state, memory, TX, PLAN, key, apply=apply, steps=3)[0]["kernel"])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_steps_are_compiled_once_for_each_bucket() -> None:
    sizes: list[int] = []

    def watched(params: Any, batch: Any) -> Any:
        sizes.append(len(batch["x"]))  # when traced, not when run
        return apply(params, batch)

    tx, params = optax.sgd(0.1), make_params()
    state, memory = tx.init(params), Memory(ReplayBuffer(16))
    for n_items in (9, 13, 16, 14, 10, 9, 15, 16, 12, 11):
        batch = make_batch(n_items)
        plan = Recipe(wake=Wake("none"))
        params, state, step = wake_step(params, state, memory, batch, tx=tx, apply=watched, plan=plan)
        assert step.logits.shape == (n_items, 2)
    assert sorted(set(sizes)) == [10, 12, 14, 16]
    assert len(sizes) == 4
    assert [find_bucket(n) for n in (1, 8, 33, 64, 65)] == [8, 8, 40, 64, 80]


def test_batches_of_any_length_are_evaluated_by_few_programs() -> None:
    sizes: list[int] = []

    def watched(params: Any, batch: Any) -> Any:
        sizes.append(len(batch["x"]))  # when traced, not when run
        return apply(params, batch)

    network, params = Network(watched), make_params()
    for n_items in (3, 40, 130, 131, 255, 300, 77):
        batch = {"x": make_batch(n_items)["x"]}
        found = evaluate_in_pieces(params, batch, network=network)
        np.testing.assert_allclose(found, apply(params, batch), rtol=1e-6, atol=1e-6)
    assert len(sizes) == len(set(sizes)) <= 6  # nights score other numbers of items each time


@pytest.mark.parametrize("method", ["none", "er", "der++", "er-ace"])
def test_rows_that_fill_a_bucket_do_not_count(method: str) -> None:
    batch, old = make_batch(5), make_batch(9, seed=1)
    old["logits"] = np.ones((9, 2), np.float32)
    losses = [
        float(wake_loss(make_params(), apply, first, second, wake=Wake(method))[0])
        for first, second in ((batch, old), (fill(batch), fill(old)))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_step_that_is_not_finite_is_not_taken() -> None:
    params, state, memory = live_a_day(n_steps=1)
    batch = make_batch()
    batch["x"][0] = np.inf
    with pytest.warns(UserWarning, match="not stored"):
        after, _, step = wake_step(params, state, memory, batch, tx=TX, apply=apply)
    assert not step.is_taken
    assert np.array_equal(after["kernel"], params["kernel"])


def test_no_step_is_longer_than_its_limit() -> None:
    tx = optax.sgd(100.0)
    for rate in (None, 100.0):  # the step itself is measured where nobody tells the rate
        memory, params = Memory(ReplayBuffer(16)), make_params()
        after, _, _ = wake_step(params, tx.init(params), memory, make_batch(), tx=tx, apply=apply, rate=rate)
        moved = optax.global_norm(jax.tree.map(lambda a, b: a - b, after, params))
        assert float(moved) == pytest.approx(0.05 * float(optax.global_norm(params)), rel=1e-4)


def test_schedules_stand_still_in_a_night() -> None:
    tx = optax.sgd(optax.linear_schedule(0.1, 0.0, 10), momentum=0.9)
    params, state, memory = live_a_day(tx)
    after, later, report = night(params, state, memory, tx, apply=apply, steps=5)
    assert report.committed
    counts = [int(leaf) for leaf in jax.tree.leaves(later) if leaf.ndim == 0]
    assert counts == [3]
    assert not np.array_equal(after["kernel"], params["kernel"])


def test_the_state_is_that_of_pytorch(tmp_path: Path) -> None:
    params, state, memory = live_a_day()
    save_state(memory.state_dict(), tmp_path / "memory")
    module = torch.nn.Linear(3, 2)
    sleep = Sleep(module, ReplayBuffer(16), torch.optim.SGD(module.parameters(), lr=0.1))
    sleep.load_state_dict(load_state(tmp_path / "memory"))
    assert sleep.hypnogram.stages.tolist() == [0, 0, 0]
    assert sleep.learner.day.n_new == 24
    mine, theirs = (buffer.read(torch.arange(16)) for buffer in (memory.buffer, sleep.learner.buffer))
    assert all(torch.equal(mine[name], theirs[name]) for name in ("x", "y", "logits"))
    again = Memory(ReplayBuffer(16))
    again.load_state_dict(sleep.state_dict())
    found = [night(params, state, each, TX, PLAN, apply=apply, steps=2)[0]["kernel"] for each in (memory, again)]
    assert np.array_equal(*found)
    save_tree((params, state, jax.random.key(3)), tmp_path / "tree")
    *back, key = load_tree((params, state, jax.random.key(0)), tmp_path / "tree")
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (back, (params, state))), strict=True))
    assert key == jax.random.key(3)
    with pytest.raises(SharpwaveError, match="arrays with the names"):
        load_tree({"other": params}, tmp_path / "tree")


def test_a_module_of_nnx_with_statistics_sleeps() -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Tiny(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.first, self.norm = nnx.Linear(3, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs)
            self.second = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.second(nnx.relu(self.norm(self.first(x))))

    network, variables = from_nnx(Tiny())
    tx, memory = optax.sgd(0.05), Memory(ReplayBuffer(16))
    state = tx.init(variables.params)
    for step in range(2):
        variables, state, _ = wake_step(variables, state, memory, make_batch(seed=step), tx=tx, apply=network)
    variables, state, report = night(variables, state, memory, tx, apply=network, steps=2)
    assert report.committed
    means = [np.asarray(leaf) for leaf in jax.tree.leaves(variables.stats)]
    x = memory.buffer.read(torch.arange(16))["x"].numpy()
    first = dict(nnx.to_flat_state(variables.params))
    hidden = x @ first["first", "kernel"][...] + first["first", "bias"][...]
    assert min(np.abs(mean - hidden.mean(axis=0)).max() for mean in means) < 0.5  # balanced draws of what is stored


@pytest.mark.parametrize(
    ("plan", "match"),
    [
        (Recipe(rem=Dreams(prompts=["the"])), "rem=Dreams"),
        (Recipe(nrem=NREM(check=True)), "nrem"),
        (Recipe(probe=Probe(lambda network: 1.0)), "probe"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan: Recipe, match: str) -> None:
    tx = optax.sgd(0.1)
    params = make_params()
    with pytest.raises(SharpwaveError, match=match):
        night(params, tx.init(params), Memory(ReplayBuffer(16)), tx, plan, apply=apply)


def test_steps_of_rem_are_dreams_that_the_network_of_before_the_night_labels() -> None:
    def dream(n_items: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"x": torch.randn(n_items, 3, generator=generator)}

    tx, (params, _, memory) = optax.sgd(0.1), live_a_day()
    plan = replace(PLAN, rem=REM(share=1.0, generator=dream), probe=Probe(tolerance=10.0))
    after, _, report = night(params, tx.init(params), memory, tx, plan, apply=apply, steps=4)
    assert report.hypnogram.labels == ["R"] * 4
    assert memory.hypnogram.stages.tolist() == [0] * 3 + [2] * 4
    said = jax.nn.log_softmax(apply(params, {"x": np.asarray(dream(400, torch.Generator().manual_seed(0))["x"])}))
    assert report.losses[0] == pytest.approx(float(-(jnp.exp(said) * said).sum(axis=1).mean()), rel=0.1)
    np.testing.assert_allclose(after["kernel"], params["kernel"], atol=1e-6)  # it is taught what it says already
    sharper = replace(plan, rem=REM(share=1.0, generator=dream, temperature=0.5))
    other, _, _ = night(params, tx.init(params), memory, tx, sharper, apply=apply, steps=4)
    assert np.abs(other["kernel"] - params["kernel"]).max() > 1e-3


def test_what_is_protected_goes_on_with_the_state_and_is_of_this_network_alone(tmp_path: Path) -> None:
    plan = replace(PLAN, protection=Protection(anchor=1000.0, n_items=16))
    params, state, memory = live_a_day()
    params, state, report = night(params, state, memory, TX, plan, apply=apply, steps=2)
    assert report.committed
    save_state(memory.state_dict(), tmp_path)
    again = Memory(ReplayBuffer(16))
    again.load_state_dict(load_state(tmp_path))
    moved = []
    for each, recipe in ((memory, plan), (again, plan), (again, PLAN)):
        each.learner.generator.manual_seed(0)
        new, held = params, state
        for seed in range(6):
            new, held, _ = wake_step(new, held, each, make_batch(seed=9 + seed), tx=TX, apply=apply, plan=recipe)
        moved.append(float(optax.global_norm(jax.tree.map(lambda a, b: a - b, new, params))))
        each.load_state_dict(load_state(tmp_path))
    assert moved[0] == moved[1] < 0.8 * moved[2]
    layer = torch.nn.Linear(3, 2)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    sleep = Sleep(layer, ReplayBuffer(16), optimiser, protection=Protection(anchor=1.0))
    with pytest.raises(SharpwaveError, match=r"such as weight \(2, 3\).*; got .*kernel.*JAX protected"):
        sleep.load_state_dict(load_state(tmp_path))
    with pytest.raises(SharpwaveError, match="protected in this network"):
        wake_step({"other": jnp.ones((3, 2))}, state, again, make_batch(), tx=TX, apply=apply, plan=plan)
    with pytest.raises(SharpwaveError, match=r"got dense\.kernel"):
        night(params, state, again, TX, replace(PLAN, steer={"dense.kernel": 1.0}), apply=apply, steps=1)


def test_networks_that_cannot_be_are_refused() -> None:
    for options in ({"layout": "torch"}, {"loss": "hinge"}, {"momentum": 1.0}):
        with pytest.raises(SharpwaveError, match="expected"):
            Network(apply, **options)  # type: ignore[arg-type]
    with pytest.raises(SharpwaveError, match="Split"):
        Network(apply).get_split()
    with pytest.raises(SharpwaveError, match="with their logits"):
        wake_loss(make_params(), apply, make_batch(), make_batch())
