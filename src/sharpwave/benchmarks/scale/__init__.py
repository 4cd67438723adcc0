"""Where one machine ends: memory and CPU by length and by nights, executors, failures, and the speed of stores."""
