"""Where the run lies, what is kept of it, and how it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.settings.fields import setting

NO_UPLOAD = "nothing leaves this computer by itself; upload the file in 'exports' by hand"


@dataclass(frozen=True)
class Saving:
    output_dir: str = setting(
        "output/models", "Run folder", "Everything the run makes goes there.", level="basic", required=True
    )
    resume_from_checkpoint: str = setting(
        "latest",
        "Go on from",
        "'latest' goes on where the run stopped; empty starts afresh; or a checkpoint's name or folder.",
        empty=True,
    )
    checkpoint_step_interval: int = setting(
        500,
        "Save every N steps",
        "How often a checkpoint is saved.",
        level="basic",
        minimum=0,
        aliases=("checkpointing_steps",),
    )
    checkpoint_epoch_interval: int | None = setting(
        None,
        "Save every N epochs",
        "Also saves at the end of every so many epochs.",
        level="expert",
        minimum=1,
    )
    checkpoints_total_limit: int = setting(
        5, "Keep", "How many checkpoints are kept; 0 keeps all.", minimum=0, aliases=("save_total_limit",)
    )
    checkpointing_rolling_steps: int = setting(
        0,
        "Rolling every N steps",
        "A second row of checkpoints, checkpoint-N-rolling, that replace each other; 0 turns it off.",
        level="expert",
        minimum=0,
    )
    checkpoints_rolling_total_limit: int = setting(
        1, "Keep rolling", "How many of the second row are kept; 0 keeps all.", level="expert", minimum=0
    )
    checkpointing_use_tempdir: bool = setting(
        False,
        "Write beside",
        "Writes to a temporary name first.",
        level="expert",
        moot="every checkpoint is written beside and renamed",
    )
    delete_invalid_checkpoints: bool = setting(
        False,
        "Delete broken checkpoints",
        "Removes damaged checkpoints at the end of the row and goes on from the one before.",
        level="expert",
    )
    tracker_project_name: str = setting(
        "simpletuner",
        "Project name",
        "The project in an outside service.",
        level="expert",
        moot="nothing is sent to such a service; 'tracker_run_name' names the LoRA",
    )
    tracker_run_name: str = setting(
        "simpletuner-testing", "Name of the LoRA", "Stands as the title in the exported file.", level="basic"
    )
    report_to: str = setting(
        "none",
        "Report to",
        "Sends curves to an outside service.",
        level="expert",
        choices=(
            "none",
            "simpletuner",
            "tensorboard",
            "wandb",
            "swanlab",
            "comet_ml",
            "custom-tracker",
            "all",
        ),
        moot="nothing is sent anywhere; the curve stands in the Train tab and in events.jsonl",
    )
    push_to_hub: bool = setting(
        False,
        "Upload",
        "Uploads the LoRA to Hugging Face at the end.",
        level="expert",
        built=(False,),
        why=NO_UPLOAD,
    )
    push_checkpoints_to_hub: bool = setting(
        False,
        "Upload checkpoints",
        "Uploads every checkpoint.",
        level="expert",
        built=(False,),
        why=NO_UPLOAD,
    )
    hub_model_id: str | None = setting(
        None, "Upload as", "The name on Hugging Face.", level="expert", moot=NO_UPLOAD
    )
    modelspec_comment: str | None = setting(
        None, "Comment", "Stands in the exported file's metadata.", level="expert", empty=True
    )
