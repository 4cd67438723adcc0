"""How each shipped file of weights was made: its nights, its settings, and the command that makes it again."""
