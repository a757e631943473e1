"""Every link and widget of a workflow is one that ComfyUI's nodes have, and the picture is the sample."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tuner.export.workflow import Drawing, Models, RealGuidance, Workflow, header, models, stamped, workflow
from tuner.flux import catalog

# As ComfyUI defines them: inputs by name, each the type of a link, the type of a widget, or its choices.
# Read in its nodes.py (CLIPTextEncode, VAEEncode, VAEDecode, LoadImage) and in comfy_extras:
# nodes_custom_sampler.py (BasicGuider, CFGGuider, RandomNoise, DisableNoise, KSamplerSelect, BasicScheduler,
# SamplerCustomAdvanced, and SplitSigmas, whose first part has `step` steps), nodes_flux.py (FluxGuidance,
# FluxKontextImageScale), nodes_edit_model.py (ReferenceLatent, which may be chained). The others were
# measured on ComfyUI 0.3.64.
NODES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "UNETLoader": (
        {"unet_name": str, "weight_dtype": ("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2")},
        ["MODEL"],
    ),
    "DualCLIPLoader": (
        {"clip_name1": str, "clip_name2": str, "type": ("flux",), "device": ("default", "cpu")},
        ["CLIP"],
    ),
    "VAELoader": ({"vae_name": str}, ["VAE"]),
    "LoraLoaderModelOnly": ({"model": "MODEL", "lora_name": str, "strength_model": float}, ["MODEL"]),
    "CLIPTextEncode": ({"text": str, "clip": "CLIP"}, ["CONDITIONING"]),
    "FluxGuidance": ({"conditioning": "CONDITIONING", "guidance": float}, ["CONDITIONING"]),
    "ModelSamplingFlux": (
        {"model": "MODEL", "max_shift": float, "base_shift": float, "width": int, "height": int},
        ["MODEL"],
    ),
    "EmptySD3LatentImage": ({"width": int, "height": int, "batch_size": int}, ["LATENT"]),
    "BasicGuider": ({"model": "MODEL", "conditioning": "CONDITIONING"}, ["GUIDER"]),
    "CFGGuider": (
        {"model": "MODEL", "positive": "CONDITIONING", "negative": "CONDITIONING", "cfg": float},
        ["GUIDER"],
    ),
    "RandomNoise": ({"noise_seed": int}, ["NOISE"]),
    "DisableNoise": ({}, ["NOISE"]),
    "KSamplerSelect": ({"sampler_name": ("euler",)}, ["SAMPLER"]),
    "BasicScheduler": (
        {"model": "MODEL", "scheduler": ("simple",), "steps": int, "denoise": float},
        ["SIGMAS"],
    ),
    "SplitSigmas": ({"sigmas": "SIGMAS", "step": int}, ["SIGMAS", "SIGMAS"]),
    "SamplerCustomAdvanced": (
        {
            "noise": "NOISE",
            "guider": "GUIDER",
            "sampler": "SAMPLER",
            "sigmas": "SIGMAS",
            "latent_image": "LATENT",
        },
        ["LATENT", "LATENT"],
    ),
    "LoadImage": ({"image": str}, ["IMAGE", "MASK"]),
    "FluxKontextImageScale": ({"image": "IMAGE"}, ["IMAGE"]),
    "VAEEncode": ({"pixels": "IMAGE", "vae": "VAE"}, ["LATENT"]),
    "ReferenceLatent": ({"conditioning": "CONDITIONING", "latent": "LATENT"}, ["CONDITIONING"]),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"]),
    "SaveImage": ({"images": "IMAGE", "filename_prefix": str}, []),
}
PAGE_ALONE = {"RandomNoise": ["fixed"], "LoadImage": ["image"]}
LINKS = {"MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "GUIDER", "NOISE", "SAMPLER", "SIGMAS", "IMAGE"}

DEV = Drawing(
    models=Models("flux1-dev.safetensors"),
    lora="house-2.safetensors",
    strength=0.9,
    prompt='a photo of sks, "ü"',
    seed=2**40 + 7,
    width=768,
    height=1024,
    steps=20,
    guidance=3.5,
    shift=(1.15, 0.5),
)
REAL = RealGuidance(6.0, "blurred", 2)
DRAWINGS = {
    "dev": DEV,
    "schnell": replace(DEV, guidance=None, shift=None, steps=4),
    "kontext": replace(DEV, references=("first.png", "second.png")),
    "fluxbooru": replace(DEV, real=REAL),
    "libreflux": replace(DEV, guidance=None, real=replace(REAL, first=0)),
}


@pytest.fixture(params=DRAWINGS)
def drawing(request: pytest.FixtureRequest) -> Drawing:
    return DRAWINGS[request.param]


def fits(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, tuple) else type(value) is wanted


def of_kind(form: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node["inputs"] for node in form.values() if node["class_type"] == kind]


def test_every_input_of_the_api_form_is_there_and_of_its_type(drawing: Drawing) -> None:
    form = workflow(drawing).api
    for node in form.values():
        wanted, _ = NODES[node["class_type"]]
        assert node["inputs"].keys() == wanted.keys()
        for name, kind in wanted.items():
            value = node["inputs"][name]
            if kind in LINKS:
                source, slot = value
                assert NODES[form[source]["class_type"]][1][slot] == kind
            else:
                assert fits(value, kind), (node["class_type"], name, value)
    assert sum(node["class_type"] == "SaveImage" for node in form.values()) == 1


def test_every_link_and_widget_of_the_ui_form(drawing: Drawing) -> None:
    both = workflow(drawing)
    form = both.ui
    nodes = {node["id"]: node for node in form["nodes"]}
    links = {link[0]: link for link in form["links"]}
    assert (form["last_node_id"], form["last_link_id"]) == (max(nodes), max(links))
    assert {"groups", "config", "extra", "version"} <= form.keys()
    for number, source, from_slot, target, to_slot, kind in form["links"]:
        output, entry = nodes[source]["outputs"][from_slot], nodes[target]["inputs"][to_slot]
        assert number in output["links"] and entry["link"] == number
        assert output["type"] == entry["type"] == kind == NODES[nodes[source]["type"]][1][from_slot]
        assert NODES[nodes[target]["type"]][0][entry["name"]] == kind
    for node in nodes.values():
        wanted, outputs = NODES[node["type"]]
        assert [one["type"] for one in node["outputs"]] == outputs
        assert {one["name"] for one in node["inputs"]} == {n for n, kind in wanted.items() if kind in LINKS}
        assert all(one["link"] in links for one in node["inputs"])
        widgets = [kind for kind in wanted.values() if kind not in LINKS]
        values = node["widgets_values"]
        assert values[len(widgets) :] == PAGE_ALONE.get(node["type"], [])
        assert all(map(fits, values, widgets)), (node["type"], values)
        assert node["properties"]["Node name for S&R"] == node["type"]
    assert all(
        number in links for node in nodes.values() for out in node["outputs"] for number in out["links"]
    )


def test_both_forms_say_the_same(drawing: Drawing) -> None:
    both = workflow(drawing)
    origins = {link[0]: [str(link[1]), link[2]] for link in both.ui["links"]}
    for node in both.ui["nodes"]:
        api = both.api[str(node["id"])]
        assert api["class_type"] == node["type"]
        for entry in node["inputs"]:
            assert api["inputs"][entry["name"]] == origins[entry["link"]]
        plain = [value for name, value in api["inputs"].items() if not isinstance(value, list)]
        assert node["widgets_values"][: len(plain)] == plain


def test_nodes_do_not_lie_on_each_other(drawing: Drawing) -> None:
    boxes = [(*node["pos"], *node["size"]) for node in workflow(drawing).ui["nodes"]]
    for index, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[index + 1 :]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y


def test_it_holds_all_that_makes_the_picture() -> None:
    form = workflow(DEV).api
    (lora,), (noise,), (shift,) = (
        of_kind(form, kind) for kind in ("LoraLoaderModelOnly", "RandomNoise", "ModelSamplingFlux")
    )
    assert (lora["lora_name"], lora["strength_model"]) == (DEV.lora, 0.9)
    assert noise["noise_seed"] == DEV.seed
    assert (shift["max_shift"], shift["base_shift"], shift["width"], shift["height"]) == (
        1.15,
        0.5,
        768,
        1024,
    )
    assert [one["text"] for one in of_kind(form, "CLIPTextEncode")] == [DEV.prompt]
    assert [one["guidance"] for one in of_kind(form, "FluxGuidance")] == [3.5]
    (scheduler,) = of_kind(form, "BasicScheduler")
    assert scheduler["steps"] == 20
    assert form[scheduler["model"][0]]["class_type"] == "ModelSamplingFlux", "else the shift would be lost"


def test_schnell_has_neither_guidance_nor_shift() -> None:
    form = workflow(DRAWINGS["schnell"]).api
    assert not of_kind(form, "FluxGuidance") and not of_kind(form, "ModelSamplingFlux")
    assert of_kind(form, "BasicScheduler")[0]["steps"] == 4


def test_kontext_reads_its_references() -> None:
    form = workflow(DRAWINGS["kontext"]).api
    assert [one["image"] for one in of_kind(form, "LoadImage")] == ["first.png", "second.png"]
    assert len(of_kind(form, "ReferenceLatent")) == 2


def test_real_guidance_begins_where_the_preview_began() -> None:
    form = workflow(DRAWINGS["fluxbooru"]).api
    first, second = of_kind(form, "SamplerCustomAdvanced")
    assert [form[one["guider"][0]]["class_type"] for one in (first, second)] == ["BasicGuider", "CFGGuider"]
    assert of_kind(form, "SplitSigmas")[0]["step"] == 2
    assert (first["sigmas"][1], second["sigmas"][1]) == (0, 1)
    assert form[second["latent_image"][0]]["inputs"] == first
    assert of_kind(form, "CFGGuider")[0]["cfg"] == 6.0
    assert len(of_kind(workflow(DRAWINGS["libreflux"]).api, "SamplerCustomAdvanced")) == 1


def test_a_picture_carries_it(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "sample.webp")
    both = workflow(DEV)
    (tmp_path / "out.png").write_bytes(stamped(tmp_path / "sample.webp", both))
    with Image.open(tmp_path / "out.png") as image:
        notes = image.text
    assert Workflow(json.loads(notes["prompt"]), json.loads(notes["workflow"])) == both


def test_a_header_carries_it_unless_something_is_private() -> None:
    texts = header(DEV)
    assert (
        json.loads(texts["workflow"]) == workflow(DEV).ui and json.loads(texts["prompt"]) == workflow(DEV).api
    )
    assert header(replace(DEV, prompt="see /home/anna/pictures")) == {}
    assert header(replace(DEV, models=Models("C:\\models\\dev.safetensors"))) == {}
    assert header(replace(DEV, prompt="x " * 200_000)) == {}


@pytest.mark.parametrize(
    ("flavour", "names", "chosen"),
    [
        ("dev", [], "flux1-dev.safetensors"),
        ("dev", ["flux1-krea-dev.sft", "flux1-dev-fp8.safetensors"], "flux1-dev-fp8.safetensors"),
        ("dev", ["a-flux-dev.sft", "sub\\flux1-dev.safetensors"], "sub\\flux1-dev.safetensors"),
        ("krea", ["flux1-dev.safetensors", "flux1-krea-dev_fp8_scaled.sft"], "flux1-krea-dev_fp8_scaled.sft"),
        ("schnell", ["sdxl.safetensors"], "flux1-schnell.safetensors"),
    ],
)
def test_the_files_that_are_there_are_chosen(flavour: str, names: list[str], chosen: str) -> None:
    row = catalog.flavour(flavour)
    assert (
        models(row, "no_change", lambda kind: names if kind == "diffusion_models" else ()).transformer
        == chosen
    )


def test_every_flavour_has_a_file_and_fp8_is_rounded_once() -> None:
    for row in catalog.FLAVOURS:
        assert models(row, "int8-quanto", lambda kind: ()).weight_dtype == "default"
    dev = catalog.flavour("dev")
    assert models(dev, "fp8-quanto", lambda kind: ()).weight_dtype == "fp8_e4m3fn"
    assert models(dev, "fp8-quanto", lambda kind: ["flux-dev-fp8.sft"]).weight_dtype == "default"
