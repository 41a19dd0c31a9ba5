"""The measure of image and text on a cluster: the bank, the losses' mixture, and where each stands in the run."""
