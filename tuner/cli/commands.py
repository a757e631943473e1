"""The commands that look, count, draw or write one file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner import bench as bench_table
from tuner import files, machine
from tuner.bench.shared import Asked
from tuner.cli.output import report, save_picture, tell
from tuner.cli.progress import display
from tuner.dataset import caption_files, counts, doctor, scan, sheet, tokens
from tuner.errors import Advice, ModelMissing, TunerError
from tuner.files import from_export
from tuner.plan import sources
from tuner.plan.phases import Plan
from tuner.quantization import tried
from tuner.session import Session, prepare
from tuner.settings import page
from tuner.settings.request import INSTRUCTIONS, CaptionRequest, SampleRequest

if TYPE_CHECKING:
    from tuner.training.export_preview import ExportPreview

MARKS = {"ok": "ok  ", "warn": "note", "bad": "BAD "}


def check(arguments: Namespace) -> int:
    """Read everything that a run would read, and say what stands out."""
    plan = prepare(arguments.dir, resume=False)
    left_out = [
        {"file": str(one.path), "dataset": one.dataset, "reason": one.reason} for one in plan.index.left_out
    ]
    record = {"ok": True, "num_pictures": len(plan.index.pictures), "notes": plan.notes, "left_out": left_out}
    lines = [f"Note: {note}" for note in plan.notes]
    lines += [f"Left out: {one['file']}: {one['reason']}" for one in left_out]
    report(
        arguments,
        record,
        [*lines, f"The files are in order; {len(plan.index.pictures)} pictures will be used."],
    )
    return 0


def plan(arguments: Namespace) -> int:
    """What `train` would do now, here or on another computer."""
    made = prepare(arguments.dir, reading=machine.described(arguments.vram, arguments.ram))
    record = {
        "run": str(made.folder.path),
        "num_steps": made.num_steps,
        "first_step": made.first_step,
        "resume_from": None if made.resume_from is None else str(made.resume_from),
        "phases": [asdict(phase) for phase in made.phases],
        "levers": asdict(made.levers),
        "num_pictures": len(made.index.pictures),
        "num_left_out": len(made.index.left_out),
        "notes": made.notes,
    }
    report(arguments, record, _plan_lines(made))
    return 0


def _plan_lines(made: Plan) -> Iterator[str]:
    start = f"from step {made.first_step}" if made.first_step else "from the start"
    yield f"{made.folder.path}: {made.num_steps} steps, {start}, with {len(made.index.pictures)} pictures"
    yield f"{'phase':<26}{'to do':>8}{'cached':>8}{'VRAM GB':>9}{'RAM GB':>8}  known by"
    for one in made.phases:
        amount = f"{one.total - one.cached:>8}{one.cached:>8}" if one.total else " " * 16
        yield f"{one.title:<26}{amount}{one.vram_gb:>9.1f}{one.ram_gb:>8.1f}  {one.whence}"
    yield from (f"Note: {note}" for note in made.notes)


def dataset(arguments: Namespace) -> int:
    """What becomes of each picture, and how often it is seen."""
    settings = files.load_all(files.config_folder(arguments.dir)).settings
    scanned = scan.look(settings)
    index = scan.settled(scanned, settings)
    counts.require_enough(index, settings.optimization.gradient_accumulation_steps)
    record = sheet.sheet(index, settings)
    if arguments.doctor:
        encoders = tokens.flux_encoders(sources.model_place(settings), sources.num_text_tokens(settings))
        record["findings"] = [asdict(one) for one in doctor.examine(scanned, encoders)]
    report(arguments, record, _dataset_lines(record))
    return 0


def caption(arguments: Namespace) -> int:
    """Captions by a model, in text files beside the pictures."""
    settings = files.load_all(files.config_folder(arguments.dir)).settings
    pictures = caption_files.editable(scan.look(settings))
    request = CaptionRequest(
        arguments.model, INSTRUCTIONS.get(arguments.ask, arguments.ask), arguments.trigger or ""
    )
    made, written = Session(Path.cwd()).caption(pictures, request, arguments.all), 0
    _, total = next(made)
    for written, _ in display().each("Captions", made, total):  # noqa: B007 - the last one counts
        pass
    record = {"num_pictures": len(pictures), "num_captions": written}
    report(arguments, record, [f"{written} captions written, of {len(pictures)} pictures."])
    return 0


def _dataset_lines(record: dict[str, Any]) -> Iterator[str]:
    for one in record["pictures"]:
        if one["excluded"]:
            yield f"{one['file']}: left out. {one['excluded']}"
        else:
            (width, height), (cut_width, cut_height) = one["original_size"], one["target_size"]
            caption = " | ".join(one["captions"])
            yield f"{one['file']}: {width} x {height} -> {cut_width} x {cut_height}, {caption!r}"
            yield from (f"Note: {one['file']}: {remark}" for remark in one["remarks"])
    for one in record["datasets"]:
        sizes = ", ".join(f"{name}: {number}" for name, number in one["buckets"].items())
        yield (
            f"{one['id']}: {one['samples_per_epoch']} samples and {one['batches_per_epoch']} batches "
            f"an epoch; pictures by size: {sizes}"
        )
    for one in record.get("findings", ()):
        yield f"{one['file']}: {one['kind']}. {one['sentence']}"
    yield (
        f"{record['max_train_steps']} steps of {record['steps_per_epoch']} an epoch: "
        f"{record['num_train_epochs']} epochs"
    )


def export(arguments: Namespace) -> int:
    """A checkpoint of a run as a file to use."""
    written = Session(Path.cwd()).export(
        arguments.run,
        arguments.to,
        arguments.dialect,
        arguments.dtype,
        arguments.step,
        arguments.expected,
    )
    record = {
        "path": str(written.path),
        "dialect": written.dialect,
        "num_tensors": written.num_tensors,
        "check": written.verdict.sentence,
        "notes": written.notes,
    }
    lines = [f"Written: {written.path}", written.verdict.sentence]
    report(arguments, record, [*lines, *(f"Note: {note}" for note in written.notes)])
    return 0


def send(arguments: Namespace) -> int:
    """The LoRA in ComfyUI; without a ComfyUI, where to put it."""
    session = Session(Path.cwd())
    sent = session.send(
        arguments.run,
        arguments.to,
        arguments.dtype,
        arguments.step,
        arguments.sample,
        arguments.draw,
    )
    places = {
        "path": sent.report.path,
        "workflow": sent.workflow,
        "picture": sent.picture,
        "sent_to": sent.lora,
        "drawn": sent.drawn,
    }
    seen = _compared(session, arguments, sent.report.path) if arguments.preview else None
    record = {
        **{name: None if path is None else str(path) for name, path in places.items()},
        "listed_as": sent.listed,
        "check": sent.report.verdict.sentence,
        "notes": sent.notes,
        "preview": seen and {"path": str(seen.theirs), "beside": str(seen.ours), "distance": seen.distance},
    }
    lines = [f"Written: {sent.report.path}", sent.report.verdict.sentence, f"Workflow: {sent.workflow}"]
    if sent.lora is None:
        lines.append("No ComfyUI was found: copy the file into its folder models/loras, or use --to FOLDER.")
    else:
        lines.append(f"Sent to ComfyUI: {sent.lora}")
    lines += [f"Drawn by ComfyUI: {sent.drawn}"] if sent.drawn else []
    lines += [f"Drawn with the file: {seen.theirs}", seen.sentence] if seen else []
    report(arguments, record, [*lines, *(f"Note: {note}" for note in sent.notes)])
    return 0


def _compared(session: Session, arguments: Namespace, file: Path) -> ExportPreview:
    tell("Drawing with the file ...")
    return session.preview_export(arguments.run, file, arguments.to, arguments.sample)


def merge(arguments: Namespace) -> int:
    """A whole checkpoint in place of base model and LoRA."""
    tell("Merging ...")
    written = Session(Path.cwd()).merge(arguments.run, arguments.to, arguments.step, arguments.strength)
    report(arguments, {"path": str(written)}, [f"Written: {written}"])
    return 0


def open_export(arguments: Namespace) -> int:
    """The files of the run that made a LoRA."""
    config = arguments.to / "config"
    if config.exists():
        raise TunerError(f"There is a run in '{arguments.to}' already.", Advice("Name another folder."))
    loaded = from_export.load_export(arguments.file, arguments.to, arguments.pictures)
    files.save_all(loaded.settings, config)
    lines = [*(f"Note: {note}" for note in loaded.notes), f"Written: {config}"]
    report(arguments, {"config": str(config), "notes": loaded.notes}, lines)
    return 0


def sample(arguments: Namespace) -> int:
    """One picture, with an adapter or of the untuned model."""
    if arguments.adapter is not None and not arguments.adapter.is_file():
        raise ModelMissing(f"There is no adapter file '{arguments.adapter}'.")
    request = SampleRequest(
        arguments.prompt,
        arguments.seed,
        width=arguments.width,
        height=arguments.height,
        steps=arguments.steps,
        guidance=arguments.guidance,
        references=tuple(arguments.reference),
    )
    tell("Loading the model and drawing ...")
    (image,) = Session(Path.cwd()).render(arguments.dir, [request], arguments.adapter)
    save_picture(image, arguments.out)
    record = {
        **asdict(request),
        "path": str(arguments.out),
        "width": image.width,
        "height": image.height,
        "references": [str(path) for path in request.references],
    }
    report(arguments, record, [f"Written: {arguments.out}"])
    return 0


def computer(arguments: Namespace) -> int:
    """What this computer has and lacks; exit code 1 where something must be mended first."""
    findings = (*machine.doctor(), *(tried.findings() if arguments.layers else ()))
    lines = []
    for one in findings:
        lines.append(f"{MARKS[one.state]} {one.title + ':':<15}{one.sentence}")
        lines += [f"     -> {one.mend} {one.command}".rstrip()] if one.mend else []
    report(arguments, {"findings": [asdict(one) for one in findings]}, lines)
    return 1 if any(one.state == "bad" for one in findings) else 0


def settings(arguments: Namespace) -> int:
    """Every key of the five files: docs/settings.md is this."""
    text = page.page()
    report(arguments, {"page": text}, [text])
    return 0


def bench(arguments: Namespace) -> int:
    """Figures whose names end in their unit, with what they were measured on."""
    tell("Measuring ...")
    asked = Asked(
        rounds=arguments.rounds,
        card=arguments.card,
        toy=arguments.toy,
        random_weights=arguments.random_weights,
        preset=arguments.preset,
    )
    record = bench_table.measure(arguments.what, asked)
    report(arguments, record, [f"{name}: {value}" for name, value in record.items()])
    return 0
