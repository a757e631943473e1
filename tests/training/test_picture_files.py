"""Every format keeps what the picture was asked for."""

from pathlib import Path

import pytest
from PIL import Image

from tuner.settings.request import SampleRequest
from tuner.training.picture_files import ENDINGS, UNICODE, USER_COMMENT, save

REQUEST = SampleRequest("ein rotes Häuschen 家", seed=7)
PICTURE = Image.effect_noise((64, 48), 60).convert("RGB")


def test_png_is_exact_and_tells_its_prompt_and_seed(tmp_path: Path) -> None:
    save(PICTURE, tmp_path / f"a{ENDINGS['png']}", REQUEST, quality=90)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.tobytes() == PICTURE.tobytes()
        assert (picture.info["prompt_text"], picture.info["seed"]) == (REQUEST.prompt, "7")


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_the_small_formats_tell_it_in_their_exif(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{ENDINGS[kind]}"
    save(PICTURE, path, REQUEST, quality=90)
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == (kind.upper(), (64, 48))
        note = picture.getexif().get_ifd(0x8769)[USER_COMMENT]
    assert note.removeprefix(UNICODE).decode("utf-16-be") == f"{REQUEST.prompt}\nSeed: 7"


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_a_lower_quality_is_a_smaller_file(tmp_path: Path, kind: str) -> None:
    paths = [tmp_path / f"{quality}{ENDINGS[kind]}" for quality in (20, 95)]
    for path, quality in zip(paths, (20, 95), strict=True):
        save(PICTURE, path, REQUEST, quality)
    assert paths[0].stat().st_size < paths[1].stat().st_size / 2


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    (tmp_path / "a.png" / "other").touch()
    with pytest.raises(OSError):
        save(PICTURE, tmp_path / "a.png", REQUEST, quality=90)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
