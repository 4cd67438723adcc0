"""The callback within Lightning, where that is installed; else within a trainer that calls the same hooks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.consolidation.planted import make_network, make_points
from torch import nn

from sharpwave.consolidation import FixedRatio, ReplayBuffer
from sharpwave.errors import SharpwaveError

lightning = pytest.importorskip("lightning")

from sharpwave.integrations.lightning import SleepCallback  # noqa: E402


class Classifier(lightning.LightningModule):
    def __init__(self, *, wakes: bool = True) -> None:
        super().__init__()
        self.network, self.wakes = make_network(), wakes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)

    def training_step(self, batch: list, index: int) -> torch.Tensor:
        if not self.wakes:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])
        return self.sleep.wake(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def make_loader(task: int) -> torch.utils.data.DataLoader:
    points, labels = make_points(100, seed=1)
    mine = labels // 2 == task
    data = torch.utils.data.TensorDataset(points[mine].repeat(3, 1), labels[mine].repeat(3))
    return torch.utils.data.DataLoader(data, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(task))


def make_trainer(callback: SleepCallback, folder: Path, **options) -> object:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lightning.Trainer(callbacks=[callback], default_root_dir=folder, **({"max_epochs": 1} | quiet | options))


def test_tasks_one_after_the_other_are_kept(tmp_path) -> None:
    model, callback = Classifier(), SleepCallback(ReplayBuffer(48), every="fit")
    for task in range(3):
        make_trainer(callback, tmp_path, enable_checkpointing=False).fit(model, make_loader(task))
    points, labels = make_points(50, seed=2)
    model.eval()
    assert (model(points).argmax(1) == labels).float().mean() > 0.8
    assert [report.committed for report in callback.reports] == [True] * 3
    assert "sleep" not in dict(model.named_children())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_checkpoint_holds_the_memories_and_resumes_bit_for_bit(precision: str, tmp_path) -> None:
    def train(epochs: int, checkpoint: str | None = None) -> tuple[Classifier, SleepCallback, Path]:
        torch.manual_seed(0)
        model, callback = Classifier(), SleepCallback(ReplayBuffer(48))
        saver = lightning.pytorch.callbacks.ModelCheckpoint(dirpath=tmp_path, filename=f"{epochs}", save_top_k=1)
        trainer = make_trainer(callback, tmp_path, max_epochs=epochs, precision=precision)
        trainer.callbacks.append(saver)
        batches = torch.utils.data.DataLoader(make_loader(0).dataset, batch_size=16)
        trainer.fit(model, batches, ckpt_path=checkpoint)
        return model, callback, Path(saver.best_model_path)

    whole, slept, _ = train(2)
    _, _, path = train(1)
    resumed, again, _ = train(2, str(path))
    assert len(slept.reports) == 2
    assert len(again.reports) == 1
    assert slept.sleep.hypnogram == again.sleep.hypnogram
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_schedule_decides(tmp_path) -> None:
    callback = SleepCallback(ReplayBuffer(48), every="schedule", schedule=FixedRatio(0.1, every=10))
    make_trainer(callback, tmp_path, enable_checkpointing=False).fit(Classifier(), make_loader(0))
    assert len(callback.reports) == 3


def test_what_does_not_fit_is_said(tmp_path) -> None:
    with pytest.raises(SharpwaveError, match="a time to sleep among epoch, fit, schedule"):
        SleepCallback(None, every="hour")
    with pytest.raises(SharpwaveError, match=r"return self\.sleep\.wake\(batch\) as the loss"):
        make_trainer(SleepCallback(ReplayBuffer(9)), tmp_path).fit(Classifier(wakes=False), make_loader(0))
