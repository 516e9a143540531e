"""Training: batches, optimiser, schedules, the loop, checkpoints, and the session that carries a run to its rows."""
