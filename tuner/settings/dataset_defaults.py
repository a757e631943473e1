"""What holds for every dataset that does not say otherwise: the options of config.json about pictures."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.settings.fields import setting

RESOLUTION_TYPES = ("pixel_area", "pixel", "area")
STRATEGIES = ("filename", "textfile", "instanceprompt", "parquet", "csv", "huggingface", "webshart")
BUILT_STRATEGIES = ("filename", "textfile", "instanceprompt", "parquet", "csv")
FROM_HERE = "pictures and captions are taken from folders on this computer"
NO_FACES = "no detector of faces comes along"
NEVER_DELETED = "FluxTuner never deletes a picture of yours; what is unwanted or broken is left out"
ENCODED_FIRST = "everything is encoded and kept before the training, in which the encoders have no room"
CACHES = "all that is encoded lies in 'cache_dir', under names that tell datasets and models apart"


@dataclass(frozen=True)
class Dataset:
    data_backend_config: str = setting(
        "config/multidatabackend.json",
        "Dataset file",
        "The list of datasets; a file of that name beside config.json comes first.",
        level="expert",
        required=True,
    )
    resolution: float = setting(
        1024,
        "Resolution",
        "Size to train at: edge length in pixels, or megapixels with 'area'.",
        level="basic",
        minimum=0,
    )
    resolution_type: str = setting(
        "pixel_area",
        "Resolution means",
        "'pixel_area': edge of the square of equal area; 'pixel': shorter edge; 'area': megapixels.",
        choices=RESOLUTION_TYPES,
    )
    minimum_image_size: float | None = setting(
        None,
        "Smallest picture",
        "Smaller pictures are left out; same unit as the resolution.",
        level="expert",
        minimum=0,
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
    caption_strategy: str = setting(
        "filename",
        "Captions from",
        "The text file beside each picture, its file name, one prompt for all, or a table.",
        choices=STRATEGIES,
        built=BUILT_STRATEGIES,
        why=FROM_HERE,
    )
    prepend_instance_prompt: bool = setting(
        False, "Trigger first", "Puts the trigger word in front of every caption."
    )
    # SimpleTuner forces 64 on FLUX; the transformer needs no more than multiples of 16.
    aspect_bucket_alignment: int = setting(
        64,
        "Edge multiple",
        "Edges are cut to a multiple of this many pixels.",
        level="expert",
        choices=(64, 32, 16),
    )
    aspect_bucket_rounding: int = setting(
        2,
        "Aspect decimals",
        "Pictures whose aspect agrees to this many decimals train together.",
        level="expert",
        minimum=1,
        maximum=9,
    )
    vae_batch_size: int = setting(
        4, "VAE batch", "How many pictures are encoded at once.", level="expert", minimum=1
    )
    text_encoder_batch_size: int = setting(
        1, "Caption batch", "How many captions are encoded at once.", level="expert", minimum=1
    )
    cache_dir: str | None = setting(
        None,
        "Cache folder",
        "Where encoded pictures and captions are kept; empty means inside the run folder.",
        level="expert",
    )
    cache_dir_text: str | None = setting(
        None, "Caption cache", "Another folder for encoded captions.", level="expert", moot=CACHES
    )
    cache_dir_vae: str | None = setting(
        None, "Picture cache", "Another folder for encoded pictures.", level="expert", moot=CACHES
    )
    data_backend_sampling: str = setting(
        "auto-weighting",
        "Mix",
        "'auto-weighting' draws from each dataset by its size, 'uniform' only by its probability.",
        level="expert",
        choices=("auto-weighting", "uniform"),
    )
    conditioning_multidataset_sampling: str = setting(
        "random",
        "Reference mix",
        "One reference dataset for each picture, or all together.",
        level="expert",
        choices=("random", "combined"),
    )
    allow_dataset_oversubscription: bool = setting(
        False,
        "Repeat what is too small",
        "Raises the repeats of a dataset that has fewer pictures than one batch.",
        level="expert",
    )
    disable_bucket_pruning: bool = setting(
        False, "Keep small groups", "Keeps groups that have fewer pictures than one batch.", level="expert"
    )
    vae_cache_ondemand: bool = setting(
        False, "Encode when needed", "Encodes pictures during training.", level="expert", moot=ENCODED_FIRST
    )
    vae_cache_disable: bool = setting(
        False, "No picture cache", "Encodes pictures anew each time.", level="expert", moot=ENCODED_FIRST
    )
    text_cache_ondemand: bool = setting(
        False,
        "Captions when needed",
        "Encodes captions during training.",
        level="expert",
        moot=ENCODED_FIRST,
    )
    text_cache_disable: bool = setting(
        False, "No caption cache", "Encodes captions anew each time.", level="expert", moot=ENCODED_FIRST
    )
    max_workers: int = setting(
        32,
        "Readers",
        "At most this many helpers read pictures at the same time.",
        level="expert",
        minimum=1,
        moot="as many are used as help",
    )
    delete_unwanted_images: bool = setting(
        False,
        "Delete unwanted pictures",
        "Pictures are never deleted here, only left out.",
        level="expert",
        built=(False,),
        why=NEVER_DELETED,
    )
    delete_problematic_images: bool = setting(
        False,
        "Delete broken pictures",
        "Pictures are never deleted here, only left out.",
        level="expert",
        built=(False,),
        why=NEVER_DELETED,
    )
