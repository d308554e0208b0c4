-- states.lua: the state of a URL that has ended (url_state.py): in `ended`, by its id in 8 bytes. STATE_ names places
-- of its bytes, from 1, and its marks.

local function ended_key(id)
  local buckets = ENDED_BUCKETS
  while buckets * SHARDS > ENDED_BUCKETS and buckets > MIN_ENDED_BUCKETS do
    buckets = buckets / 2
  end
  local high, low = string.byte(id, 7, 8)
  return PREFIX .. 'ended:' .. (high * 256 + low) % buckets
end

-- is_state: whether a value is a state; a foreign client may have written any
local function is_state(value)
  return value and #value > STATE_HEAD and string.byte(value, STATE_VERSION) == STATE_CURRENT
end

local function has_mark(state, mark)
  return bit.band(string.byte(state, STATE_MARKS), mark) > 0
end

-- with_marks: a state as Python packed it, with its marks, and of a copy the id of the first page behind its head
local function with_marks(state, marks, first)
  return string.sub(state, 1, STATE_MARKS - 1) .. string.char(marks) .. string.sub(state, STATE_MARKS + 1, STATE_HEAD)
    .. (first or '') .. string.sub(state, STATE_HEAD + 1)
end

-- first_of: the id of the first page with the content of a copy
local function first_of(state)
  return has_mark(state, STATE_COPY) and string.sub(state, STATE_HEAD + 1, STATE_HEAD + 8) or nil
end

-- target_of: the id of the URL that it redirects to
local function target_of(state)
  local at = STATE_HEAD + 1 + (has_mark(state, STATE_COPY) and 8 or 0)
  local target = string.byte(state, STATE_FLAGS + 1) % 2 == STATE_TARGET and string.sub(state, at, at + 7)
  return target and #target == 8 and target or nil
end
