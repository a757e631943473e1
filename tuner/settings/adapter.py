"""The small trained part: its kind, its size and where it sits."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.adapters import catalog, starts
from tuner.flux.targets import TARGETS
from tuner.settings.fields import Texts, setting


@dataclass(frozen=True)
class Adapter:
    lora_type: str = setting(
        "standard",
        "Adapter",
        "'standard' is plain LoRA; 'lycoris' reads lycoris_config.json.",
        choices=catalog.names(),
    )
    lora_rank: int = setting(
        16,
        "Rank",
        "The size of the LoRA: more can hold more detail, and needs more memory.",
        level="basic",
        minimum=1,
        maximum=4096,
    )
    lora_alpha: float | None = setting(
        None, "Alpha", "The LoRA's strength is alpha / rank; empty means equal to the rank.", minimum=0.1
    )
    lora_dropout: float = setting(
        0.1,
        "Dropout",
        "Share of the LoRA's inputs that is left out at random; it hinders overfitting.",
        minimum=0,
        maximum=1,
    )
    lora_init_type: str = setting(
        "default",
        "First values",
        "How the LoRA's numbers are drawn at the start.",
        level="expert",
        choices=starts.names(),
    )
    use_dora: bool = setting(
        False, "DoRA", "Trains direction and size of each weight separately.", level="expert"
    )
    flux_lora_target: str = setting(
        "all",
        "Layers to train",
        "'mmdit' learns slowly and safely, 'all' is usual, 'all+ffs' learns most and forgets most.",
        choices=(*TARGETS, "controlnet", "all+ffs+embedder+controlnet"),
        built=tuple(TARGETS),
        why="it names layers of a ControlNet, and only FLUX.1 itself is trained",
        instead={"all+ffs+embedder+controlnet": "all+ffs+embedder"},
    )
    peft_lora_target_modules: Texts | None = setting(
        None,
        "Own list of layers",
        "Names of the layers to train, instead of a ready-made list.",
        level="expert",
    )
    slider_lora_target: bool = setting(
        False, "Slider layers", "Trains the layers that suit a slider LoRA.", level="expert"
    )
    peft_lora_mode: str = setting(
        "standard",
        "LoRA mode",
        "'singlora' trains one matrix a layer instead of two.",
        level="expert",
        choices=("standard", "singlora"),
        built=("standard",),
        why="other programs expect two matrices a layer, and a SingLoRA holds one",
    )
    singlora_ramp_up_steps: int = setting(
        0,
        "SingLoRA ramp",
        "Steps over which a SingLoRA is faded in.",
        level="expert",
        minimum=0,
        moot="no SingLoRA is trained",
    )
    init_lora: str | None = setting(
        None, "Start from", "An adapter file to go on from, instead of a fresh adapter."
    )
    init_lora_step: int | None = setting(
        None,
        "Start from: step",
        "The step to count from; empty means the one that the file names.",
        level="expert",
        minimum=0,
    )
    lora_format: str = setting(
        "diffusers",
        "Checkpoint format",
        "The key names inside checkpoints; the export for ComfyUI is made beside it in any case.",
        level="expert",
        choices=("diffusers", "comfyui"),
        moot="checkpoints always hold the names of diffusers with alpha, which ComfyUI reads as well",
    )
    lycoris_config: str = setting(
        "config/lycoris_config.json",
        "LyCORIS file",
        "The LyCORIS settings; a file of that name beside config.json comes first.",
        level="expert",
    )
    init_lokr_norm: float | None = setting(
        None,
        "LoKr start norm",
        "Starts a LoKr with small random values of this size.",
        level="expert",
        minimum=0,
    )
    validation_lycoris_strength: float = setting(
        1.0,
        "Strength in previews",
        "How strongly the adapter acts in preview pictures.",
        level="expert",
        aliases=("validation_adapter_strength",),
    )
    assistant_lora_path: str | None = setting(
        None,
        "Assistant LoRA",
        "A frozen LoRA that keeps the model whole in training: a file or a Hugging Face name; empty means "
        "the flavour's own, which only schnell has.",
        level="expert",
    )
    assistant_lora_strength: float = setting(
        1.0, "Assistant strength", "How strongly the assistant acts in training.", level="expert"
    )
    assistant_lora_inference_strength: float = setting(
        0.0, "Assistant strength in previews", "How strongly it acts in preview pictures.", level="expert"
    )
    disable_assistant_lora: bool = setting(
        False, "No assistant", "Trains without the assistant LoRA.", level="expert"
    )
