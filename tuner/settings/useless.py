"""Keys that SimpleTuner users have in their files and that make no difference here, each with the reason."""

from __future__ import annotations

from tuner.settings import dataset_defaults

FLOW = "FLUX learns by flow matching, which has no such term"
OLD = "SimpleTuner itself ignores it by now"
DEEPSPEED = "it belongs to DeepSpeed, with which no adapter is trained"
CACHES = "files are written whole and found by their content, however many at a time"
LISTING = "every folder is looked through anew, and pictures that did not change are not encoded again"
TWO = "FLUX.1 has two text encoders"

CONFIG: dict[str, str] = {
    "snr_gamma": FLOW,
    "use_soft_min_snr": FLOW,
    "soft_min_snr_sigma_data": FLOW,
    "offset_noise": FLOW,
    "noise_offset": FLOW,
    "noise_offset_probability": FLOW,
    "timestep_bias_strategy": FLOW,
    "timestep_bias_multiplier": FLOW,
    "timestep_bias_begin": FLOW,
    "timestep_bias_end": FLOW,
    "timestep_bias_portion": FLOW,
    "disable_segmented_timestep_sampling": FLOW,
    "prediction_type": "FLUX always predicts the flow",
    "text_encoder_3_precision": TWO,
    "text_encoder_4_precision": TWO,
    "aspect_ratio_bucketing": OLD,
    "aspect_ratio_bucket_min": OLD,
    "aspect_ratio_bucket_max": OLD,
    "repeats": "it stands in each dataset",
    "ez_model_type": OLD,
    "write_batch_size": CACHES,
    "read_batch_size": CACHES,
    "image_processing_batch_size": CACHES,
    "compress_disk_cache": CACHES,
    "torch_num_threads": "PyTorch takes as many threads as the computer has cores",
    "metadata_update_interval": LISTING,
    "preserve_data_backend_cache": LISTING,
    "skip_file_discovery": LISTING,
    "override_dataset_config": "changed sizes and crops are noticed, and what they change is encoded anew",
    "ignore_missing_files": "a picture that is gone is left out and named",
    "logging_dir": "the log lies in the run folder",
    "i_know_what_i_am_doing": "what cannot work is refused, whoever asks for it",
    "adam_beta1": DEEPSPEED,
    "adam_beta2": DEEPSPEED,
    "adam_weight_decay": DEEPSPEED,
    "adam_epsilon": DEEPSPEED,
    "accelerate_extra_args": "a run starts by itself, without accelerate",
}

DATASET: dict[str, str] = {
    "write_batch_size": CACHES,
    "read_batch_size": CACHES,
    "image_processing_batch_size": CACHES,
    "max_workers": "as many readers are used as help",
    "metadata_update_interval": LISTING,
    "preserve_data_backend_cache": LISTING,
    "skip_file_discovery": LISTING,
    "hash_filenames": "cache files are always named by their content",
    "scan_for_errors": "a picture that cannot be read is left out and named, without being asked",
    "vae_cache_scan_behaviour": "a cache entry that does not fit is made anew",
    "compress_cache": CACHES,
    "cache_file_suffix": "cache files are always named by their content",
}

STORE: dict[str, str] = {
    "cache_dir": dataset_defaults.CACHES,
    "write_batch_size": CACHES,
    "compress_cache": CACHES,
    "text_encoder_batch_size": "'text_encoder_batch_size' of config.json counts",
    "text_cache_ondemand": dataset_defaults.ENCODED_FIRST,
    "text_cache_disable": dataset_defaults.ENCODED_FIRST,
    "preserve_data_backend_cache": LISTING,
    "skip_file_discovery": LISTING,
}
"""Of the entries of multidatabackend.json that hold caches of captions and pictures."""

ENVIRONMENT: dict[str, str] = {
    "DISABLE_UPDATES": "FluxTuner never updates itself",
    "DISABLE_LD_OVERRIDE": "nothing is put on the library path",
    "ACCELERATE_EXTRA_ARGS": "a run starts by itself, without accelerate",
}
"""Of config.env."""
