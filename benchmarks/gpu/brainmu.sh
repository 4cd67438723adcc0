#!/usr/bin/env bash
# Brainµ `base` on one card in bf16: tokens per second, share of the peak (MFU), memory, loader, save and resume.
# Fifteen minutes of one H100, no data. Stopped, it goes on where it was; give other options for a try on a processor:
#   benchmarks/gpu/brainmu.sh --device cpu --preset lite --batch 2 --piece 8 --steps 2 --output /tmp/try.json
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export PYTHONPATH="$here/../../src${PYTHONPATH:+:$PYTHONPATH}"
export PYTORCH_CUDA_ALLOC_CONF="${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}"
exec "${PYTHON:-python}" "$here/brainmu.py" "$@"
