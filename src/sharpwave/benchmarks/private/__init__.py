"""Learning in private: what it costs in accuracy, and an audit of what it promises."""
