"""Token routing on a tiny FLUX, against a plain reference that goes sample by sample and block by block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn

from tuner.flux import latents as lat
from tuner.flux.routes import Route
from tuner.flux.tread import Routing, draw_kept

NUM_TEXT, HEIGHT, WIDTH = 5, 8, 12
NUM_TOKENS = HEIGHT * WIDTH // 4
BATCH = 3


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return _empty().state_dict()


@pytest.fixture
def transformer(weights: dict[str, Tensor]) -> FluxTransformer2DModel:
    """3 double and 4 single blocks with random weights, in training mode and frozen."""
    model = _empty()
    model.load_state_dict(weights)
    return model.requires_grad_(False).train()


def _empty() -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        in_channels=16,
        num_layers=3,
        num_single_layers=4,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        pooled_projection_dim=8,
        guidance_embeds=False,
        axes_dims_rope=(4, 6, 6),
    )


def _inputs(num_behind: int = 0) -> dict[str, Tensor]:
    dice = torch.Generator().manual_seed(1)
    draw = partial(torch.randn, generator=dice)
    ids = lat.image_ids(HEIGHT, WIDTH)
    return {
        "hidden_states": draw(BATCH, NUM_TOKENS + num_behind, 16).requires_grad_(),
        "encoder_hidden_states": draw(BATCH, NUM_TEXT, 24).requires_grad_(),
        "pooled_projections": draw(BATCH, 8),
        "timestep": torch.tensor([0.1, 0.5, 0.9]),
        "img_ids": torch.cat([ids, ids[:num_behind] + torch.tensor([1.0, 0, 0])]),
        "txt_ids": lat.text_ids(NUM_TEXT),
    }


def _output(transformer: nn.Module, inputs: dict[str, Tensor], mask: Tensor | None = None) -> Tensor:
    extras = None if mask is None else {"attention_mask": mask}
    return transformer(**inputs, joint_attention_kwargs=extras, return_dict=False)[0]


def _dice() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def _reference(
    model: FluxTransformer2DModel,
    inputs: dict[str, Tensor],
    routes: list[tuple[int, int, Tensor]],
    mask: Tensor | None = None,
) -> Tensor:
    """FLUX's forward pass written out, one sample at a time; `routes` are (first, last, kept rows (B, K))."""
    made = []
    for one in range(BATCH):
        image = model.x_embedder(inputs["hidden_states"][one : one + 1])
        text = model.context_embedder(inputs["encoder_hidden_states"][one : one + 1])
        time = model.time_text_embed(
            inputs["timestep"][one : one + 1] * 1000, inputs["pooled_projections"][one : one + 1]
        )
        cos, sin = model.pos_embed(torch.cat([inputs["txt_ids"], inputs["img_ids"]]))
        seen = None if mask is None else mask[one : one + 1]
        for number, block in enumerate([*model.transformer_blocks, *model.single_transformer_blocks]):
            rows = next((kept[one] for first, last, kept in routes if first <= number <= last), None)
            if rows is None:
                rows = torch.arange(image.shape[1])
            joint = torch.cat([torch.arange(NUM_TEXT), rows + NUM_TEXT])
            part = seen if seen is None else seen[..., joint]
            text, worked = block(
                image[:, rows], text, time, (cos[joint], sin[joint]), {"attention_mask": part}
            )
            # Rows outside the route keep their value.
            image = torch.stack(
                [
                    worked[0, rows.tolist().index(row)] if row in rows else image[0, row]
                    for row in range(image.shape[1])
                ]
            )[None]
        made.append(model.proj_out(model.norm_out(image, time)))
    return torch.cat(made)


def _kept(*ratios: float, num_tokens: int = NUM_TOKENS) -> list[Tensor]:
    dice = _dice()
    return [draw_kept(BATCH, num_tokens, ratio, dice) for ratio in ratios]


@pytest.mark.parametrize(
    ("first", "last"), [(0, 6), (1, 1), (1, 2), (3, 5), (1, 4), (6, 6)], ids=lambda at: str(at)
)
def test_a_route_equals_the_reference(transformer: FluxTransformer2DModel, first: int, last: int) -> None:
    """In double blocks, in single blocks, and across both."""
    (kept,) = _kept(0.5)
    expected = _reference(transformer, _inputs(), [(first, last, kept)])
    Routing(transformer, [Route(0.5, first, last)], _dice())
    assert torch.allclose(_output(transformer, _inputs()), expected, atol=1e-5)


def test_several_routes_equal_the_reference(transformer: FluxTransformer2DModel) -> None:
    one, other = _kept(0.25, 0.75)
    expected = _reference(transformer, _inputs(), [(0, 1, one), (2, 5, other)])
    Routing(transformer, [Route(0.25, 0, 1), Route(0.75, 2, 5)], _dice())
    assert torch.allclose(_output(transformer, _inputs()), expected, atol=1e-5)


def test_attention_masks_go_with_their_tokens(transformer: FluxTransformer2DModel) -> None:
    mask = torch.rand(BATCH, 1, 1, NUM_TEXT + NUM_TOKENS, generator=_dice()) > 0.3
    (kept,) = _kept(0.5)
    expected = _reference(transformer, _inputs(), [(1, 5, kept)], mask)
    Routing(transformer, [Route(0.5, 1, 5)], _dice())
    assert torch.allclose(_output(transformer, _inputs(), mask), expected, atol=1e-5)


