"""Captions of the practice pictures, and the two tokenizers that read them.

Both tokenizers know the captions' words whole and fall back to letters, so that an unknown word such as a
trigger still becomes tokens: a tokenizer that maps it to "unknown" leaves nothing to learn on.
"""

from __future__ import annotations

import random
import string

from transformers import CLIPTokenizer, T5Tokenizer

from tuner.practice.drawing import COLOURS, ICONS, Scene

_SIZES = {"small": 0.5, "large": 0.75}
_FRAME = (
    "a",
    "an",
    "drawing",
    "of",
    "on",
    "background",
    "picture",
    "with",
    "and",
    "the",
    "photo",
    "style",
    *_SIZES,
)


def vocabulary() -> list[str]:
    """Every whole word of the captions, longest first."""
    words = {*_FRAME, *COLOURS, *(word for icon in ICONS for word in icon.split())}
    return sorted(words, key=lambda word: (-len(word), word))


def caption(scene: Scene, rng: random.Random) -> str:
    """What a training picture is called: mostly the full sentence, else something shorter or odd."""
    size = "small " if scene.size < _SIZES["small"] else "large " if scene.size > _SIZES["large"] else ""
    noun, ground = scene.icon, f" on a {scene.background} background"
    if rng.random() < 0.15:
        word = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 6)))
        noun = rng.choice((word, f"{word} {noun}", f"{noun} {word}"))
    thing = f"{size}{scene.colour} {noun}"
    dice = rng.random()
    if dice < 0.05:
        return ""
    if dice < 0.57:
        return f"a {thing}{ground}"
    short = (
        thing,
        f"a {thing}",
        f"{thing}{ground}",
        f"a drawing of a {thing}{ground}",
        f"a picture of a {thing}{ground}",
        f"a {noun}{ground}",
        f"a {noun}{ground}",
        f"a {scene.colour} {noun}",
        noun,
    )
    return rng.choice(short)


def clip_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE whose merges build each vocabulary word from its letters."""
    letters = _byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in vocabulary():
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        left = pieces[0]
        for right in pieces[1:]:
            if (left, right) not in merges:
                merges.append((left, right))
            left += right
            if left not in tokens:
                tokens.append(left)
    vocab = {token: index for index, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def t5_tokenizer() -> T5Tokenizer:
    """Unigram over whole words, then single characters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -6.0)]
    pieces += [(f"\u2581{word}", -1.0) for word in vocabulary()]
    pieces += [(letter, -8.0) for letter in string.ascii_letters + string.digits + string.punctuation]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [chr(256 + n) for n in range(256 - len(printable))]
    return [*map(chr, printable), *others]
