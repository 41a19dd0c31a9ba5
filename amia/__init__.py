"""amia: image augmentation for multimodal named entity recognition."""
