"""Embeddings brought to a norm of at most 1."""

import torch

from trainables.geometry import lipschitz


def test_only_long_vectors_are_shortened() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.6, 0.8], [0.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.6, 0.8], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(lipschitz(vectors), expected, rtol=0, atol=1e-15)
    assert lipschitz(vectors.bfloat16()).dtype == torch.float32


def test_gradients_are_those_of_the_branch_and_at_norm_one_the_identity() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    upstream = torch.tensor([[1.0, 2.0]] * 4, dtype=torch.float64)
    lipschitz(vectors).backward(upstream)
    # (g - N (N g)) / |v| with N = (0.6, 0.8), N g = 2.2: (1 - 1.32, 2 - 1.76) / 5
    expected = torch.tensor([[-0.064, 0.048], [1, 2], [1, 2], [1, 2]], dtype=torch.float64)
    torch.testing.assert_close(vectors.grad, expected, rtol=0, atol=1e-12)


def test_the_gradient_agrees_with_differences() -> None:
    vectors = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lipschitz, vectors.requires_grad_())
