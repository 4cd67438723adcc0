"""The predictor for a small device: an ONNX graph that steps, one value of the grid at a time, and carries its cache.

    window = [cache, value]                      128 values
    ahead  = M (B window)                        real and imaginary part at each lead
    cache  = window without its first            goes into the next step

What comes before it, the band of 0.1 to 8 Hz, is three sections of second order: fifteen multiplications a sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.live.phase import STEP, TAPS, Predictor, load_predictor
from sharpwave.outputs import write_file

KINDS = ("float", "int8")
OPSET = 17


def export_predictor(path: str | Path, *, kind: str = "int8", predictor: Predictor | None = None) -> dict[str, Any]:
    """Write the graph.

    Its inputs are `value`, shape (1,), and `cache`, shape (127,), zeros at first; its outputs `ahead`, shape (lead, 2),
    real and imaginary part of the slow oscillation at leads of 25 ms, and `next_cache`. During the first 128 values
    `ahead` means nothing.

    Args:
        path: File to write (.onnx).
        kind: `int8` with the weights in eight bits, or `float`.
        predictor: The weights; those that ship by default.

    Returns:
        Its size in bytes, and the leads in seconds.

    Raises:
        MissingExtraError: If onnx is not installed.
        SharpwaveError: If `kind` is none of the two.

    >>> export_predictor("phase.onnx", kind="int4")
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected a kind among float, int8; got 'int4'. Fix: take int8
    """
    if kind not in KINDS:
        raise SharpwaveError(f"a kind among {', '.join(KINDS)}", got=repr(kind), fix="take int8")
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise MissingExtraError("onnx", extra="export") from error
    weights = predictor or load_predictor()
    mixing = np.array(weights.mix).reshape(-1, len(weights.basis))
    nodes, constants = _make_nodes(weights, mixing, kind)
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "slow oscillation ahead",
        [helper.make_tensor_value_info("value", real, [1]), helper.make_tensor_value_info("cache", real, [TAPS - 1])],
        [
            helper.make_tensor_value_info("ahead", real, [len(weights.mix), 2]),
            helper.make_tensor_value_info("next_cache", real, [TAPS - 1]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    write_file(Path(path), content)
    return {"bytes": len(content), "leads": [round(place * STEP, 6) for place in range(len(weights.mix))]}


def _make_nodes(weights: Predictor, mixing: np.ndarray, kind: str) -> tuple[list[Any], list[Any]]:
    """Nodes of the graph and its constants."""
    import onnx
    from onnx import helper

    nodes: list[Any] = []
    constants: list[Any] = []
    for name, table in (("basis", weights.basis), ("mixing", mixing)):
        if kind == "float":
            constants.append(onnx.numpy_helper.from_array(table.astype(np.float32), name))
            continue
        scale = np.abs(table).max(axis=1) / 127
        whole = np.round(table / scale[:, None]).astype(np.int8)
        constants.append(onnx.numpy_helper.from_array(whole, f"{name}_whole"))
        constants.append(onnx.numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_whole", f"{name}_scale"], [name], axis=0))
    for name, numbers in (("one", [1]), ("end", [TAPS]), ("shape", [len(weights.mix), 2])):
        constants.append(onnx.numpy_helper.from_array(np.array(numbers, np.int64), name))
    nodes += [
        helper.make_node("Concat", ["cache", "value"], ["window"], axis=0),
        helper.make_node("MatMul", ["basis", "window"], ["components"]),
        helper.make_node("MatMul", ["mixing", "components"], ["parts"]),
        helper.make_node("Reshape", ["parts", "shape"], ["ahead"]),
        helper.make_node("Slice", ["window", "one", "end"], ["next_cache"]),
    ]
    return nodes, constants


class EdgePredictor:
    """The graph with ONNX Runtime on one core.

    Args:
        path: File of `export_predictor`.

    Raises:
        MissingExtraError: If onnxruntime is not installed.

    >>> _ = export_predictor("phase.onnx")  # doctest: +SKIP
    >>> ahead, cache = EdgePredictor("phase.onnx").step(np.zeros(127, np.float32), 20e-6)  # doctest: +SKIP
    >>> ahead.shape, cache.shape  # doctest: +SKIP
    ((13, 2), (127,))
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", extra="export") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def step(
        self, cache: Float[np.ndarray, " past"], value: float
    ) -> tuple[Float[np.ndarray, "lead part"], Float[np.ndarray, " past"]]:
        """One value of the grid.

        Args:
            cache: From the step before; 127 zeros at first.
            value: The value, in any unit.

        Returns:
            Real and imaginary part at each lead, and the cache for the next step.
        """
        ahead, following = self._session.run(None, {"value": np.array([value], np.float32), "cache": cache})
        return ahead, following
