"""The whole network as one ONNX file, for any number of images at once."""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.model import EmbeddingModel

INPUT, OUTPUT = "images", "embeddings"


def to_onnx(model: EmbeddingModel, images: Tensor, *, metadata: Mapping[str, str]) -> bytes:
    """The network in evaluation mode: float32 [B, C, S, S] named `images` to raw [B, D] named `embeddings`.

    Args:
        images: [B, C, S, S] with B of 2 at least: the network is traced with them.
        metadata: texts that the file carries under these names.
    """
    batch = {0: torch.export.Dim("batch")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about torch's own code
        program: Any = torch.onnx.export(
            model,
            (images,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"inputs": batch},
            dynamo=True,
            verbose=False,
        )
    _without_traces(program.model)
    program.model.metadata_props.update(metadata)
    return _bytes(program)


def run_onnx(content: bytes, images: Tensor) -> Tensor:
    """Embeddings of images by onnxruntime on the CPU."""
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    (embeddings,) = session.run([OUTPUT], {INPUT: np.ascontiguousarray(images.numpy())})
    return torch.from_numpy(embeddings)


def _without_traces(model: Any) -> None:
    """The exporter notes for every node where the code that made it stands on this machine."""
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        for node in graph:
            node.metadata_props.clear()


def _bytes(program: Any) -> bytes:
    buffer = io.BytesIO()
    program.save(buffer)
    return buffer.getvalue()
