import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from tuner.flux.denoise import RealGuidance, denoise, initial_noise, sampling_sigmas
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


class _Prompted(torch.nn.Module):
    """A velocity that depends on the latents, the time and the prompt; it counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(
        self,
        *,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        pooled_projections: torch.Tensor,
        guidance: torch.Tensor | None,
        **_: object,
    ) -> tuple[torch.Tensor]:
        self.passes += 1
        said = pooled_projections.mean(1)[:, None, None] + (
            0 if guidance is None else guidance[:, None, None]
        )
        return (torch.sin(hidden_states) * said + timestep[:, None, None],)


KNOWN = [-0.2573674, -0.2053705, -0.3640345]
NOISE, SIGMAS = initial_noise(16, 8, 8, seed=3), sampling_sigmas(4, 16, {"shift": 1.0})
PROMPT, NEGATIVE = (Conditions(torch.full((1, 8), value), torch.zeros(1, 4, 8)) for value in (0.7, -0.4))


def test_real_guidance_is_the_formula() -> None:
    """v = u + g * (c - u) from the second step on, and c alone before: written out once more."""
    model = _Prompted()
    made = denoise(model, NOISE, PROMPT, SIGMAS, 3.0, RealGuidance(2.5, NEGATIVE, first=1))
    assert model.passes == 4 + 3
    latents = NOISE
    for step, (now, following) in enumerate(zip(SIGMAS[:-1], SIGMAS[1:], strict=True)):
        velocity = torch.sin(latents) * (0.7 + 3.0) + now
        if step >= 1:
            other = torch.sin(latents) * (-0.4 + 3.0) + now
            velocity = other + 2.5 * (velocity - other)
        latents = latents + (following - now) * velocity
    assert torch.allclose(made, latents, atol=1e-5)


def test_real_guidance_that_begins_after_the_last_step_changes_no_bit() -> None:
    model = _Prompted()
    plain = denoise(model, NOISE, PROMPT, SIGMAS, None)
    assert model.passes == 4
    late = denoise(model, NOISE, PROMPT, SIGMAS, None, RealGuidance(6.0, NEGATIVE, first=4))
    assert torch.equal(plain, late)
    of_scale_1 = denoise(model, NOISE, PROMPT, SIGMAS, None, RealGuidance(1.0, NEGATIVE))
    assert torch.allclose(plain, of_scale_1, atol=1e-5)


def test_the_picture_of_a_seed_is_known() -> None:
    """Another number here means other previews for everybody: whoever changes one says why."""
    made = denoise(_Prompted(), NOISE, PROMPT, SIGMAS, 1.0)
    assert made.flatten()[:3].tolist() == pytest.approx(KNOWN, rel=1e-5)


def test_the_same_seed_is_the_same_noise() -> None:
    assert torch.equal(initial_noise(16, 8, 8, 7), initial_noise(16, 8, 8, 7))
    assert not torch.equal(initial_noise(16, 8, 8, 7), initial_noise(16, 8, 8, 8))
