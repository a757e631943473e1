"""The seven parts of the practice model: FLUX.1-dev's architecture at toy size, untrained."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from tuner.practice.words import clip_tokenizer, t5_tokenizer

TEXT_WIDTH = 128
VAE_CHANNELS = (16, 16, 48, 96)


def transformer() -> FluxTransformer2DModel:
    """2 double and 5 single blocks, 6 heads of 32; modulation and output start at zero, so training starts
    calm.
    """
    model = FluxTransformer2DModel(
        in_channels=64,
        num_layers=2,
        num_single_layers=5,
        attention_head_dim=32,
        num_attention_heads=6,
        joint_attention_dim=TEXT_WIDTH,
        pooled_projection_dim=TEXT_WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and (name == "proj_out" or "norm" in name):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def text_encoders() -> tuple[CLIPTextModel, T5EncoderModel]:
    clip_words, t5_words = clip_tokenizer(), t5_tokenizer()
    clip = CLIPTextConfig(
        vocab_size=len(clip_words),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=clip_words.bos_token_id,
        eos_token_id=clip_words.eos_token_id,
        pad_token_id=clip_words.pad_token_id,
    )
    t5 = T5Config(
        vocab_size=len(t5_words),
        d_model=TEXT_WIDTH,
        d_kv=32,
        d_ff=2 * TEXT_WIDTH,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
    )
    return CLIPTextModel(clip), T5EncoderModel(t5)


def vae() -> AutoencoderKL:
    """An 8x VAE with 16 latent channels that starts as a plain average-down, nearest-up copier.

    From the default start two VAEs of this size stayed at 16 and 20 dB. Pairs of channels (x, -x) pass the
    final SiLU unharmed, since silu(x) - silu(-x) = x.
    """
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=VAE_CHANNELS,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=1,
        sample_size=64,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        shift_factor=0.0,
    )
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                _near_copy(name, module)
        model.encoder.conv_out.bias[16:] = -5.0
        model.decoder.conv_out.weight.mul_(0.5)
    return model


def _near_copy(name: str, conv: nn.Conv2d) -> None:
    """Gives `conv` a start in which the colours of the picture go through it unchanged."""
    conv.bias.zero_()
    if name.endswith("conv2"):
        conv.weight.mul_(0.05)
        return
    if name.endswith("conv1"):
        return
    conv.weight.mul_(0.1)
    rows, columns, middle = conv.out_channels, conv.in_channels, conv.kernel_size[0] // 2
    if "downsamplers" in name:
        for k in range(rows):
            conv.weight[k, k] = 0.0
            conv.weight[k, k, :2, :2] = 0.25
        return
    out_of_pairs = name.endswith("conv_out")
    into_pairs = name in (
        "encoder.down_blocks.3.resnets.0.conv_shortcut",
        "decoder.up_blocks.2.resnets.0.conv_shortcut",
    )
    for k in range(min(rows, columns)):
        if out_of_pairs and k < 3:
            conv.weight[k, k, middle, middle] = 1.0
            conv.weight[k, k + columns // 2, middle, middle] = -1.0
        elif into_pairs and k < rows // 2:
            conv.weight[k, k, middle, middle] = 1.0
            conv.weight[k + rows // 2, k, middle, middle] = -1.0
        elif not out_of_pairs and not into_pairs:
            conv.weight[k, k, middle, middle] = 1.0


def save_pipeline(
    folder: Path,
    vae_model: AutoencoderKL,
    transformer_model: FluxTransformer2DModel,
    encoders: tuple[CLIPTextModel, T5EncoderModel],
) -> None:
    """Writes a folder that `FluxPipeline.from_pretrained` loads, weights in bfloat16."""
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
        ),
        vae=vae_model,
        text_encoder=encoders[0],
        tokenizer=clip_tokenizer(),
        text_encoder_2=encoders[1],
        tokenizer_2=t5_tokenizer(),
        transformer=transformer_model,
    )
    pipeline.to(torch.bfloat16).save_pretrained(folder)
