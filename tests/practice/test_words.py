import random

from tuner.practice.drawing import random_scene
from tuner.practice.words import caption, clip_tokenizer, t5_tokenizer, vocabulary


def test_known_words_are_one_token_and_unknown_ones_become_letters() -> None:
    clip, t5 = clip_tokenizer(), t5_tokenizer()
    assert all(len(clip(word).input_ids) == 3 for word in vocabulary())
    assert all(len(t5(word).input_ids) == 2 for word in vocabulary())
    assert t5.unk_token_id not in t5("sks Q7!").input_ids
    assert len(clip("sks").input_ids) == 5


def test_captions_fit_the_shortest_training_length() -> None:
    rng, t5 = random.Random(0), t5_tokenizer()
    words = [caption(random_scene(rng), rng) for _ in range(2000)]
    assert "" in words and any("background" in one for one in words)
    assert sum(len(ids) <= 24 for ids in t5(words).input_ids) > 1990
