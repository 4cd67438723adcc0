"""Training the model: the loop, its options and state, augmentation, distillation and fine-tuning."""
