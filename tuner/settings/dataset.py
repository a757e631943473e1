"""One folder of pictures: an entry of multidatabackend.json."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.settings.dataset_defaults import (
    BUILT_STRATEGIES,
    CACHES,
    ENCODED_FIRST,
    FROM_HERE,
    NEVER_DELETED,
    NO_FACES,
    RESOLUTION_TYPES,
    STRATEGIES,
)
from tuner.settings.fields import Items, Json, Texts, setting

PICTURES, CONDITIONING, EVALUATION = "image", "conditioning", "eval"


@dataclass(frozen=True)
class ImageDataset:
    """None stands for "as for all datasets"."""

    id: str = setting(
        "", "Name", "A short name; no two datasets may have the same.", level="basic", required=True
    )
    type: str = setting(
        "local",
        "Kind of place",
        "'local' is a folder on this computer.",
        level="expert",
        choices=("local", "aws", "csv", "huggingface", "webshart"),
        built=("local",),
        why=FROM_HERE,
    )
    dataset_type: str = setting(
        PICTURES,
        "Holds",
        "'image' is learned from; 'conditioning' holds masks or reference pictures; 'eval' is kept apart.",
        level="expert",
        choices=(PICTURES, CONDITIONING, EVALUATION),
    )
    disabled: bool = setting(False, "Switched off", "Leaves this dataset out.", aliases=("disable",))
    instance_data_dir: str = setting(
        "",
        "Folder",
        "The folder with the pictures; its subfolders count too.",
        level="basic",
        aliases=("instance_data_root",),
    )
    metadata_backend: str = setting(
        "discovery",
        "Sizes from",
        "Each picture is opened, so that what is broken is known before the start.",
        level="expert",
        choices=("discovery", "json", "filesystem", "parquet", "huggingface", "webshart"),
        built=("discovery", "json", "filesystem", "parquet"),
        why=FROM_HERE,
    )
    max_num_samples: int | None = setting(
        None, "At most", "Uses only so many pictures, always the same ones.", level="expert", minimum=1
    )
    resolution: float | None = setting(
        None, "Resolution", "Size to train at; its unit stands below.", level="basic", minimum=0
    )
    resolution_type: str | None = setting(
        None,
        "Resolution means",
        "'pixel_area': edge of the square of equal area; 'pixel': shorter edge; 'area': megapixels.",
        choices=RESOLUTION_TYPES,
    )
    minimum_image_size: float | None = setting(
        None, "Smallest picture", "Smaller pictures are left out; same unit as the resolution.", minimum=0
    )
    maximum_image_size: float | None = setting(
        None,
        "Largest picture",
        "Larger pictures are made smaller before they are cut.",
        level="expert",
        minimum=0,
    )
    target_downsample_size: float | None = setting(
        None, "Made smaller to", "The size that too large pictures are brought to.", level="expert", minimum=0
    )
    minimum_aspect_ratio: float | None = setting(
        None, "Narrowest", "Pictures with a smaller width : height are left out.", level="expert", minimum=0
    )
    maximum_aspect_ratio: float | None = setting(
        None, "Widest", "Pictures with a larger width : height are left out.", level="expert", minimum=0
    )
    crop: bool = setting(False, "Crop", "Cuts pictures to one shape instead of keeping theirs.")
    crop_aspect: str = setting(
        "square",
        "Crop to",
        "The shape that pictures are cut to.",
        choices=("square", "preserve", "closest", "random"),
    )
    crop_aspect_buckets: Items | None = setting(
        None, "Crop shapes", "The shapes to choose from, as width : height.", level="expert"
    )
    crop_style: str = setting(
        "random",
        "Crop where",
        "Which part of the picture is kept.",
        choices=("random", "center", "centre", "corner", "face"),
        built=("random", "center", "centre", "corner"),
        why=NO_FACES,
    )
    max_upscale_threshold: float | None = setting(
        None,
        "Largest enlargement",
        "Pictures that would be enlarged by more are left out; 0.5 means by half.",
        level="expert",
        minimum=0,
    )
    caption_strategy: str | None = setting(
        None,
        "Captions from",
        "The text file beside each picture, its file name, one prompt for all, or a table.",
        level="basic",
        choices=STRATEGIES,
        built=(None, *BUILT_STRATEGIES),
        why=FROM_HERE,
    )
    instance_prompt: str | Texts | None = setting(
        None, "Trigger word", "The word or sentence that calls your subject.", level="basic"
    )
    prepend_instance_prompt: bool | None = setting(
        None, "Trigger first", "Puts the trigger word in front of every caption."
    )
    only_instance_prompt: bool = setting(
        False, "Trigger only", "Every caption becomes the trigger word alone.", level="expert"
    )
    disable_multiline_split: bool = setting(
        False,
        "One caption a file",
        "Keeps line breaks inside a caption, instead of one caption a line.",
        level="expert",
    )
    caption_shuffle: Json | None = setting(
        None,
        "Shuffle tags",
        "Adds captions with the tags in other orders: enable, count, seed, split_on (comma, space, period), "
        "position_start, include_original.",
        level="expert",
    )
    caption_filter_list: str | Texts | None = setting(
        None,
        "Take out of captions",
        "Texts, or s/pattern/replacement/; a list, or a .json or .txt file with one.",
        level="expert",
    )
    parquet: Json | None = setting(
        None,
        "Caption table",
        "For 'parquet': path (.parquet, .csv, .json, .jsonl), filename_column, caption_column, "
        "fallback_caption_column.",
        level="expert",
    )
    csv_file: str | None = setting(None, "Caption file", "For 'csv': the table of captions.", level="expert")
    csv_caption_column: str | None = setting(
        None, "Caption column", "For 'csv': the column with the caption.", level="expert"
    )
    csv_url_column: str = setting(
        "url", "Name column", "For 'csv': the column with the picture's name or address.", level="expert"
    )
    text_embeds: str | None = setting(
        None,
        "Caption cache",
        "The text_embeds entry whose caption_filter_list holds for this dataset; the first or default one.",
        level="expert",
        aliases=("text_embed_cache",),
    )
    image_embeds: str | None = setting(
        None, "Picture cache", "The image_embeds entry that this dataset uses.", level="expert", moot=CACHES
    )
    repeats: int = setting(
        0,
        "Extra passes",
        "How many more times each picture is used in an epoch; 0 means once.",
        level="basic",
        minimum=0,
    )
    probability: float = setting(
        1.0,
        "Weight",
        "How often this dataset is drawn from, compared with the others; 0 leaves it out.",
        minimum=0,
    )
    train_batch_size: int | None = setting(
        None, "Batch size", "Another batch size for this dataset.", level="expert", minimum=1
    )
    start_epoch: int = setting(
        1, "From epoch", "The dataset joins with this epoch.", level="expert", minimum=1
    )
    start_step: int = setting(0, "From step", "The dataset joins with this step.", level="expert", minimum=0)
    end_epoch: int | None = setting(
        None, "To epoch", "The dataset leaves after this epoch; 0 means never.", level="expert"
    )
    end_step: int | None = setting(
        None, "To step", "The dataset leaves after this step; 0 means never.", level="expert"
    )
    is_regularisation_data: bool = setting(
        False,
        "Regularisation",
        "These pictures keep the model as it is, instead of teaching it.",
        level="expert",
        aliases=("is_regularization_data",),
    )
    timestep_sampling_offset: float = setting(
        0.0, "Noise offset", "Shifts the noise levels of this dataset.", level="expert"
    )
    slider_strength: float | None = setting(
        None,
        "Slider side",
        "Which end of a slider LoRA these pictures show.",
        level="expert",
        built=(None,),
        why="no slider LoRAs, which learn two opposite ends, are trained here",
    )
    cache_dir_vae: str | None = setting(
        None, "Cache folder", "Another folder for encoded pictures.", level="expert", moot=CACHES
    )
    vae_cache_clear_each_epoch: bool = setting(
        False,
        "Encode anew each epoch",
        "Draws new crops for every epoch.",
        level="expert",
        built=(False,),
        why="the VAE has left the memory when the training begins; each crop is drawn once",
    )
    vae_cache_ondemand: bool | None = setting(
        None, "Encode when needed", "Encodes pictures during training.", level="expert", moot=ENCODED_FIRST
    )
    vae_cache_disable: bool | None = setting(
        None, "No picture cache", "Encodes pictures anew each time.", level="expert", moot=ENCODED_FIRST
    )
    vae_batch_size: int | None = setting(
        None,
        "VAE batch",
        "How many pictures are encoded at once.",
        level="expert",
        minimum=1,
        moot="pictures of all datasets are encoded together, 'vae_batch_size' of config.json at once",
    )
    delete_unwanted_images: bool | None = setting(
        None,
        "Delete unwanted pictures",
        "Pictures are never deleted here, only left out.",
        level="expert",
        built=(None, False),
        why=NEVER_DELETED,
    )
    delete_problematic_images: bool | None = setting(
        None,
        "Delete broken pictures",
        "Pictures are never deleted here, only left out.",
        level="expert",
        built=(None, False),
        why=NEVER_DELETED,
    )
    conditioning_data: str | Texts | None = setting(
        None,
        "Mask or reference",
        "The datasets that hold the masks or references of these pictures.",
        level="expert",
    )
    conditioning_type: str | None = setting(
        None,
        "Kind of condition",
        "'mask' weighs by grey, 'segmentation' by black or not; 'reference_strict' is cut as its picture, "
        "'reference_loose' has a shape of its own.",
        level="expert",
        choices=("mask", "segmentation", "controlnet", "reference_strict", "reference_loose"),
        built=(None, "mask", "segmentation", "reference_strict", "reference_loose"),
        why="no ControlNet is trained here",
    )
    source_dataset_id: str | None = setting(
        None,
        "Belongs to",
        "The dataset that these masks or references belong to.",
        level="expert",
    )
    conditioning: Items | None = setting(
        None,
        "Made conditions",
        "Makes masks or references from the pictures.",
        level="expert",
        built=(None,),
        why="masks and references are taken from a folder, not made",
    )

    @property
    def holds(self) -> str:
        """ "image", "conditioning" or "eval"; a conditioning type says it too."""
        return CONDITIONING if self.conditioning_type else self.dataset_type
