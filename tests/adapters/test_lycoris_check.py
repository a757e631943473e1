"""Every sentence about a lycoris_config.json, and the change that would make it run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.test_lycoris import GUIDE
from tuner.adapters.lycoris_check import algorithms, notes, problems
from tuner.errors import Problem
from tuner.flux.anatomy import CLASSES

GOOD = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1}


def found(config: dict[str, Any], quantized: bool = False) -> list[Problem]:
    return list(problems(config, quantized))


def mended(config: dict[str, Any], problem: Problem) -> dict[str, Any]:
    return {**config, **{key.removeprefix("lycoris."): value for key, value in problem.change.items()}}


def test_the_guides_block_is_right_as_it_is() -> None:
    assert found(GUIDE) == found(GUIDE, quantized=True) == list(notes(GUIDE, CLASSES)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"algo": "lokar"}, "'algo' in the file is 'lokar', which is unknown. Did you mean 'lokr'?"),
        ({"algo": "tlora"}, "'tlora' does not work here, because ComfyUI and the other programs"),
        ({"multiplier": 0}, "'multiplier' is 0, so nothing would be trained; 1 is usual."),
        ({"algo": "oft", "multiplier": 0.5}, "'multiplier' is 0.5, and no file can say of a rotation"),
        ({"dora_wd": True, "multiplier": 0.5}, "'multiplier' is 0.5, and no file can say of a DoRA"),
        ({"use_scalar": True}, "'use_scalar' does not work here, because"),
        (
            {"apply_preset": {"module_algo_map": {"Attention": {"algo": "loka"}}}},
            "'algo' in 'Attention' in 'module_algo_map' is 'loka', which is unknown. Did you mean",
        ),
    ],
)
def test_a_problem_with_the_change_that_mends_it(change: dict[str, Any], sentence: str) -> None:
    config = {**GOOD, "apply_preset": {"module_algo_map": {"FeedForward": None}}, **change}
    (problem,) = found(config)
    assert problem.message.startswith("lycoris_config.json: ") and sentence in problem.message
    assert problem.change and found(mended(config, problem)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"linear_dim": "many"}, "'linear_dim' in the file is 'many'; it must be a number."),
        ({"linear_dim": 0}, "'linear_dim' in the file is 0; it must be a whole number of at least 1."),
        ({"factor": 1.5}, "'factor' in the file is 1.5; it must be a whole number."),
        ({"dropout": 2}, "'dropout' in the file is 2; it must be a number from 0 to 1."),
        ({"full_matrix": "perhaps"}, "'full_matrix' in the file is 'perhaps'; it must be true or false."),
        ({"multiplier": "x"}, "'multiplier' is 'x'; it must be a number."),
        ({"apply_preset": []}, ""),
        ({"apply_preset": [1]}, "'apply_preset' must be an object in braces."),
        ({"apply_preset": {"target_module": "Attention"}}, "'target_module' must be a list of texts"),
        ({"apply_preset": {"module_algo_map": {"Attention": 4}}}, "'module_algo_map' must be an object of"),
        ({"apply_preset": {"target_name": ["*"]}}, "'*' in 'apply_preset' is no regular expression"),
    ],
)
def test_a_value_of_another_kind(change: dict[str, Any], sentence: str) -> None:
    said = [one.message for one in found({**GOOD, **change})]
    assert len(said) == bool(sentence) and all(sentence in one for one in said)


def test_a_whole_matrix_is_refused_over_a_quantized_base() -> None:
    config = {**GOOD, "apply_preset": {"module_algo_map": {"Attention": {"algo": "full"}, "FeedForward": {}}}}
    assert found(config) == []
    (problem,) = found(config, quantized=True)
    assert "'full' does not work over a quantized base, because it trains a whole float32" in problem.message
    assert found(mended(config, problem), quantized=True) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"algo": "lokr", "linear_dim": 4, "linear_alpha": 1}, "'multiplier' is not given; 1.0 is used."),
        ({**GOOD, "algo": "oft"}, "'oft' is called 'diag-oft' by LyCORIS."),
        ({**GOOD, "conv_dim": 4}, "'conv_dim' makes no difference: FLUX has no convolutions."),
        ({**GOOD, "train_norm": True}, "'train_norm' makes no difference: the LayerNorms of FLUX"),
        ({**GOOD, "linear_dims": 4}, "'linear_dims' in the file is not used; it stays in the file. Did you"),
        ({**GOOD, "block_size": 8}, "'block_size' makes no difference with 'lokr'."),
        (
            {**GOOD, "apply_preset": {"module_algo_map": {"Attention": {"linear_dim": 8}}}},
            "'linear_dim' in 'Attention' in 'module_algo_map' is not used; it stays in the file. Did you "
            "mean 'dim'?",
        ),
        (
            {**GOOD, "apply_preset": {"target_module": ["Atention"]}},
            "FLUX has no module of the class 'Atention'. Did you mean 'FluxAttention'?",
        ),
        (
            {**GOOD, "apply_preset": {"lora_prefix": "x", "target_module": ["FluxAttention"]}},
            "'lora_prefix' makes no difference: the names in files always begin with 'lycoris_'",
        ),
    ],
)
def test_a_note(config: dict[str, Any], said: str) -> None:
    (note,) = notes(config, CLASSES)
    assert note.startswith("lycoris_config.json: ") and said in note


def test_a_whole_matrix_needs_no_rank() -> None:
    config = {"algo": "lokr", "multiplier": 1.0, "linear_alpha": 1, "full_matrix": True}
    assert found(config) == list(notes(config, CLASSES)) == []


def test_only_what_an_algorithm_listens_to_is_filled_in() -> None:
    assert list(notes({"algo": "ia3", "multiplier": 1.0}, CLASSES)) == []


def test_all_algorithms_are_named_once() -> None:
    maps = {"Attention": {"algo": "oft"}, "FeedForward": {}}
    assert algorithms({**GOOD, "apply_preset": {"module_algo_map": maps}}) == ("lokr", "diag-oft")
