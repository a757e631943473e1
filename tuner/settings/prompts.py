"""Ten ready-made sample prompts: what they show is whether the model has kept everything else."""

from __future__ import annotations

from tuner.settings.sampling import SamplePrompt

READY_MADE: tuple[SamplePrompt, ...] = (
    SamplePrompt("portrait", "a close portrait of an old fisherman, wet wool cap, soft window light"),
    SamplePrompt("hands", "the hands of a potter shaping a clay bowl on a turning wheel"),
    SamplePrompt("crowd", "a crowded market street at noon, many people, colourful awnings"),
    SamplePrompt("animal", "a red fox standing in fresh snow at the edge of a forest"),
    SamplePrompt("still-life", "a glass of water and three lemons on a blue tablecloth, photograph"),
    SamplePrompt("lettering", 'a wooden sign above a bakery door that reads "FRESH BREAD"'),
    SamplePrompt("interior", "a quiet reading room with tall shelves and a green desk lamp"),
    SamplePrompt("landscape", "a mountain lake before sunrise, mist over the water, wide view"),
    SamplePrompt("painting", "an oil painting of a sailing ship in a storm, thick brush strokes"),
    SamplePrompt("drawing", "a simple ink drawing of a bicycle on white paper"),
)
