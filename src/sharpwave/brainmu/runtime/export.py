"""Brainµ for other runtimes: ONNX, and ONNX with weights in eight bits; for a fixed set of modalities.

A graph takes the epochs of a night (any number of steps and channels) and gives probabilities at each step. What it
says is compared with the model before it is handed over.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.brainmu.epochs import Batch, EpochedRecording, ModalityBatch, collate
from sharpwave.brainmu.model import BrainMu
from sharpwave.errors import MissingExtraError, SharpwaveError

FORMATS = ("onnx", "int8")
TOLERANCES = {"onnx": 1e-4, "int8": 0.1}
"""Largest difference in any probability, of any step, from the model."""
OUTPUTS = ("stage", "change", "destination")


class Exported(nn.Module):
    """The model with plain tensors in and probabilities out.

    Args:
        model: Ready for use.
        modalities: Those that the graph takes.
    """

    def __init__(self, model: BrainMu, modalities: Sequence[str]) -> None:
        super().__init__()
        self.model, self.modalities = model, tuple(modalities)

    def forward(self, times: Tensor, *parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities of the stage now, of a change, and of the stage at each horizon.

        Args:
            times: End of each step in seconds, float64, shape (1, step).
            parts: Three tensors a modality: values (1, step, channel, ...), presence (1, step, channel) and identity
                (1, channel).
        """
        modalities = {
            name: ModalityBatch(parts[3 * index], times, parts[3 * index + 1], parts[3 * index + 2])
            for index, name in enumerate(self.modalities)
        }
        steps = times.shape
        batch = Batch(
            modalities,
            times,
            torch.ones(steps, dtype=torch.bool),
            torch.zeros(steps, dtype=torch.int64),
            torch.zeros(*steps, 5),
            torch.eye(5)[None],
            torch.ones(1, 5, dtype=torch.bool),
        )
        readout = self.model(batch).readout
        return readout.stage.softmax(dim=-1), readout.change.sigmoid(), readout.destination.softmax(dim=-1)


def export_onnx(model: BrainMu, path: str | Path, *, example: EpochedRecording, kind: str = "onnx") -> dict[str, Any]:
    """Write a graph for the modalities of an example, compare it with the model on that, and say what it takes.

    Args:
        model: Ready for use.
        path: File to write (.onnx); beside it goes a .json that names inputs, outputs and what was measured.
        example: A night of at least two steps with the modalities that the graph is to take.
        kind: "onnx", or "int8" with the weights of linear layers in eight bits.

    Returns:
        What the .json holds.

    Raises:
        SharpwaveError: If there is no such kind, the model knows none of the modalities, or the graph differs by more
            than the tolerance.
        MissingExtraError: If onnx, onnxscript or onnxruntime is not installed.
    """
    if kind not in FORMATS:
        raise SharpwaveError(f"a format among {', '.join(FORMATS)}", got=repr(kind), fix="choose one of these")
    _check_extra()
    names = [name for name in model.config.modalities if name in example.epochs]
    if not names:
        raise SharpwaveError(
            f"a night with one of {', '.join(model.config.modalities)}",
            got=", ".join(example.epochs) or "no modality",
            fix="choose weights for these modalities",
        )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    inputs = make_inputs(example, names)
    _write_graph(Exported(model, names).eval(), inputs, path)
    if kind == "int8":
        _quantise(path)
    difference = compare_with_model(model, path, example)
    if difference > TOLERANCES[kind]:
        raise SharpwaveError(
            f"probabilities within {TOLERANCES[kind]:g} of the model's",
            got=f"a difference of {difference:.2g}",
            fix="use the format onnx, or report the weights for which this happens",
        )
    about = {
        "format": kind,
        "modalities": names,
        "inputs": {name: str(value.dtype) for name, value in inputs.items()},
        "outputs": list(OUTPUTS),
        "largest difference in a probability": difference,
        "tolerance": TOLERANCES[kind],
        "config": model.config.to_dict(),
    }
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return about


def make_inputs(recording: EpochedRecording, modalities: Sequence[str]) -> dict[str, np.ndarray]:
    """Inputs of a graph by name, from a recording in epochs that has these modalities.

    Raises:
        SharpwaveError: If it lacks one.
    """
    missing = [name for name in modalities if name not in recording.epochs]
    if missing:
        raise SharpwaveError(
            f"a night with {', '.join(modalities)}", got=f"no {', '.join(missing)}", fix="export a graph without it"
        )
    batch = collate([recording])
    inputs = {"times": batch.times.numpy()}
    for name in modalities:
        part = batch.modalities[name]
        inputs[f"{name}.values"] = part.values.numpy()
        inputs[f"{name}.present"] = part.present.numpy()
        inputs[f"{name}.identity"] = part.identity.numpy()
    return inputs


def run_onnx(path: str | Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a graph says: "stage", "change" and "destination" of each step.

    Raises:
        MissingExtraError: If onnxruntime is not installed.
    """
    _check_extra()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    return dict(zip(OUTPUTS, session.run(OUTPUTS, {k: v for k, v in inputs.items() if k in wanted}), strict=True))


@torch.no_grad()
def compare_with_model(model: BrainMu, path: str | Path, recording: EpochedRecording) -> float:
    """Largest difference in any probability between graph and model on a recording."""
    names = [name for name in model.config.modalities if name in recording.epochs]
    inputs = make_inputs(recording, names)
    ours = Exported(model, names).eval()(*(torch.from_numpy(value) for value in inputs.values()))
    theirs = run_onnx(path, inputs)
    return max(float(np.abs(one.numpy() - theirs[name]).max()) for name, one in zip(OUTPUTS, ours, strict=True))


def _write_graph(module: Exported, inputs: Mapping[str, np.ndarray], path: Path) -> None:
    step = torch.export.Dim("step", min=2, max=1_000_000)
    shapes: list[dict[int, Any]] = [{1: step}]
    for name in module.modalities:
        channel = torch.export.Dim(f"{name}_channel", min=1, max=4096)
        shapes += [{1: step, 2: channel}, {1: step, 2: channel}, {1: channel}]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            module,
            tuple(torch.from_numpy(value) for value in inputs.values()),
            dynamic_shapes={"times": shapes[0], "parts": tuple(shapes[1:])},
            input_names=list(inputs),
            output_names=list(OUTPUTS),
            dynamo=True,
            verbose=False,
        )
    program.save(str(path))


def _quantise(path: Path) -> None:
    """Replace a graph by one whose matrices of weights are in eight bits, activations quantised as they come."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.with_suffix(".whole.onnx")
    graph = onnx.load(str(path))
    del graph.graph.value_info[:]
    onnx.save(graph, str(whole))
    quantize_dynamic(str(whole), str(path), weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    whole.unlink()


def _check_extra() -> None:
    from importlib.util import find_spec

    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(package, extra="export")
