"""Ready-made sample prompts. Ten show whether the model has kept everything else; the others show what was
learned, by the kind of subject, each set with one picture without the trigger.
"""

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

BY_KIND: dict[str, tuple[SamplePrompt, ...]] = {
    "a person": (
        SamplePrompt(
            "portrait",
            "a lifelike portrait photograph of <token>, looking into the camera, soft window light, "
            "in front of a plain wall",
        ),
        SamplePrompt(
            "full-length",
            "a full-length photograph of <token> walking along a busy street in autumn, wearing a long coat",
        ),
        SamplePrompt(
            "painted",
            "an expressive oil painting of <token> with broad brush strokes and a dark background",
        ),
        SamplePrompt(
            "control",
            "a portrait photograph of an elderly woman with short grey hair and round glasses, in a garden",
        ),
    ),
    "a thing or an animal": (
        SamplePrompt(
            "plain",
            "a detailed photograph of <token> in soft daylight, in front of a plain light wall",
        ),
        SamplePrompt(
            "outdoors",
            "a photograph of <token> outdoors in a sunny mountain landscape, with a lake behind",
        ),
        SamplePrompt(
            "painted",
            "a watercolour of <token> on rough paper, loose brush strokes and bright colours",
        ),
        SamplePrompt(
            "control",
            "a photograph of a wooden rowing boat on a pebble beach, calm sea and a cloudy sky behind",
        ),
    ),
    "a style": (
        SamplePrompt(
            "person",
            "<token>, a young woman reading a book at a café table, a cup of coffee beside her, rain outside",
        ),
        SamplePrompt(
            "place",
            "<token>, a lighthouse on a cliff above a stormy sea, gulls in the air, evening light",
        ),
        SamplePrompt(
            "animal",
            "<token>, a fox crossing a frozen river between dark pine trees, a village far away",
        ),
        SamplePrompt(
            "control",
            "a plain colour photograph of a city street with parked cars and a tree, at noon",
        ),
    ),
}
"""What is trained -> its prompts; `<token>` is the trigger."""
