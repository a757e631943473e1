import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from tuner.flux.denoise import denoise, initial_noise, sampling_sigmas
from tuner.flux.objective import Conditions


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("tokens", [16, 1024, 4096])
def test_sigmas_equal_diffusers(dynamic: bool, tokens: int) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=dynamic, base_shift=0.5, max_shift=1.15
    )
    mu = calculate_shift(tokens, 256, 4096, 0.5, 1.15)
    scheduler.set_timesteps(sigmas=torch.linspace(1.0, 1 / 20, 20).numpy(), mu=mu, device="cpu")
    ours = sampling_sigmas(20, tokens, dict(scheduler.config))
    assert torch.allclose(ours, scheduler.sigmas, atol=1e-6)


class _Towards(torch.nn.Module):
    """The exact velocity field of a single picture: every noise flows to it."""

    def __init__(self, goal: torch.Tensor) -> None:
        super().__init__()
        self.goal = goal

    def forward(
        self, *, hidden_states: torch.Tensor, timestep: torch.Tensor, **_: object
    ) -> tuple[torch.Tensor]:
        return ((hidden_states - self.goal) / timestep[:, None, None],)


def test_noise_flows_to_the_picture() -> None:
    goal = torch.full((1, 16, 64), 0.3)
    prompts = Conditions(torch.zeros(1, 8), torch.zeros(1, 4, 8))
    made = denoise(
        _Towards(goal), initial_noise(16, 8, 8, seed=1), prompts, sampling_sigmas(8, 16, {"shift": 1.0}), None
    )
    assert torch.allclose(made, torch.full_like(made, 0.3), atol=1e-5)


def test_the_same_seed_is_the_same_noise() -> None:
    assert torch.equal(initial_noise(16, 8, 8, 7), initial_noise(16, 8, 8, 7))
    assert not torch.equal(initial_noise(16, 8, 8, 7), initial_noise(16, 8, 8, 8))
