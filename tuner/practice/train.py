"""The stages that train the practice model from nothing, on two processes of one thread.

Two threads in one process stall badly when a machine is shared; two processes meet once a step to average
gradients. Every stage writes its result into the work folder and is skipped when it is already there.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from tuner.flux import latents as lat
from tuner.practice import parts
from tuner.practice.drawing import PICTURE_PX, Scene, draw, random_doodle, random_scene
from tuner.practice.together import WORKERS, Average, optimize, share_start
from tuner.practice.words import caption, clip_tokenizer, t5_tokenizer

log = logging.getLogger(__name__)

LATENT_PX = PICTURE_PX // 8
TEXT_LENGTHS = (24, 32, 64, 128, 512)
TEXT_LENGTH_WEIGHTS = (0.60, 0.30, 0.06, 0.03, 0.01)
"""The pipeline pads T5 to 512 by default; an encoder trained at 24 alone breaks there."""


@dataclass(frozen=True)
class Amounts:
    """How much of everything; `shortened` makes the few steps that a test can afford."""

    pictures: int = 19_000
    vae_steps: int = 1_500
    vae_batch: int = 8
    transformer_steps: int = 4_200
    transformer_batch: int = 16
    guidance_steps: int = 500
    guidance_batch: int = 12
    decoder_steps: int = 1_000

    def shortened(self, factor: float) -> Amounts:
        counts = {
            name: max(2, int(value * factor)) for name, value in vars(self).items() if "batch" not in name
        }
        return Amounts(**{**vars(self), **counts})


def build(work: Path, out: Path, amounts: Amounts) -> None:
    """Makes the practice model in `out`; `work` keeps the stages, so that an interrupted build goes on."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "meeting").unlink(missing_ok=True)
    if not (work / "pictures.safetensors").exists():
        _draw_pictures(work, amounts.pictures)
    if any(not (work / result).exists() for result in _STAGES.values()):
        mp.spawn(_worker, args=(work, amounts), nprocs=WORKERS)
    vae = _vae_with_scale(work)
    vae.load_state_dict(load_file(work / "decoder.safetensors"))
    transformer, encoders = _load_model(work / "guided.safetensors")
    parts.save_pipeline(out, vae, transformer, encoders)


def _worker(rank: int, work: Path, amounts: Amounts) -> None:
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING, format="%(asctime)s %(message)s"
    )
    torch.set_num_threads(1)
    meeting = work / "meeting"
    dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=WORKERS)
    try:
        for stage, result in _STAGES.items():
            if not (work / result).exists():
                started = time.monotonic()
                torch.manual_seed(1000 + rank)
                stage(work, amounts)
                log.info("%s took %.0f s", stage.__name__.strip("_"), time.monotonic() - started)
            dist.barrier()
    finally:
        dist.destroy_process_group()
        meeting.unlink(missing_ok=True)


# ---------------------------------------------------------------- pictures


def _draw_pictures(work: Path, count: int) -> None:
    """Training pictures (N, 64, 64, 3) uint8 with their caption tokens."""
    rng = random.Random(7)
    scenes = [random_scene(rng) for _ in range(count)]
    captions = [caption(scene, rng) for scene in scenes]
    with mp.Pool(WORKERS) as pool:
        pictures = np.stack(pool.map(_picture, scenes, chunksize=256))
    clip = clip_tokenizer()(
        captions, padding="max_length", max_length=16, truncation=True, return_tensors="pt"
    )
    t5 = t5_tokenizer()(captions, padding="max_length", max_length=24, truncation=True, return_tensors="pt")
    rows = {"pictures": torch.from_numpy(pictures), "clip": clip.input_ids, "t5": t5.input_ids}
    save_file(rows, work / "pictures.safetensors")


def _picture(scene: Scene) -> NDArray[np.uint8]:
    return np.asarray(draw(scene))


