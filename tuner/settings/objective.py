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
        2.0, "Beta: alpha", "First number of that distribution.", level="expert", minimum=0
    )
    flow_beta_schedule_beta: float = setting(
        2.0, "Beta: beta", "Second number of that distribution.", level="expert", minimum=0
    )
    flow_custom_timesteps: str | None = setting(
        None, "Own noise levels", "A list of noise levels to train on.", level="expert", built=(None,)
    )
    flow_timesteps_mode: str = setting(
        "fixed-list",
        "Own noise levels: order",
        "Random picks, or one after the other.",
        level="expert",
        choices=("fixed-list", "round-robin"),
    )
    flow_cubic_schedule_weights: Items | None = setting(
        None,
        "Noise curve",
        "A curve of how often each noise level is trained.",
        level="expert",
        built=(None,),
    )
    flux_fast_schedule: bool = setting(
        False, "Fast schedule", "The few noise levels that schnell knows.", built=(False,)
    )
    flux_guidance_mode: str = setting(
        "constant",
        "Guidance in training",
        "One value for all, or a new one for each picture.",
        level="expert",
        choices=("constant", "random-range"),
        built=("constant",),
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
        "Hides the empty rest of short captions from the model.",
        level="expert",
        built=(False,),
    )
    t5_padding: str = setting(
        "unmodified",
        "Caption padding",
        "What stands in the empty rest of short captions.",
        level="expert",
        choices=("zero", "unmodified"),
        built=("unmodified",),
    )
    loss_type: str = setting(
        "l2",
        "Loss",
        "How errors are weighed; huber is milder on outliers.",
        level="expert",
        choices=("l2", "huber", "smooth_l1"),
        built=("l2",),
    )
    huber_schedule: str = setting(
        "snr",
        "Huber schedule",
        "How huber's threshold follows the noise.",
        level="expert",
        choices=("snr", "exponential", "constant"),
    )
    huber_c: float = setting(
        0.1, "Huber threshold", "Where huber turns from square to straight.", level="expert", minimum=0
    )
    masked_loss_probability: float = setting(
        1.0,
        "Mask probability",
        "How often segmentation masks are used.",
        level="expert",
        minimum=0,
        maximum=1,
        built=(1.0,),
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
        built=(0.0,),
    )
    input_perturbation_steps: int = setting(
        0,
        "Extra noise: steps",
        "Fades the extra noise out over these steps.",
        level="expert",
        minimum=0,
        built=(0,),
    )
    tread_config: Json | None = setting(
        None,
        "TREAD",
        "Sends only part of the picture through some blocks, which is quicker.",
        level="expert",
    )
