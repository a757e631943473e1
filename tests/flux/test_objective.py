"""What the transformer is asked, and that masks and references act as they should on a real tiny one."""

from dataclasses import replace

import pytest
import torch

from tuner.flux import latents as lat
from tuner.flux.objective import Conditions, add_noise, draw_guidance, predict_velocity
from tuner.practice import parts

SIGMAS = torch.tensor([0.25, 0.75])


def _dice() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_each_item_is_noised_with_its_own_sigma() -> None:
    latents, noise = torch.zeros(3, 16, 4, 4), torch.ones(3, 16, 4, 4)
    noisy = add_noise(latents, noise, torch.tensor([0.1, 0.5, 0.9]))
    assert noisy.mean((1, 2, 3)).tolist() == pytest.approx([0.1, 0.5, 0.9])


def test_guidance_out_of_a_range() -> None:
    found = draw_guidance(20_000, (1.0, 4.0), _dice())
    assert found.min() >= 1 and found.max() <= 4
    assert (found.mean().item(), found.var().item()) == pytest.approx((2.5, 9 / 12), abs=0.03)


def test_a_constant_guidance_draws_nothing() -> None:
    dice = _dice()
    assert draw_guidance(3, (3.5, 3.5), dice).tolist() == [3.5] * 3
    assert torch.equal(dice.get_state(), _dice().get_state())


class _Recorder(torch.nn.Module):
    def forward(self, **given: object) -> tuple[object]:
        self.given = given
        return (given["hidden_states"],)


def test_the_transformer_is_given_sigma_and_raw_guidance() -> None:
    recorder, noisy = _Recorder(), torch.randn(2, 16, 4, 6, generator=_dice())
    prompts = Conditions(torch.zeros(2, 8), torch.zeros(2, 5, 8))
    velocity = predict_velocity(recorder, noisy, SIGMAS, prompts, torch.full((2,), 3.5))
    assert torch.equal(velocity, noisy), "packing and unpacking are inverse"
    assert recorder.given["timestep"].tolist() == [0.25, 0.75]
    assert recorder.given["guidance"].tolist() == [3.5, 3.5]
    assert recorder.given["img_ids"].shape == (6, 3) and recorder.given["txt_ids"].shape == (5, 3)
    assert "joint_attention_kwargs" not in recorder.given
    predict_velocity(recorder, noisy, SIGMAS, prompts, None)
    assert recorder.given["guidance"] is None


def test_references_stand_behind_the_noisy_tokens_and_are_cut_off() -> None:
    recorder, noisy = _Recorder(), torch.randn(2, 16, 4, 6, generator=_dice())
    references = (torch.randn(2, 16, 8, 4, generator=_dice()), torch.randn(2, 16, 4, 4, generator=_dice()))
    conditions = Conditions(torch.zeros(2, 8), torch.zeros(2, 5, 8), references=references)
    velocity = predict_velocity(recorder, noisy, SIGMAS, conditions, None)
    assert torch.equal(velocity, noisy)
    given = recorder.given["hidden_states"]
    assert torch.equal(given, torch.cat([lat.pack(noisy), *map(lat.pack, references)], dim=1))
    ids = recorder.given["img_ids"]
    assert ids[:6, 0].tolist() == [0] * 6 and ids[6:, 0].tolist() == [1] * 12
    assert recorder.given["timestep"].shape == (2,), "one timestep for all tokens"


@pytest.fixture(scope="module")
def transformer() -> torch.nn.Module:
    torch.manual_seed(5)
    made = parts.transformer().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return made


@pytest.fixture
def conditions(transformer: torch.nn.Module) -> Conditions:
    config = transformer.config
    return Conditions(
        torch.randn(2, config.pooled_projection_dim, generator=_dice()),
        torch.randn(2, 7, config.joint_attention_dim, generator=_dice()),
    )


@torch.no_grad()
def _velocity(transformer: torch.nn.Module, conditions: Conditions) -> torch.Tensor:
    noisy = torch.randn(2, transformer.config.in_channels // 4, 8, 8, generator=_dice())
    return predict_velocity(transformer, noisy, SIGMAS, conditions, torch.ones(2))


def test_a_hidden_token_has_no_influence_at_all(transformer: torch.nn.Module, conditions: Conditions) -> None:
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[0, 3:], mask[1, 5:] = False, False
    changed = conditions.embeddings.clone()
    changed[~mask] = 100.0
    hidden = replace(conditions, text_mask=mask)
    before = _velocity(transformer, hidden)
    assert torch.equal(before, _velocity(transformer, replace(hidden, embeddings=changed)))
    seen = _velocity(transformer, conditions)
    assert not torch.allclose(before, seen, atol=1e-4)
    assert not torch.allclose(
        seen, _velocity(transformer, replace(conditions, embeddings=changed)), atol=1e-4
    )


def test_a_mask_is_as_if_the_tokens_were_cut_off(
    transformer: torch.nn.Module, conditions: Conditions
) -> None:
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[:, :4] = True
    short = replace(conditions, embeddings=conditions.embeddings[:, :4])
    hidden = _velocity(transformer, replace(conditions, text_mask=mask))
    assert torch.allclose(hidden, _velocity(transformer, short), atol=1e-5)


def test_a_reference_changes_the_word_unless_its_item_goes_without(
    transformer: torch.nn.Module, conditions: Conditions
) -> None:
    channels = transformer.config.in_channels // 4
    shown = replace(conditions, references=(torch.randn(2, channels, 8, 8, generator=_dice()),))
    plain, both = _velocity(transformer, conditions), _velocity(transformer, shown)
    first_only = _velocity(transformer, replace(shown, reference_mask=torch.tensor([True, False])))
    assert not torch.allclose(plain, both, atol=1e-4)
    assert torch.allclose(first_only[0], both[0], atol=1e-5)
    assert torch.allclose(first_only[1], plain[1], atol=1e-5)
