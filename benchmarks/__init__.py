"""Scripts that measure what no `sharpwave benchmark` does; a package, since opacus installs one of the same name."""