def test_references_behind_the_picture_are_never_left_out(transformer: FluxTransformer2DModel) -> None:
    behind = 6
    (kept,) = _kept(0.5)
    rows = torch.cat([kept, torch.arange(NUM_TOKENS, NUM_TOKENS + behind).expand(BATCH, -1)], 1)
    expected = _reference(transformer, _inputs(behind), [(1, 5, rows)])
    Routing(transformer, [Route(0.5, 1, 5)], _dice()).expect(NUM_TOKENS)
    assert torch.allclose(_output(transformer, _inputs(behind)), expected, atol=1e-5)


def _checkpointed(transformer: FluxTransformer2DModel) -> None:
    transformer.enable_gradient_checkpointing()


def _gradients(
    transformer: FluxTransformer2DModel, prepared: Callable[[FluxTransformer2DModel], None]
) -> list:
    """Of both inputs and one weight inside the route, after a backward pass through two routes."""
    weight = transformer.transformer_blocks[1].attn.to_q.weight.requires_grad_()
    prepared(transformer)
    Routing(transformer, [Route(0.5, 1, 2), Route(0.5, 4, 5)], _dice())
    inputs = _inputs()
    _output(transformer, inputs).square().sum().backward()
    return [inputs["hidden_states"].grad, inputs["encoder_hidden_states"].grad, weight.grad]


def test_gradients_reach_every_input_token(transformer: FluxTransformer2DModel) -> None:
    image, text, weight = _gradients(transformer, lambda _: None)
    assert image.abs().sum(2).min() > 0 and text.abs().sum(2).min() > 0 and weight.abs().sum() > 0


def test_gradients_equal_the_reference(transformer: FluxTransformer2DModel) -> None:
    one, other = _kept(0.5, 0.5)
    inputs = _inputs()
    _reference(transformer, inputs, [(1, 2, one), (4, 5, other)]).square().sum().backward()
    image, text, _ = _gradients(transformer, lambda _: None)
    assert torch.allclose(image, inputs["hidden_states"].grad, rtol=1e-3, atol=1e-4)
    assert torch.allclose(text, inputs["encoder_hidden_states"].grad, rtol=1e-3, atol=1e-4)


def test_checkpointing_changes_no_gradient(
    transformer: FluxTransformer2DModel, weights: dict[str, Tensor]
) -> None:
    plain = _gradients(transformer, lambda _: None)
    again = _empty()
    again.load_state_dict(weights)
    saving = _gradients(again.requires_grad_(False).train(), _checkpointed)
    assert all(torch.equal(one, other) for one, other in zip(plain, saving, strict=True))


def test_nothing_left_out_changes_no_bit(transformer: FluxTransformer2DModel) -> None:
    whole = _output(transformer, _inputs())
    Routing(transformer, [Route(0.0, 1, 5)], _dice())
    assert torch.equal(_output(transformer, _inputs()), whole)


def test_everything_left_out_leaves_the_text_to_the_blocks(transformer: FluxTransformer2DModel) -> None:
    none = torch.empty(BATCH, 0, dtype=torch.long)
    expected = _reference(transformer, _inputs(), [(1, 5, none)])
    Routing(transformer, [Route(1.0, 1, 5)], _dice())
    assert torch.allclose(_output(transformer, _inputs()), expected, atol=1e-5)


def test_previews_and_passes_without_gradients_see_everything(transformer: FluxTransformer2DModel) -> None:
    whole = _output(transformer, _inputs())
    routing = Routing(transformer, [Route(0.5, 1, 5)], _dice())
    before = routing.dice.get_state()
    with torch.no_grad():
        assert torch.equal(_output(transformer, _inputs()), whole)
    transformer.eval()
    assert torch.equal(_output(transformer, _inputs()), whole)
    assert torch.equal(routing.dice.get_state(), before)


def test_forced_tokens_stay(transformer: FluxTransformer2DModel) -> None:
    forced = torch.zeros(BATCH, NUM_TOKENS, dtype=torch.bool)
    forced[0, :20] = True
    forced[1, 3] = True
    kept = draw_kept(BATCH, NUM_TOKENS, 0.5, _dice(), forced)
    assert kept.shape == (BATCH, 20)
    assert kept[0].tolist() == list(range(20))
    assert 3 in kept[1]
    expected = _reference(transformer, _inputs(), [(3, 5, kept)])
    Routing(transformer, [Route(0.5, 3, 5)], _dice()).expect(NUM_TOKENS, forced)
    assert torch.allclose(_output(transformer, _inputs()), expected, atol=1e-5)


@pytest.mark.parametrize(("ratio", "num_kept"), [(0.0, 24), (0.25, 18), (0.5, 12), (0.9, 2), (1.0, 0)])
def test_the_ratio_is_the_share_that_is_left_out(ratio: float, num_kept: int) -> None:
    kept = draw_kept(BATCH, NUM_TOKENS, ratio, _dice())
    assert kept.shape == (BATCH, num_kept)
    assert all(row.tolist() == sorted(set(row.tolist())) for row in kept)


def test_each_sample_draws_its_own_tokens_evenly() -> None:
    kept = draw_kept(4000, 16, 0.5, _dice())
    counts = torch.bincount(kept.flatten(), minlength=16)
    assert counts.min() > 1800 and counts.max() < 2200
    assert not torch.equal(kept[0], kept[1])
