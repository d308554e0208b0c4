-- numbers.lua: numbers in Redis. A foreign client may have written any value there, so all are read by `number` and
-- changed by `add`.

-- number: a value as one; nil for anything that is none, or none that can be reckoned with (inf, nan)
local function number(value)
  local n = tonumber(value)
  if n and n > -NEVER and n < NEVER then
    return n
  end
end

-- add: to a number in a hash, and what it is then. What is no number counts as 0; `repair` counts again.
local function add(key, field, n)
  local now = redis.pcall('HINCRBY', key, field, n)
  if type(now) ~= 'table' then
    return now
  elseif string.find(now.err, 'not an integer', 1, true) or string.find(now.err, 'overflow', 1, true) then
    redis.call('HSET', key, field, n)
    return tonumber(n)
  end
  return redis.call('HINCRBY', key, field, n) -- another trouble: its error is the answer
end
