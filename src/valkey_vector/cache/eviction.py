"""Which entries make room for others, decided by the server in one script, in time that grows with log n.

``{name}:uses`` is a sorted set of the entries by how soon they may go, ``{name}:ends`` one by the
millisecond at which they expire by themselves. An entry is accounted for before it is stored, and is forgotten after it
was removed, so that a process that dies in between leaves at worst an account of an entry that is not there: it is
evicted in its turn, and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["REPORT", "Eviction", "Place", "Policy", "Victim"]

Policy: TypeAlias = Literal["lru", "lfu"]


@dataclass(frozen=True, slots=True)
class Eviction:
    """How many entries may stay, and which ones go first.

    Attributes:
        policy: ``lru``, the longest unused; ``lfu``, the least often used, with aging: an entry that was used often, long ago,
            goes before one that is used now.
        max_entries: most entries kept.
    """

    policy: Policy
    max_entries: int


@dataclass(frozen=True, slots=True)
class Place:
    """An entry that is stored, and for how many milliseconds it lasts (0: for ever)."""

    id: str
    lasts: int


@dataclass(frozen=True, slots=True)
class Victim:
    """An entry that is to make room, and its score when it was chosen: used meanwhile, it stays accounted for."""

    id: str
    score: str


REPORT = """
local stats, uses, ends, policy = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local at = 1
local function take() at = at + 1 return ARGV[at] end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _ = 1, tonumber(take()) do
  local name, amount = take(), take()
  -- A count that is no number any more, or would be none, begins anew: it must not keep entries from being stored.
  if type(redis.pcall('HINCRBYFLOAT', stats, name, amount)) == 'table' then
    redis.call('HDEL', stats, name)
    redis.pcall('HINCRBYFLOAT', stats, name, amount)
  end
end
local floor = tonumber(redis.call('HGET', stats, '_floor') or '0') or 0
for _ = 1, tonumber(take()) do
  local id, score = take(), take()
  if redis.call('ZSCORE', uses, id) == score then
    redis.call('ZREM', uses, id)
    redis.call('ZREM', ends, id)
    floor = math.max(floor, tonumber(score))
    redis.call('HSET', stats, '_floor', string.format('%.17g', floor))
  end
end
local function use(id)
  local clock = redis.call('HINCRBY', stats, '_clock', 1)
  local score = clock
  if policy == 'lfu' then
    local before = tonumber(redis.call('ZSCORE', uses, id) or '0')
    score = math.floor(math.max(before, floor)) + 1 + (clock % 2147483648) / 2147483648
  end
  redis.call('ZADD', uses, string.format('%.17g', score), id)
end
local function last(id, lasts)
  if lasts > 0 then redis.call('ZADD', ends, string.format('%.0f', now + lasts), id) end
end
for _ = 1, tonumber(take()) do
  local id, lasts = take(), tonumber(take())
  if redis.call('ZSCORE', uses, id) then
    use(id)
    last(id, lasts)
  end
end
for _ = 1, tonumber(take()) do
  local id, lasts = take(), tonumber(take())
  if not redis.call('ZSCORE', uses, id) then
    use(id)
    last(id, lasts)
  end
end
local victims = {}
local id = take()
if id then
  local lasts, most = tonumber(take()), tonumber(take())
  local gone = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)
  for _, expired in ipairs(gone) do
    redis.call('ZREM', uses, expired)
    redis.call('ZREM', ends, expired)
  end
  if not redis.call('ZSCORE', uses, id) then
    local excess = redis.call('ZCARD', uses) + 1 - most
    if excess > 0 then
      victims = redis.call('ZRANGE', uses, 0, math.min(excess, 1000) - 1, 'WITHSCORES')
    end
  end
  redis.call('ZREM', ends, id)
  use(id)
  last(id, lasts)
end
return {string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2])), victims}
"""
"""KEYS: counts, uses, ends. ARGV: policy ('': entries are not accounted for); then each after their number: counts with
their amounts, evicted ids with the scores they were chosen by, used ids with the milliseconds they now last, stored ids with the
milliseconds they last; at the end, if room is wanted, the id, its milliseconds and the most entries. Returns
[time in microseconds, ids and scores of what has to go]."""
