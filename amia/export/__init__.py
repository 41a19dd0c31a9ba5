"""Export of augmented posts to the layouts of other projects: UMT text files with an image folder, WebDataset tars."""
