import torch

from tuner.adapters.decompositions import first_directions, principal


def test_the_product_is_the_best_of_its_rank() -> None:
    """By Eckart and Young the rest then has the other singular values, even where they are nearly equal."""
    dice = torch.Generator().manual_seed(1)
    for matrix in (torch.randn(300, 200, generator=dice), torch.randn(40, 64, generator=dice)):
        down, up = principal(matrix, 8)
        assert (down.shape, up.shape) == ((8, matrix.shape[1]), (matrix.shape[0], 8))
        best = torch.linalg.svdvals(matrix)[8:].square().sum().sqrt()
        assert torch.linalg.matrix_norm(matrix - up @ down) < 1.005 * best
        assert torch.allclose(down.norm(dim=1), up.norm(dim=0), rtol=1e-4)


def test_a_matrix_has_no_more_directions_than_its_shorter_side() -> None:
    down, up = principal(torch.randn(6, 4), 9)
    assert (down.shape, up.shape) == ((4, 4), (6, 4))


def test_the_first_directions_are_those_of_qr() -> None:
    matrix = torch.randn(12, 10)
    down, up = first_directions(matrix, 10)
    assert torch.allclose(up @ down, matrix, atol=1e-5)
    assert torch.allclose(up.T @ up, torch.eye(10), atol=1e-5)
