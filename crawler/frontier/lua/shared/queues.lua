-- queues.lua: lengths and kinds of a host's queues.

local function length(host, part)
  return redis.call('LLEN', queue_key(host, part))
end

-- segment_size: how many entries a segment contains, by its head (see segment.py); 0 if it is not a segment
local function segment_size(segment)
  local high, low = string.byte(segment, 1, 2)
  return low and high * 256 + low or 0
end

-- queued_in: how many entries a host's queues contain, whatever its count is
local function queued_in(host)
  local n = length(host, 0) + length(host, 1) + length(host, 2) + length(host, 'tail')
  for i = 0, length(host, 'packed') - 1 do
    n = n + segment_size(redis.call('LINDEX', queue_key(host, 'packed'), i))
  end
  return n
end

-- end_of: the list that a host's next pages go to
local function end_of(host)
  local tail = queue_key(host, 'tail')
  local is_long = redis.call('EXISTS', queue_key(host, 'packed'), tail) > 0
  if is_long then -- a key of another type stops the script before its first write
    length(host, 'packed')
    length(host, 'tail')
  end
  return (length(host, 1) >= OVERFLOW or is_long) and tail or queue_key(host, 1)
end

-- sound: stop here, before the first write, if a key that is written later is of another kind: half of a page's end
-- would lose its URL. It touches all keys of the host as well.
local function sound(host)
  redis.call('HLEN', host_key(host))
  length(host, 0)
  length(host, 1)
  length(host, 2)
  length(host, 'packed')
  length(host, 'tail')
  redis.call('HLEN', COUNTERS)
  redis.call('ZCARD', READY_PROVEN)
  redis.call('ZCARD', READY)
  redis.call('ZCARD', READY_FAILING)
  redis.call('LLEN', WAKE)
end