def _to_unit(pictures: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to float (B, 3, H, W) in -1..1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


# ---------------------------------------------------------------- the VAE


def _vae_batches(work: Path, batch: int) -> Iterator[Tensor]:
    """Endless batches of icons with 15 % doodles, flipped, turned and with colours exchanged."""
    pictures = load_file(work / "pictures.safetensors")["pictures"]
    rng = random.Random(dist.get_rank())
    while True:
        chosen = [rng.randrange(len(pictures)) for _ in range(batch)]
        rows = pictures[chosen].clone()
        for k in range(batch):
            if rng.random() < 0.15:
                rows[k] = torch.from_numpy(np.asarray(random_doodle(rng)).copy())
            turned = torch.rot90(rows[k], rng.randrange(4), (0, 1))
            turned = turned.flip(0) if rng.random() < 0.5 else turned
            rows[k] = turned[..., rng.sample(range(3), 3)] if rng.random() < 0.3 else turned
        yield _to_unit(rows)


def _picture_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """L1 + 2 MSE + L1 of the picture's gradients."""
    difference = made - wanted
    edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    return difference.abs().mean() + 2 * difference.square().mean() + edges


def _train_vae(work: Path, amounts: Amounts) -> None:
    vae = parts.vae()
    share_start(vae)
    vae.to(memory_format=torch.channels_last)
    batches = _vae_batches(work, amounts.vae_batch)

    def loss() -> Tensor:
        pictures = next(batches).to(memory_format=torch.channels_last)
        posterior = vae.encode(pictures).latent_dist
        made = vae.decode(posterior.sample()).sample
        return _picture_loss(made, pictures) + 1e-3 * posterior.kl().mean() / (LATENT_PX**2 * 16)

    optimize([vae], loss, amounts.vae_steps, rate=1e-3, flat=0.3)
    _save_once(vae.state_dict(), work / "vae.safetensors")


def _train_decoder(work: Path, amounts: Amounts) -> None:
    """The decoder alone on the frozen encoder: finer eyes and doors for the same latents."""
    vae = parts.vae()
    vae.load_state_dict(load_file(work / "vae.safetensors"))
    vae.to(memory_format=torch.channels_last)
    vae.encoder.requires_grad_(False)
    batches = _vae_batches(work, amounts.vae_batch)

    def loss() -> Tensor:
        pictures = next(batches).to(memory_format=torch.channels_last)
        with torch.no_grad():
            latents = vae.encode(pictures).latent_dist.sample()
        return _picture_loss(vae.decode(latents).sample, pictures)

    optimize([vae.decoder], loss, amounts.decoder_steps, rate=1e-3, flat=0.1)
    _save_once(vae.state_dict(), work / "decoder.safetensors")


def _encode_pictures(work: Path, amounts: Amounts) -> None:
    """Posterior mean and deviation of every training picture, and the scale over all of them."""
    vae = parts.vae()
    vae.load_state_dict(load_file(work / "vae.safetensors"))
    pictures = load_file(work / "pictures.safetensors")["pictures"][dist.get_rank() :: WORKERS]
    means, deviations = [], []
    with torch.no_grad():
        for chunk in pictures.split(64):
            posterior = vae.encode(_to_unit(chunk)).latent_dist
            means.append(posterior.mean)
            deviations.append(posterior.std)
    mean = torch.cat(means)
    rows = {"mean": mean, "std": torch.cat(deviations), "shift": mean.mean(), "scale": 1 / mean.std()}
    save_file(rows, work / f"latents-{dist.get_rank()}.safetensors")
    dist.barrier()
    if dist.get_rank() == 0:
        whole = torch.cat([load_file(work / f"latents-{r}.safetensors")["mean"] for r in range(WORKERS)])
        save_file({"shift": whole.mean(), "scale": 1 / whole.std()}, work / "scale.safetensors")


def _vae_with_scale(work: Path) -> nn.Module:
    vae = parts.vae()
    scale = load_file(work / "scale.safetensors")
    vae.register_to_config(scaling_factor=scale["scale"].item(), shift_factor=scale["shift"].item())
    return vae


# ---------------------------------------------------------------- the transformer


@dataclass(frozen=True)
class _Batch:
    latents: Tensor
    clip: Tensor
    t5: Tensor


def _latent_batches(work: Path, batch: int) -> Iterator[_Batch]:
    """This worker's share of the pictures, endlessly; T5 padded to a length that all workers draw alike."""
    rank = dist.get_rank()
    rows, own = load_file(work / "pictures.safetensors"), load_file(work / f"latents-{rank}.safetensors")
    scale = load_file(work / "scale.safetensors")
    clip, t5 = rows["clip"][rank::WORKERS], rows["t5"][rank::WORKERS]
    together = random.Random(11)
    while True:
        (length,) = together.choices(TEXT_LENGTHS, TEXT_LENGTH_WEIGHTS)
        chosen = torch.randint(len(clip), (batch if length <= 64 else batch // 4,))
        sampled = own["mean"][chosen] + own["std"][chosen] * torch.randn_like(own["mean"][chosen])
        packed = lat.pack((sampled - scale["shift"]) * scale["scale"])
        yield _Batch(packed, clip[chosen], functional.pad(t5[chosen], (0, length - t5.shape[1])))


def _draw_sigmas(count: int) -> Tensor:
    """Logit-normal, three in ten uniform; one in 25 exactly 1: sampling starts from pure noise."""
    sigmas = torch.where(torch.rand(count) < 0.3, torch.rand(count), torch.sigmoid(torch.randn(count)))
    return torch.where(torch.rand(count) < 0.04, torch.ones(count), sigmas)[:, None, None]


def _encode_text(encoders: tuple[nn.Module, nn.Module], clip: Tensor, t5: Tensor) -> tuple[Tensor, Tensor]:
    return encoders[0](clip).pooler_output, encoders[1](t5)[0]


def _velocity(
    transformer: nn.Module, noisy: Tensor, sigmas: Tensor, text: tuple[Tensor, Tensor], guidance: Tensor
) -> Tensor:
    pooled, prompt = text
    return transformer(
        hidden_states=noisy,
        timestep=sigmas.flatten(),
        guidance=guidance,
        pooled_projections=pooled,
        encoder_hidden_states=prompt,
        txt_ids=lat.text_ids(prompt.shape[1]),
        img_ids=lat.image_ids(LATENT_PX, LATENT_PX),
        return_dict=False,
    )[0]


def _train_transformer(work: Path, amounts: Amounts) -> None:
    transformer, encoders = parts.transformer(), parts.text_encoders()
    share_start(transformer, *encoders)
    batches = _latent_batches(work, amounts.transformer_batch)

    def loss() -> Tensor:
        batch = next(batches)
        sigmas, noise = _draw_sigmas(len(batch.latents)), torch.randn_like(batch.latents)
        noisy = (1 - sigmas) * batch.latents + sigmas * noise
        text = _encode_text(encoders, batch.clip, batch.t5)
        made = _velocity(transformer, noisy, sigmas, text, torch.ones(len(noisy)))
        return functional.mse_loss(made, noise - batch.latents)

    models = [transformer, *encoders]
    average = Average(models)
    optimize(models, loss, amounts.transformer_steps, rate=1e-3, flat=0.4, after_step=average.update)
    average.copy_to(models)
    _save_model(work / "model.safetensors", transformer, encoders)


def _distil_guidance(work: Path, amounts: Amounts) -> None:
    """Teaches the guidance input what real CFG does, as FLUX.1-dev was taught: one forward instead of two."""
    teacher, encoders = _load_model(work / "model.safetensors")
    student, _ = _load_model(work / "model.safetensors")
    for frozen in (teacher, *encoders):
        frozen.requires_grad_(False)
    batches = _latent_batches(work, amounts.guidance_batch)
    no_words = clip_tokenizer()([""], padding="max_length", max_length=16, return_tensors="pt").input_ids

    def loss() -> Tensor:
        batch = next(batches)
        count = len(batch.latents)
        sigmas, noise = _draw_sigmas(count), torch.randn_like(batch.latents)
        noisy = (1 - sigmas) * batch.latents + sigmas * noise
        plain = torch.rand(count) < 0.2
        guidance = torch.where(plain, torch.ones(count), 1 + 6 * torch.rand(count))
        with torch.no_grad():
            empty = torch.zeros_like(batch.t5)
            empty[:, 0] = t5_end
            text = _encode_text(encoders, batch.clip, batch.t5)
            nothing = _encode_text(encoders, no_words.expand(count, -1), empty)
            ones = torch.ones(count)
            conditional = _velocity(teacher, noisy, sigmas, text, ones)
            unconditional = _velocity(teacher, noisy, sigmas, nothing, ones)
            strength = (1 + 0.8 * (guidance - 1))[:, None, None]
            wanted = unconditional + strength * (conditional - unconditional)
            wanted = torch.where(plain[:, None, None], (wanted + noise - batch.latents) / 2, wanted)
        return functional.mse_loss(_velocity(student, noisy, sigmas, text, guidance), wanted)

    t5_end = t5_tokenizer().eos_token_id
    average = Average([student])
    optimize([student], loss, amounts.guidance_steps, rate=4e-4, flat=0.1, after_step=average.update)
    average.copy_to([student])
    _save_model(work / "guided.safetensors", student, encoders)


def _save_once(state: dict[str, Tensor], path: Path) -> None:
    if dist.get_rank() == 0:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


def _save_model(path: Path, transformer: nn.Module, encoders: tuple[nn.Module, nn.Module]) -> None:
    named = {"transformer": transformer, "clip": encoders[0], "t5": encoders[1]}
    state = {
        f"{part}.{name}": t.clone() for part, model in named.items() for name, t in model.state_dict().items()
    }
    _save_once(state, path)


def _load_model(path: Path) -> tuple[nn.Module, tuple[nn.Module, nn.Module]]:
    state, transformer, encoders = load_file(path), parts.transformer(), parts.text_encoders()
    for part, model in (("transformer.", transformer), ("clip.", encoders[0]), ("t5.", encoders[1])):
        model.load_state_dict({k.removeprefix(part): t for k, t in state.items() if k.startswith(part)})
    return transformer, encoders


_STAGES: dict[Callable[[Path, Amounts], None], str] = {
    _train_vae: "vae.safetensors",
    _encode_pictures: "scale.safetensors",
    _train_transformer: "model.safetensors",
    _distil_guidance: "guided.safetensors",
    _train_decoder: "decoder.safetensors",
}
