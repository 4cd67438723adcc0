"""Attention against a slow oracle, and what must not matter to it: absolute time, padding, how it is cut in pieces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sharpwave.brainmu.attention import Block, CrossModalTemporalAttention, LayerCache, compute_rotation, make_mask

WIDTH, HEADS, WINDOW = 16, 2, 300.0
PERIODS = torch.tensor([60.0, 700.0, 5000.0, 43200.0], dtype=torch.float64)


@pytest.fixture
def attention() -> CrossModalTemporalAttention:
    torch.manual_seed(0)
    return CrossModalTemporalAttention(WIDTH, n_heads=HEADS, window=WINDOW).eval()


def draw(n_batch: int, n_tokens: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, times (unsorted, some alike) and presence."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(n_batch, n_tokens, WIDTH, generator=generator)
    times = torch.randint(0, 40, (n_batch, n_tokens), generator=generator).double() * 30
    return tokens, times, torch.rand(n_batch, n_tokens, generator=generator) > 0.2


def read(
    layer: CrossModalTemporalAttention, tokens: torch.Tensor, times: torch.Tensor, present: torch.Tensor
) -> torch.Tensor:
    with torch.no_grad():
        return layer(tokens, compute_rotation(times, PERIODS), times, present)[0]


def oracle(
    layer: CrossModalTemporalAttention,
    tokens: np.ndarray,
    times: np.ndarray,
    present: np.ndarray,
    mask_weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What is read, and the mean weights: one recording, query and head at a time, in double and complex numbers."""
    project = layer.project.weight.detach().double().numpy()
    out = layer.out.weight.detach().double().numpy()
    size = WIDTH // HEADS
    query, key, value = ((tokens @ part.T).reshape(-1, HEADS, size) for part in np.split(project, 3))

    def turn(vector: np.ndarray, time: float) -> np.ndarray:
        number = (vector[: size // 2] + 1j * vector[size // 2 :]) * np.exp(2j * math.pi * time / PERIODS.numpy())
        return np.r_[number.real, number.imag]

    counts = np.ones(len(tokens)) if mask_weights is None else mask_weights
    result, weights = np.zeros((len(tokens), WIDTH)), np.zeros((len(tokens), len(tokens)))
    for q in range(len(tokens)):
        seen = [k for k in range(len(tokens)) if present[k] and counts[k] and times[q] - WINDOW <= times[k] <= times[q]]
        if not seen:
            continue
        for head in range(HEADS):
            turned = turn(query[q, head], times[q])
            scores = np.array([turned @ turn(key[k, head], times[k]) for k in seen]) / math.sqrt(size)
            weight = np.exp(scores - scores.max()) * counts[seen]
            weight /= weight.sum()
            result[q, head * size : (head + 1) * size] = weight @ value[seen, head]
            weights[q, seen] += weight / HEADS
    return result @ out.T, weights


def test_equals_the_oracle(attention: CrossModalTemporalAttention) -> None:
    tokens, times, present = draw(3, 25)
    found = read(attention, tokens, times, present)
    for row in range(3):
        expected, _ = oracle(attention, tokens[row].double().numpy(), times[row].numpy(), present[row].numpy())
        np.testing.assert_allclose(found[row].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_cached", [0, 11])
def test_a_trace_equals_the_oracle_in_what_is_read_and_from_where(
    attention: CrossModalTemporalAttention, masked: bool, n_cached: int
) -> None:
    tokens, times, present = draw(1, 25)
    times, present[0, :n_cached] = times.sort().values, True
    counts = torch.ones(2, 25)
    if masked:
        counts[:, n_cached:] = torch.rand(2, 25 - n_cached, generator=torch.Generator().manual_seed(1))
        counts[1, n_cached + 3 : n_cached + 6] = 0.0
    first, last = slice(0, n_cached), slice(n_cached, None)
    with torch.no_grad():
        cache, n_seen = None, 0
        if n_cached:
            rotation = compute_rotation(times[:, first], PERIODS)
            cache = attention(tokens[:, first], rotation, times[:, first], present[:, first]).cache
            n_seen = cache.times.shape[1]
        traced = attention(
            tokens[:, last].expand(2, -1, -1),
            compute_rotation(times[:, last], PERIODS),
            times[:, last],
            present[:, last],
            cache,
            bias=counts[:, last].log() if masked else None,
            trace=True,
        )
    assert traced.weights is not None
    for row in range(2):
        read_, weights = oracle(
            attention, tokens[0].double().numpy(), times[0].numpy(), present[0].numpy(), counts[row].double().numpy()
        )
        np.testing.assert_allclose(traced.latents[row].numpy(), read_[n_cached:], atol=1e-5)
        np.testing.assert_allclose(traced.weights[row].numpy(), weights[n_cached:, n_cached - n_seen :], atol=1e-5)


def test_only_differences_of_time_matter(attention: CrossModalTemporalAttention) -> None:
    tokens, times, present = draw(2, 30)
    torch.testing.assert_close(
        read(attention, tokens, times + 11.3 * 3600, present),
        read(attention, tokens, times, present),
        atol=1e-5,
        rtol=0,
    )
    stretched = read(attention, tokens, times * 0.5, present)
    assert not torch.allclose(stretched, read(attention, tokens, times, present), atol=1e-3)


def test_a_token_sees_the_present_and_the_window_before_it() -> None:
    queries, keys = torch.tensor([[600.0]]).double(), torch.tensor([[600.0, 601.0, 300.0, 299.0, 450.0]]).double()
    present = torch.tensor([[True, True, True, True, False]])
    assert make_mask(queries, keys, present, window=300.0).tolist() == [[[True, False, True, False, False]]]


def test_nothing_outside_the_window_or_later_moves_a_token(attention: CrossModalTemporalAttention) -> None:
    tokens, times, present = draw(1, 40)
    present[:] = True
    before = read(attention, tokens, times, present)
    moment = 600.0
    out_of_sight = (times > moment) | (times < moment - WINDOW - 1)
    changed = torch.where(out_of_sight[..., None], torch.randn_like(tokens) * 9, tokens)
    after = read(attention, changed, times, present)
    here = times == moment
    assert here.any()
    torch.testing.assert_close(after[here], before[here])
    in_sight = (times < moment) & ~out_of_sight
    moved = read(attention, torch.where(in_sight[..., None], tokens + 3, tokens), times, present)
    assert not torch.allclose(moved[here], before[here], atol=1e-3)


def test_what_is_absent_is_irrelevant(attention: CrossModalTemporalAttention) -> None:
    tokens, times, present = draw(2, 20)
    garbage = torch.where(present[..., None], tokens, torch.full_like(tokens, 1e4))
    before, after = read(attention, tokens, times, present), read(attention, garbage, times, present)
    torch.testing.assert_close(after[present], before[present])


def test_a_token_with_nothing_to_see_reads_nothing(attention: CrossModalTemporalAttention) -> None:
    tokens, times, present = draw(1, 5)
    times[0, 0], present[0, 0] = -1e6, False
    assert read(attention, tokens, times, present)[0, 0].abs().max() == 0


@pytest.mark.parametrize("lengths", [(1,) * 24, (5, 1, 9, 9), (23, 1)])
def test_in_pieces_is_the_whole(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    block = Block(WIDTH, n_heads=HEADS, window=WINDOW, dropout=0.0).eval()
    tokens = torch.randn(2, 24, WIDTH)
    times = torch.stack([torch.arange(24) * 30.0, torch.arange(24) * 30.0 + 5 * 3600]).double()
    present = torch.rand(2, 24) > 0.2
    with torch.no_grad():
        whole, *_ = block(tokens, compute_rotation(times, PERIODS), times, present)
        cache, first = None, 0
        for length in lengths:
            piece = slice(first, first + length)
            rotation = compute_rotation(times[:, piece], PERIODS)
            part, cache, _ = block(tokens[:, piece], rotation, times[:, piece], present[:, piece], cache)
            torch.testing.assert_close(part, whole[:, piece], atol=1e-5, rtol=1e-5)
            first += length
    assert cache is not None
    assert cache.times.shape[1] <= WINDOW / 30 + 1


def test_the_cache_keeps_what_a_recording_with_an_earlier_clock_still_needs() -> None:
    times = torch.tensor([[0.0, 30.0], [9000.0, 9030.0]]).double()
    heads = torch.zeros(2, HEADS, 2, WIDTH // HEADS)
    cache = LayerCache(heads, heads, times, torch.ones(2, 2, dtype=torch.bool))
    assert cache.trim(300.0).times.shape[1] == 2
    assert cache.trim(10.0).times.tolist() == [[30.0], [9030.0]]
