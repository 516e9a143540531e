"""Studies in the formats of other tools: Optuna, TensorBoard, MLflow, Weights & Biases.

A package of `study`, not of `analysis`: what it writes follows the plan's cells, the recorded settings of searches and
the names that all commands use. It reads results folders and changes nothing in them. The other tools' packages are
extras, imported where they are used; nothing here opens a network connection by itself.
"""
