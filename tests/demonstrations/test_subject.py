"""Networks of twenty kinds: what did not happen to them gets no number."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sharpwave.consolidation import NREM, ReplayBuffer, Sleep
from sharpwave.demonstrations import NetworkSubject
from sharpwave.demonstrations.damage import add_weight_noise, count_weights, lesion_units, list_layers
from sharpwave.errors import SharpwaveError
from sharpwave.resilience import card

N = 60
LABELS = torch.arange(N) % 3


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(N, *shape, generator=torch.Generator().manual_seed(1))


def dose(subject: NetworkSubject, kind: str, size: float, part: str | None = None) -> NetworkSubject:
    twin = subject.copy()
    twin.damage(kind, size, rng=np.random.default_rng(0), part=part)
    return twin


class Tied(nn.Module):
    """Tokens go in by the weights by which the answer comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body, self.head = nn.Embedding(3, 8), nn.Linear(8, 8), nn.Linear(8, 3, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.body(self.embedding(x).mean(dim=1))))


def test_weights_that_two_layers_share_are_damaged_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(40, 40), nn.Linear(40, 40), nn.Linear(40, 3)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.second(self.first(x)))

    network = Twice()
    before = network.first.weight.detach().clone()
    add_weight_noise(network, 1.0, rng=np.random.default_rng(0))
    assert float((network.first.weight - before).detach().std() / before.std()) == pytest.approx(1.0, rel=0.05)
    assert count_weights(network) == {"first": 1600, "head": 120}


def test_an_answer_tied_to_an_embedding_is_spared_by_lesions() -> None:
    subject = NetworkSubject(Tied(), torch.randint(3, (N, 5)), LABELS)
    twin = dose(subject, "lesion", 0.5)
    assert torch.equal(twin.model.head.weight, subject.model.head.weight)
    assert int((twin.model.body.weight == 0).all(dim=1).sum()) == 4
    assert "input_noise" not in subject.doses
    assert "real numbers" in subject.left_out["input_noise"]


@pytest.mark.parametrize(
    "norm",
    [lambda: nn.BatchNorm1d(10), lambda: nn.LayerNorm(10), lambda: nn.Sequential(nn.Identity(), nn.BatchNorm1d(10))],
)
def test_units_before_a_norm_fall_silent(norm: Callable[[], nn.Module]) -> None:
    network = nn.Sequential(nn.Linear(6, 10), norm(), nn.ReLU(), nn.Linear(10, 3))
    network(3 * draw(6) + 2)  # statistics of training: a unit of 0 would leave the norm at minus their mean
    subject = NetworkSubject(network, draw(6), LABELS)
    twin = dose(subject, "lesion", 0.4, part="0")
    twin.model.eval()
    silent = (twin.model[0].weight == 0).all(dim=1)
    inside = twin.model[1](twin.model[0](draw(6)))
    assert int(silent.sum()) == 4
    assert (inside[:, silent] == 0).all()


@pytest.mark.parametrize("after", [nn.BatchNorm1d(10, affine=False), nn.Sigmoid()])
def test_units_that_cannot_fall_silent_are_refused_by_name(after: nn.Module) -> None:
    network = nn.Sequential(nn.Linear(6, 10), after, nn.Linear(10, 3))
    subject = NetworkSubject(network, draw(6), LABELS)
    assert "lesion" not in subject.doses
    assert "silent" in subject.left_out["lesion"]
    with pytest.raises(SharpwaveError, match="silent"):
        dose(subject, "lesion", 0.5)


def test_one_layer_has_no_lesions() -> None:
    subject = NetworkSubject(nn.Linear(6, 3), draw(6), LABELS)
    assert "lesion" not in subject.doses
    found = card(subject, n_repeats=1)
    row = found.table[found.table["part"] == "lesion"]
    assert row["state"].tolist() == ["not measured"]
    with pytest.raises(SharpwaveError, match="at least one"):
        dose(subject, "lesion", 0.5)


def test_a_share_below_one_unit_is_no_lesion() -> None:
    subject = NetworkSubject(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), draw(6), LABELS)
    assert subject.doses["lesion"] == (0.0, 0.2, 0.4, 0.6, 0.8)
    with pytest.raises(SharpwaveError, match="0 of 4 units"):
        dose(subject, "lesion", 0.1)


def test_the_layer_that_answers_is_the_one_that_runs_last() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.body = nn.Linear(10, 3), nn.Linear(6, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.body(x)))

    subject = NetworkSubject(Backwards(), draw(6), LABELS)
    twin = dose(subject, "lesion", 0.5)
    assert torch.equal(twin.model.head.weight, subject.model.head.weight)
    assert int((twin.model.body.weight == 0).all(dim=1).sum()) == 5


