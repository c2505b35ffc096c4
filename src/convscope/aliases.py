"""Names that other tools, or earlier versions, have for settings and options, so that an error can suggest ours.

Nothing is read by these names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# name of ours -> what else it is called, with "_" between words.
_CALLED: Mapping[str, str] = {
    "autotune": "plan benchmark cudnn_benchmark",
    "batch_size": "bs batch batchsize b train_batch_size",
    "cache": "cache_dir",
    "class_weights": "class_weight pos_weight weighted_loss",
    "cutout": "random_erasing erase reprob",
    "data": "dataset data_dir data_path train_dir root",
    "device": "gpu gpus cuda accelerator",
    "ema_epochs": "average ema model_ema ema_decay",
    "epochs": "epoch num_epochs n_epochs nb_epochs max_epochs",
    "flip": "hflip horizontal_flip fliplr",
    "freeze": "frozen freeze_layers",
    "gradient_clip": "clip_grad grad_clip clip clip_grad_norm max_grad_norm gradient_clip_val",
    "image_size": "img_size imgsz imsize size resolution input_size crop_size",
    "input": "input_shape input_size shape",
    "jobs": "workers num_workers",
    "label_smoothing": "smoothing",
    "layer_lr_decay": "depth_decay layer_decay",
    "learning_rate": "lr lr0 base_lr max_lr learningrate eta",
    "loss": "criterion objective",
    "minutes": "time_limit time_budget budget max_time time train_time",
    "model": "arch architecture net network backbone m",
    "model_options": "model_kwargs model_args",
    "name": "run_name experiment",
    "optimizer": "opt optim optimiser solver",
    "patience": "early_stopping early_stop",
    "pca_lighting": "color_jitter_pca lighting",
    "precision": "amp fp16 bf16 half mixed_precision dtype",
    "preset": "recipe",
    "progressive_resize_share": "resolution_share",
    "progressive_resize_start": "resolution_start",
    "random_crop_padding": "crop_padding crop random_crop pad",
    "random_resized_crop": "rrc",
    "recipe": "config cfg hparams preset",
    "resize_mode": "resize interpolation",
    "runs": "out output output_dir save_dir log_dir project",
    "schedule": "scheduler sched lr_scheduler lr_schedule",
    "seed": "random_seed manual_seed random_state",
    "steps": "max_steps num_steps iterations max_iter total_steps",
    "test_fraction": "test_split test_size",
    "threads": "workers num_workers cpus",
    "train_images": "max_images max_train_images num_images subset limit_train",
    "trivial_augment": "augment aug auto_augment autoaugment randaugment aa",
    "tta": "views test_views test_time_augmentation",
    "validation_fraction": "val_split val_fraction validation_split val_size",
    "warmup": "warmup_epochs warmup_steps warmup_ratio",
    "weight_decay": "wd decay l2",
    "weights": "pretrained checkpoint ckpt init_weights initial_checkpoint",
}
ALIASES = {alias: [ours for ours, names in _CALLED.items() if alias in names.split()]
           for names in _CALLED.values() for alias in names.split()}  # fmt: skip


def name_of_ours(alias: str, known: Iterable[str]) -> str | None:
    """Return the known name that something is called elsewhere, as it is known, or None.

    >>> name_of_ours("lr", ["epochs", "learning_rate"]), name_of_ours("--wd", ["--weight-decay"])
    ('learning_rate', '--weight-decay')
    """
    by_word = {_word(name): name for name in known}
    return next((by_word[ours] for ours in ALIASES.get(_word(alias), ()) if ours in by_word), None)


def _word(name: str) -> str:
    return name.lstrip("-").replace("-", "_").lower()
