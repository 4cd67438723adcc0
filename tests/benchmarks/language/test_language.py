"""The benchmark of language models, whole on tiny models: what it measures, counts, keeps and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.benchmarks.language.folders import make_classes, make_questions

from sharpwave.benchmarks import run_benchmark
from sharpwave.benchmarks.language import benchmark, harness
from sharpwave.benchmarks.language.learners import Setting
from sharpwave.benchmarks.language.networks import FrozenBelow, Meter, Network, PatchReader, cut
from sharpwave.benchmarks.language.registry import ABLATIONS, LEARNERS, TUNED_AS, list_methods
from sharpwave.benchmarks.language.streams import PROTOCOLS, Stream, load_tasks, make_image_stream, make_text_stream
from sharpwave.benchmarks.language.tuning import FURTHER, find_options, list_trials, load_options
from sharpwave.errors import SharpwaveError

OWN = replace(PROTOCOLS["own"], n_train=48, n_test=16, batch=8, length=40)
RATES = {"lr": 2e-3, "head_lr": 1e-2}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stream]:
    folder = tmp_path_factory.mktemp("tasks")
    classes, questions = make_classes(folder / "classes"), make_questions(folder / "questions")
    made = {
        kind: make_text_stream(OWN, load_tasks(OWN, where), model=None, kind=kind, seed=0)
        for kind, where in (("classes", classes), ("words", classes), ("questions", questions))
    }
    few = replace(PROTOCOLS["permuted"], n_tasks=2, n_train=64, n_test=32)
    return made | {"images": make_image_stream(few, None, seed=0)}


@pytest.fixture(scope="module")
def plain(streams: dict[str, Stream]) -> harness.Outcome:
    return harness.run_stream(streams["classes"], LEARNERS["finetune"], RATES, seed=0)


@pytest.mark.parametrize("method", [name for name in LEARNERS if name not in ABLATIONS and name != "dreams"])
def test_every_learner_learns_classes_and_is_counted(
    streams: dict[str, Stream], plain: harness.Outcome, method: str
) -> None:
    found = harness.run_stream(streams["classes"], LEARNERS[method], RATES, seed=0)
    assert set(found.at_the_end) == {"accuracy", "accuracy_told"}
    assert found.compute_mean("accuracy_told") >= found.compute_mean("accuracy")
    assert found.operations > 0
    if method == "joint":
        assert found.operations == pytest.approx(plain.operations)
    if method.startswith("replay"):
        share = float(method.split()[1]) / 100
        assert found.tokens / plain.tokens == pytest.approx(1 + share / 2, abs=0.03)  # the second of two tasks alone
    if method in ("sleep", "sleep, LoRA"):
        assert found.nights[1] == 2
        assert found.n_stored_bytes <= OWN.memory_bytes


@pytest.mark.parametrize(
    ("kind", "method"), [("words", "dreams"), ("words", "sleep"), ("questions", "sleep"), ("images", "sleep")]
)
def test_sleep_runs_with_every_kind_of_answer(streams: dict[str, Stream], kind: str, method: str) -> None:
    stream = streams[kind]
    assert method in list_methods(stream.make_network(0))
    found = harness.run_stream(stream, LEARNERS[method], {"lr": 1e-3}, seed=0)
    assert found.nights[1] == 2
    assert set(found.at_the_end) == ({"f1", "exact_match"} if kind == "questions" else {"accuracy", "accuracy_told"})
    assert method != "dreams" or found.n_stored_bytes == 0


def test_a_network_that_learns_both_tasks_at_once_knows_both(streams: dict[str, Stream]) -> None:
    longer = replace(
        streams["classes"],
        tasks=tuple(
            replace(task, train={name: value.repeat(6, *[1] * (value.ndim - 1)) for name, value in task.train.items()})
            for task in streams["classes"].tasks
        ),
    )
    joint = harness.run_stream(longer, LEARNERS["joint"], RATES, seed=0)
    alone = harness.run_stream(longer, LEARNERS["finetune"], RATES, seed=0)
    assert joint.compute_mean("accuracy") > 0.9
    assert alone.compute_forgetting("accuracy") > 0.5


def test_operations_are_three_for_each_weight_and_one_without_a_gradient() -> None:
    meter, layer = Meter(), torch.nn.Linear(4, 3)
    meter.watch(layer)
    meter.watch(layer)
    x = torch.randn(2, 5, 4)
    with torch.no_grad():
        layer(x)
    assert meter.operations == 10 * 12
    layer(x)  # what came in asks for no gradient
    assert meter.operations == 10 * 12 * (1 + 2)
    layer(x.requires_grad_())
    assert meter.operations == 10 * 12 * (1 + 2 + 3)
    with meter.off():
        layer(x)
    assert meter.operations == 10 * 12 * 6


def make_bert(seed: int = 0) -> Any:
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    return BertModel(BertConfig(vocab_size=40, **sizes)).eval()


def test_frozen_layers_that_remember_give_what_they_would_and_count_as_if_they_did() -> None:
    plain, meter = make_bert(), Meter()
    ids = torch.tensor([[5, 6, 7, 8], [9, 3, 0, 0]])
    mask = (ids > 0).long()
    expected = plain(input_ids=ids, attention_mask=mask).last_hidden_state
    frozen = make_bert()
    lower = FrozenBelow(frozen, 2, meter)
    with torch.no_grad():
        for _ in range(2):
            found = frozen(input_ids=ids, attention_mask=mask).last_hidden_state
    assert len(lower.made) == 2
    assert torch.allclose(found[mask.bool()], expected[mask.bool()], atol=0.05)
    assert meter.operations == 2 * int(mask.sum()) * lower.n_weights
    assert meter.saved_seconds >= -1e-9
    assert not any(p.requires_grad for p in lower.parameters())
    from torch.utils.flop_counter import FlopCounterMode

    counts = []
    for _ in range(2):  # what is measured is done, not remembered
        with FlopCounterMode(display=False) as counter:
            frozen(input_ids=ids, attention_mask=mask)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 2 * 2 * lower.n_weights


def make_setting(stream: Stream) -> Setting:
    return Setting(len(stream.tasks), 6, 8, 20_000, 0)


@pytest.mark.parametrize("method", ["finetune, LoRA", "sleep, LoRA", "o-lora"])
def test_adapters_leave_what_was_pretrained_as_it_was(streams: dict[str, Stream], method: str) -> None:
    stream = streams["classes"]
    network = stream.make_network(0)
    before = {name: p.clone() for name, p in network.model.named_parameters() if not name.startswith("head")}
    learner = LEARNERS[method](network, make_setting(stream), **RATES)
    kept: dict[str, torch.Tensor] = {}
    for index, task in enumerate(stream.tasks):
        learner.begin_task(index)
        if index and method == "o-lora":
            kept = {n: p.clone() for n, p in network.model.named_parameters() if "task0" in n}
        for rows in torch.arange(24).split(8):
            learner.observe(cut(task.train, rows), index)
        learner.end_task(task, index)
    after = {name.replace(".base_layer", ""): p for name, p in network.model.named_parameters()}
    assert all(torch.equal(after[name], p) for name, p in before.items())
    assert all(torch.equal(dict(network.model.named_parameters())[name], p) for name, p in kept.items())
    assert method != "o-lora" or (kept and any("task1" in name for name in after))


def test_subspaces_that_are_held_are_not_moved(streams: dict[str, Stream]) -> None:
    stream = streams["classes"]
    network = stream.make_network(0)
    name = network.list_layers()[0]
    before = network.model.get_submodule(name).weight.detach().clone()
    learner = LEARNERS["osf"](network, make_setting(stream), **RATES)
    learner.begin_task(0)
    for rows in torch.arange(24).split(8):
        learner.observe(cut(stream.tasks[0].train, rows), 0)
    learner.end_task(stream.tasks[0], 0)
    layer = network.model.get_submodule(name)
    assert type(layer) is torch.nn.Linear
    change = layer.weight.detach() - before
    held = torch.linalg.svd(before)[2][: int(0.3 * min(before.shape))]
    assert change.norm() > 1e-4
    assert (change @ held.T).norm() < 0.2 * change.norm()  # by chance .55; AdamW's own scaling leaks a little


def test_patches_see_the_whole_image() -> None:
    reader = PatchReader((3, 8, 8), 2, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    x = torch.zeros(1, 3, 8, 8)
    y = x.clone()
    y[0, 2, 7, 7] = 1.0
    assert reader.embed.in_features == 3 * 16
    assert not torch.allclose(reader(x), reader(y))


def test_the_command_runs_keeps_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_classes(tmp_path / "tasks", n_train=32, n_test=8)
    output = tmp_path / "found.json"
    methods = ["finetune", "replay 15 %", "sleep", "sleep, no distillation"]
    result = run_benchmark("language", data=folder, seeds=2, output=output, methods=methods[:2], stream="own")
    assert {row.method for row in result.rows} == {"finetune", "replay 15 %", "majority class"}
    assert "--stream own" in result.provenance["command"]
    ran = []
    run_stream = harness.run_stream
    monkeypatch.setattr(
        harness, "run_stream", lambda s, make, *a, **k: ran.append(make) or run_stream(s, make, *a, **k)
    )
    rows = run_benchmark("language", data=folder, seeds=2, output=output, methods=methods[2:], stream="own").rows
    assert ran == [LEARNERS[name] for name in methods[2:]] * 2
    found = {(row.method, row.metric): row for row in rows}
    assert found["majority class", "accuracy_told"].value == 0.5
    for metric in ("accuracy", "accuracy_told", "forgetting", "operations_ratio", "tokens_ratio", "stored_kilobytes"):
        assert found["sleep", metric].n == 2
    apart = found["sleep", "accuracy_minus_finetune"].values
    pairs = zip(found["sleep", "accuracy"].values, found["finetune", "accuracy"].values, strict=True)
    assert apart == pytest.approx([mine - other for mine, other in pairs])
    assert found["sleep, no distillation", "accuracy_change"].setting == "ablation"
    monkeypatch.setattr(harness, "sum_code", lambda make: "other")
    ran.clear()
    run_benchmark("language", data=folder, seeds=1, output=tmp_path / "x.json", methods=methods[:1], stream="own")
    assert len(ran) == 1


def test_what_is_no_stream_method_or_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="--stream among glue5"):
        benchmark.run(tmp_path, seeds=1, stream="poems")
    with pytest.raises(SharpwaveError, match="methods among finetune"):
        benchmark.run(tmp_path, seeds=1, methods=["magic"])
    with pytest.raises(SharpwaveError, match="--stream and --model: language"):
        run_benchmark("staging", model=tmp_path)
    folder = make_classes(tmp_path / "tasks", n_train=8, n_test=4)
    with pytest.raises(SharpwaveError, match="a folder of a model of Transformers"):
        benchmark.run(folder, seeds=1, model=tmp_path, methods=["finetune"])


def test_a_model_of_a_folder_answers_as_its_configuration_says(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from sharpwave.recipes.small_gpt2 import END, train_tokenizer

    folder = make_classes(tmp_path / "tasks", n_train=16, n_test=8)
    tokenizer = train_tokenizer([item.text for task in load_tasks(OWN, folder) for item in task.train], size=300)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_embd=16, n_layer=1, n_head=2))
    where = tmp_path / "model"
    model.save_pretrained(where)
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(where)
    config, rows = benchmark.run(folder, seeds=1, model=where, methods=["finetune"], stream="own")
    assert (config["kind"], config["model"]["class"]) == ("words", "GPT2LMHeadModel")
    assert list(config["model"]["weights"]) == ["model.safetensors"]
    assert str(tmp_path) not in str(config)
    assert {row.setting for row in rows} == {"task unknown, label words"}


def test_trials_are_as_many_for_each_and_options_are_those_of_a_learner_like_it() -> None:
    for method in LEARNERS:
        trials = list_trials(method, "classes")
        assert len({tuple(trial.values()) for trial in trials}) == 3
        assert set(trials[0]) == {"lr", "head_lr", *FURTHER.get(method, {})}
    tuned = {"finetune": {"chosen": {"lr": 0.5}}}
    assert find_options("replay 5 %", "classes", tuned) == {"lr": 0.5}
    assert find_options("finetune, LoRA", "classes", {})["lr"] == pytest.approx(1e-3)
    assert set(TUNED_AS) | set(TUNED_AS.values()) <= set(LEARNERS)
    assert set(load_options("glue5", "classes")) == set(LEARNERS)


def test_what_is_learned_with_is_listed(streams: dict[str, Stream]) -> None:
    networks: dict[str, Network] = {kind: stream.make_network(0) for kind, stream in streams.items()}
    assert "dreams" in list_methods(networks["words"])
    assert "dreams" not in list_methods(networks["classes"])
    assert "o-lora" not in list_methods(networks["images"])
    assert "osf" not in list_methods(networks["words"])  # GPT-2 is made of Conv1D
    assert all(not name.startswith("head") for name in networks["classes"].list_layers())
