"""A run's network and embeddings in formats that other tools read, and the way back.

from trainables.export import load_exported
exported = load_exported("my-model")
embeddings = exported.model(exported.transform(["a.jpg", "b.jpg"]))
"""

from trainables.export.loading import Exported, load_exported
from trainables.export.model import export_model

__all__ = ["Exported", "export_model", "load_exported"]
