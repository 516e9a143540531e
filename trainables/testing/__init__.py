"""What every registered part must do: test classes for pytest to inherit, `trainables.testing.losses.LossContract`."""
