"""How each shipped file of weights was made: mixtures of nights, settings, and the command that makes it again."""
