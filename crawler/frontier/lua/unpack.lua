-- unpack.lua: a host's oldest segment goes to the end of its head, as the entries that a worker has read from it.
-- Why Lua: the segment must go as its entries come, and only if no other client was faster.
-- KEYS  host, head and segments of the host
-- ARGS  host, sha1
-- REST  the segment's entries; none: it cannot be read, what it held is lost
--       sha1: of the segment
-- RETURNS OK, how many URLs are lost (a repetition finds another segment, and changes nothing; neither does one that
--         comes when the head is no longer low) | NO_CRAWL | DELETING | OOM
local AT_ONCE = 1000 -- entries in one command: Lua unpacks some 8,000 at most
local no = refusal() or deleting() or full()
if no then
  return { no }
end
local hash, head, segments = KEYS[OWN_KEYS], KEYS[OWN_KEYS + 1], KEYS[OWN_KEYS + 2]
local host, sha1 = ARG.host, ARG.sha1
sound(host)
local segment = redis.call('LINDEX', segments, 0)
if redis.call('LLEN', head) >= LOW or not segment or redis.sha1hex(segment) ~= sha1 then
  return { 'OK', 0 }
end
redis.call('LPOP', segments)
for i = REST, #ARGV, AT_ONCE do
  redis.call('RPUSH', head, unpack(ARGV, i, math.min(i + AT_ONCE - 1, #ARGV)))
end
local lost = 0
if #ARGV < REST then -- what it held is not known: only how many there still are
  lost = (number(redis.call('HGET', hash, 'queued')) or 0) - queued_in(host)
end
if lost > 0 then
  add(hash, 'queued', -lost)
  count('queued', -lost)
  count('lost', lost)
  hold(host, -lost)
  settle(host)
end
return { 'OK', math.max(lost, 0) }
