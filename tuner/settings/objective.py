"""What is learned: noise levels, guidance, loss, and what is left out on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.settings.fields import Items, Json, setting


@dataclass(frozen=True)
class Objective:
    flow_schedule_shift: float = setting(
        3.0, "Shift", "Above 1 trains more on strong noise (composition), 0 turns it off.", minimum=0
    )
    flow_schedule_auto_shift: bool = setting(
        False, "Shift by size", "Takes the shift from the size of the picture, instead of the number above."
    )
    flow_sigmoid_scale: float = setting(
        1.0, "Sigmoid scale", "How widely noise levels spread around the middle.", level="expert", minimum=0
    )
    flow_use_uniform_schedule: bool = setting(
        False, "Uniform noise levels", "Trains on all noise levels equally often.", level="expert"
    )
    flow_use_beta_schedule: bool = setting(
        False, "Beta noise levels", "Draws noise levels from a beta distribution.", level="expert"
    )
    flow_beta_schedule_alpha: float = setting(
        2.0, "Beta: alpha", "First number of that distribution.", level="expert", minimum=0.01
    )
    flow_beta_schedule_beta: float = setting(
        2.0, "Beta: beta", "Second number of that distribution.", level="expert", minimum=0.01
    )
    flow_custom_timesteps: Items | None = setting(
        None,
        "Own noise levels",
        "The only noise levels to train on, 0 to 1 (or 0 to 1000), taken as they are, without a shift.",
        level="expert",
    )
    flow_timesteps_mode: str = setting(
        "fixed-list",
        "Own noise levels: order",
        "'fixed-list' picks one at random for each picture, 'round-robin' goes through them in turn.",
        level="expert",
        choices=("fixed-list", "round-robin"),
    )
    flow_cubic_schedule_weights: Items | None = setting(
        None,
        "Noise curve",
        "How often noise levels are trained: heights at even steps from no noise to pure noise; a smooth "
        "curve through them, which never swings beyond them, is the density. One height or none: all alike.",
        level="expert",
    )
    flux_fast_schedule: bool = setting(
        False,
        "Fast schedule",
        "The few noise levels that schnell knows, mostly pure noise, without a shift; any other choice of "
        "noise levels goes before it.",
    )
    flux_guidance_mode: str = setting(
        "constant",
        "Guidance in training",
        "One value for all, or a new one for each picture.",
        level="expert",
        choices=("constant", "random-range"),
    )
    flux_guidance_value: float = setting(
        1.0, "Guidance value", "1.0 keeps the model's distillation; 3.5 to 4.5 undoes it.", minimum=0
    )
    flux_guidance_min: float = setting(
        0.0, "Guidance from", "Lowest value of the random range.", level="expert", minimum=0
    )
    flux_guidance_max: float = setting(
        4.0, "Guidance to", "Highest value of the random range.", level="expert", minimum=0
    )
    flux_attention_masked_training: bool = setting(
        False,
        "Mask the padding",
        "Hides the empty rest of short captions from the model, in training and in previews.",
        level="expert",
    )
    t5_padding: str = setting(
        "unmodified",
        "Caption padding",
        "What stands in the empty rest of short captions: zeros, or what the text encoder makes of it.",
        level="expert",
        choices=("zero", "unmodified"),
    )
    loss_type: str = setting(
        "l2",
        "Loss",
        "How errors are weighed; huber is milder on outliers.",
        level="expert",
        choices=("l2", "huber", "smooth_l1"),
    )
    huber_schedule: str = setting(
        "snr",
        "Huber schedule",
        "How the threshold of huber and smooth_l1 follows the noise: snr raises it with the noise up to 1, "
        "exponential starts from 1 and lowers it.",
        level="expert",
        choices=("snr", "exponential", "constant"),
    )
    huber_c: float = setting(
        0.1, "Huber threshold", "Where huber turns from square to straight.", level="expert", minimum=1e-6
    )
    masked_loss_probability: float = setting(
        1.0,
        "Mask probability",
        "How often segmentation masks are used; soft masks always are.",
        level="expert",
        minimum=0,
        maximum=1,
    )
    caption_dropout_probability: float = setting(
        0.1,
        "Caption dropout",
        "Share of pictures that are learned without their caption.",
        minimum=0,
        maximum=1,
    )
    input_perturbation: float = setting(
        0.0,
        "Extra noise",
        "Adds noise to the input that the target does not know.",
        level="expert",
        minimum=0,
    )
    input_perturbation_steps: int = setting(
        0,
        "Extra noise: steps",
        "Fades the extra noise out over these steps; 0 keeps it to the end.",
        level="expert",
        minimum=0,
    )
    tread_config: Json | None = setting(
        None,
        "TREAD",
        "Sends only part of the picture through some blocks, which is quicker.",
        level="expert",
    )