class Reader(nn.Module):
    """A recurrent layer that answers from its last state."""

    def __init__(self, cell: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.body = cell(4, 10, batch_first=True, **options)
        self.head = nn.Linear(10 * (2 if options.get("bidirectional") else 1), 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x)[0][:, -1])


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_recurrent_layers_are_damaged_and_their_units_silent(cell: type[nn.RNNBase], options: dict[str, Any]) -> None:
    subject = NetworkSubject(Reader(cell, **options), draw(7, 4), LABELS)
    assert set(subject.parts) == {"body", "head"}
    assert not torch.equal(
        dose(subject, "weight_noise", 1.0, part="body").model.body.weight_hh_l0, subject.model.body.weight_hh_l0
    )
    everything = dose(subject, "lesion", 1.0).model
    assert (everything.body(draw(7, 4))[0] == 0).all()
    half = dose(subject, "lesion", 0.5).model
    n_units = 10 * (2 if options else 1)
    states = half.body(draw(7, 4))[1]
    states = states[0] if isinstance(states, tuple) else states
    assert int((states == 0).all(dim=1).sum()) == n_units // 2


class Attending(nn.Module):
    """Attention over tokens, with an answer for each."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        x = self.embedding(ids)
        return {"logits": self.head(self.attention(x, x, x, key_padding_mask=mask, need_weights=False)[0])}


def test_attention_tokens_dictionaries_and_answers_for_each_token() -> None:
    ids, labels = torch.randint(9, (N, 5)), torch.randint(3, (N, 5))
    labels[:, 0] = -100
    subject = NetworkSubject(Attending(), {"ids": ids, "mask": torch.zeros(N, 5, dtype=torch.bool)}, labels)
    right = subject.model(ids)["logits"].argmax(dim=-1)[:, 1:] == labels[:, 1:]
    assert subject.score() == pytest.approx(float(right.float().mean()))
    assert len(subject.score_items()) == N * 4
    assert subject.chance == pytest.approx(float(torch.bincount(labels[:, 1:].reshape(-1)).max()) / (N * 4))
    assert "input_noise" in subject.left_out
    noisy = dose(subject, "weight_noise", 1.0, part="attention").model
    assert not torch.equal(noisy.attention.in_proj_weight, subject.model.attention.in_proj_weight)
    silent = dose(subject, "lesion", 1.0).model
    x = silent.embedding(ids)
    seen = silent.attention(x, x, x)[0]
    assert torch.allclose(seen, silent.attention.out_proj.bias.expand_as(seen))


def test_classes_in_the_middle_are_found_and_two_places_for_them_refused() -> None:
    network = nn.Conv1d(2, 3, 1)
    labels = torch.randint(3, (N, 7))
    subject = NetworkSubject(network, draw(2, 7), labels)
    assert subject.score() == pytest.approx(float((network(draw(2, 7)).argmax(dim=1) == labels).float().mean()))
    with pytest.raises(SharpwaveError, match="one axis"):
        NetworkSubject(network, draw(2, 3), torch.randint(3, (N, 3)))


@pytest.mark.parametrize(
    ("network", "inputs", "labels", "why"),
    [
        (nn.Linear(6, 1), draw(6), torch.arange(N) % 2, "at least 2 classes"),
        (nn.Linear(6, 3), draw(N, 6), LABELS, "for labels of shape"),
        (nn.Linear(6, 3), draw(6), torch.zeros(N, dtype=torch.long), "at least two classes"),
        (nn.Linear(6, 3), draw(6), nn.functional.one_hot(LABELS).float(), "not one-hot"),
        (nn.Flatten(), draw(3), LABELS, "layers that hold weights"),
        (nn.Linear(6, 3), draw(6) * torch.nan, LABELS, "finite"),
    ],
)
def test_answers_that_cannot_be_scored_are_refused(
    network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, why: str
) -> None:
    with pytest.raises(SharpwaveError, match=why):
        NetworkSubject(network, inputs, labels)


def test_a_score_of_the_users_own() -> None:
    network = nn.Linear(6, 1)
    subject = NetworkSubject(network, draw(6), LABELS, score=lambda model: -model(draw(6)).pow(2).mean().item())
    assert subject.score() == pytest.approx(-network(draw(6)).pow(2).mean().item())


def test_weights_that_cannot_take_noise_are_named() -> None:
    flat = nn.Linear(6, 3)
    with torch.no_grad():
        flat.weight.fill_(0.5)
    assert "vary" in NetworkSubject(flat, draw(6), LABELS).left_out["weight_noise"]
    spectral = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3))
    assert "computed from others" in NetworkSubject(spectral, draw(6), LABELS).left_out["weight_noise"]


def make_network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.ReLU(), nn.Linear(16, 3))


def train(model: nn.Module, number: int) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    nn.functional.cross_entropy(model(draw(6)), LABELS).backward()
    optimiser.step()


def test_a_step_that_trains_the_original_is_refused_and_undone() -> None:
    network = make_network()
    before = copy.deepcopy(network.state_dict())
    subject = NetworkSubject(network, draw(6), LABELS, recover=lambda model, number: train(network, number))
    with pytest.raises(SharpwaveError, match="the network under test itself"):
        card(subject, n_steps=5, n_repeats=1)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_an_optimiser_of_the_original_trains_no_copy() -> None:
    network = make_network()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)

    def step(model: nn.Module, number: int) -> None:
        nn.functional.cross_entropy(model(draw(6)), LABELS).backward()
        optimiser.step()

    subject = NetworkSubject(network, draw(6), LABELS, recover=step)
    for n_steps in (1, 5):
        with pytest.raises(SharpwaveError, match="left its copy as it was"):
            card(subject, n_steps=n_steps, n_repeats=1)


def test_a_copy_that_is_none_is_refused() -> None:
    class Single(nn.Linear):
        def __deepcopy__(self, memo: dict[int, Any]) -> Single:
            return self

    with pytest.raises(SharpwaveError, match="weights of their own"):
        NetworkSubject(Single(6, 3), draw(6), LABELS).copy()


def test_both_copies_see_the_same_chance_and_nobody_elses_is_touched() -> None:
    subject = NetworkSubject(make_network().train(), draw(6), LABELS, recover=train)
    first, second = subject.copy(), subject.copy()
    state = torch.get_rng_state()
    for number in range(3):
        first.recover(number)
    for number in range(3):
        second.recover(number)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_modes_are_put_back_module_by_module() -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).train()
    network[1].eval()
    NetworkSubject(network, draw(6), LABELS).score()
    assert [module.training for module in network] == [True, False, True]


def test_noise_on_inputs_has_no_layers() -> None:
    subject = NetworkSubject(make_network(), draw(6), LABELS, shock=("input_noise", 1.0), recover=train)
    with pytest.raises(SharpwaveError, match="one layer can have"):
        dose(subject, "input_noise", 1.0, part="0")
    found = card(subject, n_steps=2, n_repeats=1)
    assert found.brittleness is None


def test_the_original_is_not_damaged() -> None:
    with pytest.raises(SharpwaveError, match="a copy to damage"):
        NetworkSubject(make_network(), draw(6), LABELS).damage("weight_noise", 1.0, rng=np.random.default_rng(0))


def test_nights_of_its_own_sleep_bring_it_back() -> None:
    inputs = torch.eye(3).repeat_interleave(20, dim=0) + 0.1 * draw(3)
    labels = torch.arange(3).repeat_interleave(20)
    network = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    sleep = Sleep(network, ReplayBuffer(100, held_out=0.2), optimiser, nrem=NREM(batch_size=30))
    for _ in range(60):
        optimiser.zero_grad()
        sleep.wake({"x": inputs, "y": labels}).backward()
        optimiser.step()
    before, kept = copy.deepcopy(network.state_dict()), copy.deepcopy(optimiser.state_dict())
    n_kept = len(sleep.learner.buffer)
    for subject in (
        NetworkSubject.from_sleep(sleep, inputs, labels, shock=("weight_noise", 2.0)),
        NetworkSubject.from_sleep(sleep, shock=("weight_noise", 2.0)),
    ):
        found = card(subject, n_steps=30, n_repeats=1)
        assert found.recovery is not None
        assert found.recovery.perturbed[-1] > found.recovery.perturbed[0] + 0.1
        assert found.recovery.fraction > 0.8
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(optimiser.state_dict()["state"][0]["exp_avg"], kept["state"][0]["exp_avg"])
    assert (len(sleep.learner.buffer), sleep.is_asleep) == (n_kept, False)


def test_convolutions_that_grow_and_cells_have_units() -> None:
    network = nn.Sequential(
        nn.ConvTranspose1d(2, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    twin = dose(NetworkSubject(network, draw(2, 5), LABELS), "lesion", 0.5).model
    assert int((twin[0](draw(2, 5)) == 0).all(dim=2).all(dim=0).sum()) == 3
    cell = nn.LSTMCell(3, 4)
    lesion_units(nn.ModuleList([cell, nn.Linear(4, 2)]), 1.0, rng=np.random.default_rng(0))
    assert (cell(torch.randn(5, 3))[0] == 0).all()
    assert list(list_layers(cell)) == ["model"]


class Sees(nn.Module):
    """Several inputs by name; an answer in a tuple, as an attribute or for each step."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.body, self.head = how, nn.Linear(6, 10), nn.Linear(10, 3)

    def forward(self, x: torch.Tensor, extra: torch.Tensor | None = None) -> Any:
        answer = self.head(torch.relu(self.body(x if extra is None else x + extra)))
        return {"tuple": (answer, x), "attribute": SimpleNamespace(logits=answer), "plain": answer}[self.how]


