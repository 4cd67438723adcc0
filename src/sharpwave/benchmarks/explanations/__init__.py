"""Whether explanations and statements of uncertainty are to be trusted."""
