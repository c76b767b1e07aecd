"""What other programs call the keys of a recipe, for the message on an unknown one."""

from __future__ import annotations

# Key here -> names elsewhere. Case, `-` and `_` do not count.
_NAMES = {
    "batch": "batch_size bs batchsize mini_batch minibatch_size batch_size_per_gpu train_batch_size",
    "kimg": "total_kimg max_kimg n_kimg",
    "epochs": "n_epochs num_epochs max_epochs epoch niter nb_epochs",
    "tick_kimg": "kimg_per_tick snap snapshot_ticks save_every save_interval log_interval sample_interval",
    "seed": "random_seed manual_seed",
    "keep": "keep_last save_total_limit max_checkpoints save_top_k",
    "grid": "n_samples num_samples sample_size",
    "freeze_d": "freezed freeze_layers",
    "track": "report_to logger log_with use_wandb",
    "optim.lr": "learning_rate base_lr lrate initial_lr",
    "optim.betas": "beta1 beta2 beta_1 beta_2 b1 b2 adam_betas adam_beta1 adam_beta2",
    "optim.kind": "optimizer optim_name opt",
    "optim.eps": "epsilon adam_eps adam_epsilon",
    "optim.weight_decay": "wd l2 l2_reg",
    "optim.discriminator.lr": "lr_d d_lr lr_disc disc_lr lr_discriminator discriminator_lr critic_lr lr_critic",
    "optim.generator.lr": "lr_g g_lr lr_gen gen_lr lr_generator generator_lr",
    "game.critic_steps": "n_critic ncritic critic_iters critic_iterations n_dis d_steps disc_steps d_iters disc_iters "
    "num_d_steps d_updates d_updates_per_step discriminator_steps k_discriminator",
    "game.clip": "weight_clip clip_value clip_limit weight_cliping_limit weight_clipping clamp",
    "game.loss.name": "loss_type loss_fn gan_mode gan_loss adv_loss adversarial_loss criterion",
    "game.loss.real_target": "label_smoothing smooth smoothing label_smooth real_label one_sided_smoothing",
    "game.penalties.gradient.weight": "lambda_gp gp_lambda gp_weight weight_gp lambda_gradient_penalty "
    "gradient_penalty gradient_penalty_weight gp lambda_grad",
    "game.penalties.r1.weight": "r1 r1_gamma gamma_r1 gamma r1_weight r1_reg lambda_r1",
    "game.penalties.r1.every": "d_reg_every d_reg_interval r1_interval lazy_r1",
    "game.penalties.drift.weight": "epsilon_drift drift lambda_drift eps_drift drift_weight",
    "game.path_length": "pl_weight path_regularize path_length_weight pl_reg",
    "game.path_length_every": "g_reg_every g_reg_interval pl_interval",
    "game.path_length_decay": "pl_decay",
    "game.mixing": "style_mixing_prob mixing_prob style_mixing",
    "game.augment": "aug ada augpipe diffaug diffaugment",
    "game.augment.target": "ada_target",
    "game.augment.kimg": "ada_kimg",
    "game.cycle": "lambda_cycle lambda_cyc lambda_a lambda_b cycle_weight",
    "game.identity": "lambda_identity lambda_idt lambda_id identity_weight",
    "game.fade_kimg": "transition_kimg lod_transition_kimg fade",
    "game.stable_kimg": "training_kimg lod_training_kimg",
    "network.latent": "z_dim zdim dim_z latent_dim latent_size nz noise_dim noise_size z_size dim_latent",
    "network.size": "image_size img_size imsize resolution res input_size crop_size",
    "network.channels": "nc img_channels image_channels in_channels num_channels n_channels colors",
    "network.width": "ngf ndf nf base_channels n_filters num_filters g_channels fmap_base dim",
    "network.classes": "num_classes n_classes nclasses n_class y_dim c_dim label_dim cond",
    "network.scale": "upscale upscale_factor scale_factor sr_factor upsampling_factor",
    "network.blocks": "n_blocks num_blocks n_residual_blocks res_blocks num_block",
    "network.pool": "pool_size buffer_size",
    "network.mapping_layers": "n_mlp map_depth num_layers_mapping",
    "ema.half_life_kimg": "ema_kimg ema_decay ema_beta use_ema ema_halflife decay_rate",
    "ema.ramp": "ema_rampup",
    "data.flip": "mirror hflip horizontal_flip random_flip xflip",
    "data.balance": "class_balance balanced weighted_sampler",
    "data.crop": "patch_size gt_size hr_size",
    "eval.metrics": "metric fid compute_fid",
    "eval.every_kimg": "eval_every eval_interval eval_freq fid_every",
    "eval.n": "num_fid_samples n_fid num_eval_samples",
    "eval.patience": "early_stopping early_stop early_stopping_patience",
    "compute.precision": "fp16 bf16 amp mixed_precision use_amp half",
    "compute.accumulate": "gradient_accumulation_steps accumulate_grad_batches grad_accum accumulation_steps "
    "gradient_accumulate_every",
    "compute.compile": "torch_compile jit",
    "compute.threads": "num_threads n_threads",
}


def _plain(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "")


_KEYS = {_plain(name): key for key, names in _NAMES.items() for name in names.split()}


def meant(name: str) -> str | None:
    """The dotted key of a recipe that other programs call `name`, or None where it is not known."""
    return _KEYS.get(_plain(name))