class Shared(nn.Module):
    """One layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.body(torch.relu(self.body(x)))))


def make_kinds() -> dict[str, tuple[nn.Module, Any, torch.Tensor, set[str]]]:
    """Twenty kinds of networks: the network, its inputs and labels, and what cannot be done to it."""
    steps = torch.randint(3, (N, 7))
    image = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    spectral = torch.nn.utils.parametrizations.spectral_norm
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    normed = nn.Sequential(nn.Linear(6, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 3))
    token = nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(40, 10), nn.ReLU(), nn.Linear(10, 3))
    both = {"x": draw(6), "extra": draw(6)}
    return {
        "one layer": (nn.Linear(6, 3), draw(6), LABELS, {"lesion"}),
        "perceptron": (nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3)), draw(6), LABELS, set()),
        "dropout": (make_network(), draw(6), LABELS, set()),
        "one unit": (nn.Sequential(nn.Linear(6, 1), nn.ReLU(), nn.Linear(1, 3)), draw(6), LABELS, set()),
        "BatchNorm": (normed, draw(6), LABELS, set()),
        "sigmoid": (nn.Sequential(nn.Linear(6, 10), nn.Sigmoid(), nn.Linear(10, 3)), draw(6), LABELS, {"lesion"}),
        "images": (nn.Sequential(image, nn.Linear(6, 3)), draw(1, 8, 8), LABELS, set()),
        "convolution over time": (nn.Conv1d(2, 3, 1), draw(2, 7), steps, {"lesion"}),
        "LSTM": (Reader(nn.LSTM), draw(7, 4), LABELS, set()),
        "GRU, both ways": (Reader(nn.GRU, bidirectional=True), draw(7, 4), LABELS, set()),
        "RNN of two layers": (Reader(nn.RNN, num_layers=2), draw(7, 4), LABELS, set()),
        "attention": (Attending(), torch.randint(9, (N, 5)), torch.randint(3, (N, 5)), {"input_noise"}),
        "encoder": (nn.Sequential(encoder, nn.Linear(8, 3)), draw(7, 8), steps, set()),
        "tokens": (token, torch.randint(9, (N, 5)), LABELS, {"input_noise"}),
        "tied": (Tied(), torch.randint(3, (N, 5)), LABELS, {"input_noise"}),
        "spectral norm": (spectral(nn.Linear(6, 3)), draw(6), LABELS, {"lesion", "weight_noise"}),
        "dictionary": (Sees("plain"), both, LABELS, set()),
        "tuple": (Sees("tuple"), draw(6), LABELS, set()),
        "attribute": (Sees("attribute"), draw(6), LABELS, set()),
        "a layer that runs twice": (Shared(), draw(6), LABELS, set()),
    }


@pytest.mark.parametrize("kind", list(make_kinds()))
def test_twenty_kinds_get_a_number_only_for_what_happened(kind: str) -> None:
    torch.manual_seed(0)
    network, inputs, labels, impossible = make_kinds()[kind]
    subject = NetworkSubject(network, inputs, labels)
    assert set(subject.left_out) == impossible | {"label_noise"}
    before = copy.deepcopy(network.state_dict())
    for damage, doses in subject.doses.items():
        for size in doses[1:]:
            twin = dose(subject, damage, size)
            changed = [name for name, value in twin.model.state_dict().items() if not torch.equal(value, before[name])]
            if damage == "input_noise":
                assert not changed
                continue
            assert changed, (damage, size)
    found = card(subject, n_repeats=1)
    missing = set(found.table.loc[found.table["state"] == "not measured", "part"])
    assert missing == impossible | {"label_noise", "recovery"}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    idle = NetworkSubject(network, inputs, labels, recover=lambda model, number: None)
    if "weight_noise" not in impossible:
        with pytest.raises(SharpwaveError, match="left its copy as it was"):
            card(idle, n_steps=2, n_repeats=1)


def test_the_snippet_of_the_page_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "resilience.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    assert names["found"].recovery is not None
    assert (tmp_path / "card.png").is_file()
